//! The microkernel: 8 unpacked rows times a few tokens, shared by all formats of a shape.

use super::gemv::{add_min, add_scaled, sub_sums, sums_of_32};
use super::panel::{Layout, ROWS};
use super::products::ArmProducts;
use super::shape::Shape;
use super::vector::*;
use core::arch::aarch64::{float32x4_t, int32x4_t};

/// A token's activations in a stretch of units.
pub(super) struct Token<'a, S: Shape> {
    pub(super) q: &'a [S::Quants],
    pub(super) d: &'a [f32],
    pub(super) sums: &'a [S::Sums],
}

impl<S: Shape> Clone for Token<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Shape> Copy for Token<'_, S> {}

/// A token's results for the rows of a panel.
pub(super) type Row = [f32; ROWS];

/// Adds the products of 8 rows and `T` tokens to `y`, over as many units as the tokens have blocks for.
#[inline(always)]
pub(super) fn tile<S: Shape, D: ArmProducts, const T: usize>(
    dot: D,
    panel: &[Bytes],
    tokens: &[Token<'_, S>; T],
    y: &mut [Row; T],
) {
    let blocks = tokens[0].d.len();
    // Vectors of activations of a unit.
    let groups = S::VALUES / 16;
    let units = blocks * S::REPEAT;
    let mut a = *tokens;
    let mut acc = [[splat_f32(0.0); 2]; T];
    for t in 0..T {
        // All have the same length, so indices need no checks below.
        a[t] = Token { q: &a[t].q[..blocks], d: &a[t].d[..blocks], sums: &a[t].sums[..blocks] };
        let y = y[t].as_chunks::<4>().0;
        acc[t] = [load_f32(&y[0]), load_f32(&y[1])];
    }
    for (u, unit) in (0..units).zip(panel.chunks_exact(Layout::<S>::UNIT)) {
        let at = u / S::REPEAT;
        let mut x = [&[][..]; T];
        for t in 0..T {
            x[t] = &a[t].q[at].as_ref()[u % S::REPEAT * groups..][..groups];
        }
        let isum = if const { S::SUBS == 1 } {
            dots::<S, D, T>(dot, &unit[..Layout::<S>::SUB], x)
        } else {
            scaled_dots::<S, D, T>(dot, unit, x)
        };
        let d = pair_f32(unit, Layout::<S>::D);
        for t in 0..T {
            let da = splat_f32(a[t].d[at]);
            for i in 0..2 {
                acc[t][i] = add_scaled(acc[t][i], isum[t][i], d[i], da);
            }
        }
        if const { S::HAS_MIN } {
            let dmin = pair_f32(unit, Layout::<S>::DMIN);
            let mut sums = [&[][..]; T];
            for t in 0..T {
                sums[t] = a[t].sums[at].as_ref();
            }
            let msum = msums::<S, T>(unit, sums);
            for t in 0..T {
                let da = splat_f32(a[t].d[at]);
                for i in 0..2 {
                    acc[t][i] = add_min::<S>(acc[t][i], msum[t][i], dmin[i], da);
                }
            }
        }
    }
    for t in 0..T {
        let y = y[t].as_chunks_mut::<4>().0;
        store_f32(&mut y[0], acc[t][0]);
        store_f32(&mut y[1], acc[t][1]);
    }
}

/// Returns the dot products of a sub-block.
#[inline(always)]
fn dots<S: Shape, D: ArmProducts, const T: usize>(
    dot: D,
    w: &[Bytes],
    a: [&[[i8; 16]]; T],
) -> [[int32x4_t; 2]; T] {
    if const { S::WIDE } { dot.dots::<T, true>(w, a) } else { dot.dots::<T, false>(w, a) }
}

/// Returns the sum over the sub-blocks of scale times dot product.
#[inline(always)]
fn scaled_dots<S: Shape, D: ArmProducts, const T: usize>(
    dot: D,
    unit: &[Bytes],
    a: [&[[i8; 16]]; T],
) -> [[int32x4_t; 2]; T] {
    let groups = S::LEN / S::SUBS / 16;
    let mut isum = [[splat_i32(0); 2]; T];
    for s in 0..S::SUBS {
        let mut x = a;
        for t in 0..T {
            x[t] = &a[t][groups * s..][..groups];
        }
        let dots = dots::<S, D, T>(dot, &unit[Layout::<S>::SUB * s..][..Layout::<S>::SUB], x);
        let at = Layout::<S>::SCALES + 2 * s;
        let scale = [words_of_bytes(load(&unit[at])), words_of_bytes(load(&unit[at + 1]))];
        for t in 0..T {
            for i in 0..2 {
                isum[t][i] = mla_i32(isum[t][i], dots[t][i], scale[i]);
            }
        }
    }
    isum
}

/// Loads two vectors of a unit, which hold a number for each of 8 rows.
#[inline(always)]
fn pair_f32(unit: &[Bytes], at: usize) -> [float32x4_t; 2] {
    [f32_of_bytes(load(&unit[at])), f32_of_bytes(load(&unit[at + 1]))]
}

/// Returns the sums over the sub-blocks of minimum times sum of activations.
#[inline(always)]
fn msums<S: Shape, const T: usize>(unit: &[Bytes], sums: [&[i16]; T]) -> [[float32x4_t; 2]; T] {
    let mut out = [[splat_f32(0.0); 2]; T];
    if const { S::SUBS == 1 } {
        for t in 0..T {
            out[t] = [to_f32(lane::<0>(pair_sums(sums_of_32(sums[t])))); 2];
        }
        return out;
    }
    let mut a = [[splat_i16(0); 2]; T];
    for t in 0..T {
        a[t] = sub_sums::<S>(sums[t]);
    }
    let mut msum = [[splat_i32(0); 2]; T];
    macro_rules! add {
        ($($s:literal)*) => {$(
            if const { $s < S::SUBS } {
                let mins = i16_of_bytes(load(&unit[Layout::<S>::MINS + $s]));
                for t in 0..T {
                    msum[t][0] = mla_lo_lane_i16::<{ $s % 8 }>(msum[t][0], mins, a[t][$s / 8]);
                    msum[t][1] = mla_hi_lane_i16::<{ $s % 8 }>(msum[t][1], mins, a[t][$s / 8]);
                }
            }
        )*};
    }
    add!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    for t in 0..T {
        out[t] = [to_f32(msum[t][0]), to_f32(msum[t][1])];
    }
    out
}
