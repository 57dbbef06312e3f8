//! [`Simd`] in plain Rust: an array of 16 lanes. The reference for every other implementation.

mod linear;

use crate::isa::Isa;
use crate::kernels::IsaKernels;
use crate::ops::Ops;
use crate::simd::{Op, Simd, tree};
use happy_tensor::convert::{bf16_to_f32, f16_from_f32, f16_to_f32};

/// Everything in portable code.
pub(crate) static KERNELS: IsaKernels =
    IsaKernels { isa: Isa::Scalar, ops: || Some(Ops::new(Scalar::token())), linear: &linear::LINEAR };

/// Portable code; every machine has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar(());

/// Runs `op`, compiled with the fused multiply-add instruction. Without it `f32::mul_add` calls a library function.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "fma")]
fn with_fma<O: Op>(s: Scalar, op: O) -> O::Out {
    op.run(s)
}

/// Applies `f` to all lanes. On aarch64, where every machine has NEON, this is a function that is not inlined: the
/// reference need not be fast there, and libraries for phones are a tenth smaller than with 16 copies of each
/// operation.
#[cfg_attr(target_arch = "aarch64", inline(never))]
#[cfg_attr(not(target_arch = "aarch64"), inline(always))]
fn map<T>(f: impl FnMut(usize) -> T) -> [T; 16] {
    core::array::from_fn(f)
}

impl Simd for Scalar {
    type V = [f32; 16];
    type I = [i32; 16];

    // As for `map`: one number of queries is enough for a reference.
    const QUERIES: usize = if cfg!(target_arch = "aarch64") { 1 } else { 4 };

    #[inline(always)]
    fn token() -> Self {
        Scalar(())
    }

    #[inline(always)]
    fn vectorize<O: Op>(self, op: O) -> O::Out {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("fma") {
            // SAFETY: the feature was found.
            return unsafe { with_fma(self, op) };
        }
        op.run(self)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        [x; 16]
    }

    #[inline(always)]
    fn load(self, x: &[f32; 16]) -> Self::V {
        *x
    }

    #[inline(always)]
    fn store(self, v: Self::V, y: &mut [f32; 16]) {
        *y = v;
    }

    #[inline(always)]
    fn load_f32_bytes(self, x: &[u8; 64]) -> Self::V {
        let x = x.as_chunks::<4>().0;
        map(|i| f32::from_le_bytes(x[i]))
    }

    #[inline(always)]
    fn load_f16_bytes(self, x: &[u8; 32]) -> Self::V {
        let x = x.as_chunks::<2>().0;
        map(|i| f16_to_f32(u16::from_le_bytes(x[i])))
    }

    #[inline(always)]
    fn load_bf16_bytes(self, x: &[u8; 32]) -> Self::V {
        let x = x.as_chunks::<2>().0;
        map(|i| bf16_to_f32(u16::from_le_bytes(x[i])))
    }

    #[inline(always)]
    fn load_f16(self, x: &[u16; 16]) -> Self::V {
        map(|i| f16_to_f32(x[i]))
    }

    #[inline(always)]
    fn store_f16(self, v: Self::V, y: &mut [u16; 16]) {
        *y = map(|i| f16_from_f32(v[i]));
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        map(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        map(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        map(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        map(|i| a[i] / b[i])
    }

    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        map(|i| a[i].mul_add(b[i], c[i]))
    }

    #[inline(always)]
    fn nfma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        map(|i| (-a[i]).mul_add(b[i], c[i]))
    }

    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        map(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        map(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn select_lt(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        map(|i| if a[i] < b[i] { x[i] } else { y[i] })
    }

    #[inline(always)]
    fn reduce_add(self, v: Self::V) -> f32 {
        tree(v, |a, b| a + b)
    }

    #[inline(always)]
    fn reduce_add_16(self, v: &[Self::V; 16]) -> Self::V {
        map(|i| self.reduce_add(v[i]))
    }

    #[inline(always)]
    fn reduce_max(self, v: Self::V) -> f32 {
        tree(v, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn to_bits(self, v: Self::V) -> Self::I {
        map(|i| v[i].to_bits() as i32)
    }

    #[inline(always)]
    fn from_bits(self, v: Self::I) -> Self::V {
        map(|i| f32::from_bits(v[i] as u32))
    }

    #[inline(always)]
    fn splat_i(self, x: i32) -> Self::I {
        [x; 16]
    }

    #[inline(always)]
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I {
        map(|i| a[i].wrapping_add(b[i]))
    }

    #[inline(always)]
    fn and_i(self, a: Self::I, b: Self::I) -> Self::I {
        map(|i| a[i] & b[i])
    }

    #[inline(always)]
    fn or_i(self, a: Self::I, b: Self::I) -> Self::I {
        map(|i| a[i] | b[i])
    }

    #[inline(always)]
    fn max_i(self, a: Self::I, b: Self::I) -> Self::I {
        map(|i| a[i].max(b[i]))
    }

    #[inline(always)]
    fn shl_i<const N: u32>(self, a: Self::I) -> Self::I {
        map(|i| a[i] << N)
    }

    #[inline(always)]
    fn reduce_max_i(self, v: Self::I) -> i32 {
        tree(v, i32::max)
    }

    #[inline(always)]
    fn reduce_add_i(self, v: Self::I) -> i32 {
        tree(v, i32::wrapping_add)
    }

    #[inline(always)]
    fn store_i8(self, v: Self::I, y: &mut [i8; 16]) {
        *y = map(|i| v[i] as i8);
    }
}
