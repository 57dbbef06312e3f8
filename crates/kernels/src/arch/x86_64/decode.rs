//! Decoding in place: 32 integers at a time, and the scales as lanes. Blocks of 32 are in this file, blocks of several
//! units and 4-bit floats in `small`, blocks of 256 in `super_blocks`. Of these, `lattice` holds the formats whose
//! values are points of a table with signs, and `ternary` those with values -1, 0 and 1.

mod lattice;
mod small;
mod super_blocks;
mod ternary;

pub(super) use super_blocks::{even_odd, signed_scales};

use super::products::X86Products;
use super::vector::{V, map};
use crate::acts::ActKind;
use crate::linear::source::Source;
use crate::linear::unit::Unit;
use core::arch::x86_64::{__m256, __m256i};
use happy_tensor::*;

/// What [`Decode::prepare`] leaves in memory, where each number can be read by itself. All blocks of a group of rows
/// are prepared before the first is multiplied, because a number that was just written as part of a vector takes a
/// while to become readable.
#[derive(Clone, Copy)]
pub(super) struct Prepared {
    /// Indices of points in a table.
    numbers: [u16; 64],
    /// For each 32 elements: a bit for each element that is negative, or the scale of the elements in both halves.
    words: [u32; 8],
}

impl Prepared {
    /// Nothing is prepared.
    pub(super) const NONE: Self = Self { numbers: [0; 64], words: [0; 8] };
}

