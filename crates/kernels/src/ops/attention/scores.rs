//! Queries times keys, and the softmax of a tile.
//!
//! A score is a dot product in 16 lanes (channel `c` in lane `c % 16`), which their tree adds. There are two ways to
//! compute it: [`direct`] keeps the lanes of one position in a register and adds the trees of 16 positions at once;
//! [`shared`] has 16 positions in a register, computes one lane after the other, and adds them in the order of the
//! tree.

use super::block::Ahead;
use super::position::TileBias;
use super::stored::Element;
use super::{AttnSpec, TILE};
use crate::ops::{elementwise, math};
use crate::simd::Simd;
use core::ops::Range;

/// Computes the scores of a few queries. `q` is `[query][channels / 16]`, `keys` is `[TILE][dk]`; scores of positions
/// outside `range` are arbitrary. `next`, which is read after the keys, is prefetched on the way.
#[inline(always)]
pub(super) fn direct<S: Simd, T: Element>(
    s: S,
    q: &[[f32; 16]],
    keys: &[T],
    dk: usize,
    range: Range<usize>,
    scores: &mut [[f32; TILE]],
    next: Ahead<'_, T>,
) {
    let per_query = dk.div_ceil(16);
    let mut i = 0;
    while i < scores.len() {
        let q = &q[i * per_query..];
        let rest = &mut scores[i..];
        let next = if i == 0 { next } else { Ahead::default() };
        match rest.len() {
            _ if S::QUERIES == 1 => i += direct_n::<S, T, 1>(s, q, keys, dk, range.clone(), rest, next),
            1 => i += direct_n::<S, T, 1>(s, q, keys, dk, range.clone(), rest, next),
            2 => i += direct_n::<S, T, 2>(s, q, keys, dk, range.clone(), rest, next),
            3 | 5 | 6 => i += direct_n::<S, T, 3>(s, q, keys, dk, range.clone(), rest, next),
            _ => i += direct_n::<S, T, 4>(s, q, keys, dk, range.clone(), rest, next),
        }
    }
}

/// Returns the first `N` queries.
#[inline(always)]
fn queries<const N: usize>(q: &[[f32; 16]], per_query: usize) -> [&[[f32; 16]]; N] {
    let mut queries = [&[][..]; N];
    for (query, q) in queries.iter_mut().zip(q.chunks_exact(per_query)) {
        *query = q;
    }
    queries
}

/// Computes the scores of `N` queries and returns `N`.
#[inline(always)]
fn direct_n<S: Simd, T: Element, const N: usize>(
    s: S,
    q: &[[f32; 16]],
    keys: &[T],
    dk: usize,
    range: Range<usize>,
    scores: &mut [[f32; TILE]],
    next: Ahead<'_, T>,
) -> usize {
    let per_query = dk.div_ceil(16);
    let whole = dk / 16;
    let q = queries::<N>(q, per_query);
    let mut lanes = [[s.splat(0.0); 16]; N];
    for group in range.start / 16..range.end.div_ceil(16) {
        let positions = range.start.max(16 * group)..range.end.min(16 * (group + 1));
        for (key, p) in keys[positions.start * dk..positions.end * dk].chunks_exact(dk).zip(positions) {
            next.row(s, p);
            let mut sums = [s.splat(0.0); N];
            let (chunks, rest) = key.as_chunks::<16>();
            for (c, key) in chunks.iter().enumerate() {
                let key = T::load(s, key);
                for (sum, q) in sums.iter_mut().zip(q) {
                    *sum = s.fma(s.load(&q[c]), key, *sum);
                }
            }
            if !rest.is_empty() {
                let key = T::load_part(s, rest);
                for (sum, q) in sums.iter_mut().zip(q) {
                    *sum = s.fma(s.load(&q[whole]), key, *sum);
                }
            }
            for (lanes, sum) in lanes.iter_mut().zip(sums) {
                lanes[p % 16] = sum;
            }
        }
        for (lanes, scores) in lanes.iter().zip(scores.iter_mut()) {
            s.store(s.reduce_add_16(lanes), &mut scores.as_chunks_mut::<16>().0[group]);
        }
    }
    N
}

