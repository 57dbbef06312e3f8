//! [`Simd`] in plain Rust: an array of 16 lanes. The reference for every other implementation.

mod linear;

use crate::isa::Isa;
use crate::kernels::IsaKernels;
use crate::ops::Ops;
use crate::simd::{Op, Simd, tree};
use happy_tensor::convert::{bf16_to_f32, f16_from_f32, f16_to_f32};
use linear::unpacked;

/// Everything in portable code.
pub(crate) static KERNELS: IsaKernels =
    IsaKernels { isa: Isa::Scalar, ops: || Some(Ops::new(<Scalar>::token())), linear: &linear::LINEAR };

/// Portable code; every machine has it.
///
/// With `CALLS`, each operation is a function that is not inlined. That is for machines on which this code is never fast:
/// aarch64, where every machine has NEON and the reference made libraries a tenth larger, and x86-64 without fused
/// multiply-adds, which are library calls then, 16 for each operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar<const CALLS: bool = { cfg!(target_arch = "aarch64") }>(());

/// Runs `op`, compiled with the fused multiply-add instruction. Without it `f32::mul_add` calls a library function.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "fma")]
fn with_fma<O: Op>(op: O) -> O::Out {
    op.run(Scalar::<false>(()))
}

#[inline(never)]
fn called<T>(f: impl FnMut(usize) -> T) -> [T; 16] {
    core::array::from_fn(f)
}

impl<const CALLS: bool> Scalar<CALLS> {
    /// Applies `f` to all lanes.
    #[inline(always)]
    fn map<T>(f: impl FnMut(usize) -> T) -> [T; 16] {
        if CALLS { called(f) } else { core::array::from_fn(f) }
    }
}

impl<const CALLS: bool> Simd for Scalar<CALLS> {
    type V = [f32; 16];
    type I = [i32; 16];

    // As for `CALLS`: one number of queries is enough for a reference.
    const QUERIES: usize = if CALLS { 1 } else { 4 };

    #[inline(always)]
    fn token() -> Self {
        Scalar(())
    }

    #[inline(always)]
    fn vectorize<O: Op>(self, op: O) -> O::Out {
        #[cfg(target_arch = "x86_64")]
        if !CALLS && is_x86_feature_detected!("fma") {
            // SAFETY: the feature was found.
            unsafe { with_fma(op) }
        } else {
            op.run(Scalar::<true>(()))
        }
        #[cfg(not(target_arch = "x86_64"))]
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
        Self::map(|i| f32::from_le_bytes(x[i]))
    }

    #[inline(always)]
    fn load_f16_bytes(self, x: &[u8; 32]) -> Self::V {
        let x = x.as_chunks::<2>().0;
        Self::map(|i| f16_to_f32(u16::from_le_bytes(x[i])))
    }

    #[inline(always)]
    fn load_bf16_bytes(self, x: &[u8; 32]) -> Self::V {
        let x = x.as_chunks::<2>().0;
        Self::map(|i| bf16_to_f32(u16::from_le_bytes(x[i])))
    }

    #[inline(always)]
    fn load_f16(self, x: &[u16; 16]) -> Self::V {
        Self::map(|i| f16_to_f32(x[i]))
    }

    #[inline(always)]
    fn store_f16(self, v: Self::V, y: &mut [u16; 16]) {
        *y = Self::map(|i| f16_from_f32(v[i]));
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        Self::map(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        Self::map(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        Self::map(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        Self::map(|i| a[i] / b[i])
    }

    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        Self::map(|i| a[i].mul_add(b[i], c[i]))
    }

    #[inline(always)]
    fn nfma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        Self::map(|i| (-a[i]).mul_add(b[i], c[i]))
    }

    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        Self::map(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        Self::map(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn select_lt(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        Self::map(|i| if a[i] < b[i] { x[i] } else { y[i] })
    }

    #[inline(always)]
    fn reduce_add(self, v: Self::V) -> f32 {
        tree(v, |a, b| a + b)
    }

    #[inline(always)]
    fn reduce_add_16(self, v: &[Self::V; 16]) -> Self::V {
        Self::map(|i| self.reduce_add(v[i]))
    }

    #[inline(always)]
    fn reduce_max(self, v: Self::V) -> f32 {
        tree(v, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn to_bits(self, v: Self::V) -> Self::I {
        Self::map(|i| v[i].to_bits() as i32)
    }

    #[inline(always)]
    fn from_bits(self, v: Self::I) -> Self::V {
        Self::map(|i| f32::from_bits(v[i] as u32))
    }

    #[inline(always)]
    fn splat_i(self, x: i32) -> Self::I {
        [x; 16]
    }

    #[inline(always)]
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I {
        Self::map(|i| a[i].wrapping_add(b[i]))
    }

    #[inline(always)]
    fn and_i(self, a: Self::I, b: Self::I) -> Self::I {
        Self::map(|i| a[i] & b[i])
    }

    #[inline(always)]
    fn or_i(self, a: Self::I, b: Self::I) -> Self::I {
        Self::map(|i| a[i] | b[i])
    }

    #[inline(always)]
    fn max_i(self, a: Self::I, b: Self::I) -> Self::I {
        Self::map(|i| a[i].max(b[i]))
    }

    #[inline(always)]
    fn shl_i<const N: u32>(self, a: Self::I) -> Self::I {
        Self::map(|i| a[i] << N)
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
        *y = Self::map(|i| v[i] as i8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CheckError, Kernels};

    /// On machines with fused multiply-adds nothing else runs these.
    #[test]
    fn operations_that_are_called_give_the_same_bits() {
        let called = Kernels { ops: Ops::new(Scalar::<true>(())), ..Kernels::scalar() };
        assert_eq!(crate::check::check(&called), Ok::<_, CheckError>(()));
    }
}
