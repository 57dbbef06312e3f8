//! [`Hash`]: the first half of a SHA-256, enough to tell results apart.

use happy_kernels::Mat;
use sha2::{Digest, Sha256};
use std::fmt;

/// The first 16 bytes of a SHA-256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hash(pub(super) [u8; 16]);

impl Hash {
    /// The hash of some bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self::finish(Sha256::new_with_prefix(bytes))
    }

    pub(super) fn finish(hash: Sha256) -> Self {
        let all: [u8; 32] = hash.finalize().into();
        Self(all.first_chunk().copied().unwrap_or_default())
    }

    /// Reads 32 hexadecimal digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let mut hash = Self::default();
        if text.len() != 2 * hash.0.len() {
            return None;
        }
        for (byte, pair) in hash.0.iter_mut().zip(text.chunks_exact(2)) {
            for digit in pair {
                *byte = *byte << 4 | char::from(*digit).to_digit(16)? as u8;
            }
        }
        Some(hash)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Adds the bits of a matrix, row by row.
pub(super) fn add_rows(hash: &mut Sha256, rows: Mat<'_>) {
    (0..rows.rows()).for_each(|i| add_values(hash, rows.row(i)));
}

/// Adds the bits of values, little-endian.
pub(super) fn add_values(hash: &mut Sha256, values: &[f32]) {
    let mut bytes = [0; 1024];
    for values in values.chunks(bytes.len() / 4) {
        for (to, value) in bytes.chunks_exact_mut(4).zip(values) {
            to.copy_from_slice(&value.to_le_bytes());
        }
        hash.update(bytes.get(..4 * values.len()).unwrap_or(&[]));
    }
}
