//! A few tokens on AVX-512: as in [`super::few`], but with 16 rows in lanes and up to 8 tokens.
//!
//! ```text
//! for each group of 16 rows, for each unit:
//!     columns of rows 0..8 and of rows 8..16, joined          8 registers of words of 4 integers
//!     for each token:    8 products, each with a word of activations that memory gives to all lanes
//! ```
//!
//! That takes half as many instructions as with 8 rows. From 4 tokens on, the dot products take most of the time; the
//! processor starts two of 16 lanes each cycle.

use super::avx512::Avx512;
use super::decode::Decode;
use super::few::{Rows, block};
use super::gemm::Layout;
use super::gemv::{AHEAD, scales};
use super::panel::unsigned;
use super::products::{RowProducts, X86Products};
use super::vector::{array, map};
use crate::acts::Acts;
use crate::linear::source::Source;
use crate::pool::Columns;
use core::arch::x86_64::__m256i;

/// Rows of a group.
pub(super) const ROWS: usize = 16;
/// Tokens of the largest tile. Their accumulators and the columns take half of the registers.
pub(super) const MAX_TOKENS: usize = 8;
/// Minimum distance in bytes of what is prefetched; it is rounded up to whole groups. A group is twice as long as that
/// of the gemv.
const FAR: usize = 2 * AHEAD;

/// See [`crate::linear::Few`].
#[inline(always)]
pub(super) fn few<F: Decode + Source>(s: Avx512, w: &[u8], x: Acts<'_>, y: &mut Columns<'_>) {
    let Some(rows) = Rows::<F>::new(w, x, y) else { return };
    let mut t = 0;
    while t < x.rows {
        // SAFETY: the shapes were checked above.
        t += unsafe {
            match x.rows - t {
                7.. => tile::<F, MAX_TOKENS>(s, &rows, x, t, y),
                5..7 => tile::<F, 6>(s, &rows, x, t, y),
                3..5 => tile::<F, 4>(s, &rows, x, t, y),
                _ => tile::<F, 2>(s, &rows, x, t, y),
            }
        };
    }
}

/// Multiplies all rows with tokens `t .. t + T` and returns `T`. If there are fewer tokens, the last one is repeated,
/// and what is computed for the copies is dropped.
///
/// # Safety
/// `rows` has `y.width()` rows of as many weights as a row of `x`, the parts of `x` are complete, and `t` is below
/// `x.rows`.
#[inline(always)]
unsafe fn tile<F: Decode, const T: usize>(
    s: Avx512,
    rows: &Rows<'_, F>,
    x: Acts<'_>,
    t: usize,
    y: &mut Columns<'_>,
) -> usize {
    let (v, width, units) = (s.v(), y.width(), rows.units);
    let groups = F::PARTS / F::REPEAT;
    let unit_bytes = size_of::<F>();
    let group_bytes = ROWS * units * unit_bytes;
    let ahead = FAR.next_multiple_of(group_bytes.max(1));
    // Where the blocks of each token start in `x.d`.
    let mut token = [0; T];
    for (i, token) in token.iter_mut().enumerate() {
        *token = (t + i).min(x.rows - 1) * units * groups;
    }
    for first in (0..width).step_by(ROWS) {
        // An incomplete group repeats the last row.
        let mut start = [[0; 8]; 2];
        for (r, start) in start.as_flattened_mut().iter_mut().enumerate() {
            *start = (first + r).min(width - 1) * units;
        }
        let mut acc = [s.zero_r(); T];
        for u in 0..units {
            // Prefetched once, with the first tokens.
            let next = first / ROWS * group_bytes
                + u * ROWS * unit_bytes
                + if t == 0 { ahead } else { rows.w.len() };
            if F::SUBS == 1 {
                for line in 0..(ROWS * unit_bytes).div_ceil(64) {
                    v.prefetch(rows.w, next + line * 64);
                }
            }
            let unit = map(
                start,
                #[inline(always)]
                |start| {
                    map(
                        start,
                        #[inline(always)]
                        // SAFETY: there are `width` rows of `units` blocks, and `u` is below `units`.
                        |start| unsafe { rows.blocks.get_unchecked(start + u) },
                    )
                },
            );
            let mut at = token;
            for at in &mut at {
                *at += u * groups;
            }
            if F::SUBS > 1 {
                // SAFETY: there are `units` blocks of activations of each token.
                unsafe { sub_blocks(s, unit, (rows.w, next), x, at, &mut acc) };
                continue;
            }
            for i in 0..groups {
                // SAFETY: there are `units * groups` blocks of activations of each token.
                unsafe { one_scale(s, unit, i, x, at, &mut acc) };
                for at in &mut at {
                    *at += 1;
                }
            }
        }
        for (i, acc) in acc.into_iter().enumerate().take(x.rows - t) {
            let y = &mut y.row_mut(t + i)[first..];
            if let Some(y) = y.first_chunk_mut() {
                s.store(acc, y);
            } else {
                let mut out = [0.0; ROWS];
                s.store(acc, &mut out);
                y.copy_from_slice(&out[..y.len()]);
            }
        }
    }
    T
}

