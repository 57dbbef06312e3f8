//! Per-layer embeddings: for every token, each layer reads some values of its own.
//!
//! ```text
//! inputs, once a pass:   p = norm(Wproj x / sqrt(n_embd))                       one norm for each layer's part
//!                        inputs[layer] = (p[layer] + table[token][layer] * sqrt(width)) / sqrt(2)
//! at the end of a layer: x += post_norm(proj(gelu(gate x) * inputs[layer]))
//! ```
//!
//! If there are several residual streams, the gate reads the first one, multiplied by a row of factors, and the sum goes to the others.
//!
//! The table is the largest tensor of such a model. Only one row for each token is read, from the mapped file, so the table's other pages
//! never become resident.

use happy_kernels::Mat;
use happy_kernels::linear;
use happy_kernels::ops::Activation;

use super::pass::{Pass, Step};
use super::rows;
use crate::error::ForwardError;
use crate::scratch::Scratch;
use crate::weights::kinds;

/// Computes `per_layer`, the inputs of all layers, from the scaled embedding `x`.
pub(super) fn inputs(pass: &Pass<'_>, s: &mut Scratch) -> Result<(), ForwardError> {
    let Some(w) = &pass.model.weights().per_layer else { return Ok(()) };
    let (cx, n, n_embd) = (pass.cx, pass.batch.len(), pass.model.n_embd());
    let (ops, all, tokens) = (&cx.kernels.ops, w.proj.n_out(), pass.batch.tokens());
    if !s.acts.set(cx, s.x.mat(n, n_embd), kinds([&w.proj])) {
        return Err(ForwardError::NonFinite { layer: 0 });
    }
    linear::forward(cx, &s.acts, &mut [(&w.proj, s.per_layer.mat_mut(n, all))], &s.panels);
    let (by_embd, by_two) = (1.0 / (n_embd as f32).sqrt(), 1.0 / 2f32.sqrt());
    let by_width = (w.norm.width as f32).sqrt();
    rows::each_row(cx, s.per_layer.mat_mut(n, all), &|_, row, _| (ops.scale)(row, by_embd));
    rows::norm_parts(cx, &w.norm, s.per_layer.mat_mut(n, all), &s.row);
    let spare = &s.row;
    rows::each_row(cx, s.per_layer.mat_mut(n, all), &|i, row, worker| {
        spare.with(worker, |own| {
            let own = &mut own[..all];
            // the token is below the vocabulary's size and the tensor's shape was checked
            if w.table.row(tokens[i], own).is_err() {
                own.fill(f32::NAN);
            }
            (ops.add_scaled)(row, own, by_width);
            (ops.scale)(row, by_two);
        });
    });
    pass.see("per_layer_inputs", None, s.per_layer.mat(n, all));
    Ok(())
}

/// Computes `x += post_norm(proj(gelu(gate x) * inputs[layer]))`.
pub(super) fn add(step: &Step<'_>, s: &mut Scratch) -> Result<(), ForwardError> {
    let (Some(w), Some(spec)) = (&step.weights.per_layer, &step.model.per_layer) else { return Ok(()) };
    let (cx, n, n_embd, width, layer) = (step.cx, step.n, step.n_embd, spec.width, step.layer);
    let inputs = s.per_layer.mat(n, width * step.model.layers.len());
    let mut x = s.x.mat(n, n_embd);
    if let Some(altup) = &step.weights.altup {
        rows::each_row(cx, s.io.normed_mut(n, n_embd), &|i, row, _| {
            row.copy_from_slice(x.row(i));
            (cx.kernels.ops.mul)(row, &altup.correct_scale);
        });
        x = s.io.normed(n, n_embd);
    }
    if !s.acts.set(cx, x, kinds([&w.gate])) {
        return Err(step.non_finite());
    }
    linear::forward(cx, &s.acts, &mut [(&w.gate, s.inner.ffn_inner_mut(n, width))], &s.panels);
    rows::each_row(cx, s.inner.ffn_inner_mut(n, width), &|i, row, _| {
        let input = &inputs.row(i)[width * layer..][..width];
        (cx.kernels.ops.glu)(Activation::Gelu, row, input);
    });
    if !s.acts.set(cx, s.inner.ffn_inner(n, width), kinds([&w.proj])) {
        return Err(step.non_finite());
    }
    step.see_product("inp_gate", &w.gate, s.inner.ffn_inner(n, width));
    linear::forward(cx, &s.acts, &mut [(&w.proj, s.io.ffn_out_mut(n, n_embd))], &s.panels);
    step.see_product("proj", &w.proj, s.io.ffn_out(n, n_embd));
    rows::norm(cx, &w.post_norm, s.io.ffn_out(n, n_embd), s.inner.post_normed_mut(n, n_embd));
    let out: Mat<'_> = s.inner.post_normed(n, n_embd);
    step.see("post_norm", out);
    match &step.model.altup {
        None => rows::each_row(cx, s.x.mat_mut(n, n_embd), &|i, x, _| (cx.kernels.ops.add)(x, out.row(i))),
        Some(altup) => {
            let streams = s.streams.mat_mut(n, altup.n_streams * n_embd);
            rows::each_row(cx, streams, &|i, row, _| {
                let others = row[n_embd..].chunks_exact_mut(n_embd);
                others.for_each(|stream| (cx.kernels.ops.add)(stream, out.row(i)));
            });
        }
    }
    Ok(())
}
