//! The feed-forward half of a layer: dense here, mixtures of experts in `moe_block`.

use happy_kernels::linear;

use crate::error::ForwardError;
use crate::forward::Pass;
use crate::rows;
use crate::scratch::Scratch;
use crate::spec::{DenseSpec, FfnKind};
use crate::weights::{Ffn, FfnIn, Mlp, kinds};

/// Which buffer holds the block's input.
#[derive(Clone, Copy)]
pub(crate) enum Input {
    /// The normed residual stream.
    Normed,
    /// The residual stream.
    Residual,
    /// What the attention half read.
    Attention,
}

impl Pass<'_> {
    /// Adds the feed-forward half of a layer to the first `n` rows of the residual stream.
    pub(crate) fn ffn_block(&self, s: &mut Scratch, layer: usize, n: usize) -> Result<(), ForwardError> {
        let (cx, spec, w) = (self.cx, self.model.spec(), &self.model.weights().layers[layer]);
        let n_embd = spec.n_embd;
        let input = match &w.ffn_in {
            FfnIn::Norm(norm) => {
                rows::norm(cx, norm, s.x.mat(n, n_embd), s.io.normed_mut(n, n_embd));
                Input::Normed
            }
            FfnIn::Residual => Input::Residual,
            FfnIn::Attention => Input::Attention,
        };
        let done = match (&w.ffn, &spec.layers[layer].ffn.kind) {
            (Ffn::Dense(mlp), FfnKind::Dense(dense)) => self.dense(s, mlp, dense, input, n),
            (Ffn::Moe { router, experts, shared }, FfnKind::Moe(moe)) => {
                self.moe(s, moe, router, experts, shared.as_ref(), input, n)
            }
            // weights are made from the specification
            _ => false,
        };
        if !done {
            return Err(ForwardError::NonFinite { layer });
        }
        let result = match &w.ffn_post_norm {
            Some(norm) => {
                rows::norm(cx, norm, s.io.ffn_out(n, n_embd), s.inner.post_normed_mut(n, n_embd));
                s.inner.post_normed(n, n_embd)
            }
            None => s.io.ffn_out(n, n_embd),
        };
        rows::add_residual(cx, s.x.mat_mut(n, n_embd), result, spec.residual_scale);
        Ok(())
    }

    /// `ffn_out = down(act(gate x) * up x)`; false if a value was not finite.
    fn dense(&self, s: &mut Scratch, mlp: &Mlp, spec: &DenseSpec, input: Input, n: usize) -> bool {
        let (cx, n_embd, n_ff) = (self.cx, self.model.spec().n_embd, spec.n_ff);
        let x = match input {
            Input::Normed => s.io.normed(n, n_embd),
            Input::Residual => s.x.mat(n, n_embd),
            Input::Attention => s.attn_input.mat(n, n_embd),
        };
        if !s.acts.set(cx, x, kinds(mlp.gate.iter().chain([&mlp.up]))) {
            return false;
        }
        let inner = s.inner.ffn_inner_mut(n, n_ff);
        match &mlp.gate {
            Some(gate) => {
                linear::forward_glu(cx, &s.acts, (gate, &mlp.up), spec.activation, inner, &s.panels)
            }
            None => {
                linear::forward(cx, &s.acts, &mut [(&mlp.up, inner)], &s.panels);
                rows::each_row(cx, s.inner.ffn_inner_mut(n, n_ff), &|_, row, _| {
                    (cx.kernels.ops.activate)(spec.activation, row);
                });
            }
        }
        if !s.acts.set(cx, s.inner.ffn_inner(n, n_ff), kinds([&mlp.down])) {
            return false;
        }
        linear::forward(cx, &s.acts, &mut [(&mlp.down, s.io.ffn_out_mut(n, n_embd))], &s.panels);
        true
    }
}
