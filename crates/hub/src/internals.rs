//! The entry point of the fuzz target. It is not part of the public interface, and may change at any time.

use crate::http::ContentRange;
use crate::name::Name;
use crate::url::Url;
use crate::{listing, partial};

/// Parses bytes as one of the things that come from servers, other programs and users (the first byte says which), and checks the
/// properties of everything that is accepted.
///
/// # Panics
/// If a property does not hold.
pub fn check(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    match (kind % 5, std::str::from_utf8(data)) {
        (0, Ok(text)) => {
            if let Some(ContentRange { range: Some((start, end)), total }) = ContentRange::parse(text) {
                assert!(start < end && total.is_none_or(|total| end <= total), "{text:?}");
            }
        }
        (1, _) => {
            for file in listing::parse("fuzz", data).map(|listing| listing.files).unwrap_or_default() {
                let path = &file.path;
                let plain = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
                assert!(plain && !path.contains(['\\', ':', '\0']) && file.size > 0, "{path:?}");
            }
        }
        (2, _) => {
            let ranges: Vec<(u64, u64)> = partial::parse_journal(data).iter().collect();
            assert!(ranges.iter().all(|(start, end)| start < end), "{ranges:?}");
            assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "{ranges:?}");
        }
        (3, Ok(text)) => {
            let (base, location) = text.split_once('\n').unwrap_or(("https://host/folder/file?query", text));
            if let Ok(url) = Url::parse(base).and_then(|base| base.join(location)) {
                // It becomes a line of a request, and is parsed to the same again. Its query is not shown.
                let full = url.full();
                assert!(full.bytes().all(|byte| byte.is_ascii_graphic()), "{full:?}");
                assert_eq!(Url::parse(&full).ok(), Some(url.clone()), "{full:?}");
                assert!(!url.to_string().contains('?'), "{full:?}");
            }
        }
        (4, Ok(text)) => {
            // A printed name is parsed to the same name again.
            if let Ok(name @ (Name::Repo { .. } | Name::File { .. })) = text.parse() {
                assert_eq!(name.to_string().parse::<Name>().ok(), Some(name));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutations_of_what_servers_send() {
        let sha = "ab".repeat(32);
        let listing = format!(
            r#"{{"sha":"{}","tags":["license:mit"],"siblings":[{{"rfilename":"a/b.gguf","size":7,"lfs":{{"sha256":"{sha}","size":7}}}}]}}"#,
            "0123456789".repeat(4)
        );
        let seeds: [(u8, &[u8]); 9] = [
            (0, b"bytes 0-99/1234"),
            (0, b"bytes */18446744073709551615"),
            (1, listing.as_bytes()),
            (2, &[0; 72]),
            (3, b"https://host:8443/a/b?c=d\n//other/e?f"),
            (3, b"../x?y#z"),
            (4, b"hf:owner/repo@refs/x:Q4_K_M"),
            (4, b"hf:owner/repo@main/folder/file-00001-of-00002.gguf"),
            (4, b"https://huggingface.co/owner/repo/blob/main/a.gguf"),
        ];
        let mut state = 7u64;
        let mut dice = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below.max(1)
        };
        for round in 0..20_000 {
            let (kind, seed) = seeds[round % seeds.len()];
            let mut data = seed.to_vec();
            for _ in 0..dice(4) {
                let at = dice(data.len());
                match dice(4) {
                    0 => data[at] = b"/.:@?#%-*\\\n\0 9\xff"[dice(15)],
                    1 => data.truncate(at),
                    2 => data.insert(at, b"/.:@?#-\"{[0"[dice(11)]),
                    _ => data.extend_from_within(at..),
                }
                if data.is_empty() {
                    break;
                }
            }
            data.insert(0, kind);
            check(&data);
        }
    }
}
