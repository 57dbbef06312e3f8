//! Files of reference logits, as llama-perplexity writes them with `--kl-divergence-base`.
//!
//! ```text
//! "_logits_"  i32 n_ctx  i32 n_vocab  i32 n_chunk  n_chunk x n_ctx x i32 token
//! per chunk, per scored place:  f32 scale  f32 minimum  n_vocab x u16, and one more if n_vocab is odd
//! ```
//! The natural logarithm of a token's probability is `scale * u16 + minimum`. Tokens that are less probable than the
//! best one by more than e^-16 have the minimum. All numbers are little-endian.

use super::Distribution;
use crate::error::{CliError, CliResult};
use crate::paths::shown;
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::Path;

const MAGIC: &[u8; 8] = b"_logits_";
/// Range of logits that is kept.
const RANGE: f32 = 16.0;
const MAX_CTX: usize = 1 << 24;
const MAX_VOCAB: usize = 1 << 24;

/// The header of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Header {
    pub(crate) n_ctx: usize,
    pub(crate) n_vocab: usize,
    /// The tokens of all chunks.
    pub(crate) tokens: Vec<u32>,
}

/// Bytes of a row.
fn row_bytes(n_vocab: usize) -> usize {
    8 + 2 * n_vocab.next_multiple_of(2)
}

/// Writes a file.
pub(crate) struct Writer {
    out: BufWriter<File>,
    path: String,
    row: Vec<u8>,
}

impl Writer {
    pub(crate) fn create(path: &Path, header: &Header) -> CliResult<Self> {
        let name = shown(path);
        let file = File::create(path).map_err(|e| CliError::io("write", &name, &e))?;
        let mut writer = Self { out: BufWriter::new(file), path: name, row: Vec::new() };
        let chunks = header.tokens.len() / header.n_ctx;
        writer.write(MAGIC)?;
        for number in [header.n_ctx, header.n_vocab, chunks] {
            writer.write(&(number as u32).to_le_bytes())?;
        }
        for token in &header.tokens {
            writer.write(&token.to_le_bytes())?;
        }
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> CliResult {
        self.out.write_all(bytes).map_err(|e| CliError::io("write", &self.path, &e))
    }

    /// Writes the probabilities after one place.
    pub(crate) fn row(&mut self, logits: &[f32], distribution: &Distribution<'_>) -> CliResult {
        encode(logits, distribution, &mut self.row)?;
        let row = std::mem::take(&mut self.row);
        self.write(&row)?;
        self.row = row;
        Ok(())
    }

    /// Makes sure that everything is in the file.
    pub(crate) fn finish(mut self) -> CliResult {
        self.out.flush().map_err(|e| CliError::io("write", &self.path, &e))
    }
}

fn encode(logits: &[f32], distribution: &Distribution<'_>, row: &mut Vec<u8>) -> CliResult {
    let max = distribution.max;
    let min = logits.iter().copied().fold(max, f32::min).max(max - RANGE);
    let scale = (max - min) / 65535.0;
    let minimum = (f64::from(min) - f64::from(max) - distribution.log_sum) as f32;
    let bytes = row_bytes(logits.len());
    row.clear();
    row.try_reserve(bytes).map_err(|_| no_memory(bytes))?;
    row.extend(scale.to_le_bytes());
    row.extend(minimum.to_le_bytes());
    for logit in logits {
        let steps = if scale > 0.0 && *logit > min { (logit - min) / scale } else { 0.0 };
        row.extend((steps.round_ties_even() as u16).to_le_bytes());
    }
    row.resize(bytes, 0);
    Ok(())
}

fn no_memory(bytes: usize) -> CliError {
    CliError::new(format!("no memory for {bytes} bytes of reference logits"))
}

/// Reads a file.
pub(crate) struct Reader {
    input: BufReader<File>,
    path: String,
    row: Vec<u8>,
    pub(crate) header: Header,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> CliResult<Self> {
        let name = shown(path);
        let file = File::open(path).map_err(|e| CliError::io("read", &name, &e))?;
        let bytes = file.metadata().map_err(|e| CliError::io("read", &name, &e))?.len();
        let header = Header { n_ctx: 0, n_vocab: 0, tokens: Vec::new() };
        let mut reader = Self { input: BufReader::new(file), path: name, row: Vec::new(), header };
        let mut magic = [0; 8];
        let wrong = |reader: &Self, what: String| CliError::new(format!("`{}`: {what}", reader.path));
        if !reader.take(&mut magic)? || magic != *MAGIC {
            let expected = "expected reference logits, which begin with `_logits_`: `happy perplexity --save-logits` writes them";
            return Err(wrong(&reader, expected.to_owned()));
        }
        let (n_ctx, n_vocab, chunks) = (reader.number()?, reader.number()?, reader.number()?);
        if !(4..=MAX_CTX).contains(&n_ctx) || !(1..=MAX_VOCAB).contains(&n_vocab) || chunks == 0 {
            let found =
                format!("chunks of {n_ctx} tokens, {n_vocab} tokens in the vocabulary, {chunks} chunks");
            return Err(wrong(&reader, format!("{found}: expected at least 4, 1 and 1")));
        }
        let tokens = n_ctx.saturating_mul(chunks);
        // Nothing is reserved for data that the file does not have.
        if (tokens as u64).saturating_mul(4) > bytes {
            return Err(wrong(
                &reader,
                format!("{chunks} chunks of {n_ctx} tokens don't fit its {bytes} bytes"),
            ));
        }
        let row = row_bytes(n_vocab);
        reader.header.tokens.try_reserve_exact(tokens).map_err(|_| no_memory(tokens * 4))?;
        reader.row.try_reserve_exact(row).map_err(|_| no_memory(row))?;
        reader.row.resize(row, 0);
        for _ in 0..tokens {
            let token = reader.number()?;
            if token >= n_vocab {
                return Err(wrong(&reader, format!("token {token}, expected ids below {n_vocab}")));
            }
            reader.header.tokens.push(token as u32);
        }
        (reader.header.n_ctx, reader.header.n_vocab) = (n_ctx, n_vocab);
        Ok(reader)
    }

