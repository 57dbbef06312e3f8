//! Everything that is written for one processor: the implementations of [`Simd`](crate::simd::Simd), the integer
//! kernels, and the floating-point environment. All `unsafe` of the kernels lies below this module.

pub(crate) mod fpenv;
pub(crate) mod scalar;

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(all(target_arch = "x86_64", any(emulate_avx512, test)))]
mod emulated512;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon_linear;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86_linear;

/// Where the kernels for AVX-512 take their instructions from.
#[cfg(all(target_arch = "x86_64", not(emulate_avx512)))]
use core::arch::x86_64 as intrinsics;
#[cfg(all(target_arch = "x86_64", emulate_avx512))]
use emulated512 as intrinsics;

/// A table of kernels was made without its token, which its constructors rule out.
#[cold]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn missing() -> ! {
    panic!("kernels of an instruction set that this machine lacks")
}
