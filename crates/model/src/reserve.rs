//! Reserves memory whose size comes from a file or from the caller, so that a lack of memory is an error, not an abort.

use crate::error::{KvError, LoadError};

/// Returns an empty vector with room for exactly `n` elements.
pub(crate) fn reserved<T>(n: usize) -> Result<Vec<T>, NoMemory> {
    let mut v = Vec::new();
    v.try_reserve_exact(n).map_err(|_| NoMemory { bytes: n.saturating_mul(size_of::<T>()) })?;
    Ok(v)
}

/// Collects the elements of an iterator that yields at most `n`.
pub(crate) fn collected<T>(n: usize, items: impl Iterator<Item = T>) -> Result<Vec<T>, NoMemory> {
    let mut v = reserved(n)?;
    v.extend(items.take(n));
    Ok(v)
}

/// A reservation that failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoMemory {
    pub(crate) bytes: usize,
}

impl NoMemory {
    /// Converts it to the error of a cache or a scratch.
    pub(crate) fn of(self, what: &'static str) -> KvError {
        KvError::Memory { bytes: self.bytes, what }
    }
}

impl From<NoMemory> for LoadError {
    fn from(NoMemory { bytes }: NoMemory) -> Self {
        LoadError::memory(bytes)
    }
}
