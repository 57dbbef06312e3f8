//! Ending a computation early.

use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that ends a computation between two tasks.
///
/// Whoever computes with it ([`Ctx::until`](crate::Ctx::until)) asks before each task, which takes a few milliseconds
/// on a slow core at most. Once somebody has seen the flag raised, tasks may be missing, so results must be discarded:
/// [`Cancel::seen`] tells, also if the flag was lowered again meanwhile.
#[derive(Debug)]
pub struct Cancel<'a> {
    flag: &'a AtomicBool,
    seen: AtomicBool,
}

impl<'a> Cancel<'a> {
    /// Watches `flag`; true means cancelled.
    pub fn new(flag: &'a AtomicBool) -> Self {
        Self { flag, seen: AtomicBool::new(false) }
    }

    /// Whether the flag is raised. One relaxed load, unless it is.
    #[inline]
    pub fn raised(&self) -> bool {
        let raised = self.flag.load(Ordering::Relaxed);
        if raised {
            self.seen.store(true, Ordering::Relaxed);
        }
        raised
    }

    /// Whether any call of [`Cancel::raised`] returned true: the computation has gaps.
    pub fn seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }
}
