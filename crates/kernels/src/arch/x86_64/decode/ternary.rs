//! Blocks of 256 whose integers are -1, 0 and 1: TQ1_0, TQ2_0, and the points of IQ1_S and IQ1_M.

use super::lattice::{leave_parts, points_of_8};
use super::super_blocks::{Bytewise, bytewise, each_32_of, each_word_of, even_odd_16, pairs, two};
use super::{Decode, Prepared, f16_bits};
use crate::arch::x86_64::products::X86Products;
use crate::arch::x86_64::vector::V;
use crate::linear::source::Source;
use core::arch::x86_64::__m256i;
use happy_tensor::formats::lattice::IQ1;
use happy_tensor::{BlockIQ1M, BlockIQ1S, BlockTQ1_0, BlockTQ2_0};

impl Bytewise<2> for BlockTQ2_0 {
    #[inline(always)]
    fn vectors(&self) -> [&[u8; 32]; 2] {
        two(&self.qs)
    }
    #[inline(always)]
    fn integers(v: V, vectors: [__m256i; 2], f: impl FnMut(usize, __m256i)) {
        pairs(v, vectors, f);
    }
}

impl Decode for BlockTQ2_0 {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 1;
    const MAX: i32 = 3;

    bytewise!();
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits(self.d)
    }
    #[inline(always)]
    fn sub_scales(&self, v: V) -> (__m256i, __m256i) {
        (v.splat16(1), v.splat16(-1))
    }
}

/// Multiplies each byte by three, modulo 256. A byte of TQ1_0 is a fraction of 256: the product's carry is its first
/// trit, and the rest is the fraction that starts with the next trit. Bytes from which 128 was subtracted stay so,
/// since 3 * 128 is 128 modulo 256.
#[inline(always)]
fn next_trit(v: V, bytes: __m256i) -> __m256i {
    v.add8(v.add8(bytes, bytes), bytes)
}

/// Returns the first trit of each byte, from which 128 was subtracted. Of the byte itself it is 0 up to 85, 1 up to
/// 170, else 2.
#[inline(always)]
fn first_trit(v: V, bytes: __m256i) -> __m256i {
    // 85 and 170, less 128, because comparisons are signed.
    let (one, two) = (v.splat8(-43), v.splat8(42));
    v.sub8(v.sub8(v.zero(), v.greater8(bytes, one)), v.greater8(bytes, two))
}

/// Calls `f` with `i`, the bytes whose first trits are integers `32 i .. 32 i + 32`, and [`next_trit`] of them. `x` is
/// applied to all stored bytes by xor.
#[inline(always)]
fn each_fraction(v: V, block: &BlockTQ1_0, x: __m256i, mut f: impl FnMut(usize, __m256i, __m256i)) {
    let (Some(long), Some(short)) = (block.qs.first_chunk::<32>(), block.qs.last_chunk::<16>()) else {
        return;
    };
    let mut bytes = v.xor(v.load(long), x);
    for i in 0..5 {
        let next = next_trit(v, bytes);
        f(i, bytes, next);
        bytes = next;
    }
    // The last 16 bytes: two trits of each in a vector.
    let bytes = v.xor(v.twice(v.load_128(short)), x);
    let bytes = v.blend32::<0b1111_0000>(bytes, next_trit(v, bytes));
    let next = next_trit(v, bytes);
    f(5, bytes, next);
    let bytes = next_trit(v, next);
    let next = next_trit(v, bytes);
    f(6, bytes, next);
    // The fifth trits of those 16 bytes, and four trits of the last four bytes.
    let four = v.xor(v.splat32(i32::from_le_bytes(block.qh)), x);
    let bytes = v.blend32::<0b1111_0000>(next_trit(v, next), four);
    let four = next_trit(v, four);
    let bytes = v.blend32::<0b0010_0000>(bytes, four);
    let four = next_trit(v, four);
    let bytes = v.blend32::<0b0100_0000>(bytes, four);
    let bytes = v.blend32::<0b1000_0000>(bytes, next_trit(v, four));
    f(7, bytes, next_trit(v, bytes));
}

