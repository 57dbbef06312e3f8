//! Buffers that grow fallibly, since files and texts may ask for more memory than there is.

use crate::TokenizerError;
use std::collections::BinaryHeap;

/// Growth that returns [`TokenizerError::OutOfMemory`] where the standard methods would abort.
pub(crate) trait Reserve<T> {
    /// Appends a value.
    fn add(&mut self, value: T) -> Result<(), TokenizerError>;

    /// Appends values.
    fn add_all(&mut self, values: &[T]) -> Result<(), TokenizerError>
    where
        T: Copy;

    /// Empties the vector, and releases its memory if it has room for more than `most` values.
    fn keep(&mut self, most: usize);

    /// Resizes to length `n`; new entries are `value`.
    fn fill_to(&mut self, n: usize, value: T) -> Result<(), TokenizerError>
    where
        T: Clone;
}

#[cold]
pub(crate) fn out_of_memory<T>(n: usize) -> TokenizerError {
    TokenizerError::OutOfMemory { bytes: n.saturating_mul(size_of::<T>()) }
}

/// Makes room for `n` more values, and for extra ones as vectors do, so that appending stays cheap.
#[cold]
fn grow<T>(values: &mut Vec<T>, n: usize) -> Result<(), TokenizerError> {
    values.try_reserve(n).map_err(|_| out_of_memory::<T>(values.len().saturating_add(n)))
}

/// An empty vector with room for exactly `n` values.
pub(crate) fn exactly<T>(n: usize) -> Result<Vec<T>, TokenizerError> {
    let mut values = Vec::new();
    values.try_reserve_exact(n).map_err(|_| out_of_memory::<T>(n))?;
    Ok(values)
}

/// A vector of `n` copies of `value`, without spare capacity.
pub(crate) fn filled<T: Clone>(n: usize, value: T) -> Result<Vec<T>, TokenizerError> {
    let mut values = exactly(n)?;
    values.resize(n, value);
    Ok(values)
}

/// A copy of a text.
pub(crate) fn copy(text: &str) -> Result<String, TokenizerError> {
    let mut bytes = exactly(text.len())?;
    bytes.extend_from_slice(text.as_bytes());
    String::from_utf8(bytes).map_err(|_| out_of_memory::<u8>(0))
}

/// Appends to a string.
#[inline]
pub(crate) fn add_str(text: &mut String, new: &str) -> Result<(), TokenizerError> {
    if text.capacity() - text.len() < new.len() {
        text.try_reserve(new.len()).map_err(|_| out_of_memory::<u8>(text.len().saturating_add(new.len())))?;
    }
    text.push_str(new);
    Ok(())
}

/// Bytes as text. Invalid bytes become U+FFFD, written to `buffer`.
pub(crate) fn lossy<'b>(bytes: &'b [u8], buffer: &'b mut String) -> Result<&'b str, TokenizerError> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(text);
    }
    buffer.clear();
    for chunk in bytes.utf8_chunks() {
        add_str(buffer, chunk.valid())?;
        if !chunk.invalid().is_empty() {
            add_str(buffer, "\u{FFFD}")?;
        }
    }
    Ok(buffer)
}

/// Makes room in a heap for one more entry.
#[inline]
pub(crate) fn reserve_one<T: Ord>(heap: &mut BinaryHeap<T>) -> Result<(), TokenizerError> {
    if heap.len() == heap.capacity() {
        heap.try_reserve(1).map_err(|_| out_of_memory::<T>(heap.len().saturating_add(1)))?;
    }
    Ok(())
}

impl<T> Reserve<T> for Vec<T> {
    #[inline]
    fn add(&mut self, value: T) -> Result<(), TokenizerError> {
        if self.len() == self.capacity() {
            grow(self, 1)?;
        }
        self.push(value);
        Ok(())
    }

    #[inline]
    fn add_all(&mut self, values: &[T]) -> Result<(), TokenizerError>
    where
        T: Copy,
    {
        if self.capacity() - self.len() < values.len() {
            grow(self, values.len())?;
        }
        self.extend_from_slice(values);
        Ok(())
    }

    fn keep(&mut self, most: usize) {
        self.clear();
        // `shrink_to` would allocate.
        if self.capacity() > most {
            *self = Vec::new();
        }
    }

    #[inline]
    fn fill_to(&mut self, n: usize, value: T) -> Result<(), TokenizerError>
    where
        T: Clone,
    {
        if self.capacity() < n {
            grow(self, n - self.len())?;
        }
        self.resize(n, value);
        Ok(())
    }
}
