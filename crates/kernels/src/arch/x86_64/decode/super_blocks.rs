//! Blocks of 256, with sub-scales.

use super::{Decode, Prepared, f16_bits, f16_bits_2, look_up, look_up_columns};
use crate::arch::x86_64::products::X86Products;
use crate::arch::x86_64::vector::{V, map};
use crate::linear::source::Source;
use core::arch::x86_64::{__m128i, __m256i};
use happy_tensor::*;

/// Returns 16 bytes with the even ones first.
#[inline(always)]
pub(in crate::arch::x86_64) fn even_odd(v: V, x: __m128i) -> __m128i {
    v.shuffle8_128(x, v.load_128(&[0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15]))
}

/// Returns 16 lanes with the even ones first.
#[inline(always)]
pub(super) fn even_odd_16(v: V, x: __m256i) -> __m256i {
    let within = [0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15];
    v.quarters::<0b11_01_10_00>(v.shuffle8(x, v.twice(v.load_128(&within))))
}

/// Returns [`Decode::sub_scales`] of 16 signed bytes and an offset.
#[inline(always)]
pub(in crate::arch::x86_64) fn signed_scales(v: V, x: __m128i, offset: i16) -> (__m256i, __m256i) {
    (v.widen_i8(even_odd(v, x)), v.mul16(v.widen_i8(x), v.splat16(-offset)))
}

/// Returns [`Decode::sub_scales`] of 8 scales and minimums of 32 integers each.
#[inline(always)]
fn scales_of_32(v: V, (scales, mins): ([u8; 8], [u8; 8])) -> (__m256i, __m256i) {
    let scales = v.of_u64(i64::from_le_bytes(scales));
    let mins = v.of_u64(i64::from_le_bytes(mins));
    let both =
        v.widen_u8(v.shuffle8_128(scales, v.load_128(&[0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7])));
    (both, v.widen_u8(v.low8_128(mins, mins)))
}

/// [`Decode::prepare`] and [`Decode::scaled_sum`] of blocks with [`scales_of_32`]. Each scale is left in memory, from
/// which it is loaded into all lanes without a shuffle. From a register it takes two shuffles, which took as long as
/// the products.
macro_rules! scales_from_memory {
    () => {
        #[inline(always)]
        fn prepare(&self, v: V, prepared: &mut Prepared) {
            let scales = v.widen_u8_u32(v.of_u64(i64::from_le_bytes(self.scales_mins().0)));
            prepared.words = v.to_u32(v.or(scales, v.shl32::<16>(scales)));
        }
        #[inline(always)]
        unsafe fn scaled_sum<I: X86Products>(
            &self,
            s: I,
            prepared: &Prepared,
            a: &[[i8; 32]],
            _: __m256i,
        ) -> __m256i {
            let v = s.v();
            // Two sums, because each addition to a single one would wait for the one before.
            let mut sums = [v.zero(); 2];
            self.each_32(
                v,
                #[inline(always)]
                |i, q| {
                    let scale = v.splat32(prepared.words[i] as i32);
                    sums[i % 2] = s.scaled_dot(sums[i % 2], q, v.load_i8(&a[i]), scale);
                },
            );
            v.add32(sums[0], sums[1])
        }
    };
}

/// [`Decode::sub_columns`] of Q4_K and Q5_K, whose blocks start with 4 bytes of `d` and `dmin` and 12 bytes of
/// [`scales_of_32`].
#[inline(always)]
fn sub_columns_of_32<I: X86Products, B: Block>(
    s: I,
    blocks: [&B; 8],
    scales: &mut [__m256i; 16],
    pairs: &mut [__m256i; 8],
) {
    let v = s.v();
    let starts = map(
        blocks,
        #[inline(always)]
        |block| match B::as_bytes(core::slice::from_ref(block)).first_chunk() {
            Some(start) => v.load_128(start),
            None => v.of_u64(0),
        },
    );
    // The 16 bytes are four words a block; `happy_tensor::scales_mins_k4` says where their bits belong.
    let [_, a, b, c] = v.columns4(starts);
    let (six, four, two) = (v.splat8(0x3F), v.splat8(0x0F), v.splat8(0x30));
    let high = |low, x| v.or(low, v.and(v.shr16::<2>(x), two));
    let both =
        [(v.and(a, six), v.and(b, six)), (high(v.and(c, four), a), high(v.and(v.shr16::<4>(c), four), b))];
    let (scales, _) = scales.as_chunks_mut::<2>();
    for (i, (low, mins)) in both.into_iter().enumerate() {
        for j in 0..4 {
            let byte = j as u8;
            scales[4 * i + j][0] = s.scale_lanes(v.bytes_of_words(low, [byte, 0x80, 0x80, 0x80]));
            pairs[4 * i + j] = v.bytes_of_words(mins, [byte, 0x80, byte, 0x80]);
        }
    }
}

