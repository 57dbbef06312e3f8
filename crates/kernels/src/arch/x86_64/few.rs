//! A few tokens: the blocks are read where they lie, 8 rows at a time, and each is decoded once for 2 to 4 tokens.
//!
//! ```text
//! for each group of 8 rows, for each unit:
//!     words of 4 integers of the 8 rows, side by side        (nibbles are transposed before they are taken apart)
//!     for each token:    p = sum of words * activations      one word of activations for all rows
//!                        acc = fma(isum, d * da, acc)        as in `gemm`
//! ```
//!
//! The accumulators of the tokens stay in registers. For each token, a unit of 32 takes 8 products and 3 more
//! instructions, while `gemv` takes 8 products and a tree of 23. Of the formats with sub-blocks, Q4_K and Q6_K are
//! multiplied this way. For 5 and more tokens a panel is faster, because its products are twice as wide. AVX-512 has a
//! tile of its own, [`few_wide`].

use super::decode::{Decode, two_units};
use super::few_wide;
use super::gemm::Layout;
use super::gemv::{AHEAD, ROWS, scales};
use super::panel::unsigned;
use super::products::X86Products;
use super::vector::{array, map};
use crate::acts::Acts;
use crate::linear::source::Source;
use crate::pool::Columns;
use core::arch::x86_64::__m256;

/// Tokens of the larger tile. More tokens are faster from a panel; here their blocks would be decoded once more.
const MAX_TOKENS: usize = 4;

/// Returns whether 16 rows are multiplied at a time.
const fn wide<I: X86Products, F: Decode>() -> bool {
    I::WIDE && !two_units::<F>()
}

/// Returns the rows and tokens of the largest tile.
pub(super) const fn shape<I: X86Products, F: Decode>() -> (usize, usize) {
    if wide::<I, F>() { (few_wide::ROWS, few_wide::MAX_TOKENS) } else { (ROWS, MAX_TOKENS) }
}

/// See [`crate::linear::Few`].
#[inline(always)]
pub(super) fn few<I: X86Products, F: Decode + Source>(s: I, w: &[u8], x: Acts<'_>, y: &mut Columns<'_>) {
    if wide::<I, F>() && s.few_wide::<F>(w, x, y) {
        return;
    }
    let Some(rows) = Rows::<F>::new(w, x, y) else { return };
    let mut t = 0;
    while t < x.rows {
        // SAFETY: the shapes were checked above.
        t += unsafe {
            match x.rows - t {
                3.. => tile::<I, F, MAX_TOKENS>(s, &rows, x, t, y),
                _ => tile::<I, F, 2>(s, &rows, x, t, y),
            }
        };
    }
}

/// The rows of weights of a task.
pub(super) struct Rows<'a, F> {
    pub(super) w: &'a [u8],
    pub(super) blocks: &'a [F],
    /// Blocks in a row.
    pub(super) units: usize,
}

impl<'a, F: Decode + Source> Rows<'a, F> {
    /// Returns the rows for all columns of `y`, or `None` if there is nothing to compute.
    #[inline(always)]
    pub(super) fn new(w: &'a [u8], x: Acts<'_>, y: &Columns<'_>) -> Option<Self> {
        let (width, groups) = (y.width(), <F as Decode>::PARTS / F::REPEAT);
        if width == 0 || x.rows == 0 {
            return None;
        }
        let units = x.k / F::LEN / groups;
        x.assert_fits(F::KIND, w, width, units.saturating_mul(size_of::<F>()));
        assert!(y.rows() >= x.rows);
        let blocks = F::blocks(&w[..width * units * size_of::<F>()]);
        assert!(blocks.len() == width * units);
        Some(Self { w, blocks, units })
    }
}