/// A block as vectors.
pub(super) trait Decode: Copy + 'static {
    /// The unit that portable code unpacks to the same integers.
    type Unit: Unit;
    /// See [`Unit::LEN`].
    const LEN: usize = Self::Unit::LEN;
    /// See [`Unit::REPEAT`].
    const REPEAT: usize = Self::Unit::REPEAT;
    /// See [`Unit::KIND`].
    const KIND: ActKind = Self::Unit::KIND;
    /// See [`Unit::HAS_MIN`].
    const HAS_MIN: bool = Self::Unit::HAS_MIN;
    /// Sub-blocks with scales of their own: 8 or 16 in a unit of 256.
    const SUBS: usize = Self::Unit::SUBS;
    /// Units in a block.
    const PARTS: usize = 1;
    /// The offset that is added to the integers to make them unsigned; 128 if they are signed bytes, to which nothing
    /// is added.
    const OFFSET: u8;
    /// The greatest integer after [`Decode::OFFSET`] is added. For signed bytes, the greatest magnitude.
    const MAX: i32;
    /// Whether [`Decode::d_lanes`] computes the scales. If not, they are stored as f16.
    const F32_SCALE: bool = false;
    /// Whether [`Decode::d_min`] is a byte.
    const BYTE_SCALE: bool = false;
    /// A power of two by which `d` is multiplied. Only used if `d` is an f16 and the format has no minimum.
    const D_FACTOR: f32 = 1.0;

    /// Calls `f` with `i` and integers `32 i .. 32 i + 32` of the block, in ascending order. [`Decode::OFFSET`] is
    /// added, so that they are unsigned; signed bytes are passed as they are.
    fn each_32(&self, v: V, f: impl FnMut(usize, __m256i));

    /// Returns the `i`-th vector of [`Decode::each_32`]. If units have 16 integers, it holds two of them, one in each
    /// half.
    #[inline(always)]
    fn group(&self, v: V, i: usize) -> __m256i {
        let mut group = v.zero();
        self.each_32(
            v,
            #[inline(always)]
            |at, q| {
                if at == i {
                    group = q;
                }
            },
        );
        group
    }

    /// Whether a gemv multiplies two blocks at a time, joined by [`Decode::joined`]. For formats of 32 whose halves can
    /// be loaded without a shuffle.
    const JOINED: bool = false;

    /// Returns integers `0..16` of both blocks, then integers `16..32` of both, as [`Decode::each_32`] passes them. For
    /// formats that are [`Decode::JOINED`].
    #[inline(always)]
    fn joined(v: V, [a, b]: [&Self; 2]) -> [__m256i; 2] {
        let (a, b) = (a.group(v, 0), b.group(v, 0));
        [v.halves::<0x20>(a, b), v.halves::<0x31>(a, b)]
    }

    /// Returns the `i`-th vector of [`Decode::each_32`] of 8 blocks as columns: lane `r` of result `j` holds integers
    /// `4 j .. 4 j + 4` of block `r`. For formats without sub-blocks.
    #[inline(always)]
    fn columns(v: V, blocks: [&Self; 8], i: usize) -> [__m256i; 8] {
        v.transpose(map(
            blocks,
            #[inline(always)]
            |block| block.group(v, i),
        ))
    }

    /// Calls `f` with `i`, `j` and, in lanes, integers `32 i + 4 j .. 32 i + 4 j + 4` of 8 blocks. For formats with
    /// sub-blocks.
    #[inline(always)]
    fn each_word(v: V, blocks: [&Self; 8], mut f: impl FnMut(usize, usize, __m256i)) {
        let mut rows = [[v.zero(); 8]; 8];
        for (r, block) in blocks.into_iter().enumerate() {
            block.each_32(
                v,
                #[inline(always)]
                |i, q| rows[i][r] = q,
            );
        }
        for (i, rows) in rows.into_iter().enumerate() {
            for (j, q) in v.transpose(rows).into_iter().enumerate() {
                f(i, j, q);
            }
        }
    }

    /// Whether a few tokens are multiplied with columns of the blocks where they lie, without a panel: set where that
    /// costs less than unpacking.
    const COLUMNS: bool = Self::SUBS == 1;

    /// The fewest tokens for which columns are faster than a gemv for each token.
    const FEWEST: usize = 2;

    /// The two groups of 32 integers that [`Decode::two_columns`] returns for `k` = 0, 1, 2, 3.
    const PAIRS: [[usize; 2]; 4] = [[0, 1], [2, 3], [4, 5], [6, 7]];

    /// Returns columns of 8 blocks that several calls of [`Decode::two_columns`] use. For formats with sub-blocks and
    /// [`Decode::COLUMNS`].
    #[inline(always)]
    fn high_columns(v: V, _: [&Self; 8]) -> [[__m256i; 8]; 2] {
        [[v.zero(); 8]; 2]
    }

    /// Returns the groups [`Decode::PAIRS`]`[k]` of 8 blocks as columns, like [`Decode::columns`]. For formats with
    /// sub-blocks.
    #[inline(always)]
    fn two_columns(v: V, blocks: [&Self; 8], k: usize, _high: &[[__m256i; 8]; 2]) -> [[__m256i; 8]; 2] {
        let mut columns = [[v.zero(); 8]; 8];
        Self::each_word(
            v,
            blocks,
            #[inline(always)]
            |i, j, q| columns[i][j] = q,
        );
        let [a, b] = Self::PAIRS[k];
        [columns[a], columns[b]]
    }

    /// Computes [`Decode::sub_scales`] of 8 blocks as columns. `scales` gets the scales of integers `32 i .. 32 i + 16`
    /// and `32 i + 16 .. 32 i + 32` next to each other, as [`RowProducts::scale_lanes`] lays them out; only the former
    /// are set if there are 8 sub-blocks. `pairs` gets what is multiplied with two sums of activations.
    #[inline(always)]
    fn sub_columns<I: X86Products>(
        s: I,
        blocks: [&Self; 8],
        scales: &mut [__m256i; 16],
        pairs: &mut [__m256i; 8],
    ) {
        let v = s.v();
        let (mut each, mut other) = ([v.zero(); 8], [v.zero(); 8]);
        for r in 0..8 {
            (each[r], other[r]) = blocks[r].sub_scales(v);
        }
        let low = map(
            each,
            #[inline(always)]
            |x| s.scale_lanes(v.widen_i16(v.low_half(x))),
        );
        let (scales, _) = scales.as_chunks_mut::<2>();
        for (x, scales) in v.transpose(low).into_iter().zip(&mut *scales) {
            scales[0] = x;
        }
        if Self::SUBS == 16 {
            let high = map(
                each,
                #[inline(always)]
                |x| s.scale_lanes(v.widen_i16(v.high_half::<1>(x))),
            );
            for (x, scales) in v.transpose(high).into_iter().zip(scales) {
                scales[1] = x;
            }
        }
        *pairs = v.transpose(other);
    }

    /// Computes what [`Decode::each_product`] needs of the block as a whole.
    #[inline(always)]
    fn prepare(&self, _: V, _: &mut Prepared) {}

    /// Calls `f` with `i`, unsigned bytes and signed bytes. Their products are those of the vectors that
    /// [`Decode::each_32`] passes with `a[i]`.
    ///
    /// # Safety
    /// `prepared` is what [`Decode::prepare`] of this block left.
    #[inline(always)]
    unsafe fn each_product<I: X86Products>(
        &self,
        s: I,
        _prepared: &Prepared,
        a: &[[i8; 32]],
        mut f: impl FnMut(usize, __m256i, __m256i),
    ) {
        let v = s.v();
        self.each_32(
            v,
            #[inline(always)]
            |i, q| {
                let a = v.load_i8(&a[i]);
                // The magnitudes, with the signs moved to the activations: sums of two products fit an i16.
                let (q, a) = if is_signed::<Self>() { (v.abs8(q), v.sign8(a, q)) } else { (q, a) };
                f(i, q, a);
            },
        );
    }

    /// Returns partial sums of the products of [`Decode::each_product`] times `scales`, the first result of
    /// [`Decode::sub_scales`].
    ///
    /// # Safety
    /// `prepared` is what [`Decode::prepare`] of this block left.
    #[inline(always)]
    unsafe fn scaled_sum<I: X86Products>(
        &self,
        s: I,
        prepared: &Prepared,
        a: &[[i8; 32]],
        scales: __m256i,
    ) -> __m256i {
        let v = s.v();
        // Two sums, because each addition to a single one would wait for the one before.
        let mut sums = [v.zero(); 2];
        // SAFETY: the caller's promise.
        unsafe {
            self.each_product(
                s,
                prepared,
                a,
                #[inline(always)]
                |i, q, a| {
                    let ith = v.splat16(0x0100 + 0x0202 * i as i16);
                    sums[i % 2] = s.scaled_dot(sums[i % 2], q, a, v.shuffle8(scales, ith));
                },
            );
        }
        v.add32(sums[0], sums[1])
    }

    /// Returns the f16 bits of `d` and, in the upper half, those of the minimum's scale as it is stored, if there is
    /// one; or the bits from which [`Decode::d_lanes`] computes `d`.
    fn d_min(&self) -> u32;

    /// Returns `d` of unit `part` in lanes, from [`Decode::d_min`] of 8 blocks. Unless the format says otherwise, these
    /// are its f32 bits.
    #[inline(always)]
    fn d_lanes(v: V, stored: __m256i, part: usize) -> __m256 {
        debug_assert!(part < Self::PARTS);
        v.of_bits(stored)
    }

    /// Returns the f32 bits of the minimum's scale, with the sign with which it is stored. For formats with
    /// [`Decode::F32_SCALE`].
    #[inline(always)]
    fn min(&self) -> u32 {
        0
    }

    /// Returns the sub-scales and what is multiplied with the sums of activations, both as i16. For formats with
    /// sub-blocks.
    ///
    /// In the first result, the `i`-th i16 of the low (high) half is the scale of integers `32 i .. 32 i + 16`
    /// (`32 i + 16 .. 32 i + 32`). Lane `s` of the second belongs to the sum of integers `16 s .. 16 s + 16`: it is the
    /// minimum, or the scale times minus the offset.
    #[inline(always)]
    fn sub_scales(&self, v: V) -> (__m256i, __m256i) {
        (v.splat16(1), v.zero())
    }
}