impl Decode for BlockTQ1_0 {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 1;
    const MAX: i32 = 2;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        each_fraction(
            v,
            self,
            v.splat8(-128),
            #[inline(always)]
            |i, bytes, _| f(i, first_trit(v, bytes)),
        );
    }
    /// If one instruction multiplies whole bytes, trits need not be taken apart: `3 byte = 256 trit + next`, so the sum
    /// of the trits times activations is that of `3 byte - next`, divided by 256.
    #[inline(always)]
    unsafe fn scaled_sum<I: X86Products>(&self, s: I, _: &Prepared, a: &[[i8; 32]], _: __m256i) -> __m256i {
        let v = s.v();
        if I::SUM_MAX < i32::MAX {
            let mut sum = v.zero();
            self.each_32(
                v,
                #[inline(always)]
                |i, q| sum = s.scaled_dot(sum, q, v.load_i8(&a[i]), v.splat16(1)),
            );
            return sum;
        }
        let (mut bytes_sum, mut next_sum) = (v.zero(), v.zero());
        each_fraction(
            v,
            self,
            v.zero(),
            #[inline(always)]
            |i, bytes, next| {
                let a = v.load_i8(&a[i]);
                bytes_sum = s.full_dot(bytes_sum, bytes, a);
                next_sum = s.full_dot(next_sum, next, a);
            },
        );
        let three = v.add32(v.add32(bytes_sum, bytes_sum), bytes_sum);
        v.sign32::<8>(v.sub32(three, next_sum))
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits(self.d)
    }
    #[inline(always)]
    fn sub_scales(&self, v: V) -> (__m256i, __m256i) {
        (v.splat16(1), v.splat16(-1))
    }
}

/// A block of points.
trait Points {
    /// Returns integers `32 i .. 32 i + 32`, with [`Decode::OFFSET`] added.
    ///
    /// # Safety
    /// `prepared` is what [`Decode::prepare`] of this block left.
    unsafe fn integers(&self, v: V, prepared: &Prepared, i: usize) -> __m256i;
}

/// Returns the high bits of the indices of 16 points in bits 8 .. 11; the bits above and below them are arbitrary. A
/// u16 of `qh` holds three bits for each of four points, from bit `3 l` on. Those for `l = 3` are bits 1 .. 4 of its
/// upper byte.
#[inline(always)]
fn high_bits(v: V, qh: [u8; 8]) -> __m256i {
    let spread = v.words([
        0x0100_0100,
        0x8001_0100,
        0x0302_0302,
        0x8003_0302,
        0x0504_0504,
        0x8005_0504,
        0x0706_0706,
        0x8007_0706,
    ]);
    let x = v.shuffle8(v.splat64(i64::from_le_bytes(qh)), spread);
    v.mul16(x, v.splat64(0x0080_0004_0020_0100))
}

impl Points for BlockIQ1S {
    #[inline(always)]
    unsafe fn integers(&self, v: V, prepared: &Prepared, i: usize) -> __m256i {
        // SAFETY: the numbers that were left.
        v.add8(unsafe { points_of_8(v, &IQ1, &prepared.numbers.as_chunks().0[i]) }, v.splat8(8))
    }
}

impl Decode for BlockIQ1S {
    type Unit = <Self as Source>::Unit;
    const SUBS: usize = 8;
    /// The offset of a point alone. The shift of a sub-block is part of what is multiplied with the sums of
    /// activations.
    const OFFSET: u8 = 8;
    const MAX: i32 = 16;
    const D_FACTOR: f32 = 0.125;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        let mut prepared = Prepared::NONE;
        self.prepare(v, &mut prepared);
        for i in 0..8 {
            // SAFETY: it was prepared.
            f(i, unsafe { self.integers(v, &prepared, i) });
        }
    }
    #[inline(always)]
    unsafe fn each_product<I: X86Products>(
        &self,
        s: I,
        prepared: &Prepared,
        a: &[[i8; 32]],
        mut f: impl FnMut(usize, __m256i, __m256i),
    ) {
        for (i, a) in a.iter().enumerate().take(8) {
            // SAFETY: the caller's promise.
            f(i, unsafe { self.integers(s.v(), prepared, i) }, s.v().load_i8(a));
        }
    }
    #[inline(always)]
    fn prepare(&self, v: V, prepared: &mut Prepared) {
        let qh = self.qh.as_flattened().as_chunks().0;
        let high = [high_bits(v, qh[0]), high_bits(v, qh[1])];
        leave_parts::<{ IQ1.len() }>(v, &self.qs, high, &mut prepared.numbers.as_chunks_mut().0[0]);
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits(self.d)
    }
    #[inline(always)]
    fn sub_scales(&self, v: V) -> (__m256i, __m256i) {
        let h = v.twice(v.load_128(&self.qh.as_flattened().as_chunks().0[0]));
        let scales = v.or(v.and(v.shr16::<11>(h), v.splat16(14)), v.splat16(1));
        // -8 plus a shift of 1 or -1: -7, or -9 if bit 15 is set.
        let shift = v.add16(v.splat16(-8), v.or(v.sign16::<15>(h), v.splat16(1)));
        let each_twice = v.words([
            0x0100_0100,
            0x0302_0302,
            0x0504_0504,
            0x0706_0706,
            0x0908_0908,
            0x0B0A_0B0A,
            0x0D0C_0D0C,
            0x0F0E_0F0E,
        ]);
        (scales, v.shuffle8(v.mul16(scales, shift), each_twice))
    }
}