    /// Fills the buffer. Returns false at the end of the file.
    fn take(&mut self, buffer: &mut [u8]) -> CliResult<bool> {
        match self.input.read_exact(buffer) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(e) => Err(CliError::io("read", &self.path, &e)),
        }
    }

    fn number(&mut self) -> CliResult<usize> {
        let mut bytes = [0; 4];
        match self.take(&mut bytes)? {
            true => Ok(u32::from_le_bytes(bytes) as usize),
            false => Err(CliError::new(format!("`{}` ends in its header", self.path))),
        }
    }

    /// Reads the next row; `None` at the end of the file.
    pub(crate) fn row(&mut self) -> CliResult<Option<Row<'_>>> {
        let mut row = std::mem::take(&mut self.row);
        let found = self.take(&mut row)?;
        self.row = row;
        Ok(found.then(|| Row { bytes: &self.row, n_vocab: self.header.n_vocab }))
    }
}

/// The probabilities after one place.
pub(crate) struct Row<'a> {
    bytes: &'a [u8],
    n_vocab: usize,
}

impl Row<'_> {
    /// Returns the natural logarithms of all tokens' probabilities.
    pub(crate) fn ln_p(&self) -> impl Iterator<Item = f32> {
        let (words, _) = self.bytes.as_chunks::<4>();
        let number = |i: usize| words.get(i).map_or(0.0, |word| f32::from_le_bytes(*word));
        let (scale, minimum) = (number(0), number(1));
        let (steps, _) = self.bytes.get(8..).unwrap_or_default().as_chunks::<2>();
        steps
            .iter()
            .take(self.n_vocab)
            .map(move |step| scale * f32::from(u16::from_le_bytes(*step)) + minimum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_probabilities() {
        let logits = [1.0, 3.5, -2.0, -40.0, 0.25];
        let distribution = Distribution::of(&logits);
        let mut bytes = Vec::new();
        encode(&logits, &distribution, &mut bytes).expect("memory");
        assert_eq!(bytes.len(), 8 + 12);
        let row = Row { bytes: &bytes, n_vocab: logits.len() };
        for (id, found) in row.ln_p().enumerate() {
            // The range is 16 in 65,535 steps.
            let expected = distribution.ln_p(id).max(distribution.ln_p(1) - 16.0);
            assert!((f64::from(found) - expected).abs() < 1.3e-4, "{id}: {found}, {expected}");
        }
        assert_eq!(row.ln_p().count(), 5);
    }
}