/// [`Decode::sub_columns`] of 16 signed bytes of each block, and an offset.
#[inline(always)]
fn signed_columns<I: X86Products>(
    s: I,
    blocks: [__m128i; 8],
    offset: i16,
    scales: &mut [__m256i; 16],
    pairs: &mut [__m256i; 8],
) {
    let v = s.v();
    let (scales, _) = scales.as_chunks_mut::<4>();
    let (pairs, _) = pairs.as_chunks_mut::<2>();
    for ((x, scales), pairs) in v.columns4(blocks).into_iter().zip(scales).zip(pairs) {
        scales[0] = s.scale_lanes(v.sign32::<24>(v.shl32::<24>(x)));
        scales[1] = s.scale_lanes(v.sign32::<24>(v.shl32::<16>(x)));
        scales[2] = s.scale_lanes(v.sign32::<24>(v.shl32::<8>(x)));
        scales[3] = s.scale_lanes(v.sign32::<24>(x));
        for (pair, bytes) in pairs.iter_mut().zip([[0x80, 0, 0x80, 1], [0x80, 2, 0x80, 3]]) {
            *pair = v.mul16(v.sign16::<8>(v.bytes_of_words(x, bytes)), v.splat16(-offset));
        }
    }
}

/// [`Decode::sub_scales`] and [`Decode::sub_columns`] of blocks with [`SignedScales`].
macro_rules! signed_bytes {
    () => {
        #[inline(always)]
        fn sub_scales(&self, v: V) -> (__m256i, __m256i) {
            signed_scales(v, self.signed_bytes(v), i16::from(Self::OFFSET))
        }
        #[inline(always)]
        fn sub_columns<I: X86Products>(
            s: I,
            blocks: [&Self; 8],
            scales: &mut [__m256i; 16],
            pairs: &mut [__m256i; 8],
        ) {
            let bytes = map(
                blocks,
                #[inline(always)]
                |block| block.signed_bytes(s.v()),
            );
            signed_columns(s, bytes, i16::from(Self::OFFSET), scales, pairs);
        }
    };
}

/// Blocks with 16 scales that are signed bytes, or are unpacked to signed bytes.
trait SignedScales {
    fn signed_bytes(&self, v: V) -> __m128i;
}

/// Calls `f` with the pairs of bits of 64 bytes, in the order of Q2_K and TQ2_0.
#[inline(always)]
pub(super) fn pairs(v: V, [x, y]: [__m256i; 2], mut f: impl FnMut(usize, __m256i)) {
    let low = v.splat8(3);
    f(0, v.and(x, low));
    f(1, v.and(v.shr16::<2>(x), low));
    f(2, v.and(v.shr16::<4>(x), low));
    f(3, v.and(v.shr16::<6>(x), low));
    f(4, v.and(y, low));
    f(5, v.and(v.shr16::<2>(y), low));
    f(6, v.and(v.shr16::<4>(y), low));
    f(7, v.and(v.shr16::<6>(y), low));
}

/// Blocks whose integers are computed byte by byte from whole vectors. Columns of these vectors give columns of the
/// integers, so only the stored vectors are transposed, and there are fewer of them.
pub(super) trait Bytewise<const N: usize>: Copy {
    /// Returns the vectors that are stored.
    fn vectors(&self) -> [&[u8; 32]; N];
    /// Computes what [`Decode::each_32`] passes from the vectors.
    fn integers(v: V, vectors: [__m256i; N], f: impl FnMut(usize, __m256i));
}

/// [`Decode::each_32`] of a block that is [`Bytewise`].
#[inline(always)]
pub(super) fn each_32_of<B: Bytewise<N>, const N: usize>(v: V, block: &B, f: impl FnMut(usize, __m256i)) {
    let vectors = map(
        block.vectors(),
        #[inline(always)]
        |x| v.load(x),
    );
    B::integers(v, vectors, f);
}

