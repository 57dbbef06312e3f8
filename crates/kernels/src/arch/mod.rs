//! Everything that is written for one kind of processor: the implementations of [`Simd`](crate::simd::Simd), the
//! integer kernels, and the floating-point environment. Apart from the thread pool, all `unsafe` code of this crate is
//! in this module.

#![allow(unsafe_code)]

#[cfg(target_arch = "aarch64")]
pub(crate) mod aarch64;
pub(crate) mod fpenv;
pub(crate) mod scalar;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86_64;

/// Returns whether a test on this thread pretends that the machine has only portable code.
#[inline(always)]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn pretends_old() -> bool {
    #[cfg(test)]
    return pretend::OLD.get();
    #[cfg(not(test))]
    false
}

/// Panics: a kernel was called on a machine that lacks its instruction set. It can only have come from the list of all
/// kernels, since no table is made for such a machine.
#[cold]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn missing() -> ! {
    panic!("kernels of an instruction set that this machine lacks")
}

/// Lets a test pretend, on its own thread, that the machine has no instruction set but the portable one.
#[cfg(test)]
pub(crate) mod pretend {
    std::thread_local! {
        pub(crate) static OLD: core::cell::Cell<bool> = const { core::cell::Cell::new(false) };
    }
}
