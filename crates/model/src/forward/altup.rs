//! AltUp (Gemma 3n): there are several residual streams. A layer computes one of them, and predicts the others.
//!
//! ```text
//! start:   stream 0 = x;  stream j = proj_j x, as long as x
//! layer:   m = tanh(router norm(x));  coef = predict m
//!          stream j += sum of coef[j n + k] * stream k, k ascending       the predictions
//!          x = stream 0, which the layer computes
//!          m = tanh(router norm(x));  coef = correct m
//!          stream j += (x - stream 0 as predicted) * (1 + coef[j]);  x = stream 0
//! finish:  x = (x + sum of unembd_j stream j, each as long as x, j ascending) / n
//! ```
//!
//! Between layers the residual stream `x` is stream 0. Source: Alternating Updates (Baykal et al. 2023, arXiv 2301.13310),
//! as `transformers` computes it for Gemma 3n.

use happy_kernels::linear;
use happy_kernels::ops::Activation;

use super::pass::{Pass, Step};
use super::{lanes, rows};
use crate::error::ForwardError;
use crate::scratch::Scratch;
use crate::weights::{AltUp, kinds};

/// Returns the factor that makes a row as long as another one, or 0 for a row of zeros.
fn ratio(target: &[f32], row: &[f32]) -> f32 {
    let own = lanes::length(row);
    if own > 0.0 { lanes::length(target) / own } else { 0.0 }
}

/// Makes the streams from the scaled embedding `x`.
pub(super) fn start(pass: &Pass<'_>, s: &mut Scratch) -> Result<(), ForwardError> {
    let (Some(w), Some(spec)) = (&pass.model.weights().altup, &pass.model.spec().altup) else {
        return Ok(());
    };
    let (cx, n, n_embd) = (pass.cx, pass.batch.len(), pass.model.n_embd());
    let (ops, all) = (&cx.kernels.ops, n_embd * spec.n_streams);
    if !s.acts.set(cx, s.x.mat(n, n_embd), kinds([&w.proj])) {
        return Err(ForwardError::NonFinite { layer: 0 });
    }
    let mut streams = s.streams.mat_mut(n, all);
    linear::forward(cx, &s.acts, &mut [(&w.proj, streams.columns_mut(n_embd..all))], &s.panels);
    let x = s.x.mat(n, n_embd);
    rows::each_row(cx, streams, &|i, row, _| {
        let x = x.row(i);
        let (first, others) = row.split_at_mut(n_embd);
        first.copy_from_slice(x);
        others.chunks_exact_mut(n_embd).for_each(|part| (ops.scale)(part, ratio(x, part)));
    });
    pass.see("altup_proj", None, s.streams.mat(n, all));
    Ok(())
}

/// Computes `m = tanh(router norm(x))`.
fn modalities(step: &Step<'_>, w: &AltUp, s: &mut Scratch) -> Result<(), ForwardError> {
    let (cx, n, n_embd) = (step.cx, step.n, step.n_embd);
    rows::norm(cx, &w.router_norm, s.x.mat(n, n_embd), s.io.normed_mut(n, n_embd));
    if !s.acts.set(cx, s.io.normed(n, n_embd), kinds([&w.router])) {
        return Err(step.non_finite());
    }
    let m = w.router.n_out();
    linear::forward(cx, &s.acts, &mut [(&w.router, s.modalities.mat_mut(n, m))], &s.panels);
    step.see_product("altup_router", &w.router, s.modalities.mat(n, m));
    rows::each_row(cx, s.modalities.mat_mut(n, m), &|_, row, _| {
        (cx.kernels.ops.activate)(Activation::Tanh, row)
    });
    Ok(())
}

/// Multiplies row `r` of a small matrix by `m`, and adds the products from the first element on.
fn coefficient(matrix: &[f32], r: usize, m: &[f32]) -> f32 {
    let row = matrix.chunks_exact(m.len()).nth(r).unwrap_or(&[]);
    row.iter().zip(m).fold(0.0, |sum, (w, m)| w.mul_add(*m, sum))
}