/// Multiplies all rows with tokens `t .. t + T` and returns `T`. If there are fewer tokens, the last one is repeated,
/// and what is computed for the copies is dropped.
///
/// # Safety
/// `rows` has `y.width()` rows of as many weights as a row of `x`, the parts of `x` are complete, and `t` is below
/// `x.rows`.
#[inline(always)]
unsafe fn tile<I: X86Products, F: Decode, const T: usize>(
    s: I,
    rows: &Rows<'_, F>,
    x: Acts<'_>,
    t: usize,
    y: &mut Columns<'_>,
) -> usize {
    let (v, width, units) = (s.v(), y.width(), rows.units);
    let groups = F::PARTS / F::REPEAT;
    let unit_bytes = size_of::<F>();
    let group_bytes = ROWS * units * unit_bytes;
    let ahead = AHEAD.next_multiple_of(group_bytes.max(1));
    // Where the blocks of each token start in `x.d`.
    let mut token = [0; T];
    for (i, token) in token.iter_mut().enumerate() {
        *token = (t + i).min(x.rows - 1) * units * groups;
    }
    for first in (0..width).step_by(ROWS) {
        // An incomplete group repeats the last row.
        let mut start = [0; ROWS];
        for (r, start) in start.iter_mut().enumerate() {
            *start = (first + r).min(width - 1) * units;
        }
        let mut acc = [v.zero_f32(); T];
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
            // SAFETY: there are `width` rows of `units` blocks, and `u` is below `units`.
            let unit: [&F; ROWS] = map(start, |start| unsafe { rows.blocks.get_unchecked(start + u) });
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
                v.store_f32(acc, y);
            } else {
                let mut out = [0.0; ROWS];
                v.store_f32(acc, &mut out);
                y.copy_from_slice(&out[..y.len()]);
            }
        }
    }
    T
}

/// Returns block `at` of the activations: 8 words of integers, two sums and a scale.
///
/// # Safety
/// The block exists.
#[inline(always)]
pub(super) unsafe fn block(x: Acts<'_>, at: usize) -> (&[[i8; 4]; 8], [i16; 2], f32) {
    // SAFETY: the caller's promise; a block has 32 integers, two sums and a scale.
    let (q, sums, d) =
        unsafe { (array::<i8, 32>(x.q, 32 * at), *array::<i16, 2>(x.sums, 2 * at), *x.d.get_unchecked(at)) };
    // SAFETY: bytes in the same order; they need no alignment.
    (unsafe { &*q.as_ptr().cast::<[[i8; 4]; 8]>() }, sums, d)
}

/// Adds the products of integers `32 i .. 32 i + 32` of 8 blocks, which are one unit or two, with block `at[t]` of the
/// activations of token `t`.
///
/// # Safety
/// The activations have those blocks.
#[inline(always)]
unsafe fn one_scale<I: X86Products, F: Decode, const T: usize>(
    s: I,
    unit: [&F; ROWS],
    i: usize,
    x: Acts<'_>,
    at: [usize; T],
    acc: &mut [__m256; T],
) {
    let v = s.v();
    let offset = v.splat16(-Layout::<I, F>::OFFSET as i16);
    let w = map(
        F::columns(v, unit, i),
        #[inline(always)]
        |q| unsigned::<I, F>(v, q),
    );
    let (halves, _) = w.as_chunks::<4>();
    if two_units::<F>() {
        let d = [scales(v, unit, 2 * i).0, scales(v, unit, 2 * i + 1).0];
        for t in 0..T {
            // SAFETY: the caller's promise.
            let (a, sums, da) = unsafe { block(x, at[t]) };
            let (a, _) = a.as_chunks::<4>();
            for half in 0..2 {
                let isum = s.add_pairs8(v.zero(), offset, [sums[half], 0]);
                let isum = s.dots_of_words::<F, 4>(isum, &halves[half], &a[half]);
                acc[t] = v.fma(v.to_f32(isum), v.mul(d[half], v.splat_f32(da)), acc[t]);
            }
        }
        return;
    }
    let (d, min) = scales(v, unit, i);
    for t in 0..T {
        // SAFETY: the caller's promise.
        let (a, sums, da) = unsafe { block(x, at[t]) };
        let da = v.splat_f32(da);
        let isum = if Layout::<I, F>::OFFSET == 0 { v.zero() } else { s.add_pairs8(v.zero(), offset, sums) };
        let isum = if T < 4 {
            // Two sums, because each addition to a single one would wait for the one before.
            let (a, _) = a.as_chunks::<4>();
            let low = s.dots_of_words::<F, 4>(isum, &halves[0], &a[0]);
            v.add32(low, s.dots_of_words::<F, 4>(v.zero(), &halves[1], &a[1]))
        } else {
            s.dots_of_words::<F, 8>(isum, &w, a)
        };
        acc[t] = v.fma(v.to_f32(isum), v.mul(d, da), acc[t]);
        if F::HAS_MIN {
            // The minimum is stored with the sign with which it is added.
            let sum = s.add_pairs8(v.zero(), v.splat16(1), sums);
            acc[t] = v.fma(v.to_f32(sum), v.mul(min, da), acc[t]);
        }
    }
}

