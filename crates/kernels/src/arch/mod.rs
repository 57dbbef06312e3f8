//! Everything that is written for one processor: the implementations of [`Simd`](crate::simd::Simd), the integer
//! kernels, and the floating-point environment. All `unsafe` of the kernels lies below this module.

#![allow(unsafe_code)]

#[cfg(target_arch = "aarch64")]
pub(crate) mod aarch64;
pub(crate) mod fpenv;
pub(crate) mod scalar;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86_64;

/// Whether a test pretends that the machine is old.
#[inline(always)]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn pretends_old() -> bool {
    #[cfg(test)]
    return pretend::OLD.get();
    #[cfg(not(test))]
    false
}

/// A kernel was called on a machine that lacks its instruction set: it was taken from the list of all kernels, because
/// tables are not made there.
#[cold]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn missing() -> ! {
    panic!("kernels of an instruction set that this machine lacks")
}

/// Tests pretend on their thread that the machine has no instruction set but the portable one.
#[cfg(test)]
pub(crate) mod pretend {
    std::thread_local! {
        pub(crate) static OLD: core::cell::Cell<bool> = const { core::cell::Cell::new(false) };
    }
}
