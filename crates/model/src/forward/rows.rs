//! Operations on the rows of a matrix. If there are many rows, several threads share the work. Each row's result depends only on that row.

use happy_kernels::{Ctx, Mat, MatMut, PerWorker};

use super::pass::Step;
use crate::scratch::{Buf, Scratch};
use crate::spec::NormKind;
use crate::weights::{Norm, PartsNorm};

/// Returns how many rows a task has. A few rows take less time than handing them out to threads.
fn per_task(rows: usize) -> usize {
    if rows < 4 { rows.max(1) } else { 4 }
}

/// Calls `f(index, row)` for every row, until the computation is cancelled.
pub(crate) fn each_row(cx: Ctx<'_>, mat: MatMut<'_>, f: &(dyn Fn(usize, &mut [f32], usize) + Sync)) {
    let step = per_task(mat.rows());
    cx.pool.for_each_rows(mat, step, &|first, mut rows, worker| {
        if cx.cancelled() {
            return;
        }
        for r in 0..rows.rows() {
            f(first + r, rows.row_mut(r), worker);
        }
    });
}

/// Computes `y = norm(x)` for one row.
pub(super) fn norm_row(cx: Ctx<'_>, norm: &Norm, x: &[f32], y: &mut [f32]) {
    weighted_row(cx, norm, norm.weight.as_deref(), x, y);
}

/// Does the same with these weights instead of the norm's own.
fn weighted_row(cx: Ctx<'_>, norm: &Norm, weight: Option<&[f32]>, x: &[f32], y: &mut [f32]) {
    let (ops, bias) = (&cx.kernels.ops, norm.bias.as_deref());
    match norm.kind {
        NormKind::Rms => {
            (ops.rms_norm)(x, weight, norm.eps, y);
            if let Some(bias) = bias {
                (ops.add)(y, bias);
            }
        }
        NormKind::Layer => (ops.layer_norm)(x, weight, bias, norm.eps, y),
        NormKind::Identity => y.copy_from_slice(x),
    }
}

/// Computes `y = norm(x)`.
pub(crate) fn norm(cx: Ctx<'_>, norm: &Norm, x: Mat<'_>, y: MatMut<'_>) {
    each_row(cx, y, &|i, y, _| norm_row(cx, norm, x.row(i), y));
}

/// Writes the norm of row `from(i)` of `x` to row `i` of `y`.
pub(crate) fn norm_from(
    cx: Ctx<'_>,
    norm: &Norm,
    x: Mat<'_>,
    from: &(dyn Fn(usize) -> usize + Sync),
    y: MatMut<'_>,
) {
    each_row(cx, y, &|i, y, _| norm_row(cx, norm, x.row(from(i)), y));
}

/// Computes `x = normed * factor`, in models whose halves add to that.
pub(super) fn replace_residual(step: &Step<'_>, s: &mut Scratch) {
    let Some(factor) = step.model.normed_residual else { return };
    let normed = s.io.normed(step.n, step.n_embd);
    each_row(step.cx, s.x.mat_mut(step.n, step.n_embd), &|i, x, _| {
        x.copy_from_slice(normed.row(i));
        (step.cx.kernels.ops.scale)(x, factor);
    });
}

/// Computes `x += y * scale`.
pub(crate) fn add_residual(cx: Ctx<'_>, x: MatMut<'_>, y: Mat<'_>, scale: Option<f32>) {
    let ops = &cx.kernels.ops;
    each_row(cx, x, &|i, x, _| match scale {
        Some(scale) => (ops.add_scaled)(x, y.row(i), scale),
        None => (ops.add)(x, y.row(i)),
    });
}

/// Computes `x = norm(x)` for one row. `copy` is spare memory that is at least as long.
pub(crate) fn norm_in_place(cx: Ctx<'_>, norm: &Norm, x: &mut [f32], copy: &mut [f32]) {
    let copy = &mut copy[..x.len()];
    copy.copy_from_slice(x);
    norm_row(cx, norm, copy, x);
}

/// Applies a norm to each row, in place.
pub(crate) fn norm_rows(cx: Ctx<'_>, norm: &Norm, mat: MatMut<'_>, spare: &PerWorker<Vec<f32>>) {
    each_row(cx, mat, &|_, row, worker| spare.with(worker, |copy| norm_in_place(cx, norm, row, copy)));
}

/// Applies a norm to the parts of each row, in place. A part is one head, or the whole row.
pub(crate) fn norm_parts(cx: Ctx<'_>, parts: &PartsNorm, mat: MatMut<'_>, spare: &PerWorker<Vec<f32>>) {
    let (norm, width) = (&parts.norm, parts.width);
    each_row(cx, mat, &|_, row, worker| {
        spare.with(worker, |copy| {
            // without weights, this yields nothing
            let mut weights = norm.weight.as_deref().unwrap_or(&[]).chunks_exact(width).cycle();
            for part in row.chunks_exact_mut(width) {
                let copy = &mut copy[..width];
                copy.copy_from_slice(part);
                weighted_row(cx, norm, weights.next(), copy, part);
            }
        });
    });
}

/// Moves the rows with these indices, which are in ascending order, to the front.
pub(crate) fn keep_rows(buf: &mut Buf, cols: usize, indices: impl Iterator<Item = usize>) {
    keep_part(buf, (0, 0), cols, indices);
}

/// Moves the rows with these indices, in ascending order, from the matrix that starts at value `from` to the one that starts at `to`, which
/// must not be greater than `from`.
pub(crate) fn keep_part(
    buf: &mut Buf,
    (from, to): (usize, usize),
    cols: usize,
    indices: impl Iterator<Item = usize>,
) {
    for (row, index) in indices.enumerate() {
        buf.move_values(from + index * cols, to + row * cols, cols);
    }
}
