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

/// Defines `fn $name(a, b, .., f) -> [T; 16]`, which applies `f` to the lanes of its registers. With `CALLS` it is not inlined, and
/// takes registers by reference: copies of operands would be most of the code.
macro_rules! of_lanes {
    ($name:ident, $called:ident, $($x:ident: $X:ident),*) => {
        #[inline(never)]
        fn $called<$($X: Copy,)* T>($($x: &[$X; 16],)* f: impl Fn($($X),*) -> T) -> [T; 16] {
            core::array::from_fn(|i| f($($x[i]),*))
        }

        impl<const CALLS: bool> Scalar<CALLS> {
            #[inline(always)]
            fn $name<$($X: Copy,)* T>($($x: &[$X; 16],)* f: impl Fn($($X),*) -> T) -> [T; 16] {
                if CALLS { $called($($x,)* f) } else { core::array::from_fn(|i| f($($x[i]),*)) }
            }
        }
    };
}

of_lanes!(of_1, called_1, a: A);
of_lanes!(of_2, called_2, a: A, b: B);
of_lanes!(of_3, called_3, a: A, b: B, c: C);
of_lanes!(of_4, called_4, a: A, b: B, c: C, d: D);

/// Runs `f`, which is not inlined.
#[inline(never)]
fn called<X, T>(x: X, f: impl FnOnce(X) -> T) -> T {
    f(x)
}

impl<const CALLS: bool> Scalar<CALLS> {
    /// Runs `f`, which is not inlined with `CALLS`.
    #[inline(always)]
    fn of<X, T>(x: X, f: impl FnOnce(X) -> T) -> T {
        if CALLS { called(x, f) } else { f(x) }
    }
}

impl<const CALLS: bool> Simd for Scalar<CALLS> {
    type V = [f32; 16];
    type I = [i32; 16];

    const COMPACT: bool = CALLS;
    const FLOAT_TILE: (usize, usize) = if CALLS { (1, 1) } else { (2, 3) };
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
    fn outline<X, T>(self, x: X, f: impl FnOnce(Self, X) -> T) -> T {
        if CALLS { called(x, |x| f(self, x)) } else { f(self, x) }
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
        Self::of(x, |x| {
            let x = x.as_chunks::<4>().0;
            core::array::from_fn(|i| f32::from_le_bytes(x[i]))
        })
    }

    #[inline(always)]
    fn load_f16_bytes(self, x: &[u8; 32]) -> Self::V {
        Self::of(x, |x| {
            let x = x.as_chunks::<2>().0;
            core::array::from_fn(|i| f16_to_f32(u16::from_le_bytes(x[i])))
        })
    }

    #[inline(always)]
    fn load_bf16_bytes(self, x: &[u8; 32]) -> Self::V {
        Self::of(x, |x| {
            let x = x.as_chunks::<2>().0;
            core::array::from_fn(|i| bf16_to_f32(u16::from_le_bytes(x[i])))
        })
    }

    #[inline(always)]
    fn load_f16(self, x: &[u16; 16]) -> Self::V {
        Self::of_1(x, f16_to_f32)
    }

    #[inline(always)]
    fn store_f16(self, v: Self::V, y: &mut [u16; 16]) {
        *y = Self::of_1(&v, f16_from_f32);
    }

    #[inline(always)]
    fn load_i8(self, x: &[i8; 16]) -> Self::V {
        Self::of_1(x, f32::from)
    }

    #[inline(always)]
    fn load_part(self, x: &[f32]) -> Self::V {
        Self::of(x, |x| {
            let mut lanes = [0.0; 16];
            for (lane, x) in lanes.iter_mut().zip(x) {
                *lane = *x;
            }
            lanes
        })
    }

    #[inline(always)]
    fn store_part(self, v: Self::V, y: &mut [f32]) {
        let v = &v;
        Self::of(y, |y| {
            for (y, lane) in y.iter_mut().zip(v) {
                *y = *lane;
            }
        });
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        Self::of_2(&a, &b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        Self::of_2(&a, &b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        Self::of_2(&a, &b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        Self::of_2(&a, &b, |a, b| a / b)
    }

    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        Self::of_3(&a, &b, &c, f32::mul_add)
    }

    #[inline(always)]
    fn nfma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        Self::of_3(&a, &b, &c, |a: f32, b, c| (-a).mul_add(b, c))
    }

    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        Self::of_2(&a, &b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        Self::of_2(&a, &b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn select_lt(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        Self::of_4(&a, &b, &x, &y, |a, b, x, y| if a < b { x } else { y })
    }

    #[inline(always)]
    fn reduce_add(self, v: Self::V) -> f32 {
        Self::of(&v, |v| tree(*v, |a, b| a + b))
    }

    #[inline(always)]
    fn reduce_add_16(self, v: &[Self::V; 16]) -> Self::V {
        Self::of_1(v, |v| tree(v, |a, b| a + b))
    }

    #[inline(always)]
    fn reduce_max(self, v: Self::V) -> f32 {
        Self::of(&v, |v| tree(*v, |a, b| if a > b { a } else { b }))
    }

    #[inline(always)]
    fn to_bits(self, v: Self::V) -> Self::I {
        Self::of_1(&v, |v| v.to_bits() as i32)
    }

    #[inline(always)]
    fn from_bits(self, v: Self::I) -> Self::V {
        Self::of_1(&v, |v| f32::from_bits(v as u32))
    }

    #[inline(always)]
    fn splat_i(self, x: i32) -> Self::I {
        [x; 16]
    }

    #[inline(always)]
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I {
        Self::of_2(&a, &b, i32::wrapping_add)
    }

    #[inline(always)]
    fn and_i(self, a: Self::I, b: Self::I) -> Self::I {
        Self::of_2(&a, &b, |a, b| a & b)
    }

    #[inline(always)]
    fn or_i(self, a: Self::I, b: Self::I) -> Self::I {
        Self::of_2(&a, &b, |a, b| a | b)
    }

    #[inline(always)]
    fn max_i(self, a: Self::I, b: Self::I) -> Self::I {
        Self::of_2(&a, &b, i32::max)
    }

    #[inline(always)]
    fn shl_i<const N: u32>(self, a: Self::I) -> Self::I {
        Self::of_1(&a, |a| a << N)
    }

    #[inline(always)]
    fn reduce_max_i(self, v: Self::I) -> i32 {
        Self::of(&v, |v| tree(*v, i32::max))
    }

    #[inline(always)]
    fn reduce_add_i(self, v: Self::I) -> i32 {
        Self::of(&v, |v| tree(*v, i32::wrapping_add))
    }

    #[inline(always)]
    fn store_i8(self, v: Self::I, y: &mut [i8; 16]) {
        *y = Self::of_1(&v, |v| v as i8);
    }

    #[inline(always)]
    fn dot4(self, acc: Self::I, keys: Self::V, word: u32) -> Self::I {
        let word = word.to_le_bytes();
        Self::of_2(&acc, &keys, |acc, keys| {
            let keys = keys.to_bits().to_le_bytes();
            let products =
                keys.into_iter().zip(word).map(|(key, q)| i32::from(key as i8) * i32::from(q as i8));
            products.fold(acc, i32::wrapping_add)
        })
    }

    #[inline(always)]
    fn transpose(self, rows: &[[f32; 16]; 16], out: &mut [f32], stride: usize) {
        Self::of((rows, out, stride), |(rows, out, stride)| {
            for (i, out) in out.chunks_mut(stride).take(16).enumerate() {
                for (x, row) in out.iter_mut().zip(rows) {
                    *x = row[i];
                }
            }
        });
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
