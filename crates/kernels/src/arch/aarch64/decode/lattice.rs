//! IQ1 to IQ3: eight or four integers at a time are a point of a table.

use super::Decode;
use crate::arch::aarch64::shape::{Subs8, Subs16, WideSubs8, WideSubs16};
use crate::arch::aarch64::vector::*;
use crate::linear::source::Source;
use core::arch::aarch64::{int8x16_t, uint8x16_t};
use happy_tensor::formats::lattice::{IQ1, IQ2_S, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS, eight_signs};
use happy_tensor::{BlockIQ1M, BlockIQ1S, BlockIQ2S, BlockIQ2XS, BlockIQ2XXS, BlockIQ3S, BlockIQ3XXS};

/// Signs of 8 integers as factors, for each pattern of the 7 that are stored.
static SIGNS: [[i8; 8]; 128] = {
    let mut signs = [[1; 8]; 128];
    let mut seven = 0;
    while seven < 128 {
        let mut i = 0;
        while i < 8 {
            if eight_signs(seven as u32) >> i & 1 == 1 {
                signs[seven][i] = -1;
            }
            i += 1;
        }
        seven += 1;
    }
    signs
};

/// Returns integers with the signs of two times 7 bits.
#[inline(always)]
fn with_14_signs(q: int8x16_t, first: u32, second: u32) -> int8x16_t {
    mul_i8(q, load_8([&SIGNS[(first & 127) as usize], &SIGNS[(second & 127) as usize]]))
}

/// Returns all ones in the bytes whose bit is set: bit `16 i + j` belongs to byte `j`.
#[inline(always)]
fn set_bits(bits: &[u8; 8], i: usize) -> uint8x16_t {
    const BYTES: [Bytes; 4] = [
        [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1],
        [2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3],
        [4, 4, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5],
        [6, 6, 6, 6, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7],
    ];
    test(table(load_low(bits), load(&BYTES[i])), splat_u64(0x8040_2010_0804_0201))
}

/// Returns integers `16 group ..` with their signs, which are stored as a bit each.
#[inline(always)]
fn with_signs(q: int8x16_t, signs: &[u8; 32], group: usize) -> int8x16_t {
    let minus = set_bits(&signs.as_chunks().0[group / 4], group % 4);
    signed(sub_u8(xor(unsigned(q), minus), minus))
}

/// Returns `2 n + 1` of each byte.
#[inline(always)]
fn odd(n: uint8x16_t) -> int8x16_t {
    signed(or(add_u8(n, n), splat_u8(1)))
}

/// Returns the odd scales that 16 nibbles stand for.
#[inline(always)]
fn odd_nibbles(nibbles: [u8; 8]) -> int8x16_t {
    let both = splat_u64(u64::from_le_bytes(nibbles));
    let (low, high) = (signed(and(both, splat_u8(15))), signed(shr::<4>(both)));
    odd(unsigned(zip_lo(low, high)))
}

/// Returns the index of a point from its low byte and its high bits.
#[inline(always)]
fn number(low: u8, high: u32) -> usize {
    (high << 8) as usize | usize::from(low)
}

impl Decode for BlockIQ2XXS {
    type Unit = <Self as Source>::Unit;
    type Shape = WideSubs8;
    const D_FACTOR: f32 = 0.125;
    scales!(d);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        let [qs @ .., a, b, c, d] = self.qs[G / 2];
        let points = load_8([&IQ2_XXS[usize::from(qs[G % 2 * 2])], &IQ2_XXS[usize::from(qs[G % 2 * 2 + 1])]]);
        let signs = u32::from_le_bytes([a, b, c, d]) >> (G % 2 * 14);
        with_14_signs(points, signs, signs >> 7)
    }
    /// The scales are the upper nibbles of the last byte of each sub-block.
    #[inline(always)]
    fn sub_scales(&self) -> int8x16_t {
        const LAST: Bytes = [7, 15, 23, 31, 39, 47, 55, 63, 0, 0, 0, 0, 0, 0, 0, 0];
        odd(shr::<4>(table_64(&self.qs.as_flattened().as_chunks().0[0], load(&LAST))))
    }
}

impl Decode for BlockIQ2XS {
    type Unit = <Self as Source>::Unit;
    type Shape = WideSubs16;
    const D_FACTOR: f32 = 0.125;
    scales!(d);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        let (a, b) = (u16::from_le_bytes(self.qs[2 * G]), u16::from_le_bytes(self.qs[2 * G + 1]));
        let points = load_8([&IQ2_XS[usize::from(a & 511)], &IQ2_XS[usize::from(b & 511)]]);
        with_14_signs(points, u32::from(a >> 9), u32::from(b >> 9))
    }
    #[inline(always)]
    fn sub_scales(&self) -> int8x16_t {
        odd_nibbles(self.scales)
    }
}

impl Decode for BlockIQ2S {
    type Unit = <Self as Source>::Unit;
    type Shape = WideSubs16;
    const D_FACTOR: f32 = 0.125;
    scales!(d);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        let high = u32::from(self.qh[G / 2]) >> (G % 2 * 4);
        let point = |l: usize| &IQ2_S[number(self.qs[2 * G + l], high >> (2 * l) & 3)];
        with_signs(load_8([point(0), point(1)]), &self.signs, G)
    }
    #[inline(always)]
    fn sub_scales(&self) -> int8x16_t {
        odd_nibbles(self.scales)
    }
}

