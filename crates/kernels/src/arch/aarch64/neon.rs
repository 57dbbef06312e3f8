//! [`Simd`] on NEON: 16 lanes are four registers of four. Everything here is part of armv8.0.

use super::in_place;
use crate::arch::{missing, pretends_old};
use crate::isa::Isa;
use crate::kernels::IsaKernels;
use crate::linear::LinearKernel;
use crate::linear::table::kernel_table;
use crate::ops::Ops;
use crate::simd::{Op, Simd};
use core::arch::aarch64::*;
use happy_tensor::DType;

/// The formats decoded in place, in the order of the list.
static LINEAR: [LinearKernel; DType::COUNT] = kernel_table!(Neon, in place [
    Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2K Q3K Q4K Q5K Q6K Q1_0 Q2_0 IQ1S IQ1M IQ2XXS IQ2XS IQ2S IQ3XXS IQ3S IQ4NL IQ4XS TQ1_0 TQ2_0
    MXFP4 NVFP4
]);

/// Everything on this instruction set.
pub(crate) static KERNELS: IsaKernels =
    IsaKernels { isa: Isa::Neon, ops: || Neon::new().map(Ops::new), linear: &LINEAR };

/// Proof that the machine has NEON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neon(());

impl Neon {
    /// Returns the token if the machine has the instructions.
    #[inline(always)]
    pub(crate) fn new() -> Option<Self> {
        let have = std::arch::is_aarch64_feature_detected!("neon");
        (have && !pretends_old()).then_some(Neon(()))
    }
}

#[target_feature(enable = "neon")]
fn with_features<O: Op>(s: Neon, op: O) -> O::Out {
    op.run(s)
}

/// Returns the sum of `v[i]` in lane `i`, where `v[i]` holds lanes `i + (i + 8) + ..` of 16. The order of additions is
/// that of [`Simd::reduce_add`].
#[inline(always)]
fn add_4(_: Neon, v: [float32x4_t; 4]) -> float32x4_t {
    // SAFETY: the token proves NEON.
    unsafe {
        // lane i += lane i + 2, of two sums
        let twos = |a, b| {
            let (a, b) = (vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b));
            vaddq_f32(vreinterpretq_f32_f64(vuzp1q_f64(a, b)), vreinterpretq_f32_f64(vuzp2q_f64(a, b)))
        };
        vpaddq_f32(twos(v[0], v[1]), twos(v[2], v[3]))
    }
}

/// Transposes a square of 4 x 4.
#[inline(always)]
fn transpose_4(_: Neon, v: [float32x4_t; 4]) -> [float32x4_t; 4] {
    // SAFETY: the token proves NEON.
    unsafe {
        let wide = |a, b| (vreinterpretq_f64_f32(vtrn1q_f32(a, b)), vreinterpretq_f64_f32(vtrn2q_f32(a, b)));
        let (a, b) = wide(v[0], v[1]);
        let (c, d) = wide(v[2], v[3]);
        let narrow = |v| vreinterpretq_f32_f64(v);
        [
            narrow(vtrn1q_f64(a, c)),
            narrow(vtrn1q_f64(b, d)),
            narrow(vtrn2q_f64(a, c)),
            narrow(vtrn2q_f64(b, d)),
        ]
    }
}

/// Defines methods that do the same to all four registers.
macro_rules! all {
    ($(fn $name:ident($($arg:ident: $in:ident),+) -> $out:ident = $f:expr;)*) => { $(
        #[inline(always)]
        fn $name(self, $($arg: Self::$in),+) -> Self::$out {
            // SAFETY: the token proves NEON.
            unsafe { [$f($($arg[0]),+), $f($($arg[1]),+), $f($($arg[2]),+), $f($($arg[3]),+)] }
        }
    )* };
}

/// Loads four f16 from eight bytes.
#[inline(always)]
unsafe fn widen_f16(x: *const u8) -> float32x4_t {
    // SAFETY: the caller has eight readable bytes, and NEON.
    unsafe { vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(x))) }
}

/// Loads four bf16 from eight bytes.
#[inline(always)]
unsafe fn widen_bf16(x: *const u8) -> float32x4_t {
    // SAFETY: the caller has eight readable bytes, and NEON.
    unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vreinterpret_u16_u8(vld1_u8(x)))) }
}

impl Simd for Neon {
    type V = [float32x4_t; 4];
    type I = [int32x4_t; 4];

    const QUERIES: usize = 4;

    #[inline(always)]
    fn token() -> Self {
        match Self::new() {
            Some(token) => token,
            None => missing(),
        }
    }

