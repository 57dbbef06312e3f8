//! Buffers that grow fallibly: what a file or a text asks for may be more than there is.

use crate::TokenizerError;

/// Growth that returns [`TokenizerError::OutOfMemory`] where the standard methods abort.
pub(crate) trait Reserve<T> {
    /// Appends a value.
    fn add(&mut self, value: T) -> Result<(), TokenizerError>;

    /// Appends values.
    fn add_all(&mut self, values: &[T]) -> Result<(), TokenizerError>
    where
        T: Copy;

    /// Makes the length `n`; new places hold `value`.
    fn fill_to(&mut self, n: usize, value: T) -> Result<(), TokenizerError>
    where
        T: Clone;
}

#[cold]
fn out_of_memory<T>(n: usize) -> TokenizerError {
    TokenizerError::OutOfMemory { bytes: n.saturating_mul(size_of::<T>()) }
}

/// Room for `n` more values, and for more than that as vectors do, so that appending stays cheap.
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

/// A vector of `n` times `value`, and no room for more.
pub(crate) fn filled<T: Clone>(n: usize, value: T) -> Result<Vec<T>, TokenizerError> {
    let mut values = exactly(n)?;
    values.resize(n, value);
    Ok(values)
}

/// A copy of some text.
pub(crate) fn copy(text: &str) -> Result<String, TokenizerError> {
    let mut bytes = exactly(text.len())?;
    bytes.extend_from_slice(text.as_bytes());
    String::from_utf8(bytes).map_err(|_| out_of_memory::<u8>(0))
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
