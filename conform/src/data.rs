//! Reading the corpora: JSON, packed lines, little-endian numbers, base64.

use serde::de::DeserializeOwned;
use std::fs;
use std::io::Read;
use std::path::Path;

/// The file's bytes.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

/// A JSON file.
pub(crate) fn json<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    serde_json::from_slice(&bytes(path)?).map_err(|e| format!("{}: {e}", path.display()))
}

/// A gzip file with one JSON value a line.
pub(crate) fn json_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, String> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes(path)?.as_slice())
        .read_to_string(&mut text)
        .map_err(|e| format!("cannot unpack {}: {e}", path.display()))?;
    text.lines()
        .enumerate()
        .map(|(i, line)| serde_json::from_str(line).map_err(|e| format!("{}:{}: {e}", path.display(), i + 1)))
        .collect()
}

/// A file of little-endian f32.
pub(crate) fn f32_file(path: &Path) -> Result<Vec<f32>, String> {
    Ok(f32_values(&bytes(path)?))
}

/// Little-endian f32; bytes beyond the last whole value are left out.
pub(crate) fn f32_values(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// A file of little-endian u16.
pub(crate) fn u16_file(path: &Path) -> Result<Vec<u16>, String> {
    Ok(bytes(path)?.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect())
}

/// Lines of token ids.
pub(crate) fn id_lines(path: &Path) -> Result<Vec<Vec<u32>>, String> {
    let text = String::from_utf8(bytes(path)?).map_err(|_| format!("{}: not UTF-8", path.display()))?;
    text.lines()
        .map(|line| {
            line.split_whitespace()
                .map(|id| {
                    id.parse().map_err(|_| format!("{}: expected a token id, found '{id}'", path.display()))
                })
                .collect()
        })
        .collect()
}

/// Standard base64 with padding (RFC 4648, section 4); `None` for anything else.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (groups, []) = text.as_bytes().as_chunks::<4>() else { return None };
    for group in groups {
        let padding = group.iter().rev().take_while(|&&c| c == b'=').count();
        let mut bits = 0u32;
        for &c in group {
            let digit = match c {
                b'A'..=b'Z' => c - b'A',
                b'a'..=b'z' => c - b'a' + 26,
                b'0'..=b'9' => c - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                b'=' => 0,
                _ => return None,
            };
            bits = bits << 6 | u32::from(digit);
        }
        out.extend_from_slice(bits.to_be_bytes()[1..].get(..3usize.checked_sub(padding)?)?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_follows_the_rfc() {
        // RFC 4648, section 10.
        let vectors = [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmFy", "foobar"),
        ];
        for (text, expected) in vectors {
            assert_eq!(base64(text).as_deref(), Some(expected.as_bytes()), "{text}");
        }
        assert_eq!(base64("Zg="), None);
        assert_eq!(base64("Z*=="), None);
    }
}
