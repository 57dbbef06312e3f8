//! An allocator that counts what the calling thread allocates, and refuses what a test wants refused.
//!
//! A test binary installs it: `#[global_allocator] static METER: Meter = Meter;`.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;
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
    static REFUSAL: Cell<Refusal> = const { Cell::new(NONE) };
    /// The latest allocation, if it is still there.
    static LATEST: Cell<*mut u8> = const { Cell::new(null_mut()) };
    /// Bytes of a block that was given back as soon as it was granted, which are still there.
    static FREE: Cell<usize> = const { Cell::new(0) };
}

static PROCESS_CALLS: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Copy)]
struct Refusal {
    /// Allocations below this are not counted.
    least: usize,
    /// Which of them are refused, counted from 1.
    first: usize,
    last: usize,
    /// How many there were.
    met: usize,
    /// Whether the bytes of `FREE` are granted.
    keeps: bool,
}

const NONE: Refusal = Refusal { least: usize::MAX, first: 1, last: 0, met: 0, keeps: false };

/// Takes note of an allocation of `size` bytes in place of `old`; false if it is refused.
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
    // While it moves, old and new are both there.
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

/// [`refusing`], with the size from which on allocations are refused.
pub fn refusing_from<T>(least: usize, n: usize, work: impl FnOnce() -> T) -> (T, bool) {
    refused(Refusal { least, first: n, last: n, ..NONE }, work)
}

/// [`refusing_from`] for work whose small allocations count too; with `on`, those after the `n`-th are refused as well: memory
/// that is gone stays gone.
///
/// Work that asks for a block and gives it back at once makes sure of the memory before something takes it that can't fail. Any
/// allocator still has that block, so as many bytes are granted after it without being counted.
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

/// Runs `work`, a part of what [`refusing`] runs, without refusals and uncounted by them: what a test itself allocates.
pub fn granted<T>(work: impl FnOnce() -> T) -> T {
    let refusal = REFUSAL.replace(NONE);
    let result = work();
    REFUSAL.set(refusal);
    result
}
