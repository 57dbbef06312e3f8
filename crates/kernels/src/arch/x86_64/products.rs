//! Integer products, with 8 rows in lanes for the gemv and 16 for the gemm: the operations in which the instruction
//! sets differ, and their implementation for AVX2.
//!
//! AVX2 multiplies u8 by i8 into sums of two products as i16, of which only a few can be added up. VNNI adds four
//! products to an i32 at once: see [`super::vnni`].

use super::avx2::Avx2;
use super::decode::{Decode, is_signed};
use super::gemm::Layout;
use super::vector::{V, map};
use crate::acts::Acts;
use crate::isa::Isa;
use crate::linear::products::Products;
use crate::linear::source::Source;
use crate::pool::Columns;
use crate::simd::Simd;
use core::arch::x86_64::{__m256, __m256i};

/// Dot products of 8 rows in the lanes of a 256-bit register, for the gemv and for a few tokens.
pub(super) trait RowProducts: Products {
    /// The greatest sum of products that a lane of a tile's sums ([`X86Products::P`]) can hold.
    const SUM_MAX: i32;
    /// Whether signed bytes are multiplied as such. If not, an offset makes them unsigned.
    const SIGNED: bool;

    /// The 256-bit instructions.
    fn v(self) -> V;

    /// Returns the dot products of 8 rows of 32 integers with the same activations.
    fn dots8<F: Decode>(self, q: [__m256i; 8], a: __m256i) -> __m256i;
    /// Returns the dot products of 8 rows of 32 integers with the same activations, without the share of
    /// [`Decode::OFFSET`]. Row `r` is joined with row `r + 4` ([`Decode::joined`]); `a` holds the halves of the
    /// activations, each twice.
    fn dots8_joined<F: Decode>(self, q: [[__m256i; 2]; 4], a: [__m256i; 2], sums: [i16; 2]) -> __m256i;
    /// Returns the dot products of the first and of the last 16 integers of 8 rows with the same activations.
    fn dots8_halves<F: Decode>(self, q: [__m256i; 8], a: __m256i) -> [__m256i; 2];
    /// Adds products of 32 integers and activations, times the i16 in `scale`, to the lanes of `acc`.
    fn scaled_dot(self, acc: __m256i, q: __m256i, a: __m256i, scale: __m256i) -> __m256i;

    /// Adds products of 32 unsigned bytes, which may use all 8 bits, and activations to the lanes of `acc`.
    fn full_dot(self, acc: __m256i, q: __m256i, a: __m256i) -> __m256i;

    /// Returns `acc` plus the dot products of 8 rows, whose words lie side by side in `w`, with the same activations.
    fn dots_of_words<F: Decode, const N: usize>(
        self,
        acc: __m256i,
        w: &[__m256i; N],
        a: &[[i8; 4]; N],
    ) -> __m256i;
    /// Returns `acc` plus such dot products times the row's scale, laid out by [`RowProducts::scale_lanes`].
    fn scaled_dots_of_words<F: Decode, const N: usize>(
        self,
        acc: __m256i,
        w: &[__m256i; N],
        a: &[[i8; 4]; N],
        scale: __m256i,
    ) -> __m256i;
    /// Returns `acc` plus, in each of 8 rows, the products of two i16 with two sums of activations.
    fn add_pairs8(self, acc: __m256i, pairs: __m256i, sums: [i16; 2]) -> __m256i;
    /// Returns scales, an i32 each, in the layout that scaled sums take.
    fn scale_lanes(self, scales: __m256i) -> __m256i;
}

/// The integer products of an instruction set, with those of the tiles of 16 rows.
pub(super) trait X86Products: RowProducts {
    /// Whether [`X86Products::few_wide`] is implemented.
    const WIDE: bool = false;
    /// 4 integers of each of 16 rows.
    type W: Copy;
    /// Sums of products before the sub-scale, 16 rows.
    type P: Copy;
    /// 16 i32.
    type I: Copy;
    /// 16 f32.
    type R: Copy;

    /// Multiplies a few tokens with 16 rows at a time, see [`super::few_wide`]. Returns `false` if the instruction set
    /// has no registers of 16 lanes.
    fn few_wide<F: Decode + Source>(self, _: &[u8], _: Acts<'_>, _: &mut Columns<'_>) -> bool {
        false
    }

