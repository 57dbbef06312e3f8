//! One token: the blocks are read where they lie, 8 rows at a time, each byte once.
//!
//! ```text
//! for each group of 8 rows, for each unit:
//!     a row's integers times the activations -> a vector of partial sums
//!     8 such vectors, transposed and added   -> isum with the rows in lanes
//!     acc = fma(isum, d * da, acc)           -> the same operation on each lane as the scalar code's
//! ```
//!
//! Blocks of 32 are loaded in pairs, row `r` with row `r + 4`: each register holds half a block of both rows, so each
//! half of a sum belongs to one row. That saves half of a transposing tree.
//!
//! 8 rows are 8 short streams that hardware prefetchers do not follow, so the rows of the next group are prefetched in
//! the order of the file.

use super::decode::{Decode, Prepared, halves, is_signed, two_units};
use super::products::X86Products;
use super::vector::{V, array, map, opaque};
use crate::acts::Acts;
use crate::linear::source::Source;
use core::arch::x86_64::{__m256, __m256i};

/// Rows of a group.
pub(super) const ROWS: usize = 8;

/// Minimum distance in bytes of what is prefetched. Measured with rows of 2,048 weights of 4 bits on one thread of a
/// Zen 4: 9 KiB, which is one group, reach 16 of 24 GB/s, 18 KiB and more reach 19. With 32 KiB some models are slower.
pub(super) const AHEAD: usize = 16 << 10;

/// See [`crate::linear::Gemv`].
#[inline(always)]
pub(super) fn gemv<I: X86Products, F: Decode + Source>(s: I, w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    let v = s.v();
    if y.is_empty() {
        return;
    }
    // Blocks of activations for one block of weights, and blocks of weights in a row.
    let groups = <F as Decode>::PARTS / F::REPEAT;
    let units = x.k / F::LEN / groups;
    let unit_bytes = size_of::<F>();
    let row_bytes = units.saturating_mul(unit_bytes);
    x.assert_fits(F::KIND, w, y.len(), row_bytes);
    assert!(x.rows == 1);
    let group_bytes = ROWS * row_bytes;
    // Whole groups ahead, so that each group is prefetched from its first byte to its last.
    let ahead = AHEAD.next_multiple_of(group_bytes.max(1));
    let blocks = F::blocks(&w[..y.len() * row_bytes]);
    assert!(blocks.len() == y.len() * units);
    // Fewer than 8 rows are multiplied one by one, each as if it were 8.
    let (rows, stride) = if y.len() < ROWS { (1, 0) } else { (ROWS, row_bytes) };
    let mut prepared = [Prepared::NONE; ROWS];
    for g in 0..y.len().div_ceil(rows) {
        // An incomplete group starts earlier, so a few rows are computed twice.
        let first = (g * rows).min(y.len() - rows);
        let mut block = blocks[first * units..].as_ptr();
        let mut acc = v.zero_f32();
        for u in 0..units {
            let at = g * group_bytes + u * ROWS * unit_bytes + ahead;
            if F::SUBS == 1 {
                for line in 0..(ROWS * unit_bytes).div_ceil(64) {
                    v.prefetch(w, at + line * 64);
                }
            }
            // SAFETY: `rows` rows of `units` blocks start at `first`, and this is block `u` of the first.
            let unit: [&F; ROWS] = unsafe { blocks_of_rows(&mut block, stride) };
            if F::SUBS == 1 {
                for i in 0..groups {
                    // SAFETY: there are `units * groups` blocks of activations.
                    acc = unsafe { one_scale(s, unit, i, x, u * groups + i, acc) };
                }
            } else {
                let (d, min) = scales(v, unit, 0);
                // SAFETY: there are `units` scales.
                let da = v.splat_f32(unsafe { *x.d.get_unchecked(u) });
                // SAFETY: `LEN` is 256.
                let (a, sums) = unsafe { (array::<i8, 256>(x.q, u * 256), array::<i16, 16>(x.sums, u * 16)) };
                let (a, sums) = (a.as_chunks::<32>().0, v.load_i16(sums));
                for r in 0..ROWS {
                    unit[r].prepare(v, &mut prepared[r]);
                }
                let [mut isums, mut msums] = [[v.zero(); ROWS]; 2];
                for r in 0..ROWS {
                    for line in 0..unit_bytes.div_ceil(64) {
                        v.prefetch(w, at + r * unit_bytes + line * 64);
                    }
                    // SAFETY: the block was prepared above.
                    let (isum, msum) = unsafe { sub_blocks(s, unit[r], &prepared[r], a, sums) };
                    isums[r] = if F::HAS_MIN || is_signed::<F>() { isum } else { v.add32(isum, msum) };
                    msums[r] = msum;
                }
                acc = v.fma(v.to_f32(v.sums8(isums)), v.mul(d, da), acc);
                if F::HAS_MIN {
                    acc = v.nfma(v.to_f32(v.sums8(msums)), v.mul(min, da), acc);
                }
            }
        }
        if let Some(y) = y[first..].first_chunk_mut() {
            v.store_f32(acc, y);
        } else {
            let mut out = [0.0; ROWS];
            v.store_f32(acc, &mut out);
            y[first] = out[0];
        }
    }
}

