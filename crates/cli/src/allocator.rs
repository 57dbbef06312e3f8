//! Memory for libraries that abort when the system refuses it.
//!
//! Our own code reserves memory fallibly and turns a refusal into an error, but clap, serde_json and the standard
//! library abort the process. Their requests are small. So if the system refuses a small request, it is met from a
//! reserve that was set aside when the program started. The reserve is large enough to reach our own next request,
//! which becomes an error, and to print that.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of the reserve. Pages of it that are never used take no memory, but a limit on data counts them. If such a
/// limit is too small for them, the system does not start the program.
const SIZE: usize = 64 << 10;

/// Larger requests are refused if the system refuses them. clap requests 38,400 bytes.
const MOST: usize = 40 << 10;

/// The system's allocator, with a reserve for small requests that it refuses.
pub(crate) struct WithReserve<A> {
    system: A,
    reserve: UnsafeCell<[u8; SIZE]>,
    /// Bytes of the reserve that are in use. They are never given back.
    taken: AtomicUsize,
}

// SAFETY: `taken` gives each byte of the reserve to only one request.
unsafe impl<A: Sync> Sync for WithReserve<A> {}

impl WithReserve<System> {
    pub(crate) const fn new() -> Self {
        Self::over(System)
    }
}

impl<A> WithReserve<A> {
    const fn over(system: A) -> Self {
        Self { system, reserve: UnsafeCell::new([0; SIZE]), taken: AtomicUsize::new(0) }
    }

    /// Takes room for `layout` from the reserve. Returns null if it is too large or nothing is left.
    fn take(&self, layout: Layout) -> *mut u8 {
        if layout.size() > MOST {
            return std::ptr::null_mut();
        }
        let start = self.reserve.get().cast::<u8>();
        let place = |taken: usize| {
            let first = start.addr().checked_add(taken)?.checked_next_multiple_of(layout.align())?;
            let offset = first - start.addr();
            let end = offset.checked_add(layout.size()).filter(|end| *end <= SIZE)?;
            Some((offset, end))
        };
        let order = Ordering::Relaxed;
        let before = self.taken.try_update(order, order, |taken| Some(place(taken)?.1));
        before.ok().and_then(place).map_or(std::ptr::null_mut(), |(offset, _)| start.wrapping_add(offset))
    }

    /// Returns whether `place` is in the reserve.
    fn holds(&self, place: *mut u8) -> bool {
        place.addr().wrapping_sub(self.reserve.get().addr()) < SIZE
    }
}

// SAFETY: a block is the system's, or lies in the reserve, aligned, within it, and apart from all others: `take` moves on past it.
unsafe impl<A: GlobalAlloc> GlobalAlloc for WithReserve<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let block = unsafe { self.system.alloc(layout) };
        if block.is_null() { self.take(layout) } else { block }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let block = unsafe { self.system.alloc_zeroed(layout) };
        // The reserve is zero at first, and no byte of it is given twice.
        if block.is_null() { self.take(layout) } else { block }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !self.holds(block) {
            // SAFETY: the caller's promise; it is a block of the system.
            unsafe { self.system.dealloc(block, layout) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let own = self.holds(block);
        if !own {
            // SAFETY: the caller's promise; it is a block of the system.
            let moved = unsafe { self.system.realloc(block, layout, size) };
            if !moved.is_null() {
                return moved;
            }
        }
        let Ok(new) = Layout::from_size_align(size, layout.align()) else { return std::ptr::null_mut() };
        // SAFETY: the caller promises a size above 0.
        let moved = if own { unsafe { self.alloc(new) } } else { self.take(new) };
        if !moved.is_null() {
            // SAFETY: both have as many bytes, and no block overlaps another one; then the old one is given back as it came.
            unsafe {
                std::ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                self.dealloc(block, layout);
            }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refuses everything but what it is told to allow.
    struct Refuses(AtomicUsize);

    // SAFETY: a null block is a refusal; all else is the system's.
    unsafe impl GlobalAlloc for Refuses {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let more = |left: usize| left.checked_sub(1);
            match self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, more) {
                // SAFETY: the caller's promise.
                Ok(_) => unsafe { System.alloc(layout) },
                Err(_) => std::ptr::null_mut(),
            }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: the caller's promise.
            unsafe { System.dealloc(block, layout) };
        }
    }

    #[test]
    fn small_requests_are_met_until_the_reserve_is_empty() {
        let memory = Box::new(WithReserve::over(Refuses(AtomicUsize::new(1))));
        let layout = |size, align| Layout::from_size_align(size, align).unwrap();
        // SAFETY: each block is used within its size, and given back with its layout.
        unsafe {
            // The first is the system's; it grows into the reserve with its bytes, and there again.
            let first = memory.alloc(layout(100, 8));
            assert!(!first.is_null() && !memory.holds(first));
            first.write_bytes(7, 100);
            let grown = memory.realloc(first, layout(100, 8), 5000);
            assert!(memory.holds(grown));
            let again = memory.realloc(grown, layout(5000, 8), 9000);
            assert!(memory.holds(again) && again != grown);
            assert!((0..100).all(|i| *again.add(i) == 7));
            memory.dealloc(again, layout(9000, 8));
            // What is refused leaves the old block as it was.
            assert!(memory.realloc(again, layout(9000, 8), MOST + 1).is_null());
            assert_eq!(*again, 7);
            assert!(memory.alloc(layout(MOST + 1, 1)).is_null());
            let mut ends = memory.taken.load(Ordering::Relaxed);
            for (size, align) in [(1, 1), (3, 4096), (4800, 16), (20 << 10, 64)] {
                let block = memory.alloc_zeroed(layout(size, align));
                assert!(memory.holds(block) && block.addr().is_multiple_of(align), "{size}, {align}");
                assert!((0..size).all(|i| *block.add(i) == 0));
                let offset = block.addr() - memory.reserve.get().addr();
                assert!(offset >= ends);
                ends = offset + size;
            }
            let more = (0..100).take_while(|_| !memory.alloc(layout(1000, 1)).is_null()).count();
            assert!((5..SIZE / 1000).contains(&more), "{more}");
        }
    }
}
