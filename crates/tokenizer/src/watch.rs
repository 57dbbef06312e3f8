//! Cancellation: checked once per block of work, so that a long operation stops soon after it is cancelled.

use crate::TokenizerError;
use std::cell::Cell;

/// Units of work between two checks. A unit is a byte of text or a step of a search; a slow core does this many in
/// about a millisecond.
const BLOCK: usize = 1 << 13;

/// Counts work, and checks for cancellation.
pub(crate) struct Watch<'c> {
    cancelled: &'c dyn Fn() -> bool,
    left: Cell<usize>,
}

impl<'c> Watch<'c> {
    pub(crate) fn new(cancelled: &'c dyn Fn() -> bool) -> Self {
        Watch { cancelled, left: Cell::new(0) }
    }

    /// Records that this many units of work are done, or are about to be.
    #[inline]
    pub(crate) fn work(&self, units: usize) -> Result<(), TokenizerError> {
        match self.left.get().checked_sub(units) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => self.ask(),
        }
    }

    #[cold]
    fn ask(&self) -> Result<(), TokenizerError> {
        self.left.set(BLOCK);
        if (self.cancelled)() { Err(TokenizerError::Cancelled) } else { Ok(()) }
    }
}
