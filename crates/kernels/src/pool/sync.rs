//! The types that the pool takes from the standard library, or from the model checker with `--cfg loom`.
//!
//! Loom treats sequentially consistent accesses as acquiring and releasing ones only, so a thread that announces its
//! sleep and one that looks for sleepers may miss each other. Therefore a model is checked in two ways ([`Way`]). In
//! each of them time stands still: past every deadline, or before.

#[cfg(not(all(test, loom)))]
mod real {
    pub(in crate::pool) use std::hint::spin_loop;
    pub(in crate::pool) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
    pub(in crate::pool) use std::sync::{Condvar, Mutex, MutexGuard};
    pub(in crate::pool) use std::thread;
    pub(in crate::pool) use std::time::Instant;

    /// Whether a model is checked.
    pub(in crate::pool) const MODEL: bool = false;

    /// A value that is shared without a lock.
    pub(in crate::pool) struct Slot<T>(core::cell::UnsafeCell<T>);

    impl<T: Copy> Slot<T> {
        pub(in crate::pool) fn new(value: T) -> Self {
            Self(core::cell::UnsafeCell::new(value))
        }

        /// # Safety
        /// No other thread writes at the same time.
        pub(in crate::pool) unsafe fn get(&self) -> T {
            // SAFETY: nobody writes, as the caller promises.
            unsafe { *self.0.get() }
        }

        /// # Safety
        /// No other thread reads or writes at the same time.
        pub(in crate::pool) unsafe fn set(&self, value: T) {
            // SAFETY: nobody else reads or writes, as the caller promises.
            unsafe { *self.0.get() = value }
        }
    }
}

#[cfg(all(test, loom))]
mod model {
    pub(in crate::pool) use loom::hint::spin_loop;
    pub(in crate::pool) use loom::sync::{Condvar, Mutex, MutexGuard};
    use std::cell::Cell;
    use std::sync::atomic::Ordering::{self, SeqCst};
    use std::time::Duration;

    pub(in crate::pool) const MODEL: bool = true;

    /// How a model is checked.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub(in crate::pool) enum Way {
        /// Waiting threads sleep. Sequentially consistent accesses have a fence before them, as on POWER. That orders a
        /// little more than these accesses do.
        Sleep,
        /// Waiting threads spin. Sequentially consistent accesses order less than they do in reality.
        Spin,
    }

    thread_local! {
        /// The way in which the model on this thread is checked. Loom runs all threads of a model on one thread.
        pub(in crate::pool) static WAY: Cell<Way> = const { Cell::new(Way::Sleep) };
    }

    pub(in crate::pool) mod thread {
        pub(in crate::pool) use loom::thread::{Builder, JoinHandle, Thread, current};

        pub(in crate::pool) fn park() {
            match super::WAY.get() {
                super::Way::Sleep => loom::thread::park(),
                super::Way::Spin => loom::thread::yield_now(),
            }
        }
    }

    /// A clock that stands still.
    #[derive(Clone, Copy, PartialEq, PartialOrd)]
    pub(in crate::pool) struct Instant;

    impl Instant {
        pub(in crate::pool) fn now() -> Self {
            Self
        }

        pub(in crate::pool) fn elapsed(&self) -> Duration {
            match WAY.get() {
                Way::Sleep => Duration::from_nanos(1),
                Way::Spin => Duration::ZERO,
            }
        }

        pub(in crate::pool) fn duration_since(&self, _: Self) -> Duration {
            Duration::ZERO
        }
    }

    impl core::ops::Add<Duration> for Instant {
        type Output = Self;

        fn add(self, _: Duration) -> Self {
            self
        }
    }

    fn ordered(order: Ordering) -> Ordering {
        if order == SeqCst && WAY.get() == Way::Sleep {
            loom::sync::atomic::fence(SeqCst);
        }
        order
    }

    macro_rules! atomics {
        ($($name:ident, $value:ty;)*) => {$(
            #[derive(Default)]
            pub(in crate::pool) struct $name(loom::sync::atomic::$name);

            #[allow(dead_code)]
            impl $name {
                pub(in crate::pool) fn new(value: $value) -> Self {
                    Self(loom::sync::atomic::$name::new(value))
                }

                pub(in crate::pool) fn load(&self, order: Ordering) -> $value {
                    self.0.load(ordered(order))
                }

                pub(in crate::pool) fn store(&self, value: $value, order: Ordering) {
                    self.0.store(value, ordered(order));
                }

                pub(in crate::pool) fn swap(&self, value: $value, order: Ordering) -> $value {
                    self.0.swap(value, ordered(order))
                }

                pub(in crate::pool) fn compare_exchange_weak(
                    &self, current: $value, new: $value, success: Ordering, failure: Ordering,
                ) -> Result<$value, $value> {
                    self.0.compare_exchange_weak(current, new, ordered(success), failure)
                }
            }
        )*};
    }

    atomics! {
        AtomicBool, bool;
        AtomicU32, u32;
        AtomicU64, u64;
    }

    impl AtomicU32 {
        pub(in crate::pool) fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
            self.0.fetch_add(value, ordered(order))
        }
    }

    pub(in crate::pool) struct Slot<T>(loom::cell::UnsafeCell<T>);

    impl<T: Copy> Slot<T> {
        pub(in crate::pool) fn new(value: T) -> Self {
            Self(loom::cell::UnsafeCell::new(value))
        }

        pub(in crate::pool) unsafe fn get(&self) -> T {
            // SAFETY: loom checks that nobody writes.
            self.0.with(|value| unsafe { *value })
        }

        pub(in crate::pool) unsafe fn set(&self, new: T) {
            // SAFETY: loom checks that nobody else reads or writes.
            self.0.with_mut(|value| unsafe { *value = new });
        }
    }
}

#[cfg(all(test, loom))]
pub(super) use model::*;
#[cfg(not(all(test, loom)))]
pub(super) use real::*;
