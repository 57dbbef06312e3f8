//! The steps of a layer's feed-forward half. Mixtures of experts are in `moe`.

use happy_kernels::linear::{self, ActBuf, LinearRows, Panels};
use happy_kernels::ops::Activation;
use happy_kernels::{Ctx, Mat, PerWorker};

use super::pass::Step;
use super::rows;
use crate::error::ForwardError;
use crate::scratch::{BlockIo, Buf, Inner, Scratch};
use crate::weights::{FeedForward, FfnIn, Mlp, PartsNorm, kinds};

/// Computes `normed = norm(x)`, if the half reads that.
pub(super) fn norm(step: &Step<'_>, s: &mut Scratch) {
    if let Some(FfnIn::Norm(norm)) = step.weights.ffn_in() {
        let (n, n_embd) = (step.n, step.n_embd);
        rows::norm(step.cx, norm, s.x.mat(n, n_embd), s.io.normed_mut(n, n_embd));
        step.see("ffn_norm", s.io.normed(n, n_embd));
        rows::replace_residual(step, s);
    }
}

/// Returns what the half reads.
pub(crate) fn input<'s>(step: &Step<'_>, x: Mat<'s>, io: &'s BlockIo, attn_input: &'s Buf) -> Mat<'s> {
    match step.weights.ffn_in() {
        Some(FfnIn::Norm(_)) => io.normed(step.n, step.n_embd),
        None | Some(FfnIn::Residual) => x,
        Some(FfnIn::Attention | FfnIn::Layer(_)) => attn_input.mat(step.n, step.n_embd),
    }
}

/// Computes `ffn_out = down(act(gate x) * up x)`.
pub(super) fn dense(step: &Step<'_>, s: &mut Scratch, mlp: &Mlp) -> Result<(), ForwardError> {
    let Scratch { x, io, attn_input, inner, acts, panels, row, sparse, .. } = s;
    let (up, down) = (&mlp.up, &mlp.down);
    let mlp = MlpRows::from(mlp);
    let x = input(step, x.mat(step.n, step.n_embd), io, attn_input);
    let finite = match (mlp.gate, mlp.sparsity) {
        (Some(gate), Some(m)) => {
            super::sparse::inner(step, (&mlp, gate, m), x, acts, (inner, sparse), panels)
        }
        _ => mlp_inner(step.cx, &mlp, x, acts, inner, (panels, row)),
    };
    if !finite {
        return Err(step.non_finite());
    }
    step.see_product("ffn_up", up, inner.ffn_inner(step.n, up.n_out()));
    let out = io.ffn_out_mut(step.n, step.n_embd);
    linear::forward(step.cx, acts, &mut [(mlp.down, out)], panels);
    step.see_product("ffn_down", down, io.ffn_out(step.n, step.n_embd));
    Ok(())
}

/// Computes `ffn_out = act(x)`.
pub(super) fn elementwise(step: &Step<'_>, s: &mut Scratch, activation: Activation) {
    let (cx, n, n_embd) = (step.cx, step.n, step.n_embd);
    let other = match step.weights.ffn_in() {
        Some(FfnIn::Norm(_)) => None, // the input is already where the result goes
        None | Some(FfnIn::Residual) => Some(s.x.mat(n, n_embd)),
        Some(FfnIn::Attention | FfnIn::Layer(_)) => Some(s.attn_input.mat(n, n_embd)),
    };
    rows::each_row(cx, s.io.ffn_out_mut(n, n_embd), &|i, row, _| {
        if let Some(other) = &other {
            row.copy_from_slice(other.row(i));
        }
        (cx.kernels.ops.activate)(activation, row);
    });
}

/// The matrices of one feed-forward block, or an expert's part of stacked matrices.
#[derive(Clone, Copy)]
pub(super) struct MlpRows<'a> {
    pub(super) activation: Activation,
    pub(super) sparsity: Option<f32>,
    pub(super) gate: Option<LinearRows<'a>>,
    pub(super) up: LinearRows<'a>,
    pub(super) divisors: Option<&'a [f32]>,
    pub(super) sub_norm: Option<&'a PartsNorm>,
    pub(super) down: LinearRows<'a>,
}