/// Returns the block at `first` and those of the 7 rows after it, which are `stride` bytes apart. Moves `first` to the
/// next block of its row.
///
/// Two addresses, the stride and three times the stride are four registers that reach 8 rows. If the compiler knew how
/// the addresses are computed, it would keep 8 of them, some on the stack, which takes a tenth of the time of Q4_0.
///
/// # Safety
/// These blocks exist, and they live as long as `'a`.
#[inline(always)]
unsafe fn blocks_of_rows<'a, F>(first: &mut *const F, stride: usize) -> [&'a F; ROWS] {
    let (one, three) = (stride, 3 * stride);
    let [low, high] = opaque([*first, first.wrapping_byte_add(4 * stride)]);
    *first = low.wrapping_add(1);
    let each = [
        (low, 0),
        (low, one),
        (low, 2 * one),
        (low, three),
        (high, 0),
        (high, one),
        (high, 2 * one),
        (high, three),
    ];
    map(
        each,
        #[inline(always)]
        // SAFETY: the caller's promise.
        |(block, bytes)| unsafe { &*block.wrapping_byte_add(bytes) },
    )
}

/// Adds the products of integers `32 i .. 32 i + 32` of 8 blocks, which are one unit or two, with block `at` of the
/// activations.
///
/// # Safety
/// The activations have that block.
#[inline(always)]
unsafe fn one_scale<I: X86Products, F: Decode>(
    s: I,
    unit: [&F; ROWS],
    i: usize,
    x: Acts<'_>,
    at: usize,
    acc: __m256,
) -> __m256 {
    let v = s.v();
    // SAFETY: the caller's block has 32 integers, two sums and a scale.
    let (a, sums, da) =
        unsafe { (array::<i8, 32>(x.q, at * 32), *array::<i16, 2>(x.sums, at * 2), *x.d.get_unchecked(at)) };
    let da = v.splat_f32(da);
    if F::JOINED {
        let (d, min) = scales(v, unit, i);
        let q = map(
            [0, 1, 2, 3],
            #[inline(always)]
            |r: usize| F::joined(v, [unit[r], unit[r + 4]]),
        );
        let a = map(
            halves(a),
            #[inline(always)]
            |a| v.twice(v.load_i8_128(a)),
        );
        let acc = v.fma(v.to_f32(s.dots8_joined::<F>(q, a, sums)), v.mul(d, da), acc);
        if F::HAS_MIN {
            // The minimum is stored with the sign with which it is added.
            let sum = s.add_pairs8(v.zero(), v.splat16(1), sums);
            return v.fma(v.to_f32(sum), v.mul(min, da), acc);
        }
        return acc;
    }
    let a = v.load_i8(a);
    let sum = i32::from(sums[0]) + i32::from(sums[1]);
    if two_units::<F>() {
        let mut acc = acc;
        let isums = s.dots8_halves::<F>(group8(v, unit, i), a);
        for half in 0..2 {
            let (d, _) = scales(v, unit, 2 * i + half);
            let isum = corrected::<I, F>(v, isums[half], i32::from(sums[half]));
            acc = v.fma(v.to_f32(isum), v.mul(d, da), acc);
        }
        return acc;
    }
    // Loaded before the products, so that it arrives while they are computed.
    let (d, min) = scales(v, unit, i);
    let isum = corrected::<I, F>(v, s.dots8::<F>(group8(v, unit, i), a), sum);
    let acc = v.fma(v.to_f32(isum), v.mul(d, da), acc);
    if F::HAS_MIN {
        // The minimum is stored with the sign with which it is added.
        return v.fma(v.splat_f32(sum as f32), v.mul(min, da), acc);
    }
    acc
}