/// Writes the groups of 16 keys that `range` touches into `transposed`, `[padded(dk)][TILE]`.
#[inline(always)]
pub(super) fn transpose<S: Simd, T: Element>(
    s: S,
    keys: &[T],
    dk: usize,
    range: Range<usize>,
    transposed: &mut [f32],
) {
    let mut square = [[0.0; 16]; 16];
    for group in range.start / 16..range.end.div_ceil(16) {
        let keys = &keys[16 * group * dk..16 * (group + 1) * dk];
        for (c, out) in transposed.chunks_exact_mut(16 * TILE).enumerate().take(dk.div_ceil(16)) {
            for (row, key) in square.iter_mut().zip(keys.chunks_exact(dk)) {
                let key = match key[16 * c..].first_chunk() {
                    Some(key) => T::load(s, key),
                    None => T::load_part(s, &key[16 * c..]),
                };
                s.store(key, row);
            }
            s.transpose(&square, &mut out[16 * group..], TILE);
        }
    }
}

/// Computes the scores of many queries from transposed keys. The arguments are as for [`direct`].
#[inline(always)]
pub(super) fn shared<S: Simd>(
    s: S,
    q: &[[f32; 16]],
    transposed: &[f32],
    range: Range<usize>,
    scores: &mut [[f32; TILE]],
) {
    if S::COMPACT {
        s.outline((q, scores), |s, (q, scores)| shared_body(s, q, transposed, range, scores));
    } else {
        shared_body(s, q, transposed, range, scores);
    }
}

#[inline(always)]
fn shared_body<S: Simd>(
    s: S,
    q: &[[f32; 16]],
    transposed: &[f32],
    range: Range<usize>,
    scores: &mut [[f32; TILE]],
) {
    let per_query = q.len() / scores.len();
    let keys = transposed.as_chunks::<16>().0.as_chunks::<{ TILE / 16 }>().0.as_chunks::<16>().0;
    let keys = &keys[..per_query];
    let mut i = 0;
    while i < scores.len() {
        let (q, rest) = (&q[i * per_query..], &mut scores[i..]);
        i += match rest.len() {
            8.. if S::QUERIES == 8 => shared_n::<S, 8>(s, q, keys, range.clone(), rest),
            4.. if S::QUERIES >= 4 => shared_n::<S, 4>(s, q, keys, range.clone(), rest),
            2.. if S::QUERIES >= 4 => shared_n::<S, 2>(s, q, keys, range.clone(), rest),
            _ => shared_n::<S, 1>(s, q, keys, range.clone(), rest),
        };
    }
}

/// Returns lane `lane` of the dot products of `N` queries with 16 positions.
#[inline(always)]
fn leaf<S: Simd, const N: usize>(
    s: S,
    q: [&[[f32; 16]]; N],
    keys: &[[[[f32; 16]; TILE / 16]; 16]],
    group: usize,
    lane: usize,
) -> [S::V; N] {
    let mut sums = [s.splat(0.0); N];
    for (c, keys) in keys.iter().enumerate() {
        let key = s.load(&keys[lane][group % (TILE / 16)]);
        for (sum, q) in sums.iter_mut().zip(q) {
            *sum = s.fma(s.splat(q[c][lane]), key, *sum);
        }
    }
    sums
}

#[inline(always)]
fn add<S: Simd, const N: usize>(s: S, mut a: [S::V; N], b: [S::V; N]) -> [S::V; N] {
    for (a, b) in a.iter_mut().zip(b) {
        *a = s.add(*a, b);
    }
    a
}