impl<'a> From<&'a Mlp> for MlpRows<'a> {
    fn from(mlp: &'a Mlp) -> Self {
        let gate = mlp.gate.as_ref().map(LinearRows::from);
        let (up, down, sub_norm) = ((&mlp.up).into(), (&mlp.down).into(), mlp.sub_norm.as_ref());
        let divisors = mlp.divisors.as_deref();
        MlpRows { activation: mlp.activation, sparsity: mlp.sparsity, gate, up, divisors, sub_norm, down }
    }
}

/// Computes `acts = norm(act(gate x) * up x)` in the form that the down matrix takes; without a gate, `act(up x)`, which may be divided by
/// divisors. Returns `false` if a value was not finite.
pub(super) fn mlp_inner(
    cx: Ctx<'_>,
    mlp: &MlpRows<'_>,
    x: Mat<'_>,
    acts: &mut ActBuf,
    inner: &mut Inner,
    (panels, spare): (&Panels, &PerWorker<Vec<f32>>),
) -> bool {
    let (n, n_ff) = (x.rows(), mlp.up.n_out());
    if !acts.set(cx, x, kinds(mlp.gate.into_iter().chain([mlp.up]))) {
        return false;
    }
    let out = inner.ffn_inner_mut(n, n_ff);
    match mlp.gate {
        Some(gate) => linear::forward_glu(cx, acts, (gate, mlp.up), mlp.activation, out, panels),
        None => {
            linear::forward(cx, acts, &mut [(mlp.up, out)], panels);
            rows::each_row(cx, inner.ffn_inner_mut(n, n_ff), &|_, row, _| {
                (cx.kernels.ops.activate)(mlp.activation, row);
                if let Some(divisors) = mlp.divisors {
                    row.iter_mut().zip(divisors).for_each(|(x, divisor)| *x /= divisor);
                }
            });
        }
    }
    if let Some(norm) = mlp.sub_norm {
        rows::norm_parts(cx, norm, inner.ffn_inner_mut(n, n_ff), spare);
    }
    acts.set(cx, inner.ffn_inner(n, n_ff), kinds([mlp.down]))
}

/// Computes `x *= scale`, or `x += scale * embedding`: the layer's last step.
pub(super) fn scale(step: &Step<'_>, s: &mut Scratch) {
    let Some(scale) = step.weights.out_scale else { return };
    let cx = step.cx;
    if step.model.embedding_skips {
        let embedding = s.embedding.mat(step.n, step.n_embd);
        return rows::add_residual(cx, s.x.mat_mut(step.n, step.n_embd), embedding, Some(scale));
    }
    rows::each_row(cx, s.x.mat_mut(step.n, step.n_embd), &|_, row, _| (cx.kernels.ops.scale)(row, scale));
}

/// Computes `x += norm(ffn_out * scale) * residual_scale`, or `x = norm(x + ffn_out)`.
pub(super) fn add(step: &Step<'_>, ffn: &FeedForward, s: &mut Scratch) {
    let (cx, n, n_embd) = (step.cx, step.n, step.n_embd);
    if let Some(scale) = ffn.scale {
        rows::each_row(cx, s.io.ffn_out_mut(n, n_embd), &|_, row, _| (cx.kernels.ops.scale)(row, scale));
    }
    if let Some(norm) = &ffn.sum_norm {
        let x = s.x.mat(n, n_embd);
        let ffn_out = s.io.ffn_out_mut(n, n_embd);
        rows::each_row(cx, ffn_out, &|i, row, _| (cx.kernels.ops.add)(row, x.row(i)));
        return rows::norm(cx, norm, s.io.ffn_out(n, n_embd), s.x.mat_mut(n, n_embd));
    }
    let ffn_out = match &ffn.post_norm {
        Some(norm) => {
            rows::norm(cx, norm, s.io.ffn_out(n, n_embd), s.inner.post_normed_mut(n, n_embd));
            step.see("post_ffw_norm", s.inner.post_normed(n, n_embd));
            s.inner.post_normed(n, n_embd)
        }
        None => s.io.ffn_out(n, n_embd),
    };
    rows::add_residual(cx, s.x.mat_mut(n, n_embd), ffn_out, step.model.residual_scale);
}
