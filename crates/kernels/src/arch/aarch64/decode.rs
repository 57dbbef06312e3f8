//! Decoding on NEON: 16 integers of a unit as a vector, one function for each format. Formats whose values are points
//! of tables are in `lattice`, blocks of several units in `small`, and formats with values -1, 0 and 1 in `ternary`.
//!
//! A group is decoded in the cheapest way. It may differ from the integers by a constant, [`Decode::BIAS`], which
//! `gemv` corrects with the sums of the activations and which the unpacker of panels adds. High bits that a format
//! stores apart are inserted so that they act as signs: `insert` of all ones above `n` bits subtracts `2^n`, so
//! inserting the inverted high bit gives `x - 2^n` if the bit is clear and `x` if it is set.

use super::shape::{Plain, PlainMin, Shape, Subs8Min, Subs16, Subs16Min, Wide, WideSubs8};
use super::vector::*;
use crate::acts::ActKind;
use crate::linear::source::Source;
use crate::linear::unit::Unit;
use core::arch::aarch64::{float32x4_t, int8x16_t, uint8x16_t};
use happy_tensor::{
    BlockIQ4NL, BlockIQ4XS, BlockMXFP4, BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0,
    BlockQ5_1, BlockQ5K, BlockQ6K, BlockQ8_0, FP4_LEVELS, IQ4_LEVELS,
};

/// A block, or an unpacked unit, as vectors.
pub(super) trait Decode: Copy + 'static {
    /// The unit that portable code unpacks to the same integers.
    type Unit: Unit;
    /// What a tile must know of the format.
    type Shape: Shape;
    /// See [`Unit::LEN`].
    const LEN: usize = Self::Unit::LEN;
    /// See [`Unit::REPEAT`].
    const REPEAT: usize = Self::Unit::REPEAT;
    /// See [`Unit::KIND`].
    const KIND: ActKind = Self::Unit::KIND;
    /// See [`Unit::HAS_MIN`].
    const HAS_MIN: bool = Self::Unit::HAS_MIN;
    /// Sub-blocks with scales of their own: 8 or 16 in a unit of 256.
    const SUBS: usize = Self::Shape::SUBS;
    /// Units in a block.
    const PARTS: usize = 1;
    /// The constant that is added to a group to get the integers.
    const BIAS: i32 = 0;
    /// Whether [`Decode::d_lanes`] computes the scales. If not, they are stored as f16.
    const F32_SCALE: bool = false;
    /// A power of two by which `d` is multiplied. Only used if `d` is an f16 and the format has no minimum.
    const D_FACTOR: f32 = 1.0;

    /// Returns elements `16 G ..` of the unit, less the bias.
    fn group<const G: usize>(&self) -> int8x16_t;
    /// Returns elements `16 G ..` of unit `part` of the block, less the bias. A unit of 16 has zeros in the half that
    /// belongs to the other unit.
    #[inline(always)]
    fn group_of<const G: usize>(&self, part: usize) -> int8x16_t {
        debug_assert!(part == 0);
        self.group::<G>()
    }
    /// Returns the f16 bits of `d` and, above them, those of the scale of the minimum, 0 without one; or the bits from
    /// which [`Decode::d_lanes`] computes `d`. [`Shape::HAS_MIN`] says whether the minimum is added or subtracted.
    fn d_min_bits(&self) -> u32;
    /// Returns `d` of unit `part` of four blocks, from their [`Decode::d_min_bits`]. Unless the format says otherwise,
    /// these are its f32 bits.
    #[inline(always)]
    fn d_lanes(bits: [u32; 4], part: usize) -> float32x4_t {
        debug_assert!(part < Self::PARTS);
        f32_of_bits(bits)
    }
    /// Returns the f32 bits of the minimum's scale. For formats with [`Decode::F32_SCALE`].
    #[inline(always)]
    fn min_bits(&self) -> u32 {
        0
    }
    /// Returns the scales of the sub-blocks; only the lower bytes are used if there are 8.
    #[inline(always)]
    fn sub_scales(&self) -> int8x16_t {
        splat_i8(1)
    }
    /// Returns the minimums of the sub-blocks.
    #[inline(always)]
    fn sub_mins(&self) -> int8x16_t {
        splat_i8(1)
    }
}

/// Returns whether the shape agrees with the format's unit in portable code.
pub(super) const fn same_shape<F: Decode>() -> bool {
    F::Shape::LEN == F::LEN
        && F::Shape::REPEAT == F::REPEAT
        && F::Shape::HAS_MIN == F::HAS_MIN
        && (F::SUBS == 1) == (<F::Unit as Unit>::SUBS == 1)
}

