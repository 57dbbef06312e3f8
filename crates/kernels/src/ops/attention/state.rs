//! The state of an attention task: scratch, and the running softmax of each query.

use super::TILE;
use crate::ops::math;
use crate::simd::{Simd, entry};
use std::collections::TryReserveError;

/// Returns `n` rounded up to whole registers.
pub(super) const fn padded(n: usize) -> usize {
    match n.checked_next_multiple_of(16) {
        Some(n) => n,
        None => usize::MAX,
    }
}

/// Returns the number of elements of a partial result of one query: its values, then 16 elements, of which the first
/// two are the maximum and the sum.
pub(super) const fn record_len(head_dim_v: usize) -> usize {
    padded(head_dim_v).saturating_add(16)
}

/// Running softmax of some queries.
#[derive(Debug, Default)]
pub(super) struct States {
    /// Greatest score so far.
    pub(super) max: Vec<f32>,
    /// Sum of e^(score - max); 0 before the first score.
    pub(super) sum: Vec<f32>,
    /// `[query][padded(head_dim_v)]`: values weighted by e^(score - max).
    pub(super) values: Vec<f32>,
}

impl States {
    /// Resets the maximum and the sum. The values stay as they are: they are not used before the first score, and
    /// [`States::start`] clears them before that.
    pub(super) fn reset(&mut self, queries: usize) {
        self.max[..queries].fill(f32::NEG_INFINITY);
        self.sum[..queries].fill(0.0);
    }

    /// Prepares for scores to be added.
    pub(super) fn start(&mut self, queries: usize, width: usize) {
        self.reset(queries);
        self.values[..queries * width].fill(0.0);
    }
}

/// Scratch of one worker.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// `[query][padded(head_dim_k)]`, as the cache's kind wants it
    pub(super) q: Vec<f32>,
    /// `[padded(head_dim_k)][TILE]`: a tile's keys, transposed. Before the first tile, spare room for a query.
    pub(super) keys: Vec<f32>,
    /// `[TILE][head_dim_v]`: a tile's values as f32.
    pub(super) values: Vec<f32>,
    /// `[query][TILE]`
    pub(super) scores: Vec<f32>,
    /// The positions of the tile that each query sees.
    pub(super) visible: Vec<(usize, usize)>,
    pub(super) chunk: States,
    pub(super) total: States,
}

impl Work {
    pub(super) fn new(queries: usize, head_dim_k: usize, head_dim_v: usize) -> Result<Self, TryReserveError> {
        let (dk, dv) = (padded(head_dim_k), padded(head_dim_v));
        let states = || -> Result<States, TryReserveError> {
            Ok(States {
                max: zeros(queries)?,
                sum: zeros(queries)?,
                values: zeros(queries.saturating_mul(dv))?,
            })
        };
        let mut visible = Vec::new();
        visible.try_reserve_exact(queries)?;
        visible.resize(queries, (0, 0));
        Ok(Self {
            q: zeros(queries.saturating_mul(dk))?,
            keys: zeros(dk.saturating_mul(TILE))?,
            values: zeros(head_dim_v.saturating_mul(TILE))?,
            scores: zeros(queries.saturating_mul(TILE))?,
            visible,
            chunk: states()?,
            total: states()?,
        })
    }

    /// Returns the number of elements of 4 bytes that [`Work::new`] reserves.
    pub(super) fn elements(queries: usize, head_dim_k: usize, head_dim_v: usize) -> usize {
        let (dk, dv) = (padded(head_dim_k), padded(head_dim_v));
        let query = dk
            .saturating_add(dv.saturating_mul(2))
            .saturating_add(TILE + 4 + size_of::<(usize, usize)>() / 4);
        let tile = dk.saturating_add(head_dim_v).saturating_mul(TILE);
        queries.saturating_mul(query).saturating_add(tile)
    }
}

fn zeros(len: usize) -> Result<Vec<f32>, TryReserveError> {
    let mut v = Vec::new();
    v.try_reserve_exact(len)?;
    v.resize(len, 0.0);
    Ok(v)
}

