//! Keys and values as int8 with a scale for every 32 channels.
//!
//! ```text
//! store:   x = rotate(x), a head at a time;  each block of 32: d = f16(amax / 127), q = round_ties_even(x * (127 / amax))
//! query:   the same, with d in f32
//! score:   s = fma(isum as f32, d_k * d_q, s) from 0, blocks ascending;  isum = sum of q_k q_q, exact in i32
//! values:  v = d * q, exact in f32, then as for other caches;  the result of a head is rotated back
//! ```
//!
//! The rotation is an orthonormal Hadamard transform. It spreads the few large channels that keys often have over all
//! channels of a block, which would otherwise lose most of their bits to them. Dot products of two rotated rows are
//! those of the rows, and the transform is its own inverse.

use super::TILE;
use super::block::Ahead;
use crate::ops::math::MAGIC;
use crate::ops::quantize::units;
use crate::simd::{Simd, entry};
use core::f32::consts::FRAC_1_SQRT_2;
use core::ops::Range;
use happy_tensor::convert::f16_from_f32;

/// 32 channels of a head's key or value: `d * q[i]`, of the rotated row.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KvBlock {
    /// The scale, the bits of an f16.
    pub d: u16,
    /// The quantized values.
    pub q: [i8; KvBlock::CHANNELS],
}

const _: () = assert!(size_of::<KvBlock>() == KvBlock::BYTES);

impl KvBlock {
    /// Channels of a block.
    pub const CHANNELS: usize = 32;
    /// Bytes of a block.
    pub const BYTES: usize = 2 + Self::CHANNELS;

    /// Returns the scale, little-endian, and the quantized values.
    pub fn to_le_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (d, q) = bytes.split_at_mut(2);
        d.copy_from_slice(&self.d.to_le_bytes());
        for (byte, q) in q.iter_mut().zip(self.q) {
            *byte = q as u8;
        }
        bytes
    }

    /// Returns the block that [`KvBlock::to_le_bytes`] wrote.
    pub fn from_le_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let mut block = Self { d: u16::from_le_bytes([bytes[0], bytes[1]]), ..Self::default() };
        for (q, byte) in block.q.iter_mut().zip(&bytes[2..]) {
            *q = *byte as i8;
        }
        block
    }
}

/// Words of a block: 4 values in each.
const WORDS: usize = KvBlock::CHANNELS / 4;

/// The quantized values as words, in the bits of f32: lanes that are moved, and never computed with.
#[inline(always)]
fn words(q: &[i8; KvBlock::CHANNELS], bias: u32) -> [f32; WORDS] {
    let mut words = [0.0; WORDS];
    for (word, q) in words.iter_mut().zip(q.as_chunks::<4>().0) {
        *word = f32::from_bits(u32::from_le_bytes([q[0] as u8, q[1] as u8, q[2] as u8, q[3] as u8]) ^ bias);
    }
    words
}

/// Transforms a head's row in place, in pieces of the largest power of two that divides its length `n`: butterflies of
/// strides 1, 2, 4 .. n / 2, and one multiplication by the root of 1 / n, rounded to f32.
#[inline(always)]
pub(super) fn rotate(x: &mut [f32]) {
    let n = x.len() & x.len().wrapping_neg();
    let stages = n.max(1).trailing_zeros();
    let mut factor = if stages % 2 == 1 { FRAC_1_SQRT_2 } else { 1.0 };
    for _ in 0..stages / 2 {
        factor *= 0.5;
    }
    // The strides within 16 values are unrolled, which lets the compiler keep them in a register.
    for x in x.as_chunks_mut::<16>().0 {
        butterflies::<1>(x);
        butterflies::<2>(x);
        butterflies::<4>(x);
        butterflies::<8>(x);
    }
    for x in x.chunks_exact_mut(n.max(16)) {
        let mut stride = 16;
        while stride < n {
            for pair in x.chunks_exact_mut(2 * stride) {
                let (a, b) = pair.split_at_mut(stride);
                for (a, b) in a.iter_mut().zip(b) {
                    (*a, *b) = (*a + *b, *a - *b);
                }
            }
            stride *= 2;
        }
        for x in x {
            *x *= factor;
        }
    }
}

