//! The two instruction sets as the kernels see them: 8 rows in lanes for the gemv, 16 for the gemm.
//!
//! They differ in one thing: AVX2 multiplies u8 by i8 into i16 pair sums, of which only so many can be added up,
//! VNNI adds four products to an i32 at once.

use super::format::{Format, is_signed};
use super::vector::{V, map};
use crate::arch::intrinsics::*;

/// An instruction set as a token.
pub(super) trait Isa: Copy {
    /// The greatest sum of products that a lane of [`Isa::P`] can hold.
    const SUM_MAX: i32;
    /// Whether signed bytes are multiplied as such; if not, an offset makes them unsigned.
    const SIGNED: bool;
    /// Tokens of a tile.
    const TOKENS: usize;
    /// 4 integers of each of 16 rows.
    type W: Copy;
    /// Sums of products before the sub-scale, 16 rows.
    type P: Copy;
    /// 16 i32.
    type I: Copy;
    /// 16 f32.
    type R: Copy;

    /// The 256-bit instructions.
    fn v(self) -> V;

    /// The dot products of 8 rows of 32 integers with the same activations.
    fn dots8<F: Format>(self, q: [__m256i; 8], a: __m256i) -> __m256i;
    /// Adds products of 32 integers and activations, times the i16 in `scale`, to the lanes of `acc`.
    fn scaled_dot(self, acc: __m256i, q: __m256i, a: __m256i, scale: __m256i) -> __m256i;

    fn zero_p(self) -> Self::P;
    fn zero_i(self) -> Self::I;
    fn zero_r(self) -> Self::R;
    /// Both sums of activations times `x`, added, in all lanes.
    fn splat_dot(self, sums: [i16; 2], x: i16) -> Self::I;
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I;
    fn load_w(self, line: &[u8; 64]) -> Self::W;
    fn load_r(self, line: &[u8; 64]) -> Self::R;
    /// Adds the products of 4 integers a row with 4 activations.
    fn step<F: Format>(self, p: Self::P, w: Self::W, a: [i8; 4]) -> Self::P;
    /// `acc` plus the sums `p`.
    fn add_sums(self, acc: Self::I, p: Self::P) -> Self::I;
    /// `acc` plus the sums `p` times a row's scale, laid out by [`Isa::scale_lanes`].
    fn add_scaled(self, acc: Self::I, p: Self::P, scale: &[u8; 64]) -> Self::I;
    /// Scales, an i32 each, as [`Isa::add_scaled`] wants them.
    fn scale_lanes(self, scales: __m256i) -> __m256i;
    /// `acc` plus, in each row, the products of two i16 with two sums of activations.
    fn add_pairs(self, acc: Self::I, pairs: &[u8; 64], sums: [i16; 2]) -> Self::I;
    /// `acc = fma(x, d * da, acc)`.
    fn fma(self, acc: Self::R, x: Self::I, d: Self::R, da: f32) -> Self::R;
    /// `acc = fma(-x, d * da, acc)`.
    fn nfma(self, acc: Self::R, x: Self::I, d: Self::R, da: f32) -> Self::R;
    fn store(self, r: Self::R, y: &mut [f32; 16]);
}

#[inline(always)]
fn word(a: [i8; 4]) -> i32 {
    i32::from_ne_bytes([a[0] as u8, a[1] as u8, a[2] as u8, a[3] as u8])
}

#[inline(always)]
fn pair([low, high]: [i16; 2]) -> i32 {
    i32::from(low as u16) | i32::from(high) << 16
}

/// The two halves of a line.
#[inline(always)]
fn halves(line: &[u8; 64]) -> [&[u8; 32]; 2] {
    {
        let halves = line.as_chunks().0;
        [&halves[0], &halves[1]]
    }
}

/// AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(super) struct Avx2(V);

impl Avx2 {
    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    pub(super) fn new() -> Self {
        Self(V::new())
    }

    /// Sums of two products each, as i16. The products of signed bytes are those of the magnitudes with the signs
    /// moved to the activations: 2 * 128 * 127 fits.
    #[inline(always)]
    fn products<F: Format>(self, q: __m256i, a: __m256i) -> __m256i {
        let v = self.0;
        if is_signed::<F>() { v.madd_u8_i8(v.abs8(q), v.sign8(a, q)) } else { v.madd_u8_i8(q, a) }
    }
}

impl Isa for Avx2 {
    const SUM_MAX: i32 = i16::MAX as i32;
    const SIGNED: bool = true;
    const TOKENS: usize = 4;
    type W = [__m256i; 2];
    type P = [__m256i; 2];
    type I = [__m256i; 2];
    type R = [__m256; 2];

    #[inline(always)]
    fn v(self) -> V {
        self.0
    }

    #[inline(always)]
    fn dots8<F: Format>(self, q: [__m256i; 8], a: __m256i) -> __m256i {
        let v = self.0;
        let ones = v.splat16(1);
        let p = map(
            q,
            #[inline(always)]
            |q| self.products::<F>(q, a),
        );
        // Pair sums stay i16 for as many levels of the sum as they fit, two rows' worth of work for one.
        match Self::SUM_MAX / (2 * 127 * F::MAX) {
            8.. => v.madd16(v.octet(v.quads(p, V::add16), V::add16), ones),
            4..8 => {
                let [x, y] = v.quads(p, V::add16);
                v.octet([v.madd16(x, ones), v.madd16(y, ones)], V::add32)
            }
            _ => v.sums8(map(
                p,
                #[inline(always)]
                |p| v.madd16(p, ones),
            )),
        }
    }

    #[inline(always)]
    fn scaled_dot(self, acc: __m256i, q: __m256i, a: __m256i, scale: __m256i) -> __m256i {
        let v = self.0;
        v.add32(acc, v.madd16(v.madd_u8_i8(q, a), scale))
    }

