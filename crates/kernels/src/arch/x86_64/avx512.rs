//! AVX-512 with VNNI.
//!
//! [`Simd`]: 16 lanes are one register. Sums of lanes go through two registers of eight, as on AVX2.

use super::avx2::{Avx2, add_16};
use super::decode::Decode;
use super::few_wide;
use super::in_place;
use super::intrinsics::*;
use super::products::{RowProducts, X86Products, pair, word};
use super::vector::V;
use super::vnni::Vnni;
use crate::acts::Acts;
use crate::arch::{missing, pretends_old};
use crate::isa::Isa;
use crate::kernels::IsaKernels;
use crate::linear::LinearKernel;
use crate::linear::products::Products;
use crate::linear::source::Source;
use crate::linear::table::kernel_table;
use crate::ops::Ops;
use crate::pool::Columns;
use crate::simd::{Op, Simd};
use happy_tensor::DType;

/// Proof that the machine has AVX-512 F, BW, VL, DQ and VNNI, besides what [`Avx2`] proves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(Avx2);

impl Avx512 {
    /// Returns the token if the machine has the instructions.
    #[inline(always)]
    pub(crate) fn new() -> Option<Self> {
        let have = cfg!(emulate_avx512)
            || is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vnni");
        if have && !pretends_old() { Avx2::new().map(Avx512) } else { None }
    }
}

/// Compiles functions for the instruction set, or for AVX2 if it is emulated.
macro_rules! for_avx512 {
    ($($function:item)*) => {$(
        #[cfg_attr(emulate_avx512, target_feature(enable = "avx2,fma,f16c"))]
        #[cfg_attr(
            not(emulate_avx512),
            target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")
        )]
        $function
    )*};
}

for_avx512! {
    fn with_features<O: Op>(s: Avx512, op: O) -> O::Out {
        op.run(s)
    }

    fn run_with_features(s: Avx512, body: impl FnOnce(Avx512)) {
        body(s);
    }
}

/// The formats decoded in place, in the order of the list.
static LINEAR: [LinearKernel; DType::COUNT] = kernel_table!(Avx512, in place [
    Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2K Q3K Q4K Q5K Q6K Q1_0 Q2_0 IQ1S IQ1M IQ2XXS IQ2XS IQ2S IQ3XXS IQ3S IQ4NL IQ4XS TQ1_0 TQ2_0
    MXFP4 NVFP4
]);

/// Everything on this instruction set.
pub(crate) static KERNELS: IsaKernels =
    IsaKernels { isa: Isa::Avx512, ops: || Avx512::new().map(Ops::new), linear: &LINEAR };

impl Products for Avx512 {
    const ISA: Isa = Isa::Avx512;
    const TOKENS: usize = 8;
    type Floats = Avx512;

    #[inline(always)]
    fn proof() -> Self {
        Avx512::token()
    }

    #[inline(always)]
    fn run(self, body: impl FnOnce(Self)) {
        // SAFETY: the token proves the features.
        unsafe { run_with_features(self, body) }
    }
}

/// The lower and the upper eight lanes.
#[inline(always)]
fn halves(_: Avx512, v: __m512) -> [__m256; 2] {
    // SAFETY: the token proves the features.
    unsafe { [_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v)] }
}

/// Joins two halves to a register.
#[inline(always)]
fn whole(_: Avx512, low: __m256, high: __m256) -> __m512 {
    // SAFETY: the token proves the features.
    unsafe { _mm512_insertf32x8::<1>(_mm512_castps256_ps512(low), high) }
}

/// Defines methods that are one instruction each.
macro_rules! one {
    ($(fn $name:ident($($arg:ident: $in:ident),+) -> $out:ident = $f:expr;)*) => { $(
        #[inline(always)]
        fn $name(self, $($arg: Self::$in),+) -> Self::$out {
            // SAFETY: the token proves the features.
            unsafe { $f($($arg),+) }
        }
    )* };
}