/// Returns e^a and e^b.
#[inline(always)]
pub(super) fn exp_2<S: Simd>(s: S, a: f32, b: f32) -> (f32, f32) {
    if S::COMPACT { s.outline((a, b), exp_2_body) } else { exp_2_body(s, (a, b)) }
}

#[inline(always)]
fn exp_2_body<S: Simd>(s: S, (a, b): (f32, f32)) -> (f32, f32) {
    let mut lanes = [0.0; 16];
    (lanes[0], lanes[1]) = (a, b);
    let e = math::exp(s, s.load(&lanes));
    s.store(e, &mut lanes);
    (lanes[0], lanes[1])
}

/// Joins the softmax of later positions, `(max, sum, values)`, to that of earlier ones.
#[inline(always)]
pub(super) fn join<S: Simd>(
    s: S,
    (max, sum, values): (&mut f32, &mut f32, &mut [f32]),
    later: (f32, f32, &[f32]),
) {
    let (later_max, later_sum, later_values) = later;
    if later_sum == 0.0 {
        return;
    }
    if *sum == 0.0 {
        (*max, *sum) = (later_max, later_sum);
        values.copy_from_slice(later_values);
        return;
    }
    let greatest = if later_max > *max { later_max } else { *max };
    let (a, b) = exp_2(s, *max - greatest, later_max - greatest);
    *max = greatest;
    *sum = sum.mul_add(a, later_sum * b);
    for (x, y) in values.as_chunks_mut::<16>().0.iter_mut().zip(later_values.as_chunks::<16>().0) {
        s.store(s.fma(s.load(x), s.splat(a), s.mul(s.load(y), s.splat(b))), x);
    }
}

/// Adds the sink, divides by the sum and writes the channels that exist.
#[inline(always)]
pub(super) fn finish<S: Simd>(s: S, max: f32, sum: f32, values: &[f32], sink: Option<f32>, out: &mut [f32]) {
    if sum == 0.0 {
        // nothing was visible
        out.fill(0.0);
        return;
    }
    let (mut factor, mut sum) = (1.0, sum);
    if let Some(sink) = sink {
        let greatest = if sink > max { sink } else { max };
        let (a, b) = exp_2(s, max - greatest, sink - greatest);
        factor = a;
        sum = sum.mul_add(a, b);
    }
    let (factor, sum) = (s.splat(factor), s.splat(sum));
    let value = |v: &[f32; 16]| s.div(s.mul(s.load(v), factor), sum);
    let values = values.as_chunks::<16>().0;
    let (whole, rest) = out.as_chunks_mut::<16>();
    if let (false, Some(v)) = (rest.is_empty(), values.get(whole.len())) {
        s.store_part(value(v), rest);
    }
    for (out, v) in whole.iter_mut().zip(values) {
        s.store(value(v), out);
    }
}

/// The partial results of one query, to be joined.
pub(crate) struct Merge<'a> {
    /// Number of chunks.
    pub(super) chunks: usize,
    /// Elements from one chunk's record to the next.
    pub(super) stride: usize,
    /// Channels of a value.
    pub(super) head_dim_v: usize,
    /// The head's sink.
    pub(super) sink: Option<f32>,
    /// Whether values are stored rotated.
    pub(super) rotated: bool,
    /// Where the result goes.
    pub(super) out: &'a mut [f32],
}

#[inline(always)]
fn merge_body<S: Simd>(s: S, merge: Merge<'_>, partials: &mut [f32]) {
    let width = padded(merge.head_dim_v);
    let (first, rest) = partials.split_at_mut(width + 16);
    let (values, sums) = first.split_at_mut(width);
    let (mut max, mut sum) = (sums[0], sums[1]);
    for chunk in 1..merge.chunks {
        let record = &rest[chunk * merge.stride - (width + 16)..][..width + 16];
        join(s, (&mut max, &mut sum, values), (record[width], record[width + 1], &record[..width]));
    }
    finish(s, max, sum, values, merge.sink, merge.out);
    if merge.rotated {
        super::quantized::rotate(merge.out);
    }
}

entry!(pub(crate) fn merge(merge: Merge<'_>, partials: &mut [f32]) = merge_body);
