//! LAuReL (Gemma 3n): a low-rank matrix beside the attention.
//!
//! ```text
//! laurel = h + norm(R (L h))            h: what the attention reads
//! x = (x + laurel) / sqrt(2)            once the attention's result has been added
//! ```
//!
//! Source: Learned Augmented Residual Layer (Menghani et al. 2024, arXiv 2411.07501).

use happy_kernels::linear;

use super::pass::Step;
use super::{mixer, rows};
use crate::error::ForwardError;
use crate::scratch::Scratch;
use crate::weights::kinds;

/// Computes `laurel = h + norm(R (L h))`.
pub(super) fn branch(step: &Step<'_>, s: &mut Scratch) -> Result<(), ForwardError> {
    let Some(w) = &step.weights.laurel else { return Ok(()) };
    let (cx, n, n_embd, rank) = (step.cx, step.n, step.n_embd, w.down.n_out());
    if !s.acts.set(cx, mixer::input(step, &s.x, &s.io), kinds([&w.down])) {
        return Err(step.non_finite());
    }
    linear::forward(cx, &s.acts, &mut [(&w.down, s.inner.ffn_inner_mut(n, rank))], &s.panels);
    step.see_product("laurel_l", &w.down, s.inner.ffn_inner(n, rank));
    if !s.acts.set(cx, s.inner.ffn_inner(n, rank), kinds([&w.up])) {
        return Err(step.non_finite());
    }
    linear::forward(cx, &s.acts, &mut [(&w.up, s.laurel.mat_mut(n, n_embd))], &s.panels);
    step.see_product("laurel_r", &w.up, s.laurel.mat(n, n_embd));
    rows::norm_rows(cx, &w.post_norm, s.laurel.mat_mut(n, n_embd), &s.row);
    step.see("laurel_post_norm", s.laurel.mat(n, n_embd));
    let input = mixer::input(step, &s.x, &s.io);
    rows::each_row(cx, s.laurel.mat_mut(n, n_embd), &|i, row, _| (cx.kernels.ops.add)(row, input.row(i)));
    Ok(())
}

/// Computes `x = (x + laurel) / sqrt(2)`.
pub(super) fn add(step: &Step<'_>, s: &mut Scratch) {
    if step.weights.laurel.is_none() {
        return;
    }
    let (cx, n, n_embd) = (step.cx, step.n, step.n_embd);
    let laurel = s.laurel.mat(n, n_embd);
    rows::each_row(cx, s.x.mat_mut(n, n_embd), &|i, x, _| {
        (cx.kernels.ops.add)(x, laurel.row(i));
        (cx.kernels.ops.scale)(x, 1.0 / 2f32.sqrt());
    });
}
