//! IQ2 and IQ3: eight or four magnitudes at a time are a point of a table; signs are stored beside them.
//!
//! ```text
//! prepare, the whole block:   numbers of the points, and a sign for each element, to memory
//! for each 32 elements:       the points of 4 or 8 numbers, loaded side by side;  the activations with the signs
//! ```
//!
//! Magnitudes are multiplied as unsigned integers, and their signs go to the activations. Only a panel holds signed
//! integers.

use super::super_blocks::signed_scales;
use super::{Decode, Prepared, f16_bits};
use crate::arch::x86_64::products::X86Products;
use crate::arch::x86_64::vector::V;
use crate::linear::source::Source;
use core::arch::x86_64::__m256i;
use happy_tensor::formats::lattice::{IQ2_S, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS};
use happy_tensor::{BlockIQ2S, BlockIQ2XS, BlockIQ2XXS, BlockIQ3S, BlockIQ3XXS};

/// A block of magnitudes and signs.
trait Signed {
    /// See [`Decode::prepare`]: leaves the indices of points, and the signs.
    fn prepare(&self, v: V, prepared: &mut Prepared);

    /// Returns the magnitudes of elements `32 i .. 32 i + 32`, and a bit for each element that is negative.
    ///
    /// # Safety
    /// `prepared` is what [`Signed::prepare`] of this block left.
    unsafe fn signed(&self, v: V, prepared: &Prepared, i: usize) -> (__m256i, u32);
}

macro_rules! decode {
    ($($block:ident: max $max:literal, subs $subs:literal, d times $factor:literal, |$b:ident, $v:ident| $scales:expr;)*) => {$(
        impl Decode for $block {
            type Unit = <Self as Source>::Unit;
            const SUBS: usize = $subs;
            const OFFSET: u8 = 128;
            const MAX: i32 = $max;
            const D_FACTOR: f32 = $factor;

            #[inline(always)]
            fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
                let mut prepared = Prepared::NONE;
                Signed::prepare(self, v, &mut prepared);
                for i in 0..8 {
                    // SAFETY: it was prepared.
                    let (q, minus) = unsafe { self.signed(v, &prepared, i) };
                    f(i, v.negate8(q, minus));
                }
            }
            #[inline(always)]
            fn prepare(&self, v: V, prepared: &mut Prepared) {
                Signed::prepare(self, v, prepared);
            }
            #[inline(always)]
            unsafe fn each_product<I: X86Products>(
                &self,
                s: I,
                prepared: &Prepared,
                a: &[[i8; 32]],
                mut f: impl FnMut(usize, __m256i, __m256i),
            ) {
                let v = s.v();
                for i in 0..8 {
                    // SAFETY: the caller's promise.
                    let (q, minus) = unsafe { self.signed(v, prepared, i) };
                    f(i, q, v.negate8(v.load_i8(&a[i]), minus));
                }
            }
            #[inline(always)]
            fn d_min(&self) -> u32 {
                f16_bits(self.d)
            }
            #[inline(always)]
            fn sub_scales(&self, $v: V) -> (__m256i, __m256i) {
                let $b = self;
                $scales
            }
        }
    )*};
}

decode! {
    BlockIQ2XXS: max 43, subs 8, d times 0.125, |b, v| odd_scales_of_32(v, v.shr32::<28>(words(v, b)));
    BlockIQ2XS: max 43, subs 16, d times 0.125, |b, v| odd_scales_of_16(v, b.scales);
    BlockIQ2S: max 43, subs 16, d times 0.125, |b, v| odd_scales_of_16(v, b.scales);
    BlockIQ3XXS: max 62, subs 8, d times 0.25,
        |b, v| odd_scales_of_32(v, v.shr32::<28>(v.load(&b.signs.as_flattened().as_chunks().0[0])));
    BlockIQ3S: max 15, subs 8, d times 1.0, |b, v| {
        let nibbles = v.shr32_each(v.splat32(i32::from_le_bytes(b.scales)), v.words([0, 4, 8, 12, 16, 20, 24, 28]));
        odd_scales_of_32(v, v.and(nibbles, v.splat32(15)))
    };
}

/// Returns [`Decode::sub_scales`] of 8 words `n` that stand for `2 n + 1`.
#[inline(always)]
fn odd_scales_of_32(v: V, n: __m256i) -> (__m256i, __m256i) {
    let odd = v.or(v.add32(n, n), v.splat32(1));
    let both = v.quarters::<0b10_00_10_00>(v.narrow32(odd, odd));
    (both, v.mul16(v.or(odd, v.shl32::<16>(odd)), v.splat16(-128)))
}

/// Returns [`Decode::sub_scales`] of 16 nibbles `n` that stand for `2 n + 1`.
#[inline(always)]
fn odd_scales_of_16(v: V, nibbles: [u8; 8]) -> (__m256i, __m256i) {
    let x = v.of_u64(i64::from_le_bytes(nibbles));
    let stored = v.and_128(v.low8_128(x, v.shr16_128::<4>(x)), v.splat8_128(0xF));
    signed_scales(v, v.or_128(v.shl16_128::<1>(stored), v.splat8_128(1)), 128)
}

