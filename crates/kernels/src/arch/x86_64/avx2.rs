//! [`Simd`] on AVX2, FMA and F16C: 16 lanes are two registers of eight.

use super::in_place;
use super::vector::V;
use crate::arch::{missing, pretends_old};
use crate::isa::Isa;
use crate::kernels::IsaKernels;
use crate::linear::LinearKernel;
use crate::linear::table::kernel_table;
use crate::ops::Ops;
use crate::simd::{Op, Simd};
use core::arch::x86_64::*;
use happy_tensor::DType;

/// The formats decoded in place, in the order of the list.
static LINEAR: [LinearKernel; DType::COUNT] = kernel_table!(Avx2, in place [
    Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2K Q3K Q4K Q5K Q6K Q1_0 Q2_0 IQ1S IQ1M IQ2XXS IQ2XS IQ2S IQ3XXS IQ3S IQ4NL IQ4XS TQ1_0 TQ2_0
    MXFP4 NVFP4
]);

/// Everything on this instruction set.
pub(crate) static KERNELS: IsaKernels =
    IsaKernels { isa: Isa::Avx2, ops: || Avx2::new().map(Ops::new), linear: &LINEAR };

/// Proof that the machine has AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// Returns the token if the machine has the instructions.
    #[inline(always)]
    pub(crate) fn new() -> Option<Self> {
        let have = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        (have && !pretends_old()).then_some(Avx2(()))
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn with_features<O: Op>(s: Avx2, op: O) -> O::Out {
    op.run(s)
}

/// Returns the sum of `v[i]` in lane `i`, where `v[i]` holds lanes `i + (i + 8)` of 16. The order of additions is that
/// of [`Simd::reduce_add`].
#[inline(always)]
pub(super) fn add_16(s: Avx2, v: &[__m256; 16]) -> [__m256; 2] {
    let (v, _) = v.as_chunks::<8>();
    [add_8(s, &v[0]), add_8(s, &v[1])]
}

#[inline(always)]
fn add_8(_: Avx2, v: &[__m256; 8]) -> __m256 {
    // SAFETY: the token proves AVX2.
    unsafe {
        // lane i += lane i + 4, of v[i] in the lower half and of v[i + 4] in the upper
        let fours =
            |a, b| _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b));
        // lane i += lane i + 2
        let twos = |a, b| {
            let (a, b) = (_mm256_castps_pd(a), _mm256_castps_pd(b));
            _mm256_add_ps(
                _mm256_castpd_ps(_mm256_unpacklo_pd(a, b)),
                _mm256_castpd_ps(_mm256_unpackhi_pd(a, b)),
            )
        };
        let ab = twos(fours(v[0], v[4]), fours(v[1], v[5]));
        let cd = twos(fours(v[2], v[6]), fours(v[3], v[7]));
        _mm256_add_ps(_mm256_shuffle_ps::<0x88>(ab, cd), _mm256_shuffle_ps::<0xDD>(ab, cd))
    }
}