    #[inline(always)]
    fn prefetch_near<T>(self, x: &[T], at: usize) {
        super::vector::prefetch::<0>(x.as_ptr().wrapping_add(at).cast());
    }

    #[inline(always)]
    fn vectorize<O: Op>(self, op: O) -> O::Out {
        // SAFETY: the token proves NEON.
        unsafe { with_features(self, op) }
    }

    #[inline(always)]
    fn prefetch(self, w: &[u8], at: usize) {
        super::vector::prefetch::<0>(w.as_ptr().wrapping_add(at));
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: the token proves NEON.
        unsafe { [vdupq_n_f32(x); 4] }
    }

    #[inline(always)]
    fn load(self, x: &[f32; 16]) -> Self::V {
        let x = x.as_ptr();
        // SAFETY: `x` holds 16 elements.
        unsafe { [vld1q_f32(x), vld1q_f32(x.add(4)), vld1q_f32(x.add(8)), vld1q_f32(x.add(12))] }
    }

    #[inline(always)]
    fn store(self, v: Self::V, y: &mut [f32; 16]) {
        let y = y.as_mut_ptr();
        // SAFETY: `y` holds 16 elements.
        unsafe {
            vst1q_f32(y, v[0]);
            vst1q_f32(y.add(4), v[1]);
            vst1q_f32(y.add(8), v[2]);
            vst1q_f32(y.add(12), v[3]);
        }
    }

    #[inline(always)]
    fn load_f32_bytes(self, x: &[u8; 64]) -> Self::V {
        // SAFETY: `x` holds 64 bytes; byte loads need no alignment.
        unsafe {
            let quarter = |i| vreinterpretq_f32_u8(vld1q_u8(x.as_ptr().add(i)));
            [quarter(0), quarter(16), quarter(32), quarter(48)]
        }
    }

    #[inline(always)]
    fn load_f16_bytes(self, x: &[u8; 32]) -> Self::V {
        let x = x.as_ptr();
        // SAFETY: `x` holds 32 bytes.
        unsafe { [widen_f16(x), widen_f16(x.add(8)), widen_f16(x.add(16)), widen_f16(x.add(24))] }
    }

    #[inline(always)]
    fn load_bf16_bytes(self, x: &[u8; 32]) -> Self::V {
        let x = x.as_ptr();
        // SAFETY: `x` holds 32 bytes.
        unsafe { [widen_bf16(x), widen_bf16(x.add(8)), widen_bf16(x.add(16)), widen_bf16(x.add(24))] }
    }

    #[inline(always)]
    fn load_f16(self, x: &[u16; 16]) -> Self::V {
        let x = x.as_ptr().cast::<u8>();
        // SAFETY: `x` holds 32 bytes.
        unsafe { [widen_f16(x), widen_f16(x.add(8)), widen_f16(x.add(16)), widen_f16(x.add(24))] }
    }

    #[inline(always)]
    fn store_f16(self, v: Self::V, y: &mut [u16; 16]) {
        for (v, y) in v.into_iter().zip(y.as_chunks_mut::<4>().0) {
            // SAFETY: `y` holds 4 elements.
            unsafe { vst1_u16(y.as_mut_ptr(), vreinterpret_u16_f16(vcvt_f16_f32(v))) };
        }
    }

    all! {
        fn add(a: V, b: V) -> V = |a, b| vaddq_f32(a, b);
        fn sub(a: V, b: V) -> V = |a, b| vsubq_f32(a, b);
        fn mul(a: V, b: V) -> V = |a, b| vmulq_f32(a, b);
        fn div(a: V, b: V) -> V = |a, b| vdivq_f32(a, b);
        fn fma(a: V, b: V, c: V) -> V = |a, b, c| vfmaq_f32(c, a, b);
        fn nfma(a: V, b: V, c: V) -> V = |a, b, c| vfmsq_f32(c, a, b);
        // not FMIN and FMAX, which treat NaN and the sign of zero differently
        fn min(a: V, b: V) -> V = |a, b| vbslq_f32(vcltq_f32(a, b), a, b);
        fn max(a: V, b: V) -> V = |a, b| vbslq_f32(vcgtq_f32(a, b), a, b);
        fn select_lt(a: V, b: V, x: V, y: V) -> V = |a, b, x, y| vbslq_f32(vcltq_f32(a, b), x, y);
        fn to_bits(v: V) -> I = |v| vreinterpretq_s32_f32(v);
        fn from_bits(v: I) -> V = |v| vreinterpretq_f32_s32(v);
        fn add_i(a: I, b: I) -> I = |a, b| vaddq_s32(a, b);
        fn and_i(a: I, b: I) -> I = |a, b| vandq_s32(a, b);
        fn or_i(a: I, b: I) -> I = |a, b| vorrq_s32(a, b);
        fn max_i(a: I, b: I) -> I = |a, b| vmaxq_s32(a, b);
    }