impl Simd for Avx512 {
    type V = __m512;
    type I = __m512i;

    const QUERIES: usize = 8;
    const FLOAT_TILE: (usize, usize) = (4, 6);
    /// `VPDPBUSD` takes one unsigned operand.
    const KEY_BIAS: u32 = 0x8080_8080;

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
        V::of(self.0).prefetch(w, at);
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: the token proves the features.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn load(self, x: &[f32; 16]) -> Self::V {
        // SAFETY: `x` holds 16 elements; the load is unaligned.
        unsafe { _mm512_loadu_ps(x.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, v: Self::V, y: &mut [f32; 16]) {
        // SAFETY: `y` holds 16 elements; the store is unaligned.
        unsafe { _mm512_storeu_ps(y.as_mut_ptr(), v) }
    }

    #[inline(always)]
    fn load_f32_bytes(self, x: &[u8; 64]) -> Self::V {
        // SAFETY: `x` holds 64 bytes; the load is unaligned.
        unsafe { _mm512_loadu_ps(x.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_f16_bytes(self, x: &[u8; 32]) -> Self::V {
        // SAFETY: `x` holds 32 bytes; the load is unaligned.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(x.as_ptr().cast())) }
    }

    #[inline(always)]
    fn load_bf16_bytes(self, x: &[u8; 32]) -> Self::V {
        // SAFETY: `x` holds 32 bytes; the load is unaligned.
        unsafe {
            let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(x.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
        }
    }

    #[inline(always)]
    fn load_f16(self, x: &[u16; 16]) -> Self::V {
        // SAFETY: `x` holds 16 elements; the load is unaligned.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(x.as_ptr().cast())) }
    }

    #[inline(always)]
    fn store_f16(self, v: Self::V, y: &mut [u16; 16]) {
        // SAFETY: `y` holds 16 elements; the store is unaligned.
        unsafe {
            let bits = _mm512_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v);
            _mm256_storeu_si256(y.as_mut_ptr().cast(), bits);
        }
    }

    one! {
        fn add(a: V, b: V) -> V = _mm512_add_ps;
        fn sub(a: V, b: V) -> V = _mm512_sub_ps;
        fn mul(a: V, b: V) -> V = _mm512_mul_ps;
        fn div(a: V, b: V) -> V = _mm512_div_ps;
        fn fma(a: V, b: V, c: V) -> V = _mm512_fmadd_ps;
        fn nfma(a: V, b: V, c: V) -> V = _mm512_fnmadd_ps;
        fn min(a: V, b: V) -> V = _mm512_min_ps;
        fn max(a: V, b: V) -> V = _mm512_max_ps;
        fn select_lt(a: V, b: V, x: V, y: V) -> V =
            |a, b, x, y| _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), y, x);
        fn to_bits(v: V) -> I = _mm512_castps_si512;
        fn from_bits(v: I) -> V = _mm512_castsi512_ps;
        fn add_i(a: I, b: I) -> I = _mm512_add_epi32;
        fn and_i(a: I, b: I) -> I = _mm512_and_si512;
        fn or_i(a: I, b: I) -> I = _mm512_or_si512;
        fn max_i(a: I, b: I) -> I = _mm512_max_epi32;
    }

    #[inline(always)]
    fn reduce_add(self, v: Self::V) -> f32 {
        self.0.reduce_add(halves(self, v))
    }

    #[inline(always)]
    fn reduce_add_16(self, v: &[Self::V; 16]) -> Self::V {
        // SAFETY: the token proves the features.
        let mut sums = unsafe { [_mm256_setzero_ps(); 16] };
        for (sum, v) in sums.iter_mut().zip(v) {
            let [low, high] = halves(self, *v);
            // SAFETY: as above.
            *sum = unsafe { _mm256_add_ps(low, high) };
        }
        let [low, high] = add_16(self.0, &sums);
        whole(self, low, high)
    }

    #[inline(always)]
    fn reduce_max(self, v: Self::V) -> f32 {
        self.0.reduce_max(halves(self, v))
    }

    #[inline(always)]
    fn transpose(self, rows: &[[f32; 16]; 16], out: &mut [f32], stride: usize) {
        self.0.transpose(rows, out, stride);
    }

    #[inline(always)]
    fn dot4(self, acc: Self::I, keys: Self::V, word: u32) -> Self::I {
        // SAFETY: the token proves the features.
        unsafe { _mm512_dpbusd_epi32(acc, _mm512_castps_si512(keys), _mm512_set1_epi32(word as i32)) }
    }

    #[inline(always)]
    fn splat_i(self, x: i32) -> Self::I {
        // SAFETY: the token proves the features.
        unsafe { _mm512_set1_epi32(x) }
    }

    #[inline(always)]
    fn shl_i<const N: u32>(self, a: Self::I) -> Self::I {
        // SAFETY: the token proves the features.
        unsafe { _mm512_slli_epi32::<N>(a) }
    }

    #[inline(always)]
    fn reduce_max_i(self, v: Self::I) -> i32 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_reduce_max_epi32(v) }
    }

    #[inline(always)]
    fn reduce_add_i(self, v: Self::I) -> i32 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_reduce_add_epi32(v) }
    }

    #[inline(always)]
    fn store_i8(self, v: Self::I, y: &mut [i8; 16]) {
        // SAFETY: `y` holds 16 bytes; the store is unaligned.
        unsafe { _mm_storeu_si128(y.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(v)) }
    }
}