#[inline(always)]
fn butterflies<const STRIDE: usize>(x: &mut [f32; 16]) {
    for i in 0..16 {
        if i & STRIDE == 0 {
            (x[i], x[i + STRIDE]) = (x[i] + x[i + STRIDE], x[i] - x[i + STRIDE]);
        }
    }
}

/// Quantizes 32 values: the values, their scale and their sum. The scale is NaN if a value is not finite, so that what
/// is computed with it is not finite either.
#[inline(always)]
fn quantize<S: Simd>(s: S, x: &[f32]) -> ([i8; KvBlock::CHANNELS], f32, i32) {
    let (mut q, mut d, mut sums) = ([0; KvBlock::CHANNELS], [0.0], [0; 2]);
    let finite = units::<S, 2>(s, x, &mut q, &mut d, &mut sums);
    (q, if finite { d[0] } else { f32::NAN }, i32::from(sums[0]) + i32::from(sums[1]))
}

#[inline(always)]
fn store_body<S: Simd>(s: S, row: &mut [f32], out: &mut [KvBlock]) {
    rotate(row);
    for (x, out) in row.chunks_exact(KvBlock::CHANNELS).zip(out) {
        let (q, d, _) = quantize(s, x);
        *out = KvBlock { d: f16_from_f32(d), q };
    }
}

entry!(pub(crate) fn store(row: &mut [f32], out: &mut [KvBlock]) = store_body);

/// A block of a query has 16 words: those of its values, then its scale, then the sum of its values.
const SCALE: usize = WORDS;
const SUM: usize = WORDS + 1;

/// Rotates and quantizes a query. `to` gets 16 words for each block; `spare` has room for a row.
#[inline(always)]
pub(super) fn query<S: Simd>(s: S, q: &[f32], to: &mut [f32], spare: &mut [f32]) {
    let spare = &mut spare[..q.len()];
    spare.copy_from_slice(q);
    rotate(spare);
    for (x, to) in spare.chunks_exact(KvBlock::CHANNELS).zip(to.as_chunks_mut::<16>().0) {
        let (q, d, sum) = quantize(s, x);
        to[..WORDS].copy_from_slice(&words(&q, 0));
        (to[SCALE], to[SUM]) = (d, f32::from_bits(sum as u32));
    }
}

/// Rows of `TILE` words that hold the values of `blocks` blocks: whole squares of 16.
const fn word_rows(blocks: usize) -> usize {
    (blocks * WORDS).next_multiple_of(16)
}

/// Writes the groups of 16 keys that `range` touches into `packed`: `[word of a key][TILE]`, then `[block][TILE]`
/// scales. That is shorter than the transposed keys of other caches. `next` is prefetched on the way.
#[inline(always)]
pub(super) fn pack<S: Simd>(
    s: S,
    keys: &[KvBlock],
    blocks: usize,
    range: Range<usize>,
    packed: &mut [f32],
    next: Ahead<'_, KvBlock>,
) {
    let (packed, scales) = packed.split_at_mut(word_rows(blocks) * TILE);
    let mut square = [[0.0; 16]; 16];
    for group in range.start / 16..range.end.div_ceil(16) {
        let keys = &keys[16 * group * blocks..16 * (group + 1) * blocks];
        for position in 16 * group..16 * (group + 1) {
            next.row(s, position);
        }
        for (pair, out) in packed.chunks_exact_mut(16 * TILE).enumerate() {
            for (row, key) in square.iter_mut().zip(keys.chunks_exact(blocks)) {
                for (row, block) in row.as_chunks_mut::<WORDS>().0.iter_mut().zip(&key[2 * pair..]) {
                    *row = words(&block.q, S::KEY_BIAS);
                }
            }
            s.transpose(&square, &mut out[16 * group..], TILE);
        }
        for (block, out) in scales.as_chunks_mut::<TILE>().0.iter_mut().enumerate().take(blocks) {
            let mut d = [0; 16];
            for (d, key) in d.iter_mut().zip(keys.chunks_exact(blocks)) {
                *d = key[block].d;
            }
            s.store(s.load_f16(&d), &mut out.as_chunks_mut::<16>().0[group]);
        }
    }
}

