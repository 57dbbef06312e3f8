//! An allocator that counts what the calling thread allocates, and refuses what a test wants refused.
//!
//! A test binary installs it: `#[global_allocator] static METER: Meter = Meter;`.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator, which counts and refuses. If it is not installed, all counts are 0 and nothing is refused.
pub struct Meter;

/// What a piece of work allocated on its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Maximum number of bytes that it held at any time. An allocation that grows counts twice while it may be in two
    /// places.
    pub peak: u64,
    /// Number of bytes that it held at its end, which belong to its result.
    pub held: u64,
    /// Number of allocations that it made. Growing one counts as another.
    pub calls: usize,
}

/// [`refusing`] refuses allocations from this size on; smaller ones, of names and messages, always succeed.
pub const LARGE: usize = 4096;

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static REFUSAL: Cell<Refusal> = const { Cell::new(NONE) };
    /// The latest allocation, if it was not freed.
    static LATEST: Cell<*mut u8> = const { Cell::new(null_mut()) };
    /// Bytes of a block that was freed right after it was granted and are still unused.
    static FREE: Cell<usize> = const { Cell::new(0) };
}

static PROCESS_CALLS: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Copy)]
struct Refusal {
    /// Allocations below this are not counted.
    least: usize,
    /// The first allocation that is refused, counted from 1.
    first: usize,
    last: usize,
    /// Number of allocations so far.
    met: usize,
    /// Whether allocations within the bytes of `FREE` are granted.
    keeps: bool,
}

const NONE: Refusal = Refusal { least: usize::MAX, first: 1, last: 0, met: 0, keeps: false };

/// Records an allocation of `size` bytes that replaces one of `old` bytes. Returns false if it is refused.
fn grant(size: usize, old: usize) -> bool {
    let mut refusal = REFUSAL.get();
    let free = FREE.get().checked_sub(size);
    FREE.set(free.unwrap_or(0));
    if size >= refusal.least && !(refusal.keeps && free.is_some()) {
        refusal.met += 1;
        REFUSAL.set(refusal);
        if (refusal.first..=refusal.last).contains(&refusal.met) {
            return false;
        }
    }
    PROCESS_CALLS.fetch_add(1, Relaxed);
    CALLS.set(CALLS.get() + 1);
    // While it moves, both the old and the new block exist.
    NOW.set(NOW.get() + size as i64);
    PEAK.set(PEAK.get().max(NOW.get()));
    NOW.set(NOW.get() - old as i64);
    true
}

fn latest(at: *mut u8) -> *mut u8 {
    LATEST.set(at);
    at
}

// SAFETY: every request goes to the system's allocator as it is, or is refused by a null pointer, as the contract allows. The counters are
// plain cells without destructors, and do not allocate.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !grant(layout.size(), 0) {
            return core::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        latest(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !grant(layout.size(), 0) {
            return core::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        latest(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !grant(size, layout.size()) {
            return core::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        latest(unsafe { System.realloc(at, layout, size) })
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.set(NOW.get() - layout.size() as i64);
        if LATEST.replace(null_mut()) == at {
            FREE.set(layout.size());
        }
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

/// Does the same as [`refusing`], for allocations of at least `least` bytes.
pub fn refusing_from<T>(least: usize, n: usize, work: impl FnOnce() -> T) -> (T, bool) {
    refused(Refusal { least, first: n, last: n, ..NONE }, work)
}

/// Does the same as [`refusing_from`] for work whose small allocations count too. With `on`, all allocations after the
/// `n`-th are refused as well, as if memory stays exhausted.
///
/// Some work allocates a block and frees it at once, to make sure that there is memory for something that cannot fail.
/// Any allocator still has that block, so as many bytes are granted afterwards without being counted.
pub fn refusing_after_probes<T>(least: usize, n: usize, on: bool, work: impl FnOnce() -> T) -> (T, bool) {
    let last = if on { usize::MAX } else { n };
    refused(Refusal { least, first: n, last, keeps: true, ..NONE }, work)
}

fn refused<T>(refusal: Refusal, work: impl FnOnce() -> T) -> (T, bool) {
    FREE.set(0);
    REFUSAL.set(refusal);
    let result = work();
    let met = REFUSAL.replace(NONE).met;
    (result, met >= refusal.first)
}

/// Runs `work`, which is a part of what [`refusing`] runs, without refusing or counting its allocations: for what a
/// test itself allocates.
pub fn granted<T>(work: impl FnOnce() -> T) -> T {
    let refusal = REFUSAL.replace(NONE);
    let result = work();
    REFUSAL.set(refusal);
    result
}