/// Replaces every stream by what all of them together predict for it. Then `x = stream 0`.
pub(super) fn predict(step: &Step<'_>, s: &mut Scratch) -> Result<(), ForwardError> {
    let (Some(w), Some(spec)) = (&step.weights.altup, &step.model.altup) else { return Ok(()) };
    modalities(step, w, s)?;
    let (cx, n, n_embd, m) = (step.cx, step.n, step.n_embd, spec.n_streams);
    let (x, modalities, spare) = (s.x.mat(n, n_embd), s.modalities.mat(n, m), &s.row);
    rows::each_row(cx, s.streams.mat_mut(n, m * n_embd), &|i, row, worker| {
        // a hook may have changed it
        row[..n_embd].copy_from_slice(x.row(i));
        spare.with(worker, |old| {
            let old = &mut old[..m * n_embd];
            old.copy_from_slice(row);
            for (j, stream) in row.chunks_exact_mut(n_embd).enumerate() {
                for (k, old) in old.chunks_exact(n_embd).enumerate() {
                    let coefficient = coefficient(&w.predict, j * m + k, modalities.row(i));
                    (cx.kernels.ops.add_scaled)(stream, old, coefficient);
                }
            }
        });
    });
    take_first(step, s, m);
    Ok(())
}

/// Adds to every stream its part of what the layer changed in the first one. Then `x = stream 0`.
pub(super) fn correct(step: &Step<'_>, s: &mut Scratch) -> Result<(), ForwardError> {
    let (Some(w), Some(spec)) = (&step.weights.altup, &step.model.altup) else { return Ok(()) };
    modalities(step, w, s)?;
    let (cx, n, n_embd, m) = (step.cx, step.n, step.n_embd, spec.n_streams);
    let (x, modalities, spare) = (s.x.mat(n, n_embd), s.modalities.mat(n, m), &s.row);
    rows::each_row(cx, s.streams.mat_mut(n, m * n_embd), &|i, row, worker| {
        spare.with(worker, |change| {
            let change = &mut change[..n_embd];
            for ((change, x), predicted) in change.iter_mut().zip(x.row(i)).zip(&*row) {
                *change = x - predicted;
            }
            for (j, stream) in row.chunks_exact_mut(n_embd).enumerate() {
                let coefficient = 1.0 + coefficient(&w.correct, j, modalities.row(i));
                (cx.kernels.ops.add_scaled)(stream, change, coefficient);
            }
        });
    });
    take_first(step, s, m);
    Ok(())
}

/// `x = stream 0`
fn take_first(step: &Step<'_>, s: &mut Scratch, n_streams: usize) {
    let streams = s.streams.mat(step.n, n_streams * step.n_embd);
    step.see("altup", streams);
    let n_embd = step.n_embd;
    let x = s.x.mat_mut(step.n, n_embd);
    rows::each_row(step.cx, x, &|i, x, _| x.copy_from_slice(&streams.row(i)[..n_embd]));
}

/// Computes `x = mean of the streams`. All streams except the first go through matrices of their own and get the length of the first.
pub(super) fn finish(pass: &Pass<'_>, s: &mut Scratch, n: usize) -> Result<(), ForwardError> {
    let (Some(w), Some(spec)) = (&pass.model.weights().altup, &pass.model.spec().altup) else {
        return Ok(());
    };
    let (cx, n_embd, m) = (pass.cx_of(n), pass.model.n_embd(), spec.n_streams);
    let ops = &cx.kernels.ops;
    // keep the first stream, which a hook may have changed, because the others get its length
    let x = s.x.mat(n, n_embd);
    rows::each_row(cx, s.streams.mat_mut(n, m * n_embd), &|i, row, _| {
        row[..n_embd].copy_from_slice(x.row(i))
    });
    let streams = s.streams.mat(n, m * n_embd);
    for j in 1..m {
        let part = w.unembd.rows((j - 1) * n_embd, n_embd);
        if !s.acts.set(cx, streams.columns(j * n_embd..(j + 1) * n_embd), kinds([part])) {
            return Err(ForwardError::NonFinite { layer: pass.model.n_layers() });
        }
        linear::forward(cx, &s.acts, &mut [(part, s.io.ffn_out_mut(n, n_embd))], &s.panels);
        let out = s.io.ffn_out(n, n_embd);
        rows::each_row(cx, s.x.mat_mut(n, n_embd), &|i, x, _| {
            let first = &streams.row(i)[..n_embd];
            (ops.add_scaled)(x, out.row(i), ratio(first, out.row(i)));
        });
    }
    rows::each_row(cx, s.x.mat_mut(n, n_embd), &|_, x, _| (ops.scale)(x, 1.0 / m as f32));
    pass.see("altup_unembd_proj", None, s.x.mat(n, n_embd));
    Ok(())
}