    fn zero_p(self) -> Self::P;
    fn zero_i(self) -> Self::I;
    fn zero_r(self) -> Self::R;
    /// Returns the sum of both `sums` of activations, times `x`, in all lanes.
    fn splat_dot(self, sums: [i16; 2], x: i16) -> Self::I;
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I;
    fn load_w(self, line: &[u8; 64]) -> Self::W;
    fn load_r(self, line: &[u8; 64]) -> Self::R;
    /// Returns `p` plus the products of 4 integers of each row with 4 activations.
    fn step<F: Decode>(self, p: Self::P, w: Self::W, a: [i8; 4]) -> Self::P;
    /// Returns `acc` plus the sums `p`.
    fn add_sums(self, acc: Self::I, p: Self::P) -> Self::I;
    /// Returns `acc` plus the sums `p` times the row's scale, laid out by [`RowProducts::scale_lanes`].
    fn add_scaled(self, acc: Self::I, p: Self::P, scale: &[u8; 64]) -> Self::I;
    /// Returns `acc` plus, in each row, the products of two i16 with two sums of activations.
    fn add_pairs(self, acc: Self::I, pairs: &[u8; 64], sums: [i16; 2]) -> Self::I;
    /// Returns `fma(x, d * da, acc)`.
    fn fma(self, acc: Self::R, x: Self::I, d: Self::R, da: f32) -> Self::R;
    /// Returns `fma(-x, d * da, acc)`.
    fn nfma(self, acc: Self::R, x: Self::I, d: Self::R, da: f32) -> Self::R;
    fn store(self, r: Self::R, y: &mut [f32; 16]);
}

#[inline(always)]
pub(super) fn word(a: [i8; 4]) -> i32 {
    i32::from_ne_bytes([a[0] as u8, a[1] as u8, a[2] as u8, a[3] as u8])
}

#[inline(always)]
pub(super) fn pair([low, high]: [i16; 2]) -> i32 {
    i32::from(low as u16) | i32::from(high) << 16
}

/// Returns the two halves of a line.
#[inline(always)]
fn halves(line: &[u8; 64]) -> [&[u8; 32]; 2] {
    let halves = line.as_chunks().0;
    [&halves[0], &halves[1]]
}

/// Tiles of 16 rows whose vectors are two registers of 8 rows: one operation of [`X86Products`] is the same operation on
/// both.
pub(super) trait Halves: RowProducts {
    /// See [`X86Products::step`]; `a` holds the 4 activations in every lane.
    fn step8<F: Decode>(self, p: __m256i, w: __m256i, a: __m256i) -> __m256i;
    /// See [`X86Products::add_sums`].
    fn add_sums8(self, acc: __m256i, p: __m256i) -> __m256i;
    /// See [`X86Products::add_scaled`].
    fn add_scaled8(self, acc: __m256i, p: __m256i, scale: __m256i) -> __m256i;
}

impl<S: Halves> X86Products for S {
    type W = [__m256i; 2];
    type P = [__m256i; 2];
    type I = [__m256i; 2];
    type R = [__m256; 2];

    #[inline(always)]
    fn zero_p(self) -> Self::P {
        [self.v().zero(); 2]
    }

    #[inline(always)]
    fn zero_i(self) -> Self::I {
        [self.v().zero(); 2]
    }

    #[inline(always)]
    fn zero_r(self) -> Self::R {
        [self.v().zero_f32(); 2]
    }

    #[inline(always)]
    fn splat_dot(self, sums: [i16; 2], x: i16) -> Self::I {
        let v = self.v();
        [v.madd16(v.splat32(pair(sums)), v.splat16(x)); 2]
    }

    #[inline(always)]
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I {
        [self.v().add32(a[0], b[0]), self.v().add32(a[1], b[1])]
    }

    #[inline(always)]
    fn load_w(self, line: &[u8; 64]) -> Self::W {
        let [x, y] = halves(line);
        [self.v().load(x), self.v().load(y)]
    }

    #[inline(always)]
    fn load_r(self, line: &[u8; 64]) -> Self::R {
        let [x, y] = halves(line);
        [self.v().load_f32(x), self.v().load_f32(y)]
    }

    #[inline(always)]
    fn step<F: Decode>(self, p: Self::P, w: Self::W, a: [i8; 4]) -> Self::P {
        let a = self.v().splat32(word(a));
        [self.step8::<F>(p[0], w[0], a), self.step8::<F>(p[1], w[1], a)]
    }