/// [`Decode::each_word`] of blocks that are [`Bytewise`].
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "the loop indexes several arrays of registers")]
pub(super) fn each_word_of<B: Bytewise<N>, const N: usize>(
    v: V,
    blocks: [&B; 8],
    mut f: impl FnMut(usize, usize, __m256i),
) {
    let mut columns = [[v.zero(); 8]; N];
    for (k, columns) in columns.iter_mut().enumerate() {
        *columns = v.columns8(map(
            blocks,
            #[inline(always)]
            |block| block.vectors()[k],
        ));
    }
    for j in 0..8 {
        // Indexed in place, because an array that is passed would be copied for each word.
        let mut column = [v.zero(); N];
        for k in 0..N {
            column[k] = columns[k][j];
        }
        B::integers(
            v,
            column,
            #[inline(always)]
            |i, q| f(i, j, q),
        );
    }
}

/// [`Decode::each_32`] and [`Decode::each_word`] of blocks that are [`Bytewise`].
macro_rules! bytewise {
    () => {
        #[inline(always)]
        fn each_32(&self, v: V, f: impl FnMut(usize, __m256i)) {
            each_32_of(v, self, f);
        }
        #[inline(always)]
        fn each_word(v: V, blocks: [&Self; 8], f: impl FnMut(usize, usize, __m256i)) {
            each_word_of(v, blocks, f);
        }
    };
}
pub(super) use bytewise;

impl Bytewise<2> for BlockQ2K {
    #[inline(always)]
    fn vectors(&self) -> [&[u8; 32]; 2] {
        two(&self.qs)
    }
    #[inline(always)]
    fn integers(v: V, vectors: [__m256i; 2], f: impl FnMut(usize, __m256i)) {
        pairs(v, vectors, f);
    }
}

impl Decode for BlockQ2K {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 0;
    const MAX: i32 = 3;

    bytewise!();
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

impl Bytewise<3> for BlockQ3K {
    #[inline(always)]
    fn vectors(&self) -> [&[u8; 32]; 3] {
        let [x, y] = two(&self.qs);
        [x, y, &self.hmask]
    }
    #[inline(always)]
    fn integers(v: V, [x, y, m]: [__m256i; 3], mut f: impl FnMut(usize, __m256i)) {
        let (low, third) = (v.splat8(3), v.splat8(4));
        f(0, v.or(v.and(x, low), v.and(v.shl16::<2>(m), third)));
        f(1, v.or(v.and(v.shr16::<2>(x), low), v.and(v.shl16::<1>(m), third)));
        f(2, v.or(v.and(v.shr16::<4>(x), low), v.and(m, third)));
        f(3, v.or(v.and(v.shr16::<6>(x), low), v.and(v.shr16::<1>(m), third)));
        f(4, v.or(v.and(y, low), v.and(v.shr16::<2>(m), third)));
        f(5, v.or(v.and(v.shr16::<2>(y), low), v.and(v.shr16::<3>(m), third)));
        f(6, v.or(v.and(v.shr16::<4>(y), low), v.and(v.shr16::<4>(m), third)));
        f(7, v.or(v.and(v.shr16::<6>(y), low), v.and(v.shr16::<5>(m), third)));
    }
}

impl SignedScales for BlockQ3K {
    #[inline(always)]
    fn signed_bytes(&self, v: V) -> __m128i {
        // The layout is drawn in `happy_tensor::scales_k3`: 16 nibbles, then bytes with the high two bits of four
        // scales each.
        let [a0, a1, a2, a3, b0, b1, b2, b3, c @ ..] = self.scales;
        let x = v.of_u64(i64::from_le_bytes([a0, a1, a2, a3, b0, b1, b2, b3]));
        let nibbles = v.and_128(v.low64_128(x, v.shr16_128::<4>(x)), v.splat8_128(0xF));
        let shifts = v.load_128(&[0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 6, 0, 0, 0]);
        let high = v.shr32_each_128(v.splat32_128(i32::from_le_bytes(c)), shifts);
        let high = v.shl16_128::<4>(v.and_128(high, v.splat8_128(3)));
        v.sub8_128(v.or_128(nibbles, high), v.splat8_128(32))
    }
}

impl Decode for BlockQ3K {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 4;
    const MAX: i32 = 7;

    bytewise!();
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits(self.d)
    }
    signed_bytes!();
}

