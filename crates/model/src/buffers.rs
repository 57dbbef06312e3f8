//! One list of buffers that is used twice: a plan counts it, and the cache or scratch reserves it. So both always agree.

use crate::error::KvError;
use crate::reserve::reserved;

/// An operation on each buffer of a list.
pub(crate) trait Buffers {
    /// Handles one or several buffers with a total of `bytes` bytes, which `make` reserves.
    fn part<T: Default, E>(
        &mut self,
        bytes: usize,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, KvError>;

    /// Handles a list with room for `n` elements.
    fn list<T>(&mut self, n: usize) -> Result<Vec<T>, KvError> {
        self.part(n.saturating_mul(size_of::<T>()), || reserved(n))
    }
}

/// Reserves the buffers. The name is for error messages.
pub(crate) struct Reserved(pub(crate) &'static str);

impl Buffers for Reserved {
    fn part<T: Default, E>(
        &mut self,
        bytes: usize,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, KvError> {
        make().map_err(|_| KvError::Memory { bytes, what: self.0 })
    }
}

/// Adds up the sizes, and leaves every buffer empty.
pub(crate) struct Counted(usize);

impl Buffers for Counted {
    fn part<T: Default, E>(&mut self, bytes: usize, _: impl FnOnce() -> Result<T, E>) -> Result<T, KvError> {
        self.0 = self.0.saturating_add(bytes);
        Ok(T::default())
    }
}

/// Returns the bytes of the buffers that `build` lists.
pub(crate) fn counted<T>(build: impl FnOnce(&mut Counted) -> Result<T, KvError>) -> usize {
    let mut counted = Counted(0);
    // Counting reserves nothing, so it cannot fail.
    let _ = build(&mut counted);
    counted.0
}