/// Returns integers `32 i .. 32 i + 32` of 8 blocks.
#[inline(always)]
fn group8<F: Decode>(v: V, unit: [&F; ROWS], i: usize) -> [__m256i; ROWS] {
    map(
        unit,
        #[inline(always)]
        |block| block.group(v, i),
    )
}

/// Returns the sums of products without the share of [`Decode::OFFSET`]. `sum` is the sum of the activations.
#[inline(always)]
fn corrected<I: X86Products, F: Decode>(v: V, isum: __m256i, sum: i32) -> __m256i {
    if F::OFFSET != 0 && !(I::SIGNED && is_signed::<F>()) {
        v.add32(isum, v.splat32(-i32::from(F::OFFSET) * sum))
    } else {
        isum
    }
}

/// Returns partial sums of a block: of the integers times sub-scales and activations, and of the minimums or offsets
/// times sums of activations. The latter mean nothing for signed bytes.
///
/// # Safety
/// `prepared` is what [`Decode::prepare`] of the block left.
#[inline(always)]
pub(super) unsafe fn sub_blocks<I: X86Products, F: Decode>(
    s: I,
    block: &F,
    prepared: &Prepared,
    a: &[[i8; 32]],
    sums: __m256i,
) -> (__m256i, __m256i) {
    let v = s.v();
    let (scales, mins) = block.sub_scales(v);
    // SAFETY: the caller's promise.
    let isum = unsafe { block.scaled_sum(s, prepared, a, scales) };
    (isum, v.madd16(mins, sums))
}

/// Returns `d` of unit `part` of 8 rows in lanes, and the scale of the minimum as it is stored.
#[inline(always)]
pub(super) fn scales<F: Decode>(v: V, unit: [&F; ROWS], part: usize) -> (__m256, __m256) {
    let bits = map(unit, F::d_min);
    if F::BYTE_SCALE {
        let four = |[a, b, c, d]: [u32; 4]| a | b << 8 | c << 16 | d << 24;
        let [a, b, c, d, e, f, g, h] = bits;
        let joined = u64::from(four([a, b, c, d])) | u64::from(four([e, f, g, h])) << 32;
        return (F::d_lanes(v, v.widen_u8_u32(v.of_u64(joined as i64)), part), v.zero_f32());
    }
    if F::F32_SCALE {
        let min = if F::HAS_MIN { v.of_bits(v.words(map(unit, F::min))) } else { v.zero_f32() };
        return (F::d_lanes(v, v.words(bits), part), min);
    }
    if !F::HAS_MIN {
        // Joined with integer instructions, whose ports are idle here.
        let four = |[a, b, c, d]: [u32; 4]| u64::from(a | b << 16) | u64::from(c | d << 16) << 32;
        let [a, b, c, d, e, f, g, h] = bits;
        let (low, high) = (four([a, b, c, d]), four([e, f, g, h]));
        let d = v.of_f16(v.low64_128(v.of_u64(low as i64), v.of_u64(high as i64)));
        let d = if F::D_FACTOR == 1.0 { d } else { v.mul(d, v.splat_f32(F::D_FACTOR)) };
        return (d, v.zero_f32());
    }
    // In each half d0..d3 m0..m3, then in all d0..d7 m0..m7.
    let split = v.twice(v.load_128(&[0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15]));
    let x = v.quarters::<0b11_01_10_00>(v.shuffle8(v.words(bits), split));
    (v.of_f16(v.low_half(x)), v.of_f16(v.high_half::<1>(x)))
}
