//! Blocks of 256, with sub-scales.

use super::{Decode, f16_bits, f16_bits_2, look_up};
use crate::arch::x86_64::vector::V;
use crate::linear::source::Source;
use core::arch::x86_64::{__m128i, __m256i};
use happy_tensor::*;

/// 16 bytes with the even ones first.
#[inline(always)]
pub(in crate::arch::x86_64) fn even_odd(v: V, x: __m128i) -> __m128i {
    v.shuffle8_128(x, v.load_128(&[0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15]))
}

/// 16 lanes with the even ones first.
#[inline(always)]
pub(super) fn even_odd_16(v: V, x: __m256i) -> __m256i {
    let within = [0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15];
    v.quarters::<0b11_01_10_00>(v.shuffle8(x, v.twice(v.load_128(&within))))
}

/// [`Decode::sub_scales`] of 16 signed bytes and an offset.
#[inline(always)]
pub(in crate::arch::x86_64) fn signed_scales(v: V, x: __m128i, offset: i16) -> (__m256i, __m256i) {
    (v.widen_i8(even_odd(v, x)), v.mul16(v.widen_i8(x), v.splat16(-offset)))
}

/// [`Decode::sub_scales`] of 8 scales and minimums of 32 integers each.
#[inline(always)]
fn scales_of_32(v: V, (scales, mins): ([u8; 8], [u8; 8])) -> (__m256i, __m256i) {
    let scales = v.of_u64(i64::from_le_bytes(scales));
    let mins = v.of_u64(i64::from_le_bytes(mins));
    let both =
        v.widen_u8(v.shuffle8_128(scales, v.load_128(&[0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7])));
    (both, v.widen_u8(v.low8_128(mins, mins)))
}

/// The pairs of bits of 64 bytes, as Q2_K and TQ2_0 lay them out.
#[inline(always)]
pub(super) fn pairs(v: V, qs: &[u8; 64], mut f: impl FnMut(usize, __m256i)) {
    let low = v.splat8(3);
    let [q0, q1] = two(qs);
    let (x, y) = (v.load(q0), v.load(q1));
    f(0, v.and(x, low));
    f(1, v.and(v.shr16::<2>(x), low));
    f(2, v.and(v.shr16::<4>(x), low));
    f(3, v.and(v.shr16::<6>(x), low));
    f(4, v.and(y, low));
    f(5, v.and(v.shr16::<2>(y), low));
    f(6, v.and(v.shr16::<4>(y), low));
    f(7, v.and(v.shr16::<6>(y), low));
}

impl Decode for BlockQ2K {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 0;
    const MAX: i32 = 3;

    #[inline(always)]
    fn each_32(&self, v: V, f: impl FnMut(usize, __m256i)) {
        pairs(v, &self.qs, f);
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits_2(self.d, self.dmin)
    }
    #[inline(always)]
    fn sub_scales(&self, v: V) -> (__m256i, __m256i) {
        let x = v.load_128(&self.scales);
        let low = v.splat8_128(0xF);
        let (scales, mins) = (v.and_128(x, low), v.and_128(v.shr16_128::<4>(x), low));
        (v.widen_u8(even_odd(v, scales)), v.widen_u8(mins))
    }
}

impl Decode for BlockQ3K {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 4;
    const MAX: i32 = 7;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        let (low, third) = (v.splat8(3), v.splat8(4));
        let m = v.load(&self.hmask);
        let [q0, q1] = two(&self.qs);
        let (x, y) = (v.load(q0), v.load(q1));
        f(0, v.or(v.and(x, low), v.and(v.shl16::<2>(m), third)));
        f(1, v.or(v.and(v.shr16::<2>(x), low), v.and(v.shl16::<1>(m), third)));
        f(2, v.or(v.and(v.shr16::<4>(x), low), v.and(m, third)));
        f(3, v.or(v.and(v.shr16::<6>(x), low), v.and(v.shr16::<1>(m), third)));
        f(4, v.or(v.and(y, low), v.and(v.shr16::<2>(m), third)));
        f(5, v.or(v.and(v.shr16::<2>(y), low), v.and(v.shr16::<3>(m), third)));
        f(6, v.or(v.and(v.shr16::<4>(y), low), v.and(v.shr16::<4>(m), third)));
        f(7, v.or(v.and(v.shr16::<6>(y), low), v.and(v.shr16::<5>(m), third)));
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits(self.d)
    }
    #[inline(always)]
    fn sub_scales(&self, v: V) -> (__m256i, __m256i) {
        // The layout is drawn in `happy_tensor::scales_k3`: 16 nibbles, then the high two bits of four scales a byte.
        let [a0, a1, a2, a3, b0, b1, b2, b3, c @ ..] = self.scales;
        let x = v.of_u64(i64::from_le_bytes([a0, a1, a2, a3, b0, b1, b2, b3]));
        let nibbles = v.and_128(v.low64_128(x, v.shr16_128::<4>(x)), v.splat8_128(0xF));
        let shifts = v.load_128(&[0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 6, 0, 0, 0]);
        let high = v.shr32_each_128(v.splat32_128(i32::from_le_bytes(c)), shifts);
        let high = v.shl16_128::<4>(v.and_128(high, v.splat8_128(3)));
        let scales = v.sub8_128(v.or_128(nibbles, high), v.splat8_128(32));
        signed_scales(v, scales, i16::from(Self::OFFSET))
    }
}