/// Transposes a square of 8 x 8.
#[inline(always)]
fn transpose_8(_: Avx2, v: [__m256; 8]) -> [__m256; 8] {
    // SAFETY: the token proves AVX2.
    unsafe {
        let pair = |a, b| (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let (a0, a1) = pair(v[0], v[1]);
        let (b0, b1) = pair(v[2], v[3]);
        let (c0, c1) = pair(v[4], v[5]);
        let (d0, d1) = pair(v[6], v[7]);
        let quad = |a, b| (_mm256_shuffle_ps::<0x44>(a, b), _mm256_shuffle_ps::<0xEE>(a, b));
        let (e0, e1) = quad(a0, b0);
        let (e2, e3) = quad(a1, b1);
        let (f0, f1) = quad(c0, d0);
        let (f2, f3) = quad(c1, d1);
        [
            _mm256_permute2f128_ps::<0x20>(e0, f0),
            _mm256_permute2f128_ps::<0x20>(e1, f1),
            _mm256_permute2f128_ps::<0x20>(e2, f2),
            _mm256_permute2f128_ps::<0x20>(e3, f3),
            _mm256_permute2f128_ps::<0x31>(e0, f0),
            _mm256_permute2f128_ps::<0x31>(e1, f1),
            _mm256_permute2f128_ps::<0x31>(e2, f2),
            _mm256_permute2f128_ps::<0x31>(e3, f3),
        ]
    }
}

/// Defines methods that do the same to both registers.
macro_rules! both {
    ($(fn $name:ident($($arg:ident),+) -> $ty:ident = $f:expr;)*) => { $(
        #[inline(always)]
        fn $name(self, $($arg: Self::$ty),+) -> Self::$ty {
            // SAFETY: the token proves the features.
            unsafe { [$f($($arg[0]),+), $f($($arg[1]),+)] }
        }
    )* };
}

impl Simd for Avx2 {
    type V = [__m256; 2];
    type I = [__m256i; 2];

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
        // SAFETY: a prefetch reads nothing the program can see and cannot fault, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(x.as_ptr().wrapping_add(at).cast()) }
    }

    #[inline(always)]
    fn vectorize<O: Op>(self, op: O) -> O::Out {
        // SAFETY: the token proves the features.
        unsafe { with_features(self, op) }
    }

    #[inline(always)]
    fn prefetch(self, w: &[u8], at: usize) {
        V::of(self).prefetch(w, at);
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: the token proves the features.
        unsafe { [_mm256_set1_ps(x); 2] }
    }

    #[inline(always)]
    fn load(self, x: &[f32; 16]) -> Self::V {
        // SAFETY: `x` holds 16 elements; loads are unaligned.
        unsafe { [_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(x.as_ptr().add(8))] }
    }

    #[inline(always)]
    fn store(self, v: Self::V, y: &mut [f32; 16]) {
        // SAFETY: `y` holds 16 elements; stores are unaligned.
        unsafe {
            _mm256_storeu_ps(y.as_mut_ptr(), v[0]);
            _mm256_storeu_ps(y.as_mut_ptr().add(8), v[1]);
        }
    }

    #[inline(always)]
    fn load_f32_bytes(self, x: &[u8; 64]) -> Self::V {
        // SAFETY: `x` holds 64 bytes; loads are unaligned.
        unsafe { [_mm256_loadu_ps(x.as_ptr().cast()), _mm256_loadu_ps(x.as_ptr().add(32).cast())] }
    }

    #[inline(always)]
    fn load_f16_bytes(self, x: &[u8; 32]) -> Self::V {
        // SAFETY: `x` holds 32 bytes; loads are unaligned.
        unsafe {
            let half = |i| _mm256_cvtph_ps(_mm_loadu_si128(x.as_ptr().add(i).cast()));
            [half(0), half(16)]
        }
    }

    #[inline(always)]
    fn load_bf16_bytes(self, x: &[u8; 32]) -> Self::V {
        // SAFETY: `x` holds 32 bytes; loads are unaligned.
        unsafe {
            let half = |i| {
                let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(x.as_ptr().add(i).cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits))
            };
            [half(0), half(16)]
        }
    }

    #[inline(always)]
    fn load_f16(self, x: &[u16; 16]) -> Self::V {
        // SAFETY: `x` holds 16 elements; loads are unaligned.
        unsafe {
            let half = |i| _mm256_cvtph_ps(_mm_loadu_si128(x.as_ptr().add(i).cast()));
            [half(0), half(8)]
        }
    }

    #[inline(always)]
    fn store_f16(self, v: Self::V, y: &mut [u16; 16]) {
        // SAFETY: `y` holds 16 elements; stores are unaligned.
        unsafe {
            let half = |v| _mm256_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT }>(v);
            _mm_storeu_si128(y.as_mut_ptr().cast(), half(v[0]));
            _mm_storeu_si128(y.as_mut_ptr().add(8).cast(), half(v[1]));
        }
    }

    both! {
        fn add(a, b) -> V = _mm256_add_ps;
        fn sub(a, b) -> V = _mm256_sub_ps;
        fn mul(a, b) -> V = _mm256_mul_ps;
        fn div(a, b) -> V = _mm256_div_ps;
        fn fma(a, b, c) -> V = _mm256_fmadd_ps;
        fn nfma(a, b, c) -> V = _mm256_fnmadd_ps;
        fn min(a, b) -> V = _mm256_min_ps;
        fn max(a, b) -> V = _mm256_max_ps;
        fn select_lt(a, b, x, y) -> V = |a, b, x, y| _mm256_blendv_ps(y, x, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b));
        fn add_i(a, b) -> I = _mm256_add_epi32;
        fn and_i(a, b) -> I = _mm256_and_si256;
        fn or_i(a, b) -> I = _mm256_or_si256;
        fn max_i(a, b) -> I = _mm256_max_epi32;
    }

    #[inline(always)]
    fn reduce_add(self, v: Self::V) -> f32 {
        // SAFETY: the token proves the features.
        unsafe {
            let v = _mm256_add_ps(v[0], v[1]);
            let v = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let v = _mm_add_ps(v, _mm_movehl_ps(v, v));
            _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps::<1>(v, v)))
        }
    }

    #[inline(always)]
    fn reduce_add_16(self, v: &[Self::V; 16]) -> Self::V {
        // SAFETY: the token proves the features.
        let mut sums = unsafe { [_mm256_setzero_ps(); 16] };
        for (sum, v) in sums.iter_mut().zip(v) {
            // SAFETY: as above.
            *sum = unsafe { _mm256_add_ps(v[0], v[1]) };
        }
        add_16(self, &sums)
    }

    #[inline(always)]
    fn reduce_max(self, v: Self::V) -> f32 {
        // SAFETY: the token proves the features.
        unsafe {
            let v = _mm256_max_ps(v[0], v[1]);
            let v = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let v = _mm_max_ps(v, _mm_movehl_ps(v, v));
            _mm_cvtss_f32(_mm_max_ss(v, _mm_shuffle_ps::<1>(v, v)))
        }
    }

    #[inline(always)]
    fn transpose(self, rows: &[[f32; 16]; 16], out: &mut [f32], stride: usize) {
        assert!(out.len() >= 15 * stride + 16);
        for (low, high) in [(0, 0), (0, 8), (8, 0), (8, 8)] {
            // SAFETY: the token proves the features. `rows` has 16 elements a row; the assertion covers the last
            // row of `out`.
            unsafe {
                let mut v = [_mm256_setzero_ps(); 8];
                for (v, row) in v.iter_mut().zip(&rows[low..low + 8]) {
                    *v = _mm256_loadu_ps(row.as_ptr().add(high));
                }
                for (i, v) in transpose_8(self, v).into_iter().enumerate() {
                    _mm256_storeu_ps(out.as_mut_ptr().add((high + i) * stride + low), v);
                }
            }
        }
    }

    #[inline(always)]
    fn to_bits(self, v: Self::V) -> Self::I {
        // SAFETY: the token proves the features.
        unsafe { [_mm256_castps_si256(v[0]), _mm256_castps_si256(v[1])] }
    }

    #[inline(always)]
    fn from_bits(self, v: Self::I) -> Self::V {
        // SAFETY: the token proves the features.
        unsafe { [_mm256_castsi256_ps(v[0]), _mm256_castsi256_ps(v[1])] }
    }

    #[inline(always)]
    fn dot4(self, acc: Self::I, keys: Self::V, word: u32) -> Self::I {
        // SAFETY: the token proves the features.
        unsafe {
            let (word, ones) = (_mm256_set1_epi32(word as i32), _mm256_set1_epi16(1));
            let half = |acc, keys| {
                let keys = _mm256_castps_si256(keys);
                // |key| times the value with the key's sign. Two products are at most 2 * 128 * 127, so nothing saturates.
                let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(keys), _mm256_sign_epi8(word, keys));
                _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, ones))
            };
            [half(acc[0], keys[0]), half(acc[1], keys[1])]
        }
    }

    #[inline(always)]
    fn splat_i(self, x: i32) -> Self::I {
        // SAFETY: the token proves the features.
        unsafe { [_mm256_set1_epi32(x); 2] }
    }

    #[inline(always)]
    fn shl_i<const N: u32>(self, a: Self::I) -> Self::I {
        // SAFETY: the token proves the features.
        unsafe {
            let n = _mm_cvtsi32_si128(N as i32);
            [_mm256_sll_epi32(a[0], n), _mm256_sll_epi32(a[1], n)]
        }
    }

    #[inline(always)]
    fn reduce_max_i(self, v: Self::I) -> i32 {
        // SAFETY: the token proves the features.
        unsafe {
            let v = _mm256_max_epi32(v[0], v[1]);
            let v = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
            let v = _mm_max_epi32(v, _mm_shuffle_epi32::<0x4E>(v));
            _mm_cvtsi128_si32(_mm_max_epi32(v, _mm_shuffle_epi32::<0xB1>(v)))
        }
    }

    #[inline(always)]
    fn reduce_add_i(self, v: Self::I) -> i32 {
        // SAFETY: the token proves the features.
        unsafe {
            let v = _mm256_add_epi32(v[0], v[1]);
            let v = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
            let v = _mm_add_epi32(v, _mm_shuffle_epi32::<0x4E>(v));
            _mm_cvtsi128_si32(_mm_add_epi32(v, _mm_shuffle_epi32::<0xB1>(v)))
        }
    }

    #[inline(always)]
    fn store_i8(self, v: Self::I, y: &mut [i8; 16]) {
        // SAFETY: `y` holds 16 bytes; the store is unaligned. The lanes fit, so saturation changes nothing.
        unsafe {
            let low = _mm_packs_epi32(_mm256_castsi256_si128(v[0]), _mm256_extracti128_si256::<1>(v[0]));
            let high = _mm_packs_epi32(_mm256_castsi256_si128(v[1]), _mm256_extracti128_si256::<1>(v[1]));
            _mm_storeu_si128(y.as_mut_ptr().cast(), _mm_packs_epi16(low, high));
        }
    }
}