/// Reads an integer from memory. The read is volatile, because the compiler otherwise loads several integers as a
/// vector and takes it apart again, which costs two instructions for each.
#[inline(always)]
fn load<T: Copy>(x: &T) -> T {
    // SAFETY: a reference can be read.
    unsafe { core::ptr::read_volatile(x) }
}

/// Writes the indices of 32 points in a table of `N`. Bits above those of an index are ignored.
#[inline(always)]
fn leave<const N: usize>(v: V, numbers: [__m256i; 2], out: &mut [u16; 32]) {
    const { assert!(N.is_power_of_two()) };
    for (out, numbers) in out.as_chunks_mut().0.iter_mut().zip(numbers) {
        v.store_u16(v.and(numbers, v.splat16(N as i16 - 1)), out);
    }
}

/// Does the same from the low bytes of the indices and their high bits, which are in place already. Bits of `high` that
/// no index has are ignored.
#[inline(always)]
pub(super) fn leave_parts<const N: usize>(
    v: V,
    low: &[u8; 32],
    high: [__m256i; 2],
    prepared: &mut [u16; 32],
) {
    let mask = v.splat16((N as i16 - 1) & !0xFF);
    let low = low.as_chunks().0;
    let first = v.or(v.widen_u8(v.load_128(&low[0])), v.and(high[0], mask));
    let second = v.or(v.widen_u8(v.load_128(&low[1])), v.and(high[1], mask));
    leave::<N>(v, [first, second], prepared);
}

/// Returns 4 points of eight coordinates, from their indices.
///
/// # Safety
/// The indices are below `N`.
#[inline(always)]
pub(super) unsafe fn points_of_8<const N: usize>(v: V, table: &[[i8; 8]; N], n: &[u16; 4]) -> __m256i {
    // SAFETY: the caller's promise.
    let point = |n| unsafe { table.get_unchecked(usize::from(load(n))) };
    v.load_i8_by_8([point(&n[0]), point(&n[1]), point(&n[2]), point(&n[3])])
}

/// Returns 8 points of four coordinates, from their indices.
///
/// # Safety
/// The indices are below `N`.
#[inline(always)]
unsafe fn points_of_4<const N: usize>(v: V, table: &[[i8; 4]; N], n: &[u16; 8]) -> __m256i {
    let mut words = [0; 8];
    for (word, n) in words.iter_mut().zip(n) {
        // SAFETY: the caller's promise.
        *word = four(unsafe { table.get_unchecked(usize::from(load(n))) });
    }
    v.words(words)
}

/// Returns a point of four coordinates as a word.
#[inline(always)]
fn four(&[a, b, c, d]: &[i8; 4]) -> u32 {
    u32::from_le_bytes([a as u8, b as u8, c as u8, d as u8])
}

/// Adds the eighth sign to bytes of seven: the number of minus signs is even.
#[inline(always)]
fn eighth_signs(v: V, seven: __m256i) -> __m256i {
    // 0x80 for nibbles with an odd number of ones.
    let odd = v.twice(v.load_128(&[0, 128, 128, 0, 128, 0, 0, 128, 128, 0, 0, 128, 0, 128, 128, 0]));
    let high = v.and(v.shr16::<4>(seven), v.splat8(0xF));
    v.or(seven, v.xor(v.shuffle8(odd, seven), v.shuffle8(odd, high)))
}

/// Returns words of 4 times 7 signs as words of 4 bytes with 8 signs each.
#[inline(always)]
fn signs_of_28(v: V, words: __m256i) -> [u32; 8] {
    let low = v.or(v.and(words, v.splat32(0x7F)), v.and(v.shl32::<1>(words), v.splat32(0x7F00)));
    let high = v.or(
        v.and(v.shl32::<2>(words), v.splat32(0x7F_0000)),
        v.and(v.shl32::<3>(words), v.splat32(0x7F00_0000)),
    );
    v.to_u32(eighth_signs(v, v.or(low, high)))
}

/// Returns the `i`-th word of stored signs.
#[inline(always)]
fn stored_signs(signs: &[u8; 32], i: usize) -> u32 {
    u32::from_le_bytes(signs.as_chunks().0[i])
}

/// Returns the words with the signs and the scales of the sub-blocks, one word for each.
#[inline(always)]
fn words(v: V, block: &BlockIQ2XXS) -> __m256i {
    let halves = block.qs.as_flattened().as_chunks().0;
    v.quarters::<0b11_01_10_00>(v.odd32(v.load(&halves[0]), v.load(&halves[1])))
}