impl Bytewise<4> for BlockQ4K {
    #[inline(always)]
    fn vectors(&self) -> [&[u8; 32]; 4] {
        four(&self.qs)
    }
    #[inline(always)]
    fn integers(v: V, [x, y, z, w]: [__m256i; 4], mut f: impl FnMut(usize, __m256i)) {
        let low = v.splat8(0xF);
        f(0, v.and(x, low));
        f(1, v.and(v.shr16::<4>(x), low));
        f(2, v.and(y, low));
        f(3, v.and(v.shr16::<4>(y), low));
        f(4, v.and(z, low));
        f(5, v.and(v.shr16::<4>(z), low));
        f(6, v.and(w, low));
        f(7, v.and(v.shr16::<4>(w), low));
    }
}

impl Decode for BlockQ4K {
    type Unit = <Self as Source>::Unit;
    const SUBS: usize = 8;
    const OFFSET: u8 = 0;
    const MAX: i32 = 15;

    bytewise!();
    scales_from_memory!();
    #[inline(always)]
    fn sub_columns<I: X86Products>(
        s: I,
        blocks: [&Self; 8],
        scales: &mut [__m256i; 16],
        pairs: &mut [__m256i; 8],
    ) {
        sub_columns_of_32(s, blocks, scales, pairs);
    }
    const COLUMNS: bool = true;