/// Adds the products of 8 blocks of 256 with block `at[t]` of the activations of token `t`, and prefetches what lies at
/// `next`.
///
/// # Safety
/// The activations have those blocks.
#[inline(always)]
unsafe fn sub_blocks<I: X86Products, F: Decode, const T: usize>(
    s: I,
    unit: [&F; ROWS],
    (w, next): (&[u8], usize),
    x: Acts<'_>,
    at: [usize; T],
    acc: &mut [__m256; T],
) {
    let v = s.v();
    let lines = (ROWS * size_of::<F>()).div_ceil(8 * 64);
    let (mut sub_scales, mut pairs) = ([v.zero(); 16], [v.zero(); 8]);
    F::sub_columns(s, unit, &mut sub_scales, &mut pairs);
    let mut isum = [v.zero(); T];
    let high = F::high_columns(v, unit);
    for k in 0..4 {
        for (half, columns) in F::two_columns(v, unit, k, &high).into_iter().enumerate() {
            let i = F::PAIRS[k][half];
            // An eighth at a time, because prefetches issued all at once would wait for each other.
            for line in i * lines..(i + 1) * lines {
                v.prefetch(w, next + line * 64);
            }
            let w = map(
                columns,
                #[inline(always)]
                |q| unsigned::<I, F>(v, q),
            );
            let (halves, _) = w.as_chunks::<4>();
            for t in 0..T {
                // SAFETY: the caller's promise; a block has 256 integers, and `i` is below 8.
                let a: &[i8; 32] = unsafe { array(x.q, 256 * at[t] + 32 * i) };
                let (a, _) = a.as_chunks::<4>();
                let (low, high) = a.split_at(4);
                if let (Some(a), Some(low), Some(high)) =
                    (a.first_chunk(), low.first_chunk(), high.first_chunk())
                {
                    isum[t] = if F::SUBS == 8 {
                        s.scaled_dots_of_words::<F, 8>(isum[t], &w, a, sub_scales[2 * i])
                    } else {
                        let sum = s.scaled_dots_of_words::<F, 4>(isum[t], &halves[0], low, sub_scales[2 * i]);
                        s.scaled_dots_of_words::<F, 4>(sum, &halves[1], high, sub_scales[2 * i + 1])
                    };
                }
            }
        }
    }
    let mut msum = [v.zero(); T];
    if Layout::<I, F>::PAIRS > 0 {
        for (p, pairs) in pairs.iter().enumerate() {
            for t in 0..T {
                // SAFETY: the caller's promise; a block has 16 sums.
                let sums = unsafe { *array::<i16, 2>(x.sums, 16 * at[t] + 2 * p) };
                msum[t] = s.add_pairs8(msum[t], *pairs, sums);
            }
        }
    }
    let (d, min) = scales(v, unit, 0);
    for t in 0..T {
        // SAFETY: the caller's promise; a block has a scale.
        let da = v.splat_f32(unsafe { *x.d.get_unchecked(at[t]) });
        let isum = if F::HAS_MIN { isum[t] } else { v.add32(isum[t], msum[t]) };
        acc[t] = v.fma(v.to_f32(isum), v.mul(d, da), acc[t]);
        if F::HAS_MIN {
            acc[t] = v.nfma(v.to_f32(msum[t]), v.mul(min, da), acc[t]);
        }
    }
}
