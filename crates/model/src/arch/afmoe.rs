//! Arcee's Trinity (AFMoE), Spark, Laguna and Muse Glimmer: architectures that gate the attention's result.

use happy_kernels::ops::{Activation, Gating};

use super::decoder::{
    ADJACENT, HALVES, decoder, each_dense, norm_heads, norm_results, rms, window_rope, windowed, windows,
};
use super::experts::{experts, routing, shared_experts};
use super::params::Params;
use crate::error::LoadError;
use crate::names;
use crate::spec::{AttentionGate, GateWidth, ModelSpec, Need, NormSpec, OutputKind, RopeParams};

/// AFMoE: embeddings scaled by `sqrt(n_embd)`, norms before and after both halves, a gate for each element of the
/// heads, no rotation in every fourth layer, windows in the others, and experts after the dense layers at the start.
pub(super) fn afmoe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, HALVES)?;
    spec.embedding_scale = Some((spec.n_embd as f32).sqrt());
    norm_heads(&mut spec, norm, Need::Required, false);
    norm_results(&mut spec, norm);
    gate(&mut spec, GateWidth::PerElement, Activation::Sigmoid);
    let window = p.opt_u32("attention.sliding_window")?.unwrap_or(0);
    if window > 0 {
        spec.ropes.extend(window_rope(p, &spec)?);
        windows(p, &mut spec, window, 4, 1)?;
    }
    spec.attentions_mut().skip(3).step_by(4).for_each(|(_, a)| a.rope = None);
    experts(p, &mut spec)?;
    routing(p, &mut spec, Some(Gating::Sigmoid), Need::Required)?;
    shared_experts(&mut spec, None, p.opt_u32("expert_shared_count")?.unwrap_or(0));
    Ok(spec)
}

/// Spark: a gate for each head, GELU-gated blocks, windows by layer. Layers with a window may rotate another number of
/// elements of a head.
pub(super) fn spark2_5(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, HALVES)?;
    gate(&mut spec, GateWidth::PerHead, Activation::Sigmoid);
    each_dense(&mut spec, |d| d.activation = Activation::Gelu);
    let n_rot = p.opt_u32("rope.dimension_count_swa")?.map(|n| n as usize);
    let local = window_rope(p, &spec)?.map(|r| RopeParams { n_rot: n_rot.unwrap_or(r.n_rot), ..r });
    spec.ropes.extend(local);
    windows(p, &mut spec, p.u32("attention.sliding_window")?, 0, 1)?;
    Ok(spec)
}

/// Laguna: softplus gates, one for each head or one for each of its elements; windows in all layers except for the
/// first of every four; experts and a shared expert.
pub(super) fn laguna(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, HALVES)?;
    norm_heads(&mut spec, norm, Need::Required, false);
    gate(&mut spec, GateWidth::PerHead, Activation::Softplus);
    for (i, a) in spec.attentions_mut() {
        let gates = p
            .gguf()
            .tensor(&names::block(i, "attn_gate", "weight"))
            .and_then(|(_, t)| t.dims.get(1).copied());
        if gates == Some(a.out_dim() as u64) {
            a.gate = Some(AttentionGate { width: GateWidth::PerElement, activation: Activation::Softplus });
        }
    }
    let window = p.opt_u32("attention.sliding_window")?.filter(|window| *window > 0);
    if let (Some(window), Some(global)) = (window, window_rope(p, &spec)?) {
        let n_rot = p.opt_u32("rope.dimension_count_swa")?.map_or(global.n_rot, |n| n as usize);
        let plain = RopeParams { n_rot, freq_scale: 1.0, ext_factor: 0.0, attn_factor: 1.0, ..global };
        spec.ropes.push(plain);
        let windowed = windowed(p, &spec, 4, |i, every| i % every != 0)?;
        for ((_, a), windowed) in spec.attentions_mut().zip(windowed) {
            if windowed {
                (a.window, a.rope) = (Some(window), Some(1));
            }
        }
    }
    experts(p, &mut spec)?;
    routing(p, &mut spec, Some(Gating::Sigmoid), Need::Required)?;
    let width = p.opt_u32("expert_shared_feed_forward_length")?.filter(|n| *n > 0);
    let count = p.opt_u32("expert_shared_count")?.unwrap_or(1);
    shared_experts(&mut spec, width, if width.is_some() { 1 } else { count });
    Ok(spec)
}

/// Muse Glimmer: a norm of the embedding, gates, a rotation only in layers with a window, and norms after both halves
/// with an epsilon of their own.
pub(super) fn muse_glimmer(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, ADJACENT)?;
    spec.output = OutputKind::Own;
    spec.embedding_norm = Some(NormSpec { weighted: false, ..norm });
    spec.logit_scale = Some(p.f32("logit_scale")?);
    spec.final_soft_cap = p.opt_f32("final_logit_softcapping")?.filter(|cap| *cap != 0.0);
    norm_heads(&mut spec, norm, Need::Required, false);
    norm_results(&mut spec, NormSpec { eps: 1e-8, ..norm });
    gate(&mut spec, GateWidth::PerElement, Activation::Sigmoid);
    spec.ropes.extend(window_rope(p, &spec)?);
    windows(p, &mut spec, p.u32("attention.sliding_window")?, 4, 1)?;
    spec.each_attention(|a| a.rope = a.rope.filter(|_| a.window.is_some()));
    Ok(spec)
}

fn gate(spec: &mut ModelSpec, width: GateWidth, activation: Activation) {
    let gate = AttentionGate { width, activation };
    spec.each_attention(|a| a.gate = Some(gate));
}
