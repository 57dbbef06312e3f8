//! The integer products that NEON and dot product instructions do differently; all else is shared.

use super::dotprod_asm::{sdot, sdot_lane0, sdot_lane1, sdot_lane2, sdot_lane3};
use super::shape::Shape;
use super::tile::{Row, Token, tile};
use super::vec::*;
use core::arch::aarch64::{int8x16_t, int16x8_t, int32x4_t};

/// Integer products of one instruction set, as a token: who has one may use its instructions.
///
/// `WIDE` says that the weights have 8 bits; without it, `|w| <= 63` in the products of a row and `|w| <= 32` in
/// those of a panel. Activations lie in -127 ..= 127. Lanes wrap; whole sums are exact.
pub(super) trait Dot: Copy {
    /// Tokens of a tile: as many as registers hold.
    const TOKENS: usize;

    /// A vector whose lanes add up to the sum of `w[i] * a[i]`.
    fn dot16(self, w: int8x16_t, a: int8x16_t) -> int32x4_t;

    /// A vector whose lanes add up to those of `acc` and the sum of `w[i] * a[i]` over two vectors.
    fn dot32<const WIDE: bool>(self, acc: int32x4_t, w: [int8x16_t; 2], a: [int8x16_t; 2]) -> int32x4_t;

    /// The products of 8 rows with `T` tokens: rows in lanes, `[token][row / 4]`.
    ///
    /// `w` is `[k / 4][8 rows][4]` of a panel, two vectors a step of 4 values, and `a` the same values of each token.
    fn dots<const T: usize, const WIDE: bool>(self, w: &[Bytes], a: [&[[i8; 16]]; T]) -> [[int32x4_t; 2]; T];

    /// [`tile`] as a function of its own, so that formats of one shape share it.
    fn tile<S: Shape, const T: usize>(self, panel: &[Bytes], a: &[Token<'_, S>; T], acc: &mut [Row; T]);
}

/// What every AArch64 processor has.
#[derive(Clone, Copy)]
pub(super) struct Neon;

impl Neon {
    /// One step of [`Dot::dots`]: adds 4 products for each row into 4 lanes of 16 bits.
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

impl Dot for Neon {
    // 8 accumulators of 16 bits, 4 sums, 4 results and the operands fit 32 registers; with 4 tokens nothing does.
    const TOKENS: usize = 2;

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

    #[inline(never)]
    fn tile<S: Shape, const T: usize>(self, panel: &[Bytes], a: &[Token<'_, S>; T], acc: &mut [Row; T]) {
        tile::<S, Self, T>(self, panel, a, acc);
    }
}

/// Processors with `sdot`.
#[derive(Clone, Copy)]
pub(super) struct Dotprod(());

impl Dotprod {
    /// The token, where the feature is known to be there.
    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    pub(super) fn new() -> Self {
        Dotprod(())
    }
}

/// Calls an instruction of [`Dotprod`].
macro_rules! dotprod {
    ($f:ident, $acc:expr, $w:expr, $a:expr) => {{
        let (acc, w, a) = ($acc, $w, $a);
        // SAFETY: a `Dotprod` is made only where the processor has the feature.
        unsafe { $f(acc, w, a) }
    }};
}

impl Dot for Dotprod {
    const TOKENS: usize = 4;

    #[inline(always)]
    fn dot16(self, w: int8x16_t, a: int8x16_t) -> int32x4_t {
        dotprod!(sdot, splat_i32(0), w, a)
    }

    #[inline(always)]
    fn dot32<const WIDE: bool>(self, acc: int32x4_t, w: [int8x16_t; 2], a: [int8x16_t; 2]) -> int32x4_t {
        dotprod!(sdot, dotprod!(sdot, acc, w[0], a[0]), w[1], a[1])
    }

    #[inline(always)]
    fn dots<const T: usize, const WIDE: bool>(self, w: &[Bytes], a: [&[[i8; 16]]; T]) -> [[int32x4_t; 2]; T] {
        let mut acc = [[splat_i32(0); 2]; T];
        for (g, w) in w.as_chunks::<8>().0.iter().enumerate() {
            let mut x = [splat_i8(0); T];
            for t in 0..T {
                x[t] = load_i8(&a[t][g]);
            }
            macro_rules! step {
                ($f:ident, $w0:literal) => {
                    let (w0, w1) = (signed(load(&w[$w0])), signed(load(&w[$w0 + 1])));
                    for t in 0..T {
                        acc[t] = [dotprod!($f, acc[t][0], w0, x[t]), dotprod!($f, acc[t][1], w1, x[t])];
                    }
                };
            }
            step!(sdot_lane0, 0);
            step!(sdot_lane1, 2);
            step!(sdot_lane2, 4);
            step!(sdot_lane3, 6);
        }
        acc
    }

    fn tile<S: Shape, const T: usize>(self, panel: &[Bytes], a: &[Token<'_, S>; T], acc: &mut [Row; T]) {
        #[inline(never)]
        #[target_feature(enable = "neon,dotprod")]
        fn run<S: Shape, const T: usize>(
            dot: Dotprod,
            panel: &[Bytes],
            a: &[Token<'_, S>; T],
            acc: &mut [Row; T],
        ) {
            tile::<S, Dotprod, T>(dot, panel, a, acc);
        }
        // SAFETY: a `Dotprod` is made only where the processor has the feature.
        unsafe { run::<S, T>(self, panel, a, acc) }
    }
}