    #[inline(always)]
    fn reduce_add(self, v: Self::V) -> f32 {
        // SAFETY: the token proves NEON.
        unsafe {
            let v = vaddq_f32(vaddq_f32(v[0], v[2]), vaddq_f32(v[1], v[3]));
            let v = vadd_f32(vget_low_f32(v), vget_high_f32(v));
            vpadds_f32(v)
        }
    }

    #[inline(always)]
    fn reduce_add_16(self, v: &[Self::V; 16]) -> Self::V {
        let mut out = [v[0][0]; 4];
        for (out, v) in out.iter_mut().zip(v.as_chunks::<4>().0) {
            let mut sums = [v[0][0]; 4];
            for (sum, v) in sums.iter_mut().zip(v) {
                // SAFETY: the token proves NEON.
                *sum = unsafe { vaddq_f32(vaddq_f32(v[0], v[2]), vaddq_f32(v[1], v[3])) };
            }
            *out = add_4(self, sums);
        }
        out
    }

    #[inline(always)]
    fn reduce_max(self, v: Self::V) -> f32 {
        let mut lanes = [0.0; 16];
        self.store(v, &mut lanes);
        crate::simd::tree(lanes, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn transpose(self, rows: &[[f32; 16]; 16], out: &mut [f32], stride: usize) {
        assert!(out.len() >= 15 * stride + 16);
        for low in [0, 4, 8, 12] {
            for high in [0, 4, 8, 12] {
                // SAFETY: the token proves NEON. `rows` has 16 elements a row; the assertion covers the last row of
                // `out`.
                unsafe {
                    let mut v = [vdupq_n_f32(0.0); 4];
                    for (v, row) in v.iter_mut().zip(&rows[low..low + 4]) {
                        *v = vld1q_f32(row.as_ptr().add(high));
                    }
                    for (i, v) in transpose_4(self, v).into_iter().enumerate() {
                        vst1q_f32(out.as_mut_ptr().add((high + i) * stride + low), v);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn splat_i(self, x: i32) -> Self::I {
        // SAFETY: the token proves NEON.
        unsafe { [vdupq_n_s32(x); 4] }
    }

    #[inline(always)]
    fn shl_i<const N: u32>(self, a: Self::I) -> Self::I {
        // SAFETY: the token proves NEON.
        unsafe {
            let n = vdupq_n_s32(N as i32);
            [vshlq_s32(a[0], n), vshlq_s32(a[1], n), vshlq_s32(a[2], n), vshlq_s32(a[3], n)]
        }
    }

    #[inline(always)]
    fn reduce_max_i(self, v: Self::I) -> i32 {
        // SAFETY: the token proves NEON.
        unsafe { vmaxvq_s32(vmaxq_s32(vmaxq_s32(v[0], v[1]), vmaxq_s32(v[2], v[3]))) }
    }

    #[inline(always)]
    fn reduce_add_i(self, v: Self::I) -> i32 {
        // SAFETY: the token proves NEON.
        unsafe { vaddvq_s32(vaddq_s32(vaddq_s32(v[0], v[1]), vaddq_s32(v[2], v[3]))) }
    }

    #[inline(always)]
    fn dot4(self, acc: Self::I, keys: Self::V, word: u32) -> Self::I {
        // SAFETY: the token proves NEON.
        unsafe {
            let word = vreinterpretq_s8_u32(vdupq_n_u32(word));
            let quarter = |acc, keys| {
                let keys = vreinterpretq_s8_f32(keys);
                let low = vmull_s8(vget_low_s8(keys), vget_low_s8(word));
                // Sums of neighbors, at most 2 * 128 * 127, fit an i16.
                vpadalq_s16(acc, vpaddq_s16(low, vmull_high_s8(keys, word)))
            };
            [
                quarter(acc[0], keys[0]),
                quarter(acc[1], keys[1]),
                quarter(acc[2], keys[2]),
                quarter(acc[3], keys[3]),
            ]
        }
    }

    #[inline(always)]
    fn store_i8(self, v: Self::I, y: &mut [i8; 16]) {
        // SAFETY: `y` holds 16 bytes.
        unsafe {
            let low = vcombine_s16(vmovn_s32(v[0]), vmovn_s32(v[1]));
            let high = vcombine_s16(vmovn_s32(v[2]), vmovn_s32(v[3]));
            vst1q_s8(y.as_mut_ptr(), vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
        }
    }
}