/// The scores of `N` queries; returns `N`.
#[inline(always)]
fn shared_n<S: Simd, const N: usize>(
    s: S,
    q: &[[f32; 16]],
    keys: &[[[[f32; 16]; TILE / 16]; 16]],
    range: Range<usize>,
    scores: &mut [[f32; TILE]],
) -> usize {
    let per_query = keys.len();
    let q = queries::<N>(q, per_query);
    for group in range.start / 16..range.end.div_ceil(16) {
        let mut quarters = [[s.splat(0.0); N]; 4];
        for (lane, quarter) in quarters.iter_mut().enumerate() {
            let first = add(s, leaf(s, q, keys, group, lane), leaf(s, q, keys, group, lane + 8));
            let second = add(s, leaf(s, q, keys, group, lane + 4), leaf(s, q, keys, group, lane + 12));
            *quarter = add(s, first, second);
        }
        let [a, b, c, d] = quarters;
        let sums = add(s, add(s, a, c), add(s, b, d));
        for (sum, scores) in sums.into_iter().zip(scores.iter_mut()) {
            s.store(sum, &mut scores.as_chunks_mut::<16>().0[group]);
        }
    }
    N
}

pub(super) const LANES: [f32; 16] = [0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12., 13., 14., 15.];

/// Adds the bias for the distance, if there is one, turns the scores in `range` into e^(score - max), and joins them to
/// the running softmax, whose values it scales.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(super) fn softmax<S: Simd>(
    s: S,
    spec: &AttnSpec<'_>,
    bias: Option<TileBias<'_>>,
    scores: &mut [f32; TILE],
    range: Range<usize>,
    max: &mut f32,
    sum: &mut f32,
    values: &mut [f32],
) {
    if S::COMPACT {
        s.outline(scores, |s, scores| softmax_body(s, spec, bias, scores, range, max, sum, values));
    } else {
        softmax_body(s, spec, bias, scores, range, max, sum, values);
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn softmax_body<S: Simd>(
    s: S,
    spec: &AttnSpec<'_>,
    bias: Option<TileBias<'_>>,
    scores: &mut [f32; TILE],
    range: Range<usize>,
    max: &mut f32,
    sum: &mut f32,
    values: &mut [f32],
) {
    let scores = scores.as_chunks_mut::<16>().0;
    let scores = &mut scores[range.start / 16..range.end.div_ceil(16)];
    let base = range.start / 16 * 16;
    let scale = s.splat(spec.scale);
    let mut greatest = s.splat(f32::NEG_INFINITY);
    for (g, x) in scores.iter_mut().enumerate() {
        let mut v = s.mul(s.load(x), scale);
        if let Some(cap) = spec.soft_cap {
            v = elementwise::cap(s, v, cap);
        }
        let first = base + 16 * g;
        if let Some(bias) = &bias {
            v = bias.add(s, first, v);
        }
        if first < range.start || first + 16 > range.end {
            let position = s.add(s.load(&LANES), s.splat(first as f32));
            let hidden = s.splat(f32::NEG_INFINITY);
            v = s.select_lt(position, s.splat(range.start as f32), hidden, v);
            v = s.select_lt(position, s.splat(range.end as f32), v, hidden);
        }
        greatest = s.max(v, greatest);
        s.store(v, x);
    }
    let tile_max = s.reduce_max(greatest);
    let new_max = if tile_max > *max { tile_max } else { *max };
    let shift = s.splat(new_max);
    let mut lanes = s.splat(0.0);
    for x in scores {
        let e = math::exp(s, s.sub(s.load(x), shift));
        lanes = s.add(lanes, e);
        s.store(e, x);
    }
    let tile_sum = s.reduce_add(lanes);
    if *sum == 0.0 {
        *sum = tile_sum;
    } else if new_max == *max {
        *sum += tile_sum;
    } else {
        let (factor, _) = super::state::exp_2(s, *max - new_max, 0.0);
        *sum = sum.mul_add(factor, tile_sum);
        for v in values.as_chunks_mut::<16>().0 {
            s.store(s.mul(s.load(v), s.splat(factor)), v);
        }
    }
    *max = new_max;
}