impl Signed for BlockIQ2XXS {
    #[inline(always)]
    fn prepare(&self, v: V, prepared: &mut Prepared) {
        prepared.words = signs_of_28(v, words(v, self));
    }
    #[inline(always)]
    unsafe fn signed(&self, v: V, prepared: &Prepared, i: usize) -> (__m256i, u32) {
        let [a, b, c, d, ..] = &self.qs[i];
        let point = |n| &IQ2_XXS[usize::from(load(n))];
        (v.load_i8_by_8([point(a), point(b), point(c), point(d)]), prepared.words[i])
    }
}

impl Signed for BlockIQ2XS {
    #[inline(always)]
    fn prepare(&self, v: V, prepared: &mut Prepared) {
        let halves = self.qs.as_flattened().as_chunks().0;
        let (x, y) = (v.load(&halves[0]), v.load(&halves[1]));
        leave::<{ IQ2_XS.len() }>(v, [x, y], &mut prepared.numbers.as_chunks_mut().0[0]);
        let seven = v.quarters::<0b11_01_10_00>(v.narrow16(v.shr16::<9>(x), v.shr16::<9>(y)));
        prepared.words = v.to_u32(eighth_signs(v, seven));
    }
    #[inline(always)]
    unsafe fn signed(&self, v: V, prepared: &Prepared, i: usize) -> (__m256i, u32) {
        // SAFETY: the numbers that were left.
        let q = unsafe { points_of_8(v, &IQ2_XS, &prepared.numbers.as_chunks().0[i]) };
        (q, prepared.words[i])
    }
}

impl Signed for BlockIQ2S {
    #[inline(always)]
    fn prepare(&self, v: V, prepared: &mut Prepared) {
        // Each byte holds two bits for each of four points: bits `2 l .. 2 l + 2` are moved to 8 .. 10.
        let spread = v.words([
            0x8000_8000,
            0x8000_8000,
            0x8001_8001,
            0x8001_8001,
            0x8002_8002,
            0x8002_8002,
            0x8003_8003,
            0x8003_8003,
        ]);
        let qh = self.qh.as_chunks().0;
        let mut high = [v.zero(); 2];
        for (high, qh) in high.iter_mut().zip(qh) {
            let x = v.shuffle8(v.splat32(i32::from_le_bytes(*qh)), spread);
            *high = v.mul16(x, v.splat64(0x0004_0010_0040_0100));
        }
        leave_parts::<{ IQ2_S.len() }>(v, &self.qs, high, &mut prepared.numbers.as_chunks_mut().0[0]);
    }
    #[inline(always)]
    unsafe fn signed(&self, v: V, prepared: &Prepared, i: usize) -> (__m256i, u32) {
        // SAFETY: the numbers that were left.
        let q = unsafe { points_of_8(v, &IQ2_S, &prepared.numbers.as_chunks().0[i]) };
        (q, stored_signs(&self.signs, i))
    }
}

impl Signed for BlockIQ3XXS {
    #[inline(always)]
    fn prepare(&self, v: V, prepared: &mut Prepared) {
        let words = v.load(&self.signs.as_flattened().as_chunks().0[0]);
        prepared.words = signs_of_28(v, words);
    }
    #[inline(always)]
    unsafe fn signed(&self, v: V, prepared: &Prepared, i: usize) -> (__m256i, u32) {
        let mut words = [0; 8];
        for (word, n) in words.iter_mut().zip(&self.qs.as_chunks::<8>().0[i]) {
            *word = four(&IQ3_XXS[usize::from(load(n))]);
        }
        (v.words(words), prepared.words[i])
    }
}

impl Signed for BlockIQ3S {
    #[inline(always)]
    fn prepare(&self, v: V, prepared: &mut Prepared) {
        // Each byte holds one bit for each of eight points, which is moved to bit 8.
        let spread = v.words([
            0x8000_8000,
            0x8000_8000,
            0x8000_8000,
            0x8000_8000,
            0x8001_8001,
            0x8001_8001,
            0x8001_8001,
            0x8001_8001,
        ]);
        let shifts = v.twice(v.load_128(&[0, 1, 128, 0, 64, 0, 32, 0, 16, 0, 8, 0, 4, 0, 2, 0]));
        let qh = self.qh.as_chunks().0;
        let mut high = [v.zero(); 4];
        for (high, qh) in high.iter_mut().zip(qh) {
            let x = v.shuffle8(v.splat16(i16::from_le_bytes(*qh)), spread);
            *high = v.mul16(x, shifts);
        }
        let numbers = prepared.numbers.as_chunks_mut().0.iter_mut();
        for ((numbers, low), high) in numbers.zip(self.qs.as_chunks().0).zip(high.as_chunks().0) {
            leave_parts::<{ IQ3_S.len() }>(v, low, *high, numbers);
        }
    }
    #[inline(always)]
    unsafe fn signed(&self, v: V, prepared: &Prepared, i: usize) -> (__m256i, u32) {
        // SAFETY: the numbers that were left.
        let q = unsafe { points_of_4(v, &IQ3_S, &prepared.numbers.as_chunks().0[i]) };
        (q, stored_signs(&self.signs, i))
    }
}