/// Returns, in bits 8 .. 12, the nibbles that hold the high bits and the shifts of 16 points; the bits above and below
/// them are arbitrary.
#[inline(always)]
fn nibbles(v: V, qh: [u8; 8]) -> __m256i {
    let spread = v.words([
        0x8000_8000,
        0x8001_8001,
        0x8002_8002,
        0x8003_8003,
        0x8004_8004,
        0x8005_8005,
        0x8006_8006,
        0x8007_8007,
    ]);
    v.mul16(v.shuffle8(v.splat64(i64::from_le_bytes(qh)), spread), v.splat32(0x0010_0100))
}

impl Points for BlockIQ1M {
    #[inline(always)]
    unsafe fn integers(&self, v: V, prepared: &Prepared, i: usize) -> __m256i {
        // 9 plus a shift of 1 or -1.
        let down = v.widen_i16_i64(v.load_u16_64(&prepared.numbers.as_chunks().0[8 + i]));
        let shift = v.sub8(v.splat8(10), v.and(down, v.splat8(2)));
        // SAFETY: the numbers that were left.
        v.add8(unsafe { points_of_8(v, &IQ1, &prepared.numbers.as_chunks().0[i]) }, shift)
    }
}

impl Decode for BlockIQ1M {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 9;
    const MAX: i32 = 18;
    const D_FACTOR: f32 = 0.125;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        let mut prepared = Prepared::NONE;
        self.prepare(v, &mut prepared);
        for i in 0..8 {
            // SAFETY: it was prepared.
            f(i, unsafe { self.integers(v, &prepared, i) });
        }
    }
    #[inline(always)]
    unsafe fn each_product<I: X86Products>(
        &self,
        s: I,
        prepared: &Prepared,
        a: &[[i8; 32]],
        mut f: impl FnMut(usize, __m256i, __m256i),
    ) {
        for (i, a) in a.iter().enumerate().take(8) {
            // SAFETY: the caller's promise.
            f(i, unsafe { self.integers(s.v(), prepared, i) }, s.v().load_i8(a));
        }
    }
    #[inline(always)]
    fn prepare(&self, v: V, prepared: &mut Prepared) {
        let qh = self.qh.as_chunks().0;
        let high = [nibbles(v, qh[0]), nibbles(v, qh[1])];
        if let [numbers, down] = prepared.numbers.as_chunks_mut().0 {
            leave_parts::<{ IQ1.len() }>(v, &self.qs, high, numbers);
            for (down, high) in down.as_chunks_mut().0.iter_mut().zip(high) {
                v.store_u16(v.sign16::<15>(v.shl16::<4>(high)), down);
            }
        }
    }
    /// `d` is stored in four pieces, in the bits above the scales.
    #[inline(always)]
    fn d_min(&self) -> u32 {
        let pieces = i64::from_le_bytes(self.scales.as_flattened().as_chunks().0[0]) as u64;
        (pieces >> 12 & 0xF | pieces >> 24 & 0xF0 | pieces >> 36 & 0xF00 | pieces >> 48 & 0xF000) as u32
    }
    #[inline(always)]
    fn sub_scales(&self, v: V) -> (__m256i, __m256i) {
        // Bits `3 j .. 3 j + 3` of each u16, moved to 9 .. 12, then to 1 .. 4.
        let spread = v.words([
            0x0100_0100,
            0x0100_0100,
            0x0302_0302,
            0x0302_0302,
            0x0504_0504,
            0x0504_0504,
            0x0706_0706,
            0x0706_0706,
        ]);
        let x =
            v.shuffle8(v.splat64(i64::from_le_bytes(self.scales.as_flattened().as_chunks().0[0])), spread);
        let x = v.mul16(x, v.splat64(0x0001_0008_0040_0200));
        let scales = v.or(v.and(v.shr16::<8>(x), v.splat16(14)), v.splat16(1));
        (even_odd_16(v, scales), v.mul16(scales, v.splat16(-i16::from(Self::OFFSET))))
    }
}