/// Returns columns of 16 rows: lane `r` of result `j` holds integers `4 j .. 4 j + 4` of row `r`, unsigned.
#[inline(always)]
fn joined<F: Decode>(s: Avx512, low: [__m256i; 8], high: [__m256i; 8]) -> [<Avx512 as X86Products>::W; 8] {
    let v = s.v();
    map(
        [0, 1, 2, 3, 4, 5, 6, 7],
        #[inline(always)]
        |j: usize| s.joined(unsigned::<Avx512, F>(v, low[j]), unsigned::<Avx512, F>(v, high[j])),
    )
}

/// Adds the products of integers `32 i .. 32 i + 32` of 16 blocks with block `at[t]` of the activations of token `t`.
///
/// # Safety
/// The activations have those blocks.
#[inline(always)]
unsafe fn one_scale<F: Decode, const T: usize>(
    s: Avx512,
    unit: [[&F; 8]; 2],
    i: usize,
    x: Acts<'_>,
    at: [usize; T],
    acc: &mut [<Avx512 as X86Products>::R; T],
) {
    let v = s.v();
    let [low, high] = map(
        unit,
        #[inline(always)]
        |unit| scales(v, unit, i),
    );
    let (d, min) = (s.joined_f32(low.0, high.0), s.joined_f32(low.1, high.1));
    let w = joined::<F>(s, F::columns(v, unit[0], i), F::columns(v, unit[1], i));
    for t in 0..T {
        // SAFETY: the caller's promise.
        let (a, sums, da) = unsafe { block(x, at[t]) };
        let first = match Layout::<Avx512, F>::OFFSET {
            0 => s.zero_i(),
            offset => s.splat_dot(sums, -offset as i16),
        };
        acc[t] = s.fma(acc[t], s.dots_of_lines(first, &w, a), d, da);
        if F::HAS_MIN {
            // The minimum is stored with the sign with which it is added.
            acc[t] = s.fma(acc[t], s.splat_dot(sums, 1), min, da);
        }
    }
}

/// Adds the products of 16 blocks of 256 with block `at[t]` of the activations of token `t`, and prefetches what lies
/// at `next`.
///
/// # Safety
/// The activations have those blocks.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "the loop indexes several arrays of registers")]
unsafe fn sub_blocks<F: Decode, const T: usize>(
    s: Avx512,
    unit: [[&F; 8]; 2],
    (w, next): (&[u8], usize),
    x: Acts<'_>,
    at: [usize; T],
    acc: &mut [<Avx512 as X86Products>::R; T],
) {
    let v = s.v();
    let lines = (ROWS * size_of::<F>()).div_ceil(8 * 64);
    let (mut sub_scales, mut pairs) = ([[v.zero(); 16]; 2], [[v.zero(); 8]; 2]);
    for half in 0..2 {
        F::sub_columns(s, unit[half], &mut sub_scales[half], &mut pairs[half]);
    }
    let mut isum = [s.zero_i(); T];
    let high_bits = [F::high_columns(v, unit[0]), F::high_columns(v, unit[1])];
    for k in 0..4 {
        let low = F::two_columns(v, unit[0], k, &high_bits[0]);
        let high = F::two_columns(v, unit[1], k, &high_bits[1]);
        for half in 0..2 {
            let i = F::PAIRS[k][half];
            // An eighth at a time, because prefetches issued all at once would wait for each other.
            for line in i * lines..(i + 1) * lines {
                v.prefetch(w, next + line * 64);
            }
            let w = joined::<F>(s, low[half], high[half]);
            // The scale of the first 16 integers, and that of the others if they have one of their own.
            let scales = map(
                [2 * i, 2 * i + usize::from(F::SUBS == 16)],
                #[inline(always)]
                |sub: usize| s.joined(sub_scales[0][sub], sub_scales[1][sub]),
            );
            let (halves, _) = w.as_chunks::<4>();
            for t in 0..T {
                // SAFETY: the caller's promise; a block has 256 integers, and `i` is below 8.
                let a: &[i8; 32] = unsafe { array(x.q, 256 * at[t] + 32 * i) };
                // SAFETY: bytes in the same order; they need no alignment.
                let a = unsafe { &*a.as_ptr().cast::<[[i8; 4]; 8]>() };
                if F::SUBS == 8 {
                    isum[t] = s.add_multiple(isum[t], s.dots_of_lines(s.zero_i(), &w, a), scales[0]);
                    continue;
                }
                let (a, _) = a.as_chunks::<4>();
                for half in 0..2 {
                    let sum = s.dots_of_lines(s.zero_i(), &halves[half], &a[half]);
                    isum[t] = s.add_multiple(isum[t], sum, scales[half]);
                }
            }
        }
    }
    let [low, high] = map(
        unit,
        #[inline(always)]
        |unit| scales(v, unit, 0),
    );
    let (d, min) = (s.joined_f32(low.0, high.0), s.joined_f32(low.1, high.1));
    for t in 0..T {
        // SAFETY: the caller's promise; a block has a scale.
        let da = unsafe { *x.d.get_unchecked(at[t]) };
        let mut other = if F::HAS_MIN { s.zero_i() } else { isum[t] };
        for p in 0..8 {
            // SAFETY: the caller's promise; a block has 16 sums.
            let sums = unsafe { *array::<i16, 2>(x.sums, 16 * at[t] + 2 * p) };
            other = s.add_sums_of_pairs(other, s.joined(pairs[0][p], pairs[1][p]), sums);
        }
        acc[t] = match F::HAS_MIN {
            true => s.nfma(s.fma(acc[t], isum[t], d, da), other, min, da),
            false => s.fma(acc[t], other, d, da),
        };
    }
}