/// Returns whether the integers are signed bytes, for which no offset keeps them in the range of a product of `u8` and
/// `i8`.
pub(super) const fn is_signed<F: Decode>() -> bool {
    F::OFFSET == 128
}

/// Returns whether 32 integers of a block are two units of 16. (Portable code unpacks such units one by one.)
pub(super) const fn two_units<F: Decode>() -> bool {
    F::REPEAT == 2 && F::PARTS > 1
}

#[inline(always)]
fn f16_bits(d: [u8; 2]) -> u32 {
    u32::from(u16::from_le_bytes(d))
}

#[inline(always)]
fn f16_bits_2(d: [u8; 2], m: [u8; 2]) -> u32 {
    u32::from_le_bytes([d[0], d[1], m[0], m[1]])
}

/// Returns integers `0..16`, the low nibbles, in the low half, and integers `16..32`, the high nibbles, in the high
/// half.
#[inline(always)]
fn nibbles(v: V, qs: &[u8; 16]) -> __m256i {
    let shifts = v.words([0, 0, 0, 0, 4, 4, 4, 4]);
    v.and(v.shr32_each(v.twice(v.load_128(qs)), shifts), v.splat8(0xF))
}

/// Returns [`nibbles`] of two blocks: the first halves of both, then the second halves.
#[inline(always)]
fn joined_nibbles(v: V, [a, b]: [&[u8; 16]; 2]) -> [__m256i; 2] {
    let (both, low) = (v.joined(v.load_128(b), v.load_128(a)), v.splat8(0xF));
    [v.and(both, low), v.and(v.shr16::<4>(both), low)]
}

