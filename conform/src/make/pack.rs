//! Archives and packed lines whose bytes depend on nothing but their contents.

use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Makes a zip archive. Files that are compressed already are stored.
pub(super) fn archive(files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, String> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        // The earliest time that the format can express: 1980-01-01 00:00:00.
        let options =
            SimpleFileOptions::default().last_modified_time(DateTime::default()).unix_permissions(0o644);
        let packed = name.ends_with(".gz") || name.ends_with(".zst");
        let options = if packed {
            options.compression_method(CompressionMethod::Stored)
        } else {
            options.compression_method(CompressionMethod::Deflated).compression_level(Some(9))
        };
        let broken = |e: &dyn std::fmt::Display| format!("cannot pack {name}: {e}");
        zip.start_file(name.as_str(), options).map_err(|e| broken(&e))?;
        zip.write_all(bytes).map_err(|e| broken(&e))?;
    }
    Ok(zip.finish().map_err(|e| format!("cannot finish an archive: {e}"))?.into_inner())
}

/// Packs lines of JSON into a gzip file.
pub(super) fn lines(values: &[Json]) -> Result<Vec<u8>, String> {
    let mut text = String::new();
    for value in values {
        // Writing into a String does not fail.
        let _ = writeln!(text, "{value}");
    }
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(text.as_bytes()).and_then(|()| packer.finish()).map_err(|e| format!("cannot pack: {e}"))
}

/// Encodes as standard base64 with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, i| bits << 8 | u32::from(group.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= group.len() { digit.into() } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_comes_back() {
        for n in 0..70u8 {
            let bytes: Vec<u8> = (0..n).map(|i| i.wrapping_mul(37) ^ n).collect();
            assert_eq!(happy_testkit::base64(&base64(&bytes)).as_deref(), Some(&bytes[..]), "{n}");
        }
    }

    #[test]
    fn archives_depend_on_their_content_alone() {
        let files = BTreeMap::from([("b.gz".to_owned(), vec![1, 2]), ("a/x".to_owned(), vec![0; 1000])]);
        let first = archive(&files).expect("an archive");
        // The format stores times in steps of two seconds.
        std::thread::sleep(std::time::Duration::from_millis(2100));
        assert!(first == archive(&files).expect("an archive"));
    }
}
