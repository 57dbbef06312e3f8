//! Decoders that know positions by ALiBi, which lowers scores by the distance, or by an embedding of each position.

use happy_kernels::ops::Activation;

use super::decoder::{ADJACENT, decoder, each_dense, rms};
use super::params::Params;
use super::ungated::ungated;
use crate::error::LoadError;
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

/// Jais: gated blocks with biases, scores over the size of a head.
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

/// Refact: Llama with ALiBi. llama.cpp uses no biases but those of Q, K and V, and no experts.
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

/// Scores are lowered by the distance, and nothing is rotated.
fn alibi(spec: &mut ModelSpec, max: f32) {
    no_rotation(spec);
    spec.each_attention(|a| a.position_bias = Some(PositionBiasSpec::Alibi { max }));
}

fn no_rotation(spec: &mut ModelSpec) {
    spec.ropes.clear();
    spec.each_attention(|a| a.rope = None);
}
