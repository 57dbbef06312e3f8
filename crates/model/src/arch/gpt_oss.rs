//! gpt-oss.

use happy_kernels::ops::{Activation, Gating};

use super::decoder::{HALVES, decoder, each_moe, mixture, rms, window_rope, windows};
use super::params::Params;
use crate::error::LoadError;
use crate::names;
use crate::spec::{ModelSpec, Need, OutputKind};

/// gpt-oss: attention sinks, every second layer with a window, biases everywhere, clamped SwiGLU experts chosen by
/// score and weighted by a softmax over the chosen. The feed-forward norm is stored as `post_attention_norm`.
pub(super) fn gpt_oss(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, HALVES)?;
    spec.output = OutputKind::Own;
    let n_ff = p.per_layer("expert_feed_forward_length", spec.layers.len())?;
    mixture(p, &mut spec, &n_ff)?;
    each_moe(&mut spec, |moe| {
        moe.gating = Gating::SoftmaxAfterTopK;
        moe.normalize = false;
        moe.activation = Activation::SwigluOai { alpha: 1.702, limit: 7.0 };
        moe.bias = Need::Required;
    });
    spec.each_attention(|a| {
        a.out_bias = Need::Required;
        a.sinks = true;
    });
    spec.each_ffn(|f| f.norm_name = names::ATTN_POST_NORM);
    if spec.attentions().any(|a| spec.ropes.iter().any(|r| r.n_rot != a.head_dim_k)) {
        return Err(p.invalid("rope.dimension_count", "the number of elements of a head"));
    }
    spec.ropes.extend(window_rope(p, &spec)?);
    windows(p, &mut spec, p.u32("attention.sliding_window")?, 2, 1)?;
    Ok(spec)
}
