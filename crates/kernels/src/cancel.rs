//! Ending a computation early.

use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that ends a computation between two tasks.
///
/// A computation with it ([`Ctx::until`](crate::Ctx::until)) checks the flag before each task. Most tasks take less
/// than a few milliseconds; long ones check it on the way, at least every 10 to 30 ms on a slow core. Once a check has
/// seen the flag raised, tasks may be missing, and the results must be discarded: [`Cancel::seen`] says so, even if the
/// flag was lowered again in the meantime.
#[derive(Debug)]
pub struct Cancel<'a> {
    flag: &'a AtomicBool,
    seen: AtomicBool,
}

impl<'a> Cancel<'a> {
    /// Makes a cancel flag that watches `flag`; true means cancelled.
    pub fn new(flag: &'a AtomicBool) -> Self {
        Self { flag, seen: AtomicBool::new(false) }
    }

    /// Returns whether the flag is raised. If it is not, this costs one relaxed load.
    #[inline]
    pub fn raised(&self) -> bool {
        let raised = self.flag.load(Ordering::Relaxed);
        if raised {
            self.seen.store(true, Ordering::Relaxed);
        }
        raised
    }

    /// Returns whether any call of [`Cancel::raised`] returned true, so that the computation has gaps.
    pub fn seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }
}