/// Computes the scores of queries, which have `per_query` times 16 words each, from packed keys. Scores of positions
/// outside `range` are arbitrary.
#[inline(always)]
pub(super) fn scores<S: Simd>(
    s: S,
    q: &[[f32; 16]],
    packed: &[f32],
    blocks: usize,
    range: Range<usize>,
    scores: &mut [[f32; TILE]],
) {
    let per_query = q.len() / scores.len();
    let mut i = 0;
    while i < scores.len() {
        let (q, rest) = (&q[i * per_query..], &mut scores[i..]);
        i += match rest.len() {
            8.. if S::QUERIES == 8 => scores_n::<S, 8>(s, q, per_query, packed, blocks, range.clone(), rest),
            4.. if S::QUERIES >= 4 => scores_n::<S, 4>(s, q, per_query, packed, blocks, range.clone(), rest),
            2.. if S::QUERIES >= 4 => scores_n::<S, 2>(s, q, per_query, packed, blocks, range.clone(), rest),
            _ => scores_n::<S, 1>(s, q, per_query, packed, blocks, range.clone(), rest),
        };
    }
}

/// The scores of `N` queries; returns `N`.
#[inline(always)]
fn scores_n<S: Simd, const N: usize>(
    s: S,
    q: &[[f32; 16]],
    per_query: usize,
    packed: &[f32],
    blocks: usize,
    range: Range<usize>,
    scores: &mut [[f32; TILE]],
) -> usize {
    let mut queries = [&[][..]; N];
    for (query, q) in queries.iter_mut().zip(q.chunks_exact(per_query)) {
        *query = &q[..blocks];
    }
    let (words, scales) = packed.split_at(word_rows(blocks) * TILE);
    let words = words.as_chunks::<16>().0.as_chunks::<{ TILE / 16 }>().0.as_chunks::<WORDS>().0;
    let scales = scales.as_chunks::<16>().0.as_chunks::<{ TILE / 16 }>().0;
    for group in range.start / 16..range.end.div_ceil(16) {
        let mut sums = [s.splat(0.0); N];
        for (block, (words, scales)) in words.iter().zip(scales).enumerate().take(blocks) {
            // |isum| <= 32 * 127 * 128 < 2^22, so that adding it to the bits of MAGIC makes MAGIC + isum, exactly.
            let mut acc = [s.splat_i(0); N];
            for (acc, q) in acc.iter_mut().zip(queries) {
                let bias = (S::KEY_BIAS & 0xFF) as i32 * q[block][SUM].to_bits() as i32;
                *acc = s.splat_i(MAGIC.to_bits() as i32 - bias);
            }
            for (w, keys) in words.iter().enumerate() {
                let keys = s.load(&keys[group % (TILE / 16)]);
                for (acc, q) in acc.iter_mut().zip(queries) {
                    *acc = s.dot4(*acc, keys, q[block][w].to_bits());
                }
            }
            let d = s.load(&scales[group % (TILE / 16)]);
            for ((sum, acc), q) in sums.iter_mut().zip(acc).zip(queries) {
                let isum = s.sub(s.from_bits(acc), s.splat(MAGIC));
                *sum = s.fma(isum, s.mul(d, s.splat(q[block][SCALE])), *sum);
            }
        }
        for (sum, scores) in sums.into_iter().zip(scores.iter_mut()) {
            s.store(sum, &mut scores.as_chunks_mut::<16>().0[group]);
        }
    }
    N
}

/// Writes the rows of `range` as f32; `values` is `[TILE][blocks]`. `next` is prefetched on the way.
#[inline(always)]
pub(super) fn widen<S: Simd>(
    s: S,
    values: &[KvBlock],
    blocks: usize,
    range: Range<usize>,
    widened: &mut [f32],
    next: Ahead<'_, KvBlock>,
) {
    let rows = values.chunks_exact(blocks).zip(widened.chunks_exact_mut(blocks * KvBlock::CHANNELS));
    for (position, (row, out)) in rows.enumerate().take(range.end).skip(range.start) {
        next.row(s, position);
        for (block, out) in row.iter().zip(out.as_chunks_mut::<16>().0.as_chunks_mut::<2>().0) {
            let d = s.load_f16(&[block.d; 16]);
            for (q, out) in block.q.as_chunks::<16>().0.iter().zip(out) {
                s.store(s.mul(s.load_i8(q), d), out);
            }
        }
    }
}
