//! An allocator that counts what the calling thread allocates, and refuses allocations when told to.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Install it with `#[global_allocator]`.
pub(crate) struct Meter;

/// Allocations below this are never refused: names and messages.
const SMALL: usize = 4096;

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
    /// Large allocations so far, and which of them is refused; 0 for none.
    static LARGE: Cell<usize> = const { Cell::new(0) };
    static REFUSED: Cell<usize> = const { Cell::new(0) };
}

fn add(bytes: i64) {
    NOW.set(NOW.get() + bytes);
    PEAK.set(PEAK.get().max(NOW.get()));
}

fn refuses(bytes: usize) -> bool {
    if bytes < SMALL {
        return false;
    }
    LARGE.set(LARGE.get() + 1);
    LARGE.get() == REFUSED.get()
}

// SAFETY: every request goes to the system's allocator as it is, or is refused by a null pointer.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if refuses(layout.size()) {
            return core::ptr::null_mut();
        }
        add(layout.size() as i64);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if refuses(layout.size()) {
            return core::ptr::null_mut();
        }
        add(layout.size() as i64);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if refuses(size) {
            return core::ptr::null_mut();
        }
        // For a moment both may be there.
        add(size as i64);
        add(-(layout.size() as i64));
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        add(-(layout.size() as i64));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

/// The result of `f`, the most bytes that it held at any time, and the bytes that its result holds.
pub(crate) fn measured<T>(f: impl FnOnce() -> T) -> (T, u64, u64) {
    let before = NOW.get();
    PEAK.set(before);
    let result = f();
    ((result), (PEAK.get() - before) as u64, (NOW.get() - before).max(0) as u64)
}

/// Runs `f` with its `n`-th allocation of at least 4 KiB refused; false if it made fewer.
pub(crate) fn refusing(n: usize, f: impl FnOnce()) -> bool {
    LARGE.set(0);
    REFUSED.set(n);
    f();
    REFUSED.set(0);
    LARGE.get() >= n
}
