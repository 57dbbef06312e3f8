//! An allocator that counts what the calling thread allocates, and refuses what a test wants refused.
//!
//! A test binary installs it: `#[global_allocator] static METER: Meter = Meter;`.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator, counting and refusing. Without it all counts are 0 and nothing is refused.
pub struct Meter;

/// What a piece of work allocated on its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// The most bytes that it held at any time. An allocation that grows counts twice while it may be in two places.
    pub peak: u64,
    /// The bytes that it held at its end, which its result takes.
    pub held: u64,
    /// How many allocations it made; one that grows is another.
    pub calls: usize,
}

/// [`refusing`] refuses allocations from this size on; smaller ones, of names and messages, always succeed.
pub const LARGE: usize = 4096;

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static REFUSAL: Cell<Refusal> = const { Cell::new(Refusal { least: usize::MAX, nth: 0, met: 0 }) };
}

static PROCESS_CALLS: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Copy)]
struct Refusal {
    /// Allocations below this are not counted.
    least: usize,
    /// Which of them is refused, from 1.
    nth: usize,
    /// How many there were.
    met: usize,
}

/// Takes note of an allocation of `size` bytes in place of `old`; false if it is refused.
fn grant(size: usize, old: usize) -> bool {
    let mut refusal = REFUSAL.get();
    if size >= refusal.least {
        refusal.met += 1;
        REFUSAL.set(refusal);
        if refusal.met == refusal.nth {
            return false;
        }
    }
    PROCESS_CALLS.fetch_add(1, Relaxed);
    CALLS.set(CALLS.get() + 1);
    // While it moves, old and new are both there.
    NOW.set(NOW.get() + size as i64);
    PEAK.set(PEAK.get().max(NOW.get()));
    NOW.set(NOW.get() - old as i64);
    true
}

// SAFETY: every request goes to the system's allocator as it is, or is refused by a null pointer, as the contract allows. The counters are
// plain cells without destructors, and do not allocate.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !grant(layout.size(), 0) {
            return core::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !grant(layout.size(), 0) {
            return core::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !grant(size, layout.size()) {
            return core::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.set(NOW.get() - layout.size() as i64);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Runs `work`, and returns its result and what it allocated.
pub fn measured<T>(work: impl FnOnce() -> T) -> (T, Used) {
    let (before, calls) = (NOW.get(), CALLS.get());
    PEAK.set(before);
    let result = work();
    let held = (NOW.get() - before).max(0) as u64;
    (result, Used { peak: (PEAK.get() - before) as u64, held, calls: CALLS.get() - calls })
}

/// Returns how many allocations all threads of the process have made.
pub fn process_calls() -> usize {
    PROCESS_CALLS.load(Relaxed)
}

/// Runs `work` with its `n`-th allocation of at least [`LARGE`] bytes refused, counted from 1. Returns its result, and whether
/// anything was refused: false if it made fewer.
pub fn refusing<T>(n: usize, work: impl FnOnce() -> T) -> (T, bool) {
    refusing_from(LARGE, n, work)
}

/// [`refusing`], with the size from which on allocations are refused.
pub fn refusing_from<T>(least: usize, n: usize, work: impl FnOnce() -> T) -> (T, bool) {
    REFUSAL.set(Refusal { least, nth: n, met: 0 });
    let result = work();
    let met = REFUSAL.replace(Refusal { least: usize::MAX, nth: 0, met: 0 }).met;
    (result, met >= n)
}

/// Runs `work`, a part of what [`refusing`] runs, without refusals and uncounted by them: what a test itself allocates.
pub fn granted<T>(work: impl FnOnce() -> T) -> T {
    let refusal = REFUSAL.replace(Refusal { least: usize::MAX, nth: 0, met: 0 });
    let result = work();
    REFUSAL.set(refusal);
    result
}