/// Returns the `i`-th 16 bytes of a field.
#[inline(always)]
fn part<const N: usize>(field: &[u8; N], i: usize) -> uint8x16_t {
    load(&field.as_chunks::<16>().0[i])
}

/// Returns the lower nibbles, or the upper ones.
#[inline(always)]
fn nibbles(v: uint8x16_t, upper: bool) -> uint8x16_t {
    if upper { shr::<4>(v) } else { and(v, splat_u8(15)) }
}

/// Returns bits `2 j` and `2 j + 1` of each byte.
#[inline(always)]
fn pairs(v: uint8x16_t, j: usize) -> uint8x16_t {
    let three = splat_u8(3);
    match j {
        0 => and(v, three),
        1 => and(shr::<2>(v), three),
        2 => and(shr::<4>(v), three),
        _ => shr::<6>(v),
    }
}

/// Returns all ones in the bytes whose bit is clear: bit `16 half + i` of `bits` belongs to byte `i`.
#[inline(always)]
fn clear_bits(bits: u32, half: usize) -> uint8x16_t {
    const BYTES: [Bytes; 2] =
        [[0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1], [2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3]];
    test(table(not(splat_u32(bits)), load(&BYTES[half])), splat_u64(0x8040_2010_0804_0201))
}

macro_rules! scales {
    ($d:ident) => {
        #[inline(always)]
        fn d_min_bits(&self) -> u32 {
            u32::from(u16::from_le_bytes(self.$d))
        }
    };
    ($d:ident, $min:ident) => {
        #[inline(always)]
        fn d_min_bits(&self) -> u32 {
            u32::from_le_bytes([self.$d[0], self.$d[1], self.$min[0], self.$min[1]])
        }
    };
}

// After the macro, because they use it.
mod lattice;
mod small;
mod ternary;

impl Decode for BlockQ4_0 {
    type Unit = <Self as Source>::Unit;
    type Shape = Plain;
    const BIAS: i32 = -8;
    scales!(d);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        signed(nibbles(load(&self.qs), G == 1))
    }
}

impl Decode for BlockQ4_1 {
    type Unit = <Self as Source>::Unit;
    type Shape = PlainMin;
    scales!(d, m);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        signed(nibbles(load(&self.qs), G == 1))
    }
}

impl Decode for BlockQ5_0 {
    type Unit = <Self as Source>::Unit;
    type Shape = Plain;
    scales!(d);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        signed(insert::<4>(nibbles(load(&self.qs), G == 1), clear_bits(self.qh(), G)))
    }
}

impl Decode for BlockQ5_1 {
    type Unit = <Self as Source>::Unit;
    type Shape = PlainMin;
    const BIAS: i32 = 16;
    scales!(d, m);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        signed(insert::<4>(nibbles(load(&self.qs), G == 1), clear_bits(self.qh(), G)))
    }
}

impl Decode for BlockQ8_0 {
    type Unit = <Self as Source>::Unit;
    type Shape = Wide;
    scales!(d);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        load_i8(&self.qs.as_chunks::<16>().0[G])
    }
}

impl Decode for BlockQ2K {
    type Unit = <Self as Source>::Unit;
    type Shape = Subs16Min;
    scales!(d, dmin);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        signed(pairs(part(&self.qs, G / 8 * 2 + G % 2), G / 2 % 4))
    }
    #[inline(always)]
    fn sub_scales(&self) -> int8x16_t {
        signed(nibbles(load(&self.scales), false))
    }
    #[inline(always)]
    fn sub_mins(&self) -> int8x16_t {
        signed(nibbles(load(&self.scales), true))
    }
}

impl Decode for BlockQ3K {
    type Unit = <Self as Source>::Unit;
    type Shape = Subs16;
    scales!(d);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        let low = pairs(part(&self.qs, G / 8 * 2 + G % 2), G / 2 % 4);
        let clear = test(not(part(&self.hmask, G % 2)), splat_u8(1 << (G / 2)));
        signed(insert::<2>(low, clear))
    }
    /// The layout is drawn in `happy_tensor::formats::scales_k3`: low four bits from bytes 0..8, high two from bytes
    /// 8..12.
    #[inline(always)]
    fn sub_scales(&self) -> int8x16_t {
        const LOW: [i8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, -4, -4, -4, -4, -4, -4, -4, -4];
        const HIGH: [i8; 16] = [0, 0, 0, 0, -2, -2, -2, -2, -4, -4, -4, -4, -6, -6, -6, -6];
        let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3] = self.scales;
        let low = splat_u64(u64::from_le_bytes([a0, a1, a2, a3, b0, b1, b2, b3]));
        let high = splat_u32(u32::from_le_bytes([c0, c1, c2, c3]));
        let low = and(shift(low, load_i8(&LOW)), splat_u8(15));
        let high = and(shift(high, load_i8(&HIGH)), splat_u8(3));
        add_i8(signed(insert::<4>(low, high)), splat_i8(-32))
    }
}

