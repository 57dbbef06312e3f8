//! The channel mix of RWKV, its feed-forward half:
//!
//! ```text
//! k = lerp_k(x, row before);  ffn_out = W_v relu(W_k k)^2
//! RWKV-6:  r = lerp_r(x, row before);  ffn_out *= sigmoid(W_r r)
//! ```

use happy_kernels::linear::{self, Linear};
use happy_kernels::ops::Activation;

use super::rwkv6::{lerp, shift};
use super::{gate, project};
use crate::error::{ForwardError, LoadError};
use crate::forward::pass::Step;
use crate::forward::{ffn, rows};
use crate::kv::Pages;
use crate::load::tensors::Tensors;
use crate::names::block;
use crate::scratch::Scratch;
use crate::spec::{ChannelMixSpec, Need};
use crate::weights::kinds;

pub(crate) struct ChannelMix {
    /// The index, in the layer's state, of the previous row.
    first: usize,
    n_ff: usize,
    lerp_k: Vec<f32>,
    key: Linear,
    value: Linear,
    /// What computes the gates: the weights of the mixture with the previous row, and a matrix.
    gates: Option<(Vec<f32>, Linear)>,
}

impl ChannelMix {
    pub(crate) fn load(
        t: &mut Tensors<'_>,
        spec: &ChannelMixSpec,
        first: usize,
        i: usize,
    ) -> Result<Self, LoadError> {
        let (n_embd, n_ff) = (spec.width, spec.n_ff);
        Ok(ChannelMix {
            first,
            n_ff,
            lerp_k: t.vector(&block(i, "channel_mix_lerp_k", "weight"), &[n_embd])?,
            key: t.linear(i, "channel_mix_key", n_embd, n_ff, Need::Never)?,
            value: t.linear(i, "channel_mix_value", n_ff, n_embd, Need::Never)?,
            gates: match spec.gated {
                true => {
                    let lerp = t.vector(&block(i, "channel_mix_lerp_r", "weight"), &[n_embd])?;
                    Some((lerp, t.linear(i, "channel_mix_receptance", n_embd, n_embd, Need::Never)?))
                }
                false => None,
            },
        })
    }

    pub(crate) fn linears(&self) -> impl Iterator<Item = &Linear> {
        [&self.key, &self.value].into_iter().chain(self.gates.iter().map(|(_, gates)| gates))
    }

    /// Computes `ffn_out = channel_mix(normed)` for all rows of the batch.
    pub(crate) fn run(
        &self,
        step: &Step<'_>,
        s: &mut Scratch,
        pages: &mut Pages<'_>,
    ) -> Result<(), ForwardError> {
        let (cx, n, width) = (step.cx, step.n, step.n_embd);
        let ops = &cx.kernels.ops;
        let Scratch { x, io, attn_input, inner, acts, panels, recurrent: r, .. } = s;
        let input = ffn::input(step, x.mat(n, width), io, attn_input);
        shift(step, pages, self.first, input, r.wide.mat_mut(n, width));
        let shifted = r.wide.mat(n, width);
        rows::each_row(cx, r.projected.mat_mut(n, 2 * width), &|i, row, _| {
            let (k, r) = row.split_at_mut(width);
            lerp(cx, &self.lerp_k, shifted.row(i), input.row(i), k);
            if let Some((lerp_r, _)) = &self.gates {
                lerp(cx, lerp_r, shifted.row(i), input.row(i), r);
            }
        });
        let mixed = r.projected.mat(n, 2 * width);
        let key = (&self.key, inner.ffn_inner_mut(n, self.n_ff));
        project(step, mixed.columns(0..width), (acts, panels), &mut [key])?;
        if let Some((_, gates)) = &self.gates {
            let gates = (gates, r.gate.mat_mut(n, width));
            project(step, mixed.columns(width..2 * width), (acts, panels), &mut [gates])?;
        }
        rows::each_row(cx, inner.ffn_inner_mut(n, self.n_ff), &|_, row, _| {
            (ops.activate)(Activation::ReluSquared, row);
        });
        if !acts.set(cx, inner.ffn_inner(n, self.n_ff), kinds([&self.value])) {
            return Err(step.non_finite());
        }
        linear::forward(cx, acts, &mut [(&self.value, io.ffn_out_mut(n, width))], panels);
        step.see_product("channel_mix_value", &self.value, io.ffn_out(n, width));
        if self.gates.is_some() {
            gate(cx, Activation::Sigmoid, r.gate.mat_mut(n, width), io.ffn_out_mut(n, width));
        }
        Ok(())
    }
}
