//! Decoding in place, and what else the kernels need of a format: 32 integers at a time, and the scales as lanes. The
//! blocks of 32 are here, those of 256 in `super_blocks`, and in `lattice` those that are points of a table.

mod lattice;
mod super_blocks;

pub(super) use super_blocks::{even_odd, signed_scales};

use super::vector::V;
use crate::acts::ActKind;
use crate::linear::source::Source;
use crate::linear::unit::Unit;
use core::arch::x86_64::__m256i;
use happy_tensor::*;

/// A block as vectors.
pub(super) trait Decode: Copy + 'static {
    /// The unit of the same integers that portable code unpacks.
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
    /// What makes the integers unsigned when added to them; 128 for signed bytes.
    const OFFSET: u8;
    /// The greatest integer, [`Decode::OFFSET`] added: 2^bits - 1. For signed bytes the greatest magnitude.
    const MAX: i32;
    /// Whether [`Decode::d_min`] is an f32.
    const F32_SCALE: bool = false;
    /// A power of two that `d` is multiplied with, where it is an f16 without a minimum.
    const D_FACTOR: f32 = 1.0;

    /// Calls `f` with `i` and integers `32 i .. 32 i + 32`, in ascending order. [`Decode::OFFSET`] is added to them, so
    /// that they are unsigned; signed bytes are as stored.
    fn each_32(&self, v: V, f: impl FnMut(usize, __m256i));

    /// The f16 bits of `d`, and in the upper half those of the minimum's scale as it is stored, if there is one; or the
    /// f32 bits of `d`.
    fn d_min(&self) -> u32;

    /// The f32 bits of the minimum's scale, with the sign with which it is stored; where [`Decode::F32_SCALE`].
    #[inline(always)]
    fn min(&self) -> u32 {
        0
    }

    /// The sub-scales and what goes with the sums of activations, both i16; formats with sub-blocks only.
    ///
    /// The first is such that its `i`-th i16 in the low (high) half is the scale of integers `32 i .. 32 i + 16`
    /// (`32 i + 16 .. 32 i + 32`). Lane `s` of the second belongs to the sum of integers `16 s .. 16 s + 16`: the
    /// minimum, or the scale times minus the offset.
    #[inline(always)]
    fn sub_scales(&self, v: V) -> (__m256i, __m256i) {
        (v.splat16(1), v.zero())
    }
}

/// Whether the integers are signed bytes that no offset fits into the range of a `u8` times `i8` product.
pub(super) const fn is_signed<F: Decode>() -> bool {
    F::OFFSET == 128
}

#[inline(always)]
fn f16_bits(d: [u8; 2]) -> u32 {
    u32::from(u16::from_le_bytes(d))
}

#[inline(always)]
fn f16_bits_2(d: [u8; 2], m: [u8; 2]) -> u32 {
    u32::from_le_bytes([d[0], d[1], m[0], m[1]])
}

/// Integers `0..16` in the low half, from the low nibbles, `16..32` in the high half.
#[inline(always)]
fn nibbles(v: V, qs: &[u8; 16]) -> __m256i {
    let shifts = v.words([0, 0, 0, 0, 4, 4, 4, 4]);
    v.and(v.shr32_each(v.twice(v.load_128(qs)), shifts), v.splat8(0xF))
}

/// All ones in the bytes whose bit is set.
#[inline(always)]
fn set_bits(v: V, bits: u32) -> __m256i {
    let spread =
        v.words([0, 0, 0x0101_0101, 0x0101_0101, 0x0202_0202, 0x0202_0202, 0x0303_0303, 0x0303_0303]);
    let each = v.splat64(0x8040_2010_0804_0201u64 as i64);
    v.equal8(v.and(v.shuffle8(v.splat32(bits as i32), spread), each), each)
}

/// 16 in the bytes whose bit of `qh` is set.
#[inline(always)]
fn fifth_bits(v: V, qh: u32) -> __m256i {
    v.and(set_bits(v, qh), v.splat8(16))
}

impl Decode for BlockQ4_0 {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 8;
    const MAX: i32 = 15;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        f(0, nibbles(v, &self.qs));
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

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        f(0, nibbles(v, &self.qs));
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

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        f(0, v.or(nibbles(v, &self.qs), fifth_bits(v, self.qh())));
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

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        f(0, v.or(nibbles(v, &self.qs), fifth_bits(v, self.qh())));
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
    fn d_min(&self) -> u32 {
        f16_bits(self.d)
    }
}

/// The values that 32 nibbles choose.
#[inline(always)]
fn look_up(v: V, levels: &[i8; 16], qs: &[u8; 16]) -> __m256i {
    v.shuffle8(v.twice(v.load_i8_128(levels)), nibbles(v, qs))
}

impl Decode for BlockIQ4NL {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 128;
    const MAX: i32 = 127;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        f(0, look_up(v, &IQ4_LEVELS, &self.qs));
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits(self.d)
    }
}

impl Decode for BlockMXFP4 {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 128;
    const MAX: i32 = 12;
    const F32_SCALE: bool = true;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        f(0, look_up(v, &FP4_LEVELS, &self.qs));
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        self.d().to_bits()
    }
}