macro_rules! instructions {
    ($(fn $name:ident($($arg:ident: $ty:ty),*) -> $out:ty = $intrinsic:ident;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $ty),*) -> $out {
            // SAFETY: the token proves the features; the intrinsic takes and gives values only.
            unsafe { $intrinsic($($arg),*) }
        }
    )*};
}

impl Avx512 {
    instructions! {
        fn splat32(x: i32) -> __m512i = _mm512_set1_epi32;
        fn add32(a: __m512i, b: __m512i) -> __m512i = _mm512_add_epi32;
        fn mul32(a: __m512i, b: __m512i) -> __m512i = _mm512_mullo_epi32;
        fn dot4(acc: __m512i, w: __m512i, a: __m512i) -> __m512i = _mm512_dpbusd_epi32;
        fn dot2(acc: __m512i, w: __m512i, a: __m512i) -> __m512i = _mm512_dpwssd_epi32;
        fn to_f32(x: __m512i) -> __m512 = _mm512_cvtepi32_ps;
        fn splat_f32(x: f32) -> __m512 = _mm512_set1_ps;
        fn mul_f32(a: __m512, b: __m512) -> __m512 = _mm512_mul_ps;
        fn fma_f32(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fmadd_ps;
        fn nfma_f32(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fnmadd_ps;
    }
}

/// Operations for tiles of 16 rows and a few tokens.
impl Avx512 {
    /// Joins columns of 8 rows with those of the 8 rows that follow.
    #[inline(always)]
    pub(super) fn joined(self, low: __m256i, high: __m256i) -> __m512i {
        let v = self.v();
        self.to_bits(self.joined_f32(v.of_bits(low), v.of_bits(high)))
    }

    #[inline(always)]
    pub(super) fn joined_f32(self, low: __m256, high: __m256) -> __m512 {
        whole(self, low, high)
    }

    /// Returns `acc` plus the dot products of 16 rows, whose words lie side by side in `w`, with the same activations.
    #[inline(always)]
    pub(super) fn dots_of_lines<const N: usize>(
        self,
        acc: __m512i,
        w: &[__m512i; N],
        a: &[[i8; 4]; N],
    ) -> __m512i {
        let mut acc = acc;
        for j in 0..N {
            acc = self.dot4(acc, w[j], self.splat32(word(a[j])));
        }
        acc
    }

    /// Returns `acc + x * scale`.
    #[inline(always)]
    pub(super) fn add_multiple(self, acc: __m512i, x: __m512i, scale: __m512i) -> __m512i {
        self.add32(acc, self.mul32(x, scale))
    }

    /// Returns `acc` plus, in each row, the products of two i16 with two sums of activations.
    #[inline(always)]
    pub(super) fn add_sums_of_pairs(self, acc: __m512i, pairs: __m512i, sums: [i16; 2]) -> __m512i {
        self.dot2(acc, pairs, self.splat32(pair(sums)))
    }
}

impl Vnni for Avx512 {
    #[inline(always)]
    fn registers(self) -> V {
        V::with_masks(self)
    }

    instructions! {
        fn dot4_256(acc: __m256i, w: __m256i, a: __m256i) -> __m256i = _mm256_dpbusd_epi32;
        fn dot2_256(acc: __m256i, w: __m256i, a: __m256i) -> __m256i = _mm256_dpwssd_epi32;
    }
}

impl X86Products for Avx512 {
    const WIDE: bool = true;
    type W = __m512i;
    type P = __m512i;
    type I = __m512i;
    type R = __m512;

    #[inline(always)]
    fn few_wide<F: Decode + Source>(self, w: &[u8], x: Acts<'_>, y: &mut Columns<'_>) -> bool {
        few_wide::few::<F>(self, w, x, y);
        true
    }

    #[inline(always)]
    fn zero_p(self) -> Self::P {
        self.splat32(0)
    }

    #[inline(always)]
    fn zero_i(self) -> Self::I {
        self.splat32(0)
    }

    #[inline(always)]
    fn zero_r(self) -> Self::R {
        self.splat_f32(0.0)
    }

    #[inline(always)]
    fn splat_dot(self, sums: [i16; 2], x: i16) -> Self::I {
        self.dot2(self.splat32(0), self.splat32(pair(sums)), self.splat32(pair([x; 2])))
    }

    #[inline(always)]
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I {
        self.add32(a, b)
    }

    #[inline(always)]
    fn load_w(self, line: &[u8; 64]) -> Self::W {
        // SAFETY: the token proves the features; 64 bytes are read through the reference.
        unsafe { _mm512_loadu_si512(line.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_r(self, line: &[u8; 64]) -> Self::R {
        // SAFETY: the token proves the features; 64 bytes are read through the reference.
        unsafe { _mm512_loadu_ps(line.as_ptr().cast()) }
    }

    #[inline(always)]
    fn step<F: Decode>(self, p: Self::P, w: Self::W, a: [i8; 4]) -> Self::P {
        self.dot4(p, w, self.splat32(word(a)))
    }

    #[inline(always)]
    fn add_sums(self, acc: Self::I, p: Self::P) -> Self::I {
        self.add32(acc, p)
    }

    #[inline(always)]
    fn add_scaled(self, acc: Self::I, p: Self::P, scale: &[u8; 64]) -> Self::I {
        self.add32(acc, self.mul32(p, self.load_w(scale)))
    }

    #[inline(always)]
    fn add_pairs(self, acc: Self::I, pairs: &[u8; 64], sums: [i16; 2]) -> Self::I {
        self.dot2(acc, self.load_w(pairs), self.splat32(pair(sums)))
    }

    #[inline(always)]
    fn fma(self, acc: Self::R, x: Self::I, d: Self::R, da: f32) -> Self::R {
        self.fma_f32(self.to_f32(x), self.mul_f32(d, self.splat_f32(da)), acc)
    }

    #[inline(always)]
    fn nfma(self, acc: Self::R, x: Self::I, d: Self::R, da: f32) -> Self::R {
        self.nfma_f32(self.to_f32(x), self.mul_f32(d, self.splat_f32(da)), acc)
    }

    #[inline(always)]
    fn store(self, r: Self::R, y: &mut [f32; 16]) {
        // SAFETY: the token proves the features; 64 bytes are written through the reference.
        unsafe { _mm512_storeu_ps(y.as_mut_ptr(), r) }
    }
}