/// Returns [`joined_nibbles`] with a fifth bit from `qh`.
#[inline(always)]
fn joined_fifth(v: V, qs: [&[u8; 16]; 2], [a, b]: [u32; 2]) -> [__m256i; 2] {
    let [x, y] = joined_nibbles(v, qs);
    [v.or(x, fifth_bits(v, a & 0xFFFF | b << 16)), v.or(y, fifth_bits(v, a >> 16 | b & 0xFFFF_0000))]
}

/// Returns [`nibbles`] of 8 blocks as columns. Words of packed nibbles are transposed, half as many as words of
/// integers.
#[inline(always)]
fn nibble_columns(v: V, qs: [&[u8; 16]; 8]) -> [__m256i; 8] {
    let low = v.splat8(0xF);
    let [a, b, c, d] = v.columns4(map(
        qs,
        #[inline(always)]
        |qs| v.load_128(qs),
    ));
    let high = |x| v.and(v.shr16::<4>(x), low);
    [v.and(a, low), v.and(b, low), v.and(c, low), v.and(d, low), high(a), high(b), high(c), high(d)]
}

/// Returns the bytes of `table` that columns of nibbles choose.
#[inline(always)]
fn look_up_columns(v: V, table: __m256i, qs: [&[u8; 16]; 8]) -> [__m256i; 8] {
    map(
        nibble_columns(v, qs),
        #[inline(always)]
        |nibbles| v.shuffle8(table, nibbles),
    )
}

/// Returns the first and the last 16 of 32 bytes.
#[inline(always)]
pub(super) fn halves(x: &[i8; 32]) -> [&[i8; 16]; 2] {
    let (halves, _) = x.as_chunks();
    [&halves[0], &halves[1]]
}

/// Returns 16 in the bytes whose bit of `qh` is set, else 0.
#[inline(always)]
fn fifth_bits(v: V, qh: u32) -> __m256i {
    v.and(v.set_bits(qh), v.splat8(16))
}

