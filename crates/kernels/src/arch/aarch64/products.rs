//! The integer products, in which the instruction sets differ, and their implementation for NEON.

use super::neon::Neon;
use super::shape::Shape;
use super::tile::{Row, Token, tile};
use super::vector::*;
use crate::isa::Isa;
use crate::linear::products::Products;
use crate::simd::Simd;
use core::arch::aarch64::{int8x16_t, int16x8_t, int32x4_t};

/// The integer products of an instruction set.
///
/// `WIDE` says that the weights have 8 bits. Without it, `|w| <= 63` in the products of a row and `|w| <= 32` in those
/// of a panel. Activations are in -127 ..= 127. Single lanes may wrap; sums of all lanes are exact.
pub(super) trait ArmProducts: Products {
    /// The shape whose code serves shape `S`: [`Shape::Narrow`] if `WIDE` makes no difference.
    type Of<S: Shape>: Shape;

    /// Returns a vector whose lanes add up to the sum of `w[i] * a[i]`.
    fn dot16(self, w: int8x16_t, a: int8x16_t) -> int32x4_t;

    /// Returns a vector whose lanes add up to the sum of the lanes of `acc` and of `w[i] * a[i]` over two vectors.
    fn dot32<const WIDE: bool>(self, acc: int32x4_t, w: [int8x16_t; 2], a: [int8x16_t; 2]) -> int32x4_t;

    /// Returns the dot products of 8 rows with `T` tokens: rows in lanes, `[token][row / 4]`.
    ///
    /// `w` is `[k / 4][8 rows][4]` of a panel, two vectors for each step of 4 values, and `a` holds the activations of
    /// these values for each token.
    fn dots<const T: usize, const WIDE: bool>(self, w: &[Bytes], a: [&[[i8; 16]]; T]) -> [[int32x4_t; 2]; T];

    /// [`tile`] as a function that is not inlined, so that formats of one shape share it.
    #[inline(never)]
    fn tile<S: Shape, const T: usize>(self, panel: &[Bytes], a: &[Token<'_, S>; T], acc: &mut [Row; T]) {
        self.run(
            #[inline(always)]
            move |s| tile::<S, Self, T>(s, panel, a, acc),
        );
    }
}

impl Products for Neon {
    const ISA: Isa = Isa::Neon;
    const TOKENS: usize = 2;
    type Floats = Neon;

    #[inline(always)]
    fn proof() -> Self {
        Neon::token()
    }

    #[inline(always)]
    fn run(self, body: impl FnOnce(Self)) {
        // NEON is part of the target.
        body(self);
    }
}

impl Neon {
    /// One step of [`ArmProducts::dots`]: adds 4 products for each row into 4 lanes of 16 bits.
    #[inline(always)]
    fn step<const T: usize, const L: i32>(acc: &mut [[int16x8_t; 4]; T], w: &[Bytes; 8], a: &[int8x16_t; T]) {
        let (w0, w1) = (signed(load(&w[2 * L as usize])), signed(load(&w[2 * L as usize + 1])));
        for t in 0..T {
            let a = bytes_of_words(lane::<L>(words(a[t])));
            let acc = &mut acc[t];
            *acc = [
                mla_lo_i8(acc[0], w0, a),
                mla_hi_i8(acc[1], w0, a),
                mla_lo_i8(acc[2], w1, a),
                mla_hi_i8(acc[3], w1, a),
            ];
        }
    }

    /// Moves the lanes of 16 bits to lanes of 32 before they can overflow.
    #[inline(always)]
    fn flush<const T: usize>(sum: &mut [[int32x4_t; 4]; T], acc: &mut [[int16x8_t; 4]; T]) {
        for t in 0..T {
            for i in 0..4 {
                sum[t][i] = add_pair_sums(sum[t][i], acc[t][i]);
            }
            acc[t] = [zero_i16(); 4];
        }
    }
}

impl ArmProducts for Neon {
    type Of<S: Shape> = S;

    #[inline(always)]
    fn dot16(self, w: int8x16_t, a: int8x16_t) -> int32x4_t {
        // |sum of two products| <= 2 * 128 * 127 = 32512.
        pair_sums(mla_hi_i8(mul_lo_i8(w, a), w, a))
    }

    #[inline(always)]
    fn dot32<const WIDE: bool>(self, acc: int32x4_t, w: [int8x16_t; 2], a: [int8x16_t; 2]) -> int32x4_t {
        let first = mla_hi_i8(mul_lo_i8(w[0], a[0]), w[0], a[0]);
        if WIDE {
            let second = mla_hi_i8(mul_lo_i8(w[1], a[1]), w[1], a[1]);
            add_pair_sums(add_pair_sums(acc, first), second)
        } else {
            // |sum of four products| <= 4 * 63 * 127 = 32004.
            add_pair_sums(acc, mla_hi_i8(mla_lo_i8(first, w[1], a[1]), w[1], a[1]))
        }
    }

    #[inline(always)]
    fn dots<const T: usize, const WIDE: bool>(self, w: &[Bytes], a: [&[[i8; 16]]; T]) -> [[int32x4_t; 2]; T] {
        let mut acc = [[zero_i16(); 4]; T];
        let mut sum = [[splat_i32(0); 4]; T];
        for (g, w) in w.as_chunks::<8>().0.iter().enumerate() {
            let mut x = [splat_i8(0); T];
            for t in 0..T {
                x[t] = load_i8(&a[t][g]);
            }
            Self::step::<T, 0>(&mut acc, w, &x);
            Self::step::<T, 1>(&mut acc, w, &x);
            if WIDE {
                Self::flush(&mut sum, &mut acc);
            }
            Self::step::<T, 2>(&mut acc, w, &x);
            Self::step::<T, 3>(&mut acc, w, &x);
            if WIDE {
                Self::flush(&mut sum, &mut acc);
            }
        }
        let mut out = [[splat_i32(0); 2]; T];
        for t in 0..T {
            if !WIDE {
                // A lane holds one product a step: |sum| <= 8 * 32 * 127 = 32512.
                sum[t] =
                    [pair_sums(acc[t][0]), pair_sums(acc[t][1]), pair_sums(acc[t][2]), pair_sums(acc[t][3])];
            }
            out[t] = [pair_add(sum[t][0], sum[t][1]), pair_add(sum[t][2], sum[t][3])];
        }
        out
    }
}