    #[inline(always)]
    fn add_sums(self, acc: Self::I, p: Self::P) -> Self::I {
        [self.add_sums8(acc[0], p[0]), self.add_sums8(acc[1], p[1])]
    }

    #[inline(always)]
    fn add_scaled(self, acc: Self::I, p: Self::P, scale: &[u8; 64]) -> Self::I {
        let scale = self.load_w(scale);
        [self.add_scaled8(acc[0], p[0], scale[0]), self.add_scaled8(acc[1], p[1], scale[1])]
    }

    #[inline(always)]
    fn add_pairs(self, acc: Self::I, pairs: &[u8; 64], sums: [i16; 2]) -> Self::I {
        let pairs = self.load_w(pairs);
        [self.add_pairs8(acc[0], pairs[0], sums), self.add_pairs8(acc[1], pairs[1], sums)]
    }

    #[inline(always)]
    fn fma(self, acc: Self::R, x: Self::I, d: Self::R, da: f32) -> Self::R {
        let v = self.v();
        let da = v.splat_f32(da);
        [v.fma(v.to_f32(x[0]), v.mul(d[0], da), acc[0]), v.fma(v.to_f32(x[1]), v.mul(d[1], da), acc[1])]
    }

    #[inline(always)]
    fn nfma(self, acc: Self::R, x: Self::I, d: Self::R, da: f32) -> Self::R {
        let v = self.v();
        let da = v.splat_f32(da);
        [v.nfma(v.to_f32(x[0]), v.mul(d[0], da), acc[0]), v.nfma(v.to_f32(x[1]), v.mul(d[1], da), acc[1])]
    }

    #[inline(always)]
    fn store(self, r: Self::R, y: &mut [f32; 16]) {
        for (r, y) in r.into_iter().zip(y.as_chunks_mut().0) {
            self.v().store_f32(r, y);
        }
    }
}

impl Products for Avx2 {
    const ISA: Isa = Isa::Avx2;
    const TOKENS: usize = 4;
    type Floats = Avx2;

    #[inline(always)]
    fn proof() -> Self {
        Avx2::token()
    }

    #[inline(always)]
    fn run(self, body: impl FnOnce(Self)) {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn with_features(s: Avx2, body: impl FnOnce(Avx2)) {
            body(s);
        }
        // SAFETY: the token proves the features.
        unsafe { with_features(self, body) }
    }
}

impl Avx2 {
    /// Returns sums of two products each, as i16. For signed bytes, the signs are moved to the activations and the
    /// magnitudes are multiplied: 2 * 128 * 127 fits.
    #[inline(always)]
    fn products<F: Decode>(self, q: __m256i, a: __m256i) -> __m256i {
        let v = self.v();
        if is_signed::<F>() { v.madd_u8_i8(v.abs8(q), v.sign8(a, q)) } else { v.madd_u8_i8(q, a) }
    }
}

impl RowProducts for Avx2 {
    const SUM_MAX: i32 = i16::MAX as i32;
    const SIGNED: bool = true;

    #[inline(always)]
    fn v(self) -> V {
        V::of(self)
    }

