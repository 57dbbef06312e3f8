//! Small blocks: 4-bit floats, and blocks of several units with 1 or 2 bits an element.

use super::{Decode, f16_bits, joined_nibbles, look_up_columns, nibbles};
use crate::arch::x86_64::vector::{V, map};
use crate::linear::source::Source;
use core::arch::x86_64::{__m256, __m256i};
use happy_tensor::{BlockMXFP4, BlockNVFP4, BlockQ1_0, BlockQ2_0, FP4_LEVELS};

/// The greatest of [`FP4_LEVELS`].
const FP4_MAX: u8 = 12;

/// [`FP4_LEVELS`] plus [`FP4_MAX`].
const FP4_UNSIGNED: [u8; 16] = {
    let mut levels = [0; 16];
    let mut i = 0;
    while i < 16 {
        levels[i] = (FP4_LEVELS[i] + FP4_MAX as i8) as u8;
        i += 1;
    }
    levels
};

/// Returns the levels that 32 nibbles choose.
#[inline(always)]
fn fp4(v: V, nibbles: __m256i) -> __m256i {
    v.shuffle8(v.twice(v.load_128(&FP4_UNSIGNED)), nibbles)
}

impl Decode for BlockMXFP4 {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = FP4_MAX;
    const MAX: i32 = 2 * FP4_MAX as i32;
    const F32_SCALE: bool = true;
    const BYTE_SCALE: bool = true;
    const JOINED: bool = true;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        f(0, fp4(v, nibbles(v, &self.qs)));
    }
    #[inline(always)]
    fn columns(v: V, blocks: [&Self; 8], _: usize) -> [__m256i; 8] {
        look_up_columns(v, v.twice(v.load_128(&FP4_UNSIGNED)), map(blocks, |block| &block.qs))
    }
    #[inline(always)]
    fn joined(v: V, [a, b]: [&Self; 2]) -> [__m256i; 2] {
        let [x, y] = joined_nibbles(v, [&a.qs, &b.qs]);
        [fp4(v, x), fp4(v, y)]
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        u32::from(self.e)
    }
    /// `d` is 2^(e - 128): its bits are `(e - 1) << 23`, or `(e + 1) << 21` for `e` below 2, where it is subnormal. For
    /// each `e` the greater of the two is right.
    #[inline(always)]
    fn d_lanes(v: V, e: __m256i, _: usize) -> __m256 {
        let subnormal = v.shl32::<21>(v.min32(v.add32(e, v.splat32(1)), v.splat32(2)));
        let normal = v.shl32::<23>(v.add32(e, v.splat32(-1)));
        v.of_bits(v.max32(normal, subnormal))
    }
}

impl Decode for BlockNVFP4 {
    type Unit = <Self as Source>::Unit;
    const PARTS: usize = 4;
    const OFFSET: u8 = FP4_MAX;
    const MAX: i32 = 2 * FP4_MAX as i32;
    const F32_SCALE: bool = true;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        for i in 0..2 {
            f(i, self.group(v, i));
        }
    }
    #[inline(always)]
    fn group(&self, v: V, i: usize) -> __m256i {
        let both: &[u8; 16] = &self.qs.as_flattened().as_chunks().0[i];
        // 8 bytes twice in each half: first for the low nibbles, then for the high ones.
        let twice = v.quarters::<0b01_01_00_00>(v.twice(v.load_128(both)));
        let shifted = v.shr64_each(twice, v.words([0, 0, 4, 0, 0, 0, 4, 0]));
        fp4(v, v.and(shifted, v.splat8(0xF)))
    }
    /// Returns the bits of four scales.
    #[inline(always)]
    fn d_min(&self) -> u32 {
        u32::from_le_bytes(self.d)
    }
    /// `d` is half the value of an unsigned E4M3, whose bits are those of an f32 with another bias, subnormal numbers
    /// included. As f32, `bits << 20` is 2^-120 times that value, and 2^119 times this is half of it. 0x7F is 0.
    #[inline(always)]
    fn d_lanes(v: V, stored: __m256i, part: usize) -> __m256 {
        let byte = v.and(v.shr32_each(stored, v.splat32(8 * part as i32)), v.splat32(0xFF));
        let bits = v.and_not(v.equal32(byte, v.splat32(0x7F)), v.and(byte, v.splat32(0x7F)));
        v.mul(v.of_bits(v.shl32::<20>(bits)), v.splat_f32(f32::from_bits((127 + 119) << 23)))
    }
}

impl Decode for BlockQ1_0 {
    type Unit = <Self as Source>::Unit;
    const PARTS: usize = 4;
    const OFFSET: u8 = 1;
    const MAX: i32 = 2;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        for i in 0..4 {
            f(i, self.group(v, i));
        }
    }
    #[inline(always)]
    fn group(&self, v: V, i: usize) -> __m256i {
        v.and(v.set_bits(u32::from_le_bytes(self.qs.as_chunks().0[i])), v.splat8(2))
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits(self.d)
    }
}

impl Decode for BlockQ2_0 {
    type Unit = <Self as Source>::Unit;
    const PARTS: usize = 2;
    const OFFSET: u8 = 1;
    const MAX: i32 = 3;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        for i in 0..2 {
            f(i, self.group(v, i));
        }
    }
    /// Each byte is spread to four: two copies of it, and two of its upper nibble. From each pair, fields 0 and 1 of
    /// the lower nibble are kept, one in each copy; field 1 stays a multiple of 4. A table maps both to integers.
    #[inline(always)]
    fn group(&self, v: V, i: usize) -> __m256i {
        let bytes = v.splat64(i64::from_le_bytes(self.qs.as_chunks().0[i]));
        let nibbles = v.shr64_each(bytes, v.words([0, 0, 4, 0, 0, 0, 4, 0]));
        let spread = v.words([
            0x0808_0000,
            0x0909_0101,
            0x0A0A_0202,
            0x0B0B_0303,
            0x0C0C_0404,
            0x0D0D_0505,
            0x0E0E_0606,
            0x0F0F_0707,
        ]);
        let fields = v.and(v.shuffle8(nibbles, spread), v.splat32(0x0C03_0C03));
        v.shuffle8(v.twice(v.load_128(&[0, 1, 2, 3, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0])), fields)
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits(self.d)
    }
}
