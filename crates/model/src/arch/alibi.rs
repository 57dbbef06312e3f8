//! Decoders that encode positions by ALiBi, which lowers scores with the distance, or by an embedding of each position.

use happy_kernels::ops::Activation;

use super::decoder::{ADJACENT, HALVES, decoder, each_dense, layer_norm, rms};
use super::params::Params;
use super::ungated::ungated;
use crate::error::LoadError;
use crate::names::{self, block};
use crate::spec::*;

/// GPT-2 and StarCoder: an embedding of each position.
pub(super) fn gpt2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = ungated(p, Activation::Gelu, Need::Required)?;
    spec.output = OutputKind::OwnOrTied;
    spec.learned_positions = true;
    no_rotation(&mut spec);
    Ok(spec)
}

/// BLOOM: a norm of the embedding.
pub(super) fn bloom(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = ungated(p, Activation::Gelu, Need::Required)?;
    spec.output = OutputKind::OwnOrTied;
    spec.embedding_norm = Some(spec.output_norm);
    alibi(&mut spec, 8.0);
    Ok(spec)
}

/// Jais: gated blocks with biases, and scores divided by the size of a head.
pub(super) fn jais(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = ungated(p, Activation::Silu, Need::Required)?;
    each_dense(&mut spec, |d| d.gated = true);
    spec.each_attention(|a| a.scale = 1.0 / a.head_dim_k as f32);
    match p.opt_f32("attention.max_alibi_bias")?.filter(|max| *max > 0.0) {
        Some(max) => alibi(&mut spec, max),
        None => no_rotation(&mut spec),
    }
    Ok(spec)
}

/// MPT: ALiBi, an embedding of each position, or both; biases if the file has them; and activations that may be
/// divided.
pub(super) fn mpt(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = NormSpec { bias: Need::Optional, ..layer_norm(p)? };
    let mut spec = decoder(p, norm, HALVES)?;
    let clamp = p.opt_f32("attention.clamp_kqv")?.filter(|c| *c > 0.0);
    match p.opt_f32("attention.max_alibi_bias")?.filter(|max| *max > 0.0) {
        Some(max) => alibi(&mut spec, max),
        None => no_rotation(&mut spec),
    }
    spec.learned_positions = p.gguf().tensor(names::POSITION_EMBD).is_some();
    each_dense(&mut spec, |d| {
        (d.gated, d.activation) = (false, Activation::Gelu);
        (d.bias, d.divisors) = (Need::Optional, Need::Optional);
    });
    for (i, layer) in spec.layers.iter_mut().enumerate() {
        let Some(a) = &mut layer.attention else { continue };
        (a.out_bias, a.clamp) = (Need::Optional, clamp);
        // llama.cpp norms K only if it also norms Q
        match p.gguf().tensor(&block(i, "attn_q_norm", "weight")) {
            Some(_) => {
                let kind = QkNormKind::WholeRow;
                a.qk_norm = Some(QkNormSpec { kind, norm, need: Need::Required, after_rope: false });
            }
            None => layer.inert = &["attn_k_norm.weight", "attn_k_norm.bias"],
        }
    }
    Ok(spec)
}

/// Refact: Llama with ALiBi. As in llama.cpp, no biases are used except for those of Q, K and V, and no experts: if the
/// file has experts, a block is only the activation.
pub(super) fn refact(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, ADJACENT)?;
    alibi(&mut spec, 8.0);
    spec.inert = &["rope_freqs.weight", "rope_factors*"];
    let experts = p.opt_u32("expert_count")?.unwrap_or(0) > 0;
    for layer in &mut spec.layers {
        layer.inert = &["attn_output.bias", "ffn_gate.bias", "ffn_up.bias", "ffn_down.bias"];
        if experts && let Some(ffn) = &mut layer.ffn {
            ffn.kind = FfnKind::Elementwise(Activation::Silu);
            layer.inert = &["attn_output.bias", "ffn_gate*", "ffn_up*", "ffn_down*"];
        }
    }
    Ok(spec)
}

/// Lowers scores with the distance, and removes the rotation.
fn alibi(spec: &mut ModelSpec, max: f32) {
    no_rotation(spec);
    spec.each_attention(|a| a.position_bias = Some(PositionBiasSpec::Alibi { max }));
}

fn no_rotation(spec: &mut ModelSpec) {
    spec.ropes.clear();
    spec.each_attention(|a| a.rope = None);
}
