//! What the readers share: JSON, lines of JSON, little-endian numbers, token ids.

use happy_testkit::Files;
use serde::de::DeserializeOwned;

/// Reads a JSON file.
pub(crate) fn json<T: DeserializeOwned>(files: &Files, path: &str) -> Result<T, String> {
    serde_json::from_slice(&files.bytes(path)?).map_err(|e| format!("{path}: {e}"))
}

/// Reads a gzip file with one JSON value per line.
pub(crate) fn json_lines<T: DeserializeOwned>(files: &Files, path: &str) -> Result<Vec<T>, String> {
    let text = files.text(path)?;
    let lines = text.lines().enumerate();
    lines.map(|(i, line)| serde_json::from_str(line).map_err(|e| format!("{path}:{}: {e}", i + 1))).collect()
}

/// Reads a file of little-endian f32.
pub(crate) fn f32_file(files: &Files, path: &str) -> Result<Vec<f32>, String> {
    Ok(f32_values(&files.bytes(path)?))
}

/// Reads little-endian f32. Bytes after the last whole value are ignored.
pub(crate) fn f32_values(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// Reads a file of little-endian u16.
pub(crate) fn u16_file(files: &Files, path: &str) -> Result<Vec<u16>, String> {
    Ok(files.bytes(path)?.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect())
}

/// Reads lines of token ids.
#[cfg(feature = "compute")]
pub(crate) fn id_lines(files: &Files, path: &str) -> Result<Vec<Vec<u32>>, String> {
    let text = files.text(path)?;
    let id = |word: &str| word.parse().map_err(|_| format!("{path}: expected a token id, found `{word}`"));
    text.lines().map(|line| line.split_whitespace().map(id).collect()).collect()
}

/// Returns the SHA-256 in lower-case hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
