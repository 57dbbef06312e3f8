//! One list of buffers that is used twice: a plan counts it, and the cache or scratch reserves it. So both always agree.

use crate::error::KvError;
use crate::reserve::reserved;

/// What happens to each buffer of a list. One type for both, so that a list is compiled once.
pub(crate) enum Buffers {
    /// Its bytes are added up here, and it stays empty.
    Counted(usize),
    /// It is reserved. The name is for error messages.
    Reserved(&'static str),
}

impl Buffers {
    /// Handles one or several buffers with a total of `bytes` bytes, which `make` reserves.
    pub(crate) fn part<T: Default, E>(
        &mut self,
        bytes: usize,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, KvError> {
        match self {
            Self::Counted(sum) => {
                *sum = sum.saturating_add(bytes);
                Ok(T::default())
            }
            Self::Reserved(what) => make().map_err(|_| KvError::Memory { bytes, what }),
        }
    }

    /// Handles a list with room for `n` elements.
    pub(crate) fn list<T>(&mut self, n: usize) -> Result<Vec<T>, KvError> {
        self.part(n.saturating_mul(size_of::<T>()), || reserved(n))
    }
}

/// Returns the bytes of the buffers that `build` lists.
pub(crate) fn counted<T>(build: impl FnOnce(&mut Buffers) -> Result<T, KvError>) -> usize {
    let mut buffers = Buffers::Counted(0);
    // Counting reserves nothing, so it cannot fail.
    let _ = build(&mut buffers);
    match buffers {
        Buffers::Counted(sum) => sum,
        Buffers::Reserved(_) => 0,
    }
}
