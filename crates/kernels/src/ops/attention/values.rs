//! Weighted sums of values: one fused multiply-add per channel for each visible position, in ascending order.

use super::TILE;
use super::block::Ahead;
use super::state::padded;
use super::stored::Element;
use crate::simd::Simd;
use core::ops::Range;

/// Writes the rows of `range` as f32; `values` and `widened` are `[TILE][dv]`.
#[inline(always)]
pub(super) fn widen<S: Simd, T: Element>(
    s: S,
    values: &[T],
    dv: usize,
    range: Range<usize>,
    widened: &mut [f32],
) {
    let range = range.start * dv..range.end * dv;
    let (whole, rest) = values[range.clone()].as_chunks::<16>();
    let (whole_out, rest_out) = widened[range].as_chunks_mut::<16>();
    for (x, y) in whole.iter().zip(whole_out) {
        s.store(T::load(s, x), y);
    }
    s.store_part(T::load_part(s, rest), rest_out);
}

/// `sums[query][channel] = fma(p[query][j], values[j][channel], ..)` for the positions `j` that each query sees.
/// `next`, which is read after the values, is prefetched on the way.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(super) fn add<S: Simd, T: Element>(
    s: S,
    p: &[[f32; TILE]],
    visible: &[(usize, usize)],
    values: &[T],
    dv: usize,
    sums: &mut [f32],
    next: Ahead<'_, T>,
) {
    if S::COMPACT {
        s.outline(sums, |s, sums| add_body(s, p, visible, values, dv, sums, next));
    } else {
        add_body(s, p, visible, values, dv, sums, next);
    }
}

#[inline(always)]
fn add_body<S: Simd, T: Element>(
    s: S,
    p: &[[f32; TILE]],
    visible: &[(usize, usize)],
    values: &[T],
    dv: usize,
    sums: &mut [f32],
    next: Ahead<'_, T>,
) {
    let width = padded(dv);
    let mut i = 0;
    while i < p.len() {
        let n = match p.len() - i {
            _ if S::QUERIES == 1 => 1,
            8.. if S::QUERIES == 8 => 8,
            4.. => 4,
            rest => rest,
        };
        let (p, sums) = (&p[i..i + n], &mut sums[i * width..(i + n) * width]);
        // The positions that all of them see, if there are any. Other positions of a query are before and after these.
        let visible = &visible[i..i + n];
        let (low, high) = visible.iter().fold((0, TILE), |(low, high), (l, h)| (low.max(*l), high.min(*h)));
        let common = if low < high { low..high } else { TILE..TILE };
        let next = if i == 0 { next } else { Ahead::default() };
        for phase in 0..3 {
            if phase == 1 {
                match n {
                    _ if S::QUERIES == 1 => rows::<S, T, 1>(s, p, common.clone(), values, dv, sums, next),
                    8 if S::QUERIES == 8 => rows::<S, T, 8>(s, p, common.clone(), values, dv, sums, next),
                    4 => rows::<S, T, 4>(s, p, common.clone(), values, dv, sums, next),
                    3 => rows::<S, T, 3>(s, p, common.clone(), values, dv, sums, next),
                    2 => rows::<S, T, 2>(s, p, common.clone(), values, dv, sums, next),
                    _ => rows::<S, T, 1>(s, p, common.clone(), values, dv, sums, next),
                }
                continue;
            }
            for (q, &(l, h)) in visible.iter().enumerate() {
                let range = if phase == 0 { l..h.min(common.start) } else { l.max(common.end)..h };
                if !range.is_empty() {
                    rows::<S, T, 1>(
                        s,
                        &p[q..q + 1],
                        range,
                        values,
                        dv,
                        &mut sums[q * width..(q + 1) * width],
                        Ahead::default(),
                    );
                }
            }
        }
        i += n;
    }
}

/// Adds all channels of `N` queries over the positions of `range`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn rows<S: Simd, T: Element, const N: usize>(
    s: S,
    p: &[[f32; TILE]],
    range: Range<usize>,
    values: &[T],
    dv: usize,
    sums: &mut [f32],
    next: Ahead<'_, T>,
) {
    let Some(p) = p.first_chunk::<N>() else { return };
    let first = range.start;
    let values = &values[range.start * dv..range.end * dv];
    let whole = dv / 16;
    let mut column = 0;
    // Prefetched while the first columns are read.
    let next = |column: usize| if column == 0 { next } else { Ahead::default() };
    match N {
        1 => {
            while column + 4 <= whole {
                columns::<S, T, N, 4>(s, p, first, values, dv, column, sums, next(column));
                column += 4;
            }
        }
        2 | 3 => {
            while column + 2 <= whole {
                columns::<S, T, N, 2>(s, p, first, values, dv, column, sums, next(column));
                column += 2;
            }
        }
        _ => {}
    }
    while column < whole {
        columns::<S, T, N, 1>(s, p, first, values, dv, column, sums, next(column));
        column += 1;
    }
    if !dv.is_multiple_of(16) {
        let width = padded(dv);
        for (p, sums) in p.iter().zip(sums.chunks_exact_mut(width)) {
            let Some(sum) = sums[16 * whole..].first_chunk_mut() else { continue };
            let mut v = s.load(sum);
            for (p, row) in p[first..].iter().zip(values.chunks_exact(dv)) {
                v = s.fma(s.splat(*p), T::load_part(s, &row[16 * whole..]), v);
            }
            s.store(v, sum);
        }
    }
}

/// Adds `C` times 16 channels from `16 * column` on of `N` queries. The first row of `values` is position `first`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn columns<S: Simd, T: Element, const N: usize, const C: usize>(
    s: S,
    p: &[[f32; TILE]; N],
    first: usize,
    values: &[T],
    dv: usize,
    column: usize,
    sums: &mut [f32],
    next: Ahead<'_, T>,
) {
    let width = padded(dv);
    let place = |n: usize, c: usize| n * width / 16 + column + c;
    let sums = sums.as_chunks_mut::<16>().0;
    let mut lanes = [[s.splat(0.0); C]; N];
    for (n, lanes) in lanes.iter_mut().enumerate() {
        for (c, lane) in lanes.iter_mut().enumerate() {
            *lane = s.load(&sums[place(n, c)]);
        }
    }
    for (j, row) in values.chunks_exact(dv).enumerate() {
        next.row(s, first + j);
        let row = row[16 * column..16 * (column + C)].as_chunks::<16>().0;
        let mut v = [s.splat(0.0); C];
        for (v, row) in v.iter_mut().zip(row) {
            *v = T::load(s, row);
        }
        for (p, lanes) in p.iter().zip(&mut lanes) {
            let p = s.splat(p[first + j]);
            for (v, lane) in v.iter().zip(lanes) {
                *lane = s.fma(p, *v, *lane);
            }
        }
    }
    for (n, lanes) in lanes.into_iter().enumerate() {
        for (c, lane) in lanes.into_iter().enumerate() {
            s.store(lane, &mut sums[place(n, c)]);
        }
    }
}
