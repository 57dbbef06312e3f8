//! ERNIE 4.5, dense and as mixture of experts, and PaddleOCR.

use super::decoder::{ADJACENT, HALVES, decoder, each_moe, mixture, rms};
use super::experts::shared_experts;
use super::params::Params;
use super::rope;
use crate::error::LoadError;
use crate::names;
use crate::spec::{Activation, FfnKind, ModelSpec, Need};

/// ERNIE 4.5: the decoder. Some files have a bias of the attention's output, which the model does not use.
pub(super) fn ernie4_5(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, ADJACENT)?;
    spec.layers.iter_mut().for_each(|l| l.inert = &["attn_output.bias"]);
    Ok(spec)
}

/// ERNIE 4.5 MoE: experts in every `interleave_moe_layer_step`-th layer after the dense ones at the start.
///
/// A layer between these is dense. If the file has experts there and no dense block, then the layer computes what llama.cpp
/// does without matrices: the activation alone.
pub(super) fn ernie4_5_moe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = ernie4_5(p)?;
    let step = p.u32("interleave_moe_layer_step")?.max(1) as usize;
    let lead = p.opt_u32("leading_dense_block_count")?.unwrap_or(0) as usize;
    let mut n_ff = p.per_layer("expert_feed_forward_length", spec.layers.len())?;
    for (i, n_ff) in n_ff.iter_mut().enumerate() {
        if i < lead || (i + 1) % step != 0 {
            *n_ff = 0;
        }
    }
    mixture(p, &mut spec, &n_ff)?;
    each_moe(&mut spec, |moe| moe.choice_bias = Need::Optional);
    let shared = p.opt_u32("expert_shared_feed_forward_length")?.unwrap_or(0);
    shared_experts(&mut spec, Some(shared), u32::from(shared > 0));
    for (i, layer) in spec.layers.iter_mut().enumerate() {
        let has = |part| p.gguf().tensor(&names::block(i, part, "weight")).is_some();
        let Some(ffn) = &mut layer.ffn else { continue };
        if matches!(ffn.kind, FfnKind::Dense(_)) && !has("ffn_up") && has("ffn_up_exps") {
            ffn.kind = FfnKind::Elementwise(Activation::Silu);
            layer.inert = &["attn_output.bias", "ffn_gate*", "ffn_up*", "ffn_down*", "exp_probs_b*"];
        }
    }
    Ok(spec)
}

/// PaddleOCR's text part: the decoder with rotary pairs across the halves of a head, rotary sections, and a bias of the
/// attention's output.
pub(super) fn paddleocr(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, HALVES)?;
    rope::sections(p, &spec)?;
    spec.each_attention(|a| a.out_bias = Need::Optional);
    Ok(spec)
}