    #[inline(always)]
    fn two_columns(v: V, blocks: [&Self; 8], k: usize, _: &[[__m256i; 8]; 2]) -> [[__m256i; 8]; 2] {
        let low = v.splat8(0xF);
        let columns = v.columns8(map(
            blocks,
            #[inline(always)]
            |block| four(&block.qs)[k],
        ));
        [
            map(
                columns,
                #[inline(always)]
                |x| v.and(x, low),
            ),
            map(
                columns,
                #[inline(always)]
                |x| v.and(v.shr16::<4>(x), low),
            ),
        ]
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

impl Bytewise<5> for BlockQ5K {
    #[inline(always)]
    fn vectors(&self) -> [&[u8; 32]; 5] {
        let [x, y, z, w] = four(&self.qs);
        [x, y, z, w, &self.qh]
    }
    #[inline(always)]
    fn integers(v: V, [x, y, z, w, h]: [__m256i; 5], mut f: impl FnMut(usize, __m256i)) {
        let (low, fifth) = (v.splat8(0xF), v.splat8(16));
        f(0, v.or(v.and(x, low), v.and(v.shl16::<4>(h), fifth)));
        f(1, v.or(v.and(v.shr16::<4>(x), low), v.and(v.shl16::<3>(h), fifth)));
        f(2, v.or(v.and(y, low), v.and(v.shl16::<2>(h), fifth)));
        f(3, v.or(v.and(v.shr16::<4>(y), low), v.and(v.shl16::<1>(h), fifth)));
        f(4, v.or(v.and(z, low), v.and(h, fifth)));
        f(5, v.or(v.and(v.shr16::<4>(z), low), v.and(v.shr16::<1>(h), fifth)));
        f(6, v.or(v.and(w, low), v.and(v.shr16::<2>(h), fifth)));
        f(7, v.or(v.and(v.shr16::<4>(w), low), v.and(v.shr16::<3>(h), fifth)));
    }
}

impl Decode for BlockQ5K {
    type Unit = <Self as Source>::Unit;
    const SUBS: usize = 8;
    const OFFSET: u8 = 0;
    const MAX: i32 = 31;

    bytewise!();
    scales_from_memory!();
    #[inline(always)]
    fn sub_columns<I: X86Products>(
        s: I,
        blocks: [&Self; 8],
        scales: &mut [__m256i; 16],
        pairs: &mut [__m256i; 8],
    ) {
        sub_columns_of_32(s, blocks, scales, pairs);
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

impl Bytewise<6> for BlockQ6K {
    #[inline(always)]
    fn vectors(&self) -> [&[u8; 32]; 6] {
        let ([x, y, z, w], [g, h]) = (four(&self.ql), two(&self.qh));
        [x, y, z, w, g, h]
    }
    #[inline(always)]
    fn integers(v: V, [x, y, z, w, g, h]: [__m256i; 6], mut f: impl FnMut(usize, __m256i)) {
        let (low, high) = (v.splat8(0xF), v.splat8(0x30));
        f(0, v.or(v.and(x, low), v.and(v.shl16::<4>(g), high)));
        f(1, v.or(v.and(y, low), v.and(v.shl16::<2>(g), high)));
        f(2, v.or(v.and(v.shr16::<4>(x), low), v.and(g, high)));
        f(3, v.or(v.and(v.shr16::<4>(y), low), v.and(v.shr16::<2>(g), high)));
        f(4, v.or(v.and(z, low), v.and(v.shl16::<4>(h), high)));
        f(5, v.or(v.and(w, low), v.and(v.shl16::<2>(h), high)));
        f(6, v.or(v.and(v.shr16::<4>(z), low), v.and(h, high)));
        f(7, v.or(v.and(v.shr16::<4>(w), low), v.and(v.shr16::<2>(h), high)));
    }
}

impl SignedScales for BlockQ6K {
    #[inline(always)]
    fn signed_bytes(&self, v: V) -> __m128i {
        v.load_i8_128(&self.scales)
    }
}

impl Decode for BlockQ6K {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 32;
    const MAX: i32 = 63;

    bytewise!();
    const COLUMNS: bool = true;
    const FEWEST: usize = 3;
    const PAIRS: [[usize; 2]; 4] = [[0, 2], [1, 3], [4, 6], [5, 7]];

    #[inline(always)]
    fn high_columns(v: V, blocks: [&Self; 8]) -> [[__m256i; 8]; 2] {
        map(
            [0, 1],
            #[inline(always)]
            |i: usize| {
                v.columns8(map(
                    blocks,
                    #[inline(always)]
                    |block| two(&block.qh)[i],
                ))
            },
        )
    }
    #[inline(always)]
    fn two_columns(v: V, blocks: [&Self; 8], k: usize, high: &[[__m256i; 8]; 2]) -> [[__m256i; 8]; 2] {
        let columns = v.columns8(map(
            blocks,
            #[inline(always)]
            |block| four(&block.ql)[k],
        ));
        let (low, mask) = (v.splat8(0xF), v.splat8(0x30));
        let mut out = [columns; 2];
        for j in 0..8 {
            let (q, h) = (columns[j], high[k / 2][j]);
            // Bits `2 p` and `2 p + 1` of each byte belong to group `p`, or `p + 4`.
            let [first, second] =
                if k.is_multiple_of(2) { [v.shl16::<4>(h), h] } else { [v.shl16::<2>(h), v.shr16::<2>(h)] };
            out[0][j] = v.or(v.and(q, low), v.and(first, mask));
            out[1][j] = v.or(v.and(v.shr16::<4>(q), low), v.and(second, mask));
        }
        out
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits(self.d)
    }
    signed_bytes!();
}

impl SignedScales for BlockIQ4XS {
    #[inline(always)]
    fn signed_bytes(&self, v: V) -> __m128i {
        let x = v.of_u64(i64::from(u32::from_le_bytes(self.scales_l)));
        let low = v.and_128(v.low8_128(x, v.shr16_128::<4>(x)), v.splat8_128(0xF));
        // Of 16 bits, the low byte of word `b` gets bits from `2 b` on for the first four sub-blocks, the next byte
        // those for the others.
        let shifts = v.load_128(&[0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 6, 0, 0, 0]);
        let words = v.splat32_128(i32::from(u16::from_le_bytes(self.scales_h)));
        let high = v.and_128(v.shr32_each_128(words, shifts), v.splat8_128(3));
        let high = v.shuffle8_128(high, v.load_128(&[0, 4, 8, 12, 1, 5, 9, 13, 0, 4, 8, 12, 1, 5, 9, 13]));
        let scales = v.sub8_128(v.or_128(low, v.shl16_128::<4>(high)), v.splat8_128(32));
        v.low8_128(scales, scales)
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
    fn each_word(v: V, blocks: [&Self; 8], mut f: impl FnMut(usize, usize, __m256i)) {
        let table = v.twice(v.load_i8_128(&IQ4_LEVELS));
        for i in 0..8 {
            let columns = look_up_columns(v, table, map(blocks, |block| &block.qs[i]));
            for (j, q) in columns.into_iter().enumerate() {
                f(i, j, q);
            }
        }
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits(self.d)
    }
    signed_bytes!();
}

/// Returns the two vectors of an array.
#[inline(always)]
pub(super) fn two(x: &[u8; 64]) -> [&[u8; 32]; 2] {
    {
        let x = x.as_chunks().0;
        [&x[0], &x[1]]
    }
}

/// Returns the four vectors of an array.
#[inline(always)]
fn four(x: &[u8; 128]) -> [&[u8; 32]; 4] {
    {
        let x = x.as_chunks().0;
        [&x[0], &x[1], &x[2], &x[3]]
    }
}
