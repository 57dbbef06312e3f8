//! Why work stops early: the caller cancels it, or memory is refused.

use core::cell::Cell;
use std::collections::TryReserveError;

/// Why work was stopped. Every error type of the crate has a kind for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halt {
    Cancelled,
    OutOfMemory,
}

impl Halt {
    pub(crate) const CANCELLED: &'static str = "cancelled";
    pub(crate) const OUT_OF_MEMORY: &'static str = "out of memory";

    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Cancelled => Self::CANCELLED,
            Self::OutOfMemory => Self::OUT_OF_MEMORY,
        }
    }
}

impl From<TryReserveError> for Halt {
    fn from(_: TryReserveError) -> Self {
        Self::OutOfMemory
    }
}

/// `vec![value; len]`, with fallible allocation.
pub(crate) fn filled<T: Clone>(value: T, len: usize) -> Result<Vec<T>, Halt> {
    let mut all = Vec::new();
    all.try_reserve_exact(len)?;
    all.resize(len, value);
    Ok(all)
}

/// `Vec::push`, with fallible allocation.
pub(crate) fn push<T>(all: &mut Vec<T>, value: T) -> Result<(), Halt> {
    all.try_reserve(1)?;
    all.push(value);
    Ok(())
}

/// Copies a list, with fallible allocation.
pub(crate) fn copied<T: Copy>(items: &[T]) -> Result<Vec<T>, Halt> {
    let mut all = Vec::new();
    all.try_reserve_exact(items.len())?;
    all.extend_from_slice(items);
    Ok(all)
}

/// Copies a text, with fallible allocation.
pub(crate) fn copied_text(text: &str) -> Result<String, Halt> {
    let mut copy = String::new();
    copy.try_reserve_exact(text.len())?;
    copy.push_str(text);
    Ok(copy)
}

/// Steps of work between two calls of the cancellation check. A step takes some tens of nanoseconds (a node of a trie,
/// a position of the machine, a part of a term), so a slow core checks about once per millisecond.
const STEPS: usize = 8_192;

/// Counts steps of work and checks for cancellation from time to time.
pub(crate) struct Meter<'a> {
    cancelled: &'a dyn Fn() -> bool,
    left: Cell<usize>,
    stopped: Cell<bool>,
}

impl<'a> Meter<'a> {
    /// Makes a meter that checks at its first step.
    pub(crate) fn new(cancelled: &'a dyn Fn() -> bool) -> Self {
        Self { cancelled, left: Cell::new(0), stopped: Cell::new(false) }
    }

    /// Counts steps. Returns `Cancelled` once the caller has cancelled.
    #[inline]
    pub(crate) fn step(&self, steps: usize) -> Result<(), Halt> {
        match self.left.get().checked_sub(steps.max(1)) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => self.ask(),
        }
    }

    #[cold]
    fn ask(&self) -> Result<(), Halt> {
        // Checking once is enough: cancelled work stays cancelled.
        if self.stopped.get() || (self.cancelled)() {
            self.stopped.set(true);
            self.left.set(0);
            return Err(Halt::Cancelled);
        }
        self.left.set(STEPS);
        Ok(())
    }
}