impl Decode for BlockIQ3XXS {
    type Unit = <Self as Source>::Unit;
    type Shape = WideSubs8;
    const D_FACTOR: f32 = 0.25;
    scales!(d);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        let [a, b, c, d] = self.qs.as_chunks().0[G];
        let point = |n| &IQ3_XXS[usize::from(n)];
        let points = load_4([point(a), point(b), point(c), point(d)]);
        let signs = u32::from_le_bytes(self.signs[G / 2]) >> (G % 2 * 14);
        with_14_signs(points, signs, signs >> 7)
    }
    /// The scales are the upper nibbles of the last byte of each word of signs.
    #[inline(always)]
    fn sub_scales(&self) -> int8x16_t {
        const LAST: Bytes = [3, 7, 11, 15, 19, 23, 27, 31, 0, 0, 0, 0, 0, 0, 0, 0];
        odd(shr::<4>(table_32(&self.signs.as_flattened().as_chunks().0[0], load(&LAST))))
    }
}

impl Decode for BlockIQ3S {
    type Unit = <Self as Source>::Unit;
    type Shape = Subs8;
    scales!(d);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        // The indices of 16 points are computed at once, which serves four groups.
        let (low, high) = (signed(load(&self.qs.as_chunks().0[G / 4])), signed(set_bits(&self.qh, G / 4)));
        let numbers = if const { G % 4 < 2 } { zip_lo(low, high) } else { zip_hi(low, high) };
        let n = words_16(unsigned(numbers))[G % 2] as usize;
        // The high bit was spread to eight; `look_up_4` ignores those that no index has.
        with_signs(look_up_4(&IQ3_S, [n, n >> 16, n >> 32, n >> 48]), &self.signs, G)
    }
    #[inline(always)]
    fn sub_scales(&self) -> int8x16_t {
        const BYTES: Bytes = [0, 0, 1, 1, 2, 2, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0];
        const SHIFTS: [i8; 16] = [0, -4, 0, -4, 0, -4, 0, -4, 0, 0, 0, 0, 0, 0, 0, 0];
        let bytes = table(splat_u32(u32::from_le_bytes(self.scales)), load(&BYTES));
        odd(and(shift(bytes, load_i8(&SHIFTS)), splat_u8(15)))
    }
}

impl Decode for BlockIQ1S {
    type Unit = <Self as Source>::Unit;
    type Shape = Subs8;
    const D_FACTOR: f32 = 0.125;
    scales!(d);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        let h = u32::from(u16::from_le_bytes(self.qh[G / 2]));
        let high = h >> (G % 2 * 6);
        let point = |l: usize| &IQ1[number(self.qs[2 * G + l], high >> (3 * l) & 7)];
        // 1, or -1 if bit 15 is set.
        let shift = 1 - (h >> 15 << 1) as i8;
        add_i8(load_8([point(0), point(1)]), splat_i8(shift))
    }
    /// The scales are bits 12 .. 15 of each u16.
    #[inline(always)]
    fn sub_scales(&self) -> int8x16_t {
        const UPPER: Bytes = [1, 3, 5, 7, 9, 11, 13, 15, 0, 0, 0, 0, 0, 0, 0, 0];
        let upper = table(load(&self.qh.as_flattened().as_chunks().0[0]), load(&UPPER));
        odd(and(shr::<4>(upper), splat_u8(7)))
    }
}

/// The shifts of two points, indexed by the two bits that say whether they are -1.
static SHIFTS: [[i8; 16]; 4] = {
    let mut shifts = [[1; 16]; 4];
    let mut i = 0;
    while i < 8 {
        shifts[1][i] = -1;
        shifts[2][8 + i] = -1;
        shifts[3][i] = -1;
        shifts[3][8 + i] = -1;
        i += 1;
    }
    shifts
};

impl Decode for BlockIQ1M {
    type Unit = <Self as Source>::Unit;
    type Shape = Subs16;
    const D_FACTOR: f32 = 0.125;

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        let h = u32::from(self.qh[G]);
        let point = |l: usize| &IQ1[number(self.qs[2 * G + l], h >> (4 * l) & 7)];
        let shift = load_i8(&SHIFTS[(h >> 3 & 1 | h >> 6 & 2) as usize]);
        add_i8(load_8([point(0), point(1)]), shift)
    }
    /// `d` is stored in four pieces, in the bits above the scales.
    #[inline(always)]
    fn d_min_bits(&self) -> u32 {
        let pieces = u64::from_le_bytes(self.scales.as_flattened().as_chunks().0[0]);
        (pieces >> 12 & 0xF | pieces >> 24 & 0xF0 | pieces >> 36 & 0xF00 | pieces >> 48 & 0xF000) as u32
    }
    /// The scales are bits `3 j .. 3 j + 3` of each u16.
    #[inline(always)]
    fn sub_scales(&self) -> int8x16_t {
        const LOW: Bytes = [0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3];
        const HIGH: Bytes = [4, 5, 4, 5, 4, 5, 4, 5, 6, 7, 6, 7, 6, 7, 6, 7];
        let all = splat_u64(u64::from_le_bytes(self.scales.as_flattened().as_chunks().0[0]));
        let shifts = load_i16(&[0, -3, -6, -9, 0, -3, -6, -9]);
        let (low, high) = (table(all, load(&LOW)), table(all, load(&HIGH)));
        odd(and(even_bytes(shift_16(low, shifts), shift_16(high, shifts)), splat_u8(7)))
    }
}