macro_rules! k4_scales {
    () => {
        #[inline(always)]
        fn sub_scales(&self) -> int8x16_t {
            signed(splat_u64(u64::from_le_bytes(self.scales_mins().0)))
        }
        #[inline(always)]
        fn sub_mins(&self) -> int8x16_t {
            signed(splat_u64(u64::from_le_bytes(self.scales_mins().1)))
        }
    };
}

impl Decode for BlockQ4K {
    type Unit = <Self as Source>::Unit;
    type Shape = Subs8Min;
    scales!(d, dmin);
    k4_scales!();

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        signed(nibbles(part(&self.qs, G / 4 * 2 + G % 2), G / 2 % 2 == 1))
    }
}

impl Decode for BlockQ5K {
    type Unit = <Self as Source>::Unit;
    type Shape = Subs8Min;
    const BIAS: i32 = 16;
    scales!(d, dmin);
    k4_scales!();

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        let low = nibbles(part(&self.qs, G / 4 * 2 + G % 2), G / 2 % 2 == 1);
        let clear = test(not(part(&self.qh, G % 2)), splat_u8(1 << (G / 2)));
        signed(insert::<4>(low, clear))
    }
}

impl Decode for BlockQ6K {
    type Unit = <Self as Source>::Unit;
    type Shape = Subs16;
    const BIAS: i32 = -32;
    scales!(d);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        let j = G / 2 % 4;
        let low = nibbles(part(&self.ql, G / 8 * 4 + j % 2 * 2 + G % 2), j >= 2);
        let high = part(&self.qh, G / 8 * 2 + G % 2);
        signed(if j == 2 { or(low, and(high, splat_u8(0x30))) } else { insert::<4>(low, pairs(high, j)) })
    }
    #[inline(always)]
    fn sub_scales(&self) -> int8x16_t {
        load_i8(&self.scales)
    }
}

/// Returns the levels that the lower nibbles choose, or the upper ones.
#[inline(always)]
fn look_up(levels: &[i8; 16], qs: &[u8; 16], upper: bool) -> int8x16_t {
    signed(table(unsigned(load_i8(levels)), nibbles(load(qs), upper)))
}

impl Decode for BlockIQ4NL {
    type Unit = <Self as Source>::Unit;
    type Shape = Wide;
    scales!(d);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        look_up(&IQ4_LEVELS, &self.qs, G == 1)
    }
}

impl Decode for BlockMXFP4 {
    type Unit = <Self as Source>::Unit;
    type Shape = Plain;
    const F32_SCALE: bool = true;

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        look_up(&FP4_LEVELS, &self.qs, G == 1)
    }
    #[inline(always)]
    fn d_min_bits(&self) -> u32 {
        self.d().to_bits()
    }
}

impl Decode for BlockIQ4XS {
    type Unit = <Self as Source>::Unit;
    type Shape = WideSubs8;
    scales!(d);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        look_up(&IQ4_LEVELS, &self.qs[G / 2], G % 2 == 1)
    }
    /// Low four bits from the nibbles of `scales_l`, high two from the pairs of `scales_h`.
    #[inline(always)]
    fn sub_scales(&self) -> int8x16_t {
        const LOW_BYTES: Bytes = [0, 0, 1, 1, 2, 2, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0];
        const LOW: [i8; 16] = [0, -4, 0, -4, 0, -4, 0, -4, 0, 0, 0, 0, 0, 0, 0, 0];
        const HIGH_BYTES: Bytes = [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        const HIGH: [i8; 16] = [0, -2, -4, -6, 0, -2, -4, -6, 0, 0, 0, 0, 0, 0, 0, 0];
        let low = table(splat_u32(u32::from_le_bytes(self.scales_l)), load(&LOW_BYTES));
        let high = table(splat_u32(u32::from(u16::from_le_bytes(self.scales_h))), load(&HIGH_BYTES));
        let low = and(shift(low, load_i8(&LOW)), splat_u8(15));
        let high = and(shift(high, load_i8(&HIGH)), splat_u8(3));
        add_i8(signed(insert::<4>(low, high)), splat_i8(-32))
    }
}
