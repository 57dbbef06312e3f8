//! Unpacking 8 weight rows of any format into the layouts that tiles multiply.
//!
//! ```text
//! rows in lanes, a unit:    integers  [VALUES / 4][8 rows][4]  i8
//!                           d         [8 rows]              f32
//!                           dmin      [8 rows]              f32     formats with a minimum
//!                           scales    [SUBS][8 rows]        i32     formats with sub-blocks
//!                           mins      [SUBS][8 rows]        i16     formats with sub-blocks and a minimum
//!
//! pairs of rows, a unit:    [VALUES / 32], or one:
//!                               integers  [4, or 2][4 pairs][2 rows][8]      i8
//!                               steps     [SUBS / 8][4 pairs][again]   i32     formats with sub-blocks: scale - next scale
//!                           d         [4 pairs][again]             f32
//!                           dmin      [4 pairs][again]             f32     formats with a minimum
//!                           mins      [SUBS / 8][4 pairs][2 rows][8]   i8      formats with sub-blocks and a minimum
//! ```
//!
//! "again" stands for the values of the two rows, twice: the lanes of a tile of pairs are two tokens of two rows each.
//! Everything consists of vectors of 16 bytes, so the panel is a slice of those, and only the numbers of its [`Shape`]
//! distinguish a format.

use super::decode::Decode;
use super::gemv::scales;
use super::shape::Shape;
use super::vector::*;
use core::arch::aarch64::{int8x16_t, int16x8_t, int32x4_t, uint8x16_t};

/// Rows that are unpacked together.
pub(super) const ROWS: usize = 8;

/// Where the parts of a unit begin, in vectors, with rows in lanes.
pub(super) struct Layout<S>(core::marker::PhantomData<S>);

impl<S: Shape> Layout<S> {
    /// Vectors of integers of a sub-block.
    pub(super) const SUB: usize = S::VALUES / S::SUBS * ROWS / 16;
    pub(super) const D: usize = Self::SUB * S::SUBS;
    pub(super) const DMIN: usize = Self::D + 2;
    pub(super) const SCALES: usize = Self::DMIN + if S::HAS_MIN { 2 } else { 0 };
    pub(super) const MINS: usize = Self::SCALES + if S::SUBS > 1 { 2 * S::SUBS } else { 0 };
    /// Vectors of a unit.
    pub(super) const UNIT: usize = Self::MINS + if S::SUBS > 1 && S::HAS_MIN { S::SUBS } else { 0 };
}

/// Where the parts of a unit begin, in vectors, with pairs of rows.
pub(super) struct PairLayout<S>(core::marker::PhantomData<S>);

impl<S: Shape> PairLayout<S> {
    /// Integers of a row in a chunk.
    const IN_CHUNK: usize = if S::VALUES < 32 { S::VALUES } else { 32 };
    /// Vectors of a chunk of integers and the steps of their scales.
    pub(super) const CHUNK: usize = Self::STEPS + S::SUBS / 8 * 4;
    /// Where the steps begin in a chunk, in vectors.
    pub(super) const STEPS: usize = Self::IN_CHUNK * ROWS / 16;
    pub(super) const D: usize = Self::CHUNK * S::VALUES / Self::IN_CHUNK;
    pub(super) const DMIN: usize = Self::D + 4;
    pub(super) const MINS: usize = Self::DMIN + if S::HAS_MIN { 4 } else { 0 };
    /// Vectors of a unit.
    pub(super) const UNIT: usize = Self::MINS + if S::HAS_MIN { S::SUBS / 8 * 4 } else { 0 };
}

/// Returns the number of vectors of a unit in the layout of pairs, or of lanes.
pub(super) const fn unit_len<S: Shape>(pairs: bool) -> usize {
    if pairs { PairLayout::<S>::UNIT } else { Layout::<S>::UNIT }
}

/// Unpacks the units of 8 rows; `panel` has [`unit_len`] vectors for each.
///
/// It is not inlined, so that all instruction sets share it.
#[inline(never)]
pub(super) fn unpack<F: Decode>(rows: [&[F]; ROWS], panel: &mut [Bytes], pairs: bool) {
    let blocks = rows[0].len();
    let parts = <F as Decode>::PARTS;
    let units = panel.chunks_exact_mut(unit_len::<F::Shape>(pairs)).take(blocks * parts);
    for (u, unit) in units.enumerate() {
        let (block, place) = (u / parts, Unit { part: u % parts, of_block: u % F::REPEAT, pairs });
        for half in 0..2 {
            let r = 4 * half;
            let b = [&rows[r][block], &rows[r + 1][block], &rows[r + 2][block], &rows[r + 3][block]];
            unpack_4(b, place, unit, half);
        }
    }
}

/// Which unit is unpacked, and how.
#[derive(Clone, Copy)]
pub(super) struct Unit {
    /// Its index in the block of weights.
    pub(super) part: usize,
    /// Its index in the block of activations.
    pub(super) of_block: usize,
    /// Whether it is unpacked in pairs of rows.
    pub(super) pairs: bool,
}