    #[inline(always)]
    fn dots8<F: Decode>(self, q: [__m256i; 8], a: __m256i) -> __m256i {
        let v = self.v();
        let ones = v.splat16(1);
        let p = map(
            q,
            #[inline(always)]
            |q| self.products::<F>(q, a),
        );
        // Sums of pairs stay i16 for as many levels of the tree as they fit, since one instruction adds twice as many
        // of them.
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
    fn dots8_joined<F: Decode>(self, q: [[__m256i; 2]; 4], a: [__m256i; 2], sums: [i16; 2]) -> __m256i {
        let v = self.v();
        let ones = v.splat16(1);
        let p = map(
            q,
            #[inline(always)]
            |q| [self.products::<F>(q[0], a[0]), self.products::<F>(q[1], a[1])],
        );
        let added = |p: [__m256i; 2]| v.add16(p[0], p[1]);
        // As in `dots8`.
        let isum = match Self::SUM_MAX / (2 * 127 * F::MAX) {
            8.. => v.madd16(v.quad([added(p[0]), added(p[1]), added(p[2]), added(p[3])], V::add16), ones),
            2..8 => v.quad(
                map(
                    p,
                    #[inline(always)]
                    |p| v.madd16(added(p), ones),
                ),
                V::add32,
            ),
            _ => v.quad(
                map(
                    p,
                    #[inline(always)]
                    |p| v.add32(v.madd16(p[0], ones), v.madd16(p[1], ones)),
                ),
                V::add32,
            ),
        };
        match Layout::<Self, F>::OFFSET {
            0 => isum,
            offset => self.add_pairs8(isum, v.splat16(-offset as i16), sums),
        }
    }

    #[inline(always)]
    fn dots8_halves<F: Decode>(self, q: [__m256i; 8], a: __m256i) -> [__m256i; 2] {
        let v = self.v();
        let ones = v.splat16(1);
        let p = map(
            q,
            #[inline(always)]
            |q| self.products::<F>(q, a),
        );
        let [x, y] = if 4 * 2 * 127 * F::MAX <= Self::SUM_MAX {
            let [x, y] = v.quads(p, V::add16);
            [v.madd16(x, ones), v.madd16(y, ones)]
        } else {
            let p = map(
                p,
                #[inline(always)]
                |p| v.madd16(p, ones),
            );
            v.quads(p, V::add32)
        };
        [v.halves::<0x20>(x, y), v.halves::<0x31>(x, y)]
    }

    #[inline(always)]
    fn scaled_dot(self, acc: __m256i, q: __m256i, a: __m256i, scale: __m256i) -> __m256i {
        let v = self.v();
        v.add32(acc, v.madd16(v.madd_u8_i8(q, a), scale))
    }

    #[inline(always)]
    fn full_dot(self, acc: __m256i, q: __m256i, a: __m256i) -> __m256i {
        let v = self.v();
        // The bytes are split into nibbles, so that sums of two products fit an i16.
        let low = v.and(q, v.splat8(0x0F));
        let high = v.and(v.shr16::<4>(q), v.splat8(0x0F));
        let acc = v.add32(acc, v.madd16(v.madd_u8_i8(low, a), v.splat16(1)));
        v.add32(acc, v.madd16(v.madd_u8_i8(high, a), v.splat16(16)))
    }

    #[inline(always)]
    fn dots_of_words<F: Decode, const N: usize>(
        self,
        acc: __m256i,
        w: &[__m256i; N],
        a: &[[i8; 4]; N],
    ) -> __m256i {
        self.scaled_dots_of_words::<F, N>(acc, w, a, self.v().splat16(1))
    }

    #[inline(always)]
    fn scaled_dots_of_words<F: Decode, const N: usize>(
        self,
        acc: __m256i,
        w: &[__m256i; N],
        a: &[[i8; 4]; N],
        scale: __m256i,
    ) -> __m256i {
        let v = self.v();
        let steps = Layout::<Self, F>::STEPS.min(N);
        let mut acc = acc;
        for run in 0..N / steps {
            let first = run * steps;
            let mut p = self.products::<F>(w[first], v.splat32(word(a[first])));
            for j in first + 1..first + steps {
                p = v.add16(p, self.products::<F>(w[j], v.splat32(word(a[j]))));
            }
            acc = v.add32(acc, v.madd16(p, scale));
        }
        acc
    }

    #[inline(always)]
    fn add_pairs8(self, acc: __m256i, pairs: __m256i, sums: [i16; 2]) -> __m256i {
        let v = self.v();
        v.add32(acc, v.madd16(pairs, v.splat32(pair(sums))))
    }

    #[inline(always)]
    fn scale_lanes(self, scales: __m256i) -> __m256i {
        let v = self.v();
        let low_twice = [0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13];
        v.shuffle8(scales, v.twice(v.load_128(&low_twice)))
    }
}

impl Halves for Avx2 {
    #[inline(always)]
    fn step8<F: Decode>(self, p: __m256i, w: __m256i, a: __m256i) -> __m256i {
        self.v().add16(p, self.products::<F>(w, a))
    }

    #[inline(always)]
    fn add_sums8(self, acc: __m256i, p: __m256i) -> __m256i {
        self.add_scaled8(acc, p, self.v().splat16(1))
    }

    #[inline(always)]
    fn add_scaled8(self, acc: __m256i, p: __m256i, scale: __m256i) -> __m256i {
        let v = self.v();
        v.add32(acc, v.madd16(p, scale))
    }
}