impl Decode for BlockQ4K {
    type Unit = <Self as Source>::Unit;
    const SUBS: usize = 8;
    const OFFSET: u8 = 0;
    const MAX: i32 = 15;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        let low = v.splat8(0xF);
        let [q0, q1, q2, q3] = four(&self.qs);
        let (x, y, z, w) = (v.load(q0), v.load(q1), v.load(q2), v.load(q3));
        f(0, v.and(x, low));
        f(1, v.and(v.shr16::<4>(x), low));
        f(2, v.and(y, low));
        f(3, v.and(v.shr16::<4>(y), low));
        f(4, v.and(z, low));
        f(5, v.and(v.shr16::<4>(z), low));
        f(6, v.and(w, low));
        f(7, v.and(v.shr16::<4>(w), low));
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits_2(self.d, self.dmin)
    }
    #[inline(always)]
    fn sub_scales(&self, v: V) -> (__m256i, __m256i) {
        scales_of_32(v, self.scales_mins())
    }
}

impl Decode for BlockQ5K {
    type Unit = <Self as Source>::Unit;
    const SUBS: usize = 8;
    const OFFSET: u8 = 0;
    const MAX: i32 = 31;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        let (low, fifth) = (v.splat8(0xF), v.splat8(16));
        let h = v.load(&self.qh);
        let [q0, q1, q2, q3] = four(&self.qs);
        let (x, y, z, w) = (v.load(q0), v.load(q1), v.load(q2), v.load(q3));
        f(0, v.or(v.and(x, low), v.and(v.shl16::<4>(h), fifth)));
        f(1, v.or(v.and(v.shr16::<4>(x), low), v.and(v.shl16::<3>(h), fifth)));
        f(2, v.or(v.and(y, low), v.and(v.shl16::<2>(h), fifth)));
        f(3, v.or(v.and(v.shr16::<4>(y), low), v.and(v.shl16::<1>(h), fifth)));
        f(4, v.or(v.and(z, low), v.and(h, fifth)));
        f(5, v.or(v.and(v.shr16::<4>(z), low), v.and(v.shr16::<1>(h), fifth)));
        f(6, v.or(v.and(w, low), v.and(v.shr16::<2>(h), fifth)));
        f(7, v.or(v.and(v.shr16::<4>(w), low), v.and(v.shr16::<3>(h), fifth)));
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits_2(self.d, self.dmin)
    }
    #[inline(always)]
    fn sub_scales(&self, v: V) -> (__m256i, __m256i) {
        scales_of_32(v, self.scales_mins())
    }
}

impl Decode for BlockQ6K {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 32;
    const MAX: i32 = 63;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        let (low, high) = (v.splat8(0xF), v.splat8(0x30));
        let ([l0, l1, l2, l3], [h0, h1]) = (four(&self.ql), two(&self.qh));
        let (x, y, h) = (v.load(l0), v.load(l1), v.load(h0));
        f(0, v.or(v.and(x, low), v.and(v.shl16::<4>(h), high)));
        f(1, v.or(v.and(y, low), v.and(v.shl16::<2>(h), high)));
        f(2, v.or(v.and(v.shr16::<4>(x), low), v.and(h, high)));
        f(3, v.or(v.and(v.shr16::<4>(y), low), v.and(v.shr16::<2>(h), high)));
        let (x, y, h) = (v.load(l2), v.load(l3), v.load(h1));
        f(4, v.or(v.and(x, low), v.and(v.shl16::<4>(h), high)));
        f(5, v.or(v.and(y, low), v.and(v.shl16::<2>(h), high)));
        f(6, v.or(v.and(v.shr16::<4>(x), low), v.and(h, high)));
        f(7, v.or(v.and(v.shr16::<4>(y), low), v.and(v.shr16::<2>(h), high)));
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits(self.d)
    }
    #[inline(always)]
    fn sub_scales(&self, v: V) -> (__m256i, __m256i) {
        signed_scales(v, v.load_i8_128(&self.scales), i16::from(Self::OFFSET))
    }
}

impl Decode for BlockIQ4XS {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 128;
    const MAX: i32 = 127;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        for (i, qs) in self.qs.iter().enumerate() {
            f(i, look_up(v, &IQ4_LEVELS, qs));
        }
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits(self.d)
    }
    #[inline(always)]
    fn sub_scales(&self, v: V) -> (__m256i, __m256i) {
        let x = v.of_u64(i64::from(u32::from_le_bytes(self.scales_l)));
        let low = v.and_128(v.low8_128(x, v.shr16_128::<4>(x)), v.splat8_128(0xF));
        // Bits 2 b of 16: the low byte of word b for the first four sub-blocks, the next byte for the others.
        let shifts = v.load_128(&[0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 6, 0, 0, 0]);
        let words = v.splat32_128(i32::from(u16::from_le_bytes(self.scales_h)));
        let high = v.and_128(v.shr32_each_128(words, shifts), v.splat8_128(3));
        let high = v.shuffle8_128(high, v.load_128(&[0, 4, 8, 12, 1, 5, 9, 13, 0, 4, 8, 12, 1, 5, 9, 13]));
        let scales = v.sub8_128(v.or_128(low, v.shl16_128::<4>(high)), v.splat8_128(32));
        signed_scales(v, v.low8_128(scales, scales), i16::from(Self::OFFSET))
    }
}

/// The two vectors of an array.
#[inline(always)]
fn two(x: &[u8; 64]) -> [&[u8; 32]; 2] {
    {
        let x = x.as_chunks().0;
        [&x[0], &x[1]]
    }
}

/// The four vectors of an array.
#[inline(always)]
fn four(x: &[u8; 128]) -> [&[u8; 32]; 4] {
    {
        let x = x.as_chunks().0;
        [&x[0], &x[1], &x[2], &x[3]]
    }
}