/// Unpacks a unit of the blocks of rows `4 half ..`.
#[inline(always)]
pub(super) fn unpack_4<F: Decode>(b: [&F; 4], which: Unit, unit: &mut [Bytes], half: usize) {
    let Unit { part, of_block, pairs } = which;
    // One check here instead of one at each of the stores.
    let unit = &mut unit[..unit_len::<F::Shape>(pairs)];
    macro_rules! groups {
        ($($g:literal)*) => {$(
            if const { 16 * $g < F::LEN } && (const { F::REPEAT == 1 } || of_block == $g) {
                let bias = splat_i8(F::BIAS as i8);
                let mut v = [bias; 4];
                for r in 0..4 {
                    v[r] = b[r].group_of::<$g>(part);
                    if const { F::BIAS != 0 } {
                        v[r] = add_i8(v[r], bias);
                    }
                }
                store_integers::<F::Shape>(v, if F::REPEAT == 1 { $g } else { 0 }, unit, half, pairs);
            }
        )*};
    }
    if const { F::SUBS == 1 } {
        groups!(0 1);
    } else {
        groups!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }
    let [d, dmin] = scales(b, part);
    store_4(bytes_of_f32(d), unit, Layout::<F::Shape>::D, PairLayout::<F::Shape>::D, half, pairs);
    if const { F::HAS_MIN } {
        let at = (Layout::<F::Shape>::DMIN, PairLayout::<F::Shape>::DMIN);
        store_4(bytes_of_f32(dmin), unit, at.0, at.1, half, pairs);
    }
    if const { F::SUBS > 1 } {
        let scales = [b[0].sub_scales(), b[1].sub_scales(), b[2].sub_scales(), b[3].sub_scales()];
        store_scales::<F::Shape>(by_sub(scales), unit, half, pairs);
        if const { F::HAS_MIN } {
            let mins = [b[0].sub_mins(), b[1].sub_mins(), b[2].sub_mins(), b[3].sub_mins()];
            store_mins::<F::Shape>(mins, unit, half, pairs);
        }
    }
}

/// Stores integers `16 group ..` of four rows.
#[inline(always)]
fn store_integers<S: Shape>(v: [int8x16_t; 4], group: usize, unit: &mut [Bytes], half: usize, pairs: bool) {
    let (a, b, c, d) = (unsigned(v[0]), unsigned(v[1]), unsigned(v[2]), unsigned(v[3]));
    let (ab, cd) = (low_halves(a, b), low_halves(c, d));
    let (ab_hi, cd_hi) = (high_halves(a, b), high_halves(c, d));
    if pairs {
        let at = &mut unit[PairLayout::<S>::CHUNK * (group / 2) + 8 * (group % 2)..][..8];
        store(&mut at[2 * half], ab);
        store(&mut at[2 * half + 1], cd);
        store(&mut at[4 + 2 * half], ab_hi);
        store(&mut at[4 + 2 * half + 1], cd_hi);
    } else {
        let at = &mut unit[8 * group..][..8];
        store(&mut at[half], even_words(ab, cd));
        store(&mut at[2 + half], odd_words(ab, cd));
        store(&mut at[4 + half], even_words(ab_hi, cd_hi));
        store(&mut at[6 + half], odd_words(ab_hi, cd_hi));
    }
}

/// Stores a number of 32 bits for each of four rows, in the part that begins at `lanes` or at `at_pairs`.
#[inline(always)]
fn store_4(v: uint8x16_t, unit: &mut [Bytes], lanes: usize, at_pairs: usize, half: usize, pairs: bool) {
    if pairs {
        store(&mut unit[at_pairs + 2 * half], low_halves(v, v));
        store(&mut unit[at_pairs + 2 * half + 1], high_halves(v, v));
    } else {
        store(&mut unit[lanes + half], v);
    }
}

/// Stores the scales of four rows, or the differences to the next scales for pairs of rows.
#[inline(always)]
fn store_scales<S: Shape>(scales: [int16x8_t; 8], unit: &mut [Bytes], half: usize, pairs: bool) {
    for i in 0..S::SUBS / 2 {
        let mut v = scales[i];
        if pairs {
            let next = if i + 1 < S::SUBS / 2 { scales[i + 1] } else { zero_i16() };
            v = sub_i16(v, inner_halves(v, next));
        }
        let subs: [int32x4_t; 2] = [widen_lo_i16(v), widen_hi_i16(v)];
        for (s, v) in subs.into_iter().enumerate() {
            let s = 2 * i + s;
            let each = S::SUBS / 8;
            let at_pairs = PairLayout::<S>::CHUNK * (s / each) + PairLayout::<S>::STEPS + 4 * (s % each);
            store_4(bytes_of_i32(v), unit, Layout::<S>::SCALES + 2 * s, at_pairs, half, pairs);
        }
    }
}

/// Stores the minimums of four rows.
#[inline(always)]
fn store_mins<S: Shape>(mins: [int8x16_t; 4], unit: &mut [Bytes], half: usize, pairs: bool) {
    if pairs {
        let [a, b, c, d] = [unsigned(mins[0]), unsigned(mins[1]), unsigned(mins[2]), unsigned(mins[3])];
        let at = PairLayout::<S>::MINS + 2 * half;
        store(&mut unit[at], low_halves(a, b));
        store(&mut unit[at + 1], low_halves(c, d));
        if const { S::SUBS == 16 } {
            store(&mut unit[at + 4], high_halves(a, b));
            store(&mut unit[at + 5], high_halves(c, d));
        }
        return;
    }
    let mins = by_sub(mins);
    for s in 0..S::SUBS {
        let words = i16_words(mins[s / 2]);
        let at = &mut unit[Layout::<S>::MINS + s].as_chunks_mut::<8>().0[half];
        *at = words[s % 2].to_le_bytes();
    }
}

/// Widens values of 16 sub-blocks of four rows: vector `i` of the result holds sub-blocks `2 i` and `2 i + 1`, four
/// rows each.
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
