//! The steps that attention and recurrent mixers have in common: which rows they read, and how their result is added to the residual
//! stream.

use happy_kernels::Mat;

use super::moe;
use super::pass::Step;
use super::rows;
use crate::scratch::{BlockIo, Buf, Scratch};
use crate::weights::{FfnIn, Norm};

/// Computes `normed = norm(x)`, and copies what a parallel feed-forward half is going to read.
pub(super) fn norm(step: &Step<'_>, s: &mut Scratch) {
    let (cx, n, n_embd) = (step.cx, step.n, step.n_embd);
    if let Some(norm) = step.weights.mixer_norm() {
        rows::norm(cx, norm, s.x.mat(n, n_embd), s.io.normed_mut(n, n_embd));
        step.see("attn_norm", s.io.normed(n, n_embd));
        rows::replace_residual(step, s);
    }
    match step.weights.ffn_in() {
        Some(FfnIn::Attention) => {
            let input = input(step, &s.x, &s.io);
            let kept = s.attn_input.mat_mut(n, n_embd);
            rows::each_row(cx, kept, &|i, row, _| row.copy_from_slice(input.row(i)));
        }
        Some(FfnIn::Layer(norm)) => {
            rows::norm(cx, norm, s.x.mat(n, n_embd), s.attn_input.mat_mut(n, n_embd));
            step.see("ffn_norm", s.attn_input.mat(n, n_embd));
        }
        None | Some(FfnIn::Norm(_) | FfnIn::Residual) => {}
    }
}

/// Returns what the mixers read.
pub(crate) fn input<'s>(step: &Step<'_>, x: &'s Buf, io: &'s BlockIo) -> Mat<'s> {
    match step.weights.mixer_norm() {
        Some(_) => io.normed(step.n, step.n_embd),
        None => x.mat(step.n, step.n_embd),
    }
}

/// Returns whether the feed-forward half reads what was there before the mixer.
fn keeps_input(step: &Step<'_>) -> bool {
    matches!(step.weights.ffn_in(), Some(FfnIn::Attention | FfnIn::Layer(_)))
}

/// Drops the rows of which nothing is wanted, once the cache has everything that later positions need from them. Returns how many rows are
/// left.
pub(super) fn keep_wanted(step: &Step<'_>, s: &mut Scratch) -> usize {
    let n = s.outputs.len();
    if n == step.n {
        return n;
    }
    let wanted = || s.outputs.iter().map(|o| o.index);
    rows::keep_rows(&mut s.x, step.n_embd, wanted());
    if keeps_input(step) {
        rows::keep_rows(&mut s.attn_input, step.n_embd, wanted());
    }
    if step.model.embedding_skips {
        rows::keep_rows(&mut s.embedding, step.n_embd, wanted());
    }
    if let Some(attention) = &step.weights.attention {
        rows::keep_rows(&mut s.inner.0, attention.spec.q_dim(), wanted());
        rows::keep_rows(&mut s.gate, attention.spec.gate_dim(), wanted());
    }
    if let Some(spec) = &step.model.per_layer {
        rows::keep_rows(&mut s.per_layer, spec.width * step.model.layers.len(), wanted());
    }
    if step.weights.laurel.is_some() {
        rows::keep_rows(&mut s.laurel, step.n_embd, wanted());
    }
    if let Some(altup) = &step.model.altup {
        rows::keep_rows(&mut s.streams, altup.n_streams * step.n_embd, wanted());
    }
    // later layers only rotate the rows that are left
    let mut before = 0;
    for rope in &step.model.ropes {
        rows::keep_part(&mut s.cos_sin, (before * step.n, before * n), rope.n_rot, wanted());
        before += rope.n_rot;
    }
    if let Some(recurrent) = step.weights.recurrent() {
        rows::keep_rows(&mut s.recurrent.y, recurrent.spec.widths().y, wanted());
    }
    if let Some(moe) = moe::early_router(step) {
        rows::keep_rows(&mut s.moe.router, moe.spec.n_experts, wanted());
    }
    for (to, from) in wanted().enumerate() {
        s.attn_rows[to] = s.attn_rows[from];
    }
    s.attn_rows.truncate(n);
    n
}

/// Computes `x += norm(mixed) * residual_scale`, or `x = norm(x + mixed)`.
pub(super) fn add(step: &Step<'_>, s: &mut Scratch) {
    let (cx, n, n_embd) = (step.cx, step.n, step.n_embd);
    if let Some(norm) = step.weights.attention.as_ref().and_then(|a| a.sum_norm.as_ref()) {
        norm_sum(step, s, norm);
        return step.see("ffn_input", s.x.mat(n, n_embd));
    }
    let mixed = match step.weights.mixer_post_norm() {
        Some(norm) => {
            rows::norm(cx, norm, s.inner.mixed(n, n_embd), s.io.post_normed_mut(n, n_embd));
            step.see("post_attention_norm", s.io.post_normed(n, n_embd));
            s.io.post_normed(n, n_embd)
        }
        None => s.inner.mixed(n, n_embd),
    };
    rows::add_residual(cx, s.x.mat_mut(n, n_embd), mixed, step.model.residual_scale);
    step.see("ffn_input", s.x.mat(n, n_embd));
}

/// Computes `x = norm(x + mixed)` or, with a second norm, `x = second(x + norm(x + mixed))`.
fn norm_sum(step: &Step<'_>, s: &mut Scratch, norm: &Norm) {
    let (cx, n, n_embd, ops) = (step.cx, step.n, step.n_embd, &step.cx.kernels.ops);
    let x = s.x.mat(n, n_embd);
    rows::each_row(cx, s.inner.mixed_mut(n, n_embd), &|i, row, _| (ops.add)(row, x.row(i)));
    let Some(second) = step.weights.attention.as_ref().and_then(|a| a.second_sum_norm.as_ref()) else {
        return rows::norm(cx, norm, s.inner.mixed(n, n_embd), s.x.mat_mut(n, n_embd));
    };
    rows::norm(cx, norm, s.inner.mixed(n, n_embd), s.io.post_normed_mut(n, n_embd));
    rows::each_row(cx, s.io.post_normed_mut(n, n_embd), &|i, row, _| (ops.add)(row, x.row(i)));
    rows::norm(cx, second, s.io.post_normed(n, n_embd), s.x.mat_mut(n, n_embd));
}
