//! Reads a header from growing prefixes of a file, before its weights are fetched.

use happy_gguf::{Gguf, GgufHeader, HeaderOptions, Limits};

use crate::error::Error;

/// Maximum size of a header: 64 MiB. Larger ones are refused. Headers of published models have less than 20 MiB.
pub const MAX_HEADER_BYTES: u64 = 64 << 20;

/// Size of the first request. It is enough for the header of a model without a vocabulary.
const FIRST: u64 = 64 << 10;
/// Maximum number of bytes that are fetched beyond a header. Steps double up to this.
const STEP: u64 = 1 << 20;

/// Reads the header of a file of `size` bytes. `grow` appends bytes up to a position.
///
/// At most the header and [`STEP`] are requested: a step is as long as what has arrived, but at most `STEP`, or as long as the
/// parser knows the header to be.
pub(crate) fn read(
    label: &str,
    size: u64,
    grow: &mut dyn FnMut(&mut Vec<u8>, u64) -> Result<(), Error>,
) -> Result<GgufHeader, Error> {
    let failed = |error| Error::Header { file: label.to_owned(), error };
    let limits = Limits::default();
    let mut bytes = Vec::new();
    let mut to = FIRST.min(size);
    loop {
        grow(&mut bytes, to)?;
        let have = bytes.len() as u64;
        let error = match Gguf::parse_header(&bytes, Some(size), &limits) {
            Ok(_) => break,
            Err(error) => error,
        };
        let Some(needed) = error.needed().filter(|needed| (have + 1..=size).contains(needed)) else {
            return Err(failed(error));
        };
        if needed > MAX_HEADER_BYTES {
            return Err(Error::HeaderTooLarge { file: label.to_owned(), limit: MAX_HEADER_BYTES, needed });
        }
        to = needed.max(have + have.min(STEP)).min(MAX_HEADER_BYTES).min(size);
    }
    let options = HeaderOptions {
        limits,
        file_len: Some(size),
        max_header_len: MAX_HEADER_BYTES,
        ..HeaderOptions::default()
    };
    match GgufHeader::read_with(&bytes[..], &options) {
        Ok(header) => Ok(header),
        Err(happy_gguf::HeaderError::Parse(error)) => Err(failed(error)),
        // Only memory can be missing.
        Err(_) => Err(Error::OutOfMemory { what: format!("the header of {label}") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use happy_gguf::{GgmlType, GgufWriter};

    fn model(tokens: usize) -> Vec<u8> {
        let tokens: Vec<String> = (0..tokens).map(|i| format!("token number {i}")).collect();
        GgufWriter::new()
            .kv("general.architecture", "llama")
            .kv("tokenizer.ggml.tokens", tokens)
            .tensor("w", GgmlType::F32, &[1 << 20], vec![0; 4 << 20])
            .to_vec()
            .unwrap()
    }

    /// Returns the header, and the number of requested bytes.
    fn read_counted(file: &[u8], size: u64) -> (Result<GgufHeader, Error>, u64) {
        let mut asked = 0;
        let header = read("x", size, &mut |bytes, to| {
            asked = to;
            bytes.extend_from_slice(&file[bytes.len()..to as usize]);
            Ok(())
        });
        (header, asked)
    }

    #[test]
    fn headers_of_all_sizes_cost_at_most_a_step_more() {
        for tokens in [0, 1, 2_000, 3_000, 30_000, 100_000, 300_000] {
            let file = model(tokens);
            let (header, asked) = read_counted(&file, file.len() as u64);
            let end = header.unwrap().view().header_end();
            assert!(asked <= (end + STEP).min(file.len() as u64), "{tokens} tokens: {asked} bytes for {end}");
        }
    }

    #[test]
    fn other_bytes_are_refused_early() {
        let (error, asked) = read_counted(&vec![0; 1 << 20], 1 << 20);
        assert!(matches!(error, Err(Error::Header { .. })) && asked == FIRST);
        // A file that ends inside of its header.
        let file = model(10_000);
        let (error, _) = read_counted(&file[..100_000], 100_000);
        assert!(matches!(error, Err(Error::Header { .. })));
        // A header that claims a string longer than the limit.
        let mut file = GgufWriter::new().kv("a.b", "x").to_vec().unwrap();
        let at = file.windows(9).position(|w| w == b"\x01\0\0\0\0\0\0\0x").unwrap();
        file[at..at + 8].copy_from_slice(&(65u64 << 20).to_le_bytes());
        file.resize(FIRST as usize, 0);
        let (error, asked) = read_counted(&file, 1 << 30);
        assert!(matches!(error, Err(Error::HeaderTooLarge { .. })) && asked == FIRST, "{error:?}");
    }
}