impl Decode for BlockQ4_0 {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 8;
    const MAX: i32 = 15;
    const JOINED: bool = true;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        f(0, nibbles(v, &self.qs));
    }
    #[inline(always)]
    fn columns(v: V, blocks: [&Self; 8], _: usize) -> [__m256i; 8] {
        nibble_columns(v, map(blocks, |block| &block.qs))
    }
    #[inline(always)]
    fn joined(v: V, [a, b]: [&Self; 2]) -> [__m256i; 2] {
        joined_nibbles(v, [&a.qs, &b.qs])
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits(self.d)
    }
}

impl Decode for BlockQ4_1 {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 0;
    const MAX: i32 = 15;
    const JOINED: bool = true;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        f(0, nibbles(v, &self.qs));
    }
    #[inline(always)]
    fn columns(v: V, blocks: [&Self; 8], _: usize) -> [__m256i; 8] {
        nibble_columns(v, map(blocks, |block| &block.qs))
    }
    #[inline(always)]
    fn joined(v: V, [a, b]: [&Self; 2]) -> [__m256i; 2] {
        joined_nibbles(v, [&a.qs, &b.qs])
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits_2(self.d, self.m)
    }
}

impl Decode for BlockQ5_0 {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 16;
    const MAX: i32 = 31;
    const JOINED: bool = true;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        f(0, v.or(nibbles(v, &self.qs), fifth_bits(v, self.qh())));
    }
    #[inline(always)]
    fn joined(v: V, [a, b]: [&Self; 2]) -> [__m256i; 2] {
        joined_fifth(v, [&a.qs, &b.qs], [a.qh(), b.qh()])
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits(self.d)
    }
}

impl Decode for BlockQ5_1 {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 0;
    const MAX: i32 = 31;
    const JOINED: bool = true;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        f(0, v.or(nibbles(v, &self.qs), fifth_bits(v, self.qh())));
    }
    #[inline(always)]
    fn joined(v: V, [a, b]: [&Self; 2]) -> [__m256i; 2] {
        joined_fifth(v, [&a.qs, &b.qs], [a.qh(), b.qh()])
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits_2(self.d, self.m)
    }
}

impl Decode for BlockQ8_0 {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 128;
    const MAX: i32 = 128;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        f(0, v.load_i8(&self.qs));
    }
    #[inline(always)]
    fn columns(v: V, blocks: [&Self; 8], _: usize) -> [__m256i; 8] {
        let half = |i: usize| {
            map(
                blocks,
                #[inline(always)]
                |block| v.load_i8_128(&block.qs.as_chunks().0[i]),
            )
        };
        let ([a, b, c, d], [e, f, g, h]) = (v.columns4(half(0)), v.columns4(half(1)));
        [a, b, c, d, e, f, g, h]
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits(self.d)
    }
}

/// Returns the levels that 32 nibbles choose.
#[inline(always)]
fn look_up(v: V, levels: &[i8; 16], qs: &[u8; 16]) -> __m256i {
    v.shuffle8(v.twice(v.load_i8_128(levels)), nibbles(v, qs))
}

impl Decode for BlockIQ4NL {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 128;
    const MAX: i32 = 127;
    const JOINED: bool = true;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        f(0, look_up(v, &IQ4_LEVELS, &self.qs));
    }
    #[inline(always)]
    fn columns(v: V, blocks: [&Self; 8], _: usize) -> [__m256i; 8] {
        look_up_columns(v, v.twice(v.load_i8_128(&IQ4_LEVELS)), map(blocks, |block| &block.qs))
    }
    #[inline(always)]
    fn joined(v: V, [a, b]: [&Self; 2]) -> [__m256i; 2] {
        let levels = v.twice(v.load_i8_128(&IQ4_LEVELS));
        let [x, y] = joined_nibbles(v, [&a.qs, &b.qs]);
        [v.shuffle8(levels, x), v.shuffle8(levels, y)]
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits(self.d)
    }
}
