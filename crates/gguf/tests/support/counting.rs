//! An allocator that counts, per thread, so that tests may run side by side.
#![allow(unsafe_code)] // an allocator cannot be written without

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counting.
pub struct Counting;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn count(change: isize) {
    NOW.set(NOW.get() + change);
    PEAK.set(PEAK.get().max(NOW.get()));
    CALLS.set(CALLS.get() + usize::from(change > 0));
}

// SAFETY: every call is passed on to the system's allocator as it is; the counters are plain cells without destructors
// and do not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(ptr, layout) }
    }
}

/// What a piece of code allocated on this thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// The most bytes held at once.
    pub peak: usize,
    /// The number of allocations.
    pub calls: usize,
}

/// Runs `work` and counts.
pub fn counted<T>(work: impl FnOnce() -> T) -> (T, Allocated) {
    let (base, calls) = (NOW.get(), CALLS.get());
    PEAK.set(base);
    let result = work();
    (result, Allocated { peak: (PEAK.get() - base).unsigned_abs(), calls: CALLS.get() - calls })
}
