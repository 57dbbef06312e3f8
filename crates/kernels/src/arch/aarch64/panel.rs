//! Unpacking 8 weight rows of any format into the layout that the tile multiplies.
//!
//! ```text
//! a unit:  integers  [LEN / 4][8 rows][4]  i8
//!          d         [8 rows]              f32
//!          dmin      [8 rows]              f32     formats with a minimum
//!          scales    [SUBS][8 rows]        i32     K formats
//!          mins      [SUBS][8 rows]        i16     K formats with a minimum
//! ```
//!
//! Everything is vectors of 16 bytes, so the panel is a slice of those, and a format is known by numbers only.

use super::decode::Decode;
use super::gemv::scales;
use super::shape::Shape;
use super::vector::*;
use core::arch::aarch64::{int8x16_t, int16x8_t};

/// Rows that are unpacked together.
pub(super) const ROWS: usize = 8;

/// Where the parts of a unit begin, in vectors.
pub(super) struct Layout<S>(core::marker::PhantomData<S>);

impl<S: Shape> Layout<S> {
    /// Vectors of integers of a sub-block.
    pub(super) const SUB: usize = S::LEN / S::SUBS * ROWS / 16;
    pub(super) const D: usize = Self::SUB * S::SUBS;
    pub(super) const DMIN: usize = Self::D + 2;
    pub(super) const SCALES: usize = Self::DMIN + if S::HAS_MIN { 2 } else { 0 };
    pub(super) const MINS: usize = Self::SCALES + if S::SUBS > 1 { 2 * S::SUBS } else { 0 };
    /// Vectors of a unit.
    pub(super) const UNIT: usize = Self::MINS + if S::SUBS > 1 && S::HAS_MIN { S::SUBS } else { 0 };
}

/// Unpacks the units of 8 rows; `panel` has [`Layout::UNIT`] vectors for each.
///
/// A function of its own, which both instruction sets share.
#[inline(never)]
pub(super) fn unpack<F: Decode>(rows: [&[F]; ROWS], panel: &mut [Bytes]) {
    let blocks = rows[0].len();
    let parts = <F as Decode>::PARTS;
    for (u, unit) in panel.chunks_exact_mut(Layout::<F::Shape>::UNIT).enumerate().take(blocks * parts) {
        let (u, part) = (u / parts, u % parts);
        for half in 0..2 {
            let r = 4 * half;
            unpack_4([&rows[r][u], &rows[r + 1][u], &rows[r + 2][u], &rows[r + 3][u]], part, unit, half);
        }
    }
}

/// Unpacks unit `part` of the blocks of rows `4 half ..`.
#[inline(always)]
pub(super) fn unpack_4<F: Decode>(b: [&F; 4], part: usize, unit: &mut [Bytes], half: usize) {
    macro_rules! groups {
        ($($g:literal)*) => {$(
            if const { 16 * $g < F::LEN } {
                let bias = splat_i8(F::BIAS as i8);
                let mut v = [bias; 4];
                for r in 0..4 {
                    v[r] = b[r].group_of::<$g>(part);
                    if const { F::BIAS != 0 } {
                        v[r] = add_i8(v[r], bias);
                    }
                }
                let v = transpose(v);
                for j in 0..4 {
                    store(&mut unit[8 * $g + 2 * j + half], unsigned(v[j]));
                }
            }
        )*};
    }
    if const { F::SUBS == 1 } {
        groups!(0 1);
    } else {
        groups!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }
    let [d, dmin] = scales(b, part);
    store(&mut unit[Layout::<F::Shape>::D + half], bytes_of_f32(d));
    if const { F::HAS_MIN } {
        store(&mut unit[Layout::<F::Shape>::DMIN + half], bytes_of_f32(dmin));
    }
    if const { F::SUBS > 1 } {
        let scales = by_sub([b[0].sub_scales(), b[1].sub_scales(), b[2].sub_scales(), b[3].sub_scales()]);
        for s in 0..F::SUBS {
            let (lo, hi) = (widen_lo_i16(scales[s / 2]), widen_hi_i16(scales[s / 2]));
            let v = if s % 2 == 0 { lo } else { hi };
            store(&mut unit[Layout::<F::Shape>::SCALES + 2 * s + half], bytes_of_i32(v));
        }
        if const { F::HAS_MIN } {
            let mins = by_sub([b[0].sub_mins(), b[1].sub_mins(), b[2].sub_mins(), b[3].sub_mins()]);
            for s in 0..F::SUBS {
                let words = i16_words(mins[s / 2]);
                let at = &mut unit[Layout::<F::Shape>::MINS + s].as_chunks_mut::<8>().0[half];
                *at = words[s % 2].to_le_bytes();
            }
        }
    }
}

/// Values of 16 sub-blocks of four rows, widened: vector `i` holds sub-blocks `2 i` and `2 i + 1`, four rows each.
#[inline(always)]
fn by_sub(v: [int8x16_t; 4]) -> [int16x8_t; 8] {
    let (a, b) = (zip_lo(v[0], v[2]), zip_hi(v[0], v[2]));
    let (c, d) = (zip_lo(v[1], v[3]), zip_hi(v[1], v[3]));
    let v = [zip_lo(a, c), zip_hi(a, c), zip_lo(b, d), zip_hi(b, d)];
    let mut out = [zero_i16(); 8];
    for i in 0..4 {
        out[2 * i] = widen_lo_i8(v[i]);
        out[2 * i + 1] = widen_hi_i8(v[i]);
    }
    out
}