    #[inline(always)]
    fn zero_p(self) -> Self::P {
        [self.0.zero(); 2]
    }

    #[inline(always)]
    fn zero_i(self) -> Self::I {
        [self.0.zero(); 2]
    }

    #[inline(always)]
    fn zero_r(self) -> Self::R {
        [self.0.zero_f32(); 2]
    }

    #[inline(always)]
    fn splat_dot(self, sums: [i16; 2], x: i16) -> Self::I {
        let v = self.0;
        [v.madd16(v.splat32(pair(sums)), v.splat16(x)); 2]
    }

    #[inline(always)]
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I {
        [self.0.add32(a[0], b[0]), self.0.add32(a[1], b[1])]
    }

    #[inline(always)]
    fn load_w(self, line: &[u8; 64]) -> Self::W {
        let [x, y] = halves(line);
        [self.0.load(x), self.0.load(y)]
    }

    #[inline(always)]
    fn load_r(self, line: &[u8; 64]) -> Self::R {
        let [x, y] = halves(line);
        [self.0.load_f32(x), self.0.load_f32(y)]
    }

    #[inline(always)]
    fn step<F: Format>(self, p: Self::P, w: Self::W, a: [i8; 4]) -> Self::P {
        let v = self.0;
        let a = v.splat32(word(a));
        [v.add16(p[0], self.products::<F>(w[0], a)), v.add16(p[1], self.products::<F>(w[1], a))]
    }

    #[inline(always)]
    fn add_sums(self, acc: Self::I, p: Self::P) -> Self::I {
        let v = self.0;
        let ones = v.splat16(1);
        [v.add32(acc[0], v.madd16(p[0], ones)), v.add32(acc[1], v.madd16(p[1], ones))]
    }

    #[inline(always)]
    fn add_scaled(self, acc: Self::I, p: Self::P, scale: &[u8; 64]) -> Self::I {
        let v = self.0;
        let scale = self.load_w(scale);
        [v.add32(acc[0], v.madd16(p[0], scale[0])), v.add32(acc[1], v.madd16(p[1], scale[1]))]
    }

    #[inline(always)]
    fn scale_lanes(self, scales: __m256i) -> __m256i {
        let v = self.0;
        let low_twice = [0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13];
        v.shuffle8(scales, v.twice(v.load_128(&low_twice)))
    }

    #[inline(always)]
    fn add_pairs(self, acc: Self::I, pairs: &[u8; 64], sums: [i16; 2]) -> Self::I {
        let v = self.0;
        let (pairs, sums) = (self.load_w(pairs), v.splat32(pair(sums)));
        [v.add32(acc[0], v.madd16(pairs[0], sums)), v.add32(acc[1], v.madd16(pairs[1], sums))]
    }

    #[inline(always)]
    fn fma(self, acc: Self::R, x: Self::I, d: Self::R, da: f32) -> Self::R {
        let v = self.0;
        let da = v.splat_f32(da);
        [v.fma(v.to_f32(x[0]), v.mul(d[0], da), acc[0]), v.fma(v.to_f32(x[1]), v.mul(d[1], da), acc[1])]
    }

    #[inline(always)]
    fn nfma(self, acc: Self::R, x: Self::I, d: Self::R, da: f32) -> Self::R {
        let v = self.0;
        let da = v.splat_f32(da);
        [v.nfma(v.to_f32(x[0]), v.mul(d[0], da), acc[0]), v.nfma(v.to_f32(x[1]), v.mul(d[1], da), acc[1])]
    }

    #[inline(always)]
    fn store(self, r: Self::R, y: &mut [f32; 16]) {
        for (r, y) in r.into_iter().zip(y.as_chunks_mut().0) {
            self.0.store_f32(r, y);
        }
    }
}

/// AVX-512 F, BW, VL, DQ and VNNI.
#[derive(Clone, Copy)]
pub(super) struct Avx512(V);

impl Avx512 {
    #[cfg_attr(emulate_avx512, target_feature(enable = "avx2,fma,f16c"))]
    #[cfg_attr(
        not(emulate_avx512),
        target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")
    )]
    #[inline]
    pub(super) fn new() -> Self {
        Self(V::new())
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
        fn dot4_256(acc: __m256i, w: __m256i, a: __m256i) -> __m256i = _mm256_dpbusd_epi32;
        fn dot2_256(acc: __m256i, w: __m256i, a: __m256i) -> __m256i = _mm256_dpwssd_epi32;
    }
}

impl Isa for Avx512 {
    const SUM_MAX: i32 = i32::MAX;
    const SIGNED: bool = false;
    const TOKENS: usize = 8;
    type W = __m512i;
    type P = __m512i;
    type I = __m512i;
    type R = __m512;

    #[inline(always)]
    fn v(self) -> V {
        self.0
    }

    #[inline(always)]
    fn dots8<F: Format>(self, q: [__m256i; 8], a: __m256i) -> __m256i {
        let v = self.0;
        let zero = v.zero();
        v.sums8(map(
            q,
            #[inline(always)]
            |q| self.dot4_256(zero, if is_signed::<F>() { v.xor(q, v.splat8(-128)) } else { q }, a),
        ))
    }

    #[inline(always)]
    fn scaled_dot(self, acc: __m256i, q: __m256i, a: __m256i, scale: __m256i) -> __m256i {
        self.dot2_256(acc, self.0.madd_u8_i8(q, a), scale)
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
    fn step<F: Format>(self, p: Self::P, w: Self::W, a: [i8; 4]) -> Self::P {
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
    fn scale_lanes(self, scales: __m256i) -> __m256i {
        scales
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
