//! Kimi Linear and Ling 3: delta attention with a decay for each channel, latent attention in every few layers, and
//! fine-grained experts.

use super::decoder::{ADJACENT, HALVES, each_moe, hybrid, rms};
use super::experts::{experts, routing, shared_experts};
use super::latent::make_latent;
use super::params::Params;
use super::rope;
use super::ssm::mixers;
use crate::error::LoadError;
use crate::spec::*;

/// Biases that delta attention's projections have in files, but that are not added.
const INERT: &[&str] = &["attn_q.bias", "attn_k.bias", "attn_v.bias", "attn_qkv.bias"];

/// Kimi Linear: no rotation, decays and gates of low rank.
pub(super) fn kimi_linear(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = family(p, norm)?;
    spec.ropes.clear();
    spec.each_attention(|a| a.rope = None);
    let head_dim = p.u32("kda.head_dim")? as usize;
    delta_layers(&mut spec, KdaSpec { rank: Some(head_dim), ..kda(p, norm)? });
    each_moe(&mut spec, |moe| moe.normalize = true);
    shared_experts(&mut spec, None, p.u32("expert_shared_count")?.max(1));
    Ok(spec)
}

/// Ling 3: bounded decays, and gates of each head of the latent attention.
pub(super) fn bailingmoe3(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    const SAFE: &str = "kda.safe_gate";
    let norm = rms(p)?;
    let mut spec = family(p, norm)?;
    if p.opt_bool(SAFE)? == Some(false) {
        return Err(p.unsupported(SAFE, Some("true")));
    }
    if rope::sections(p, &spec)? {
        spec.ropes.iter_mut().for_each(|rope| rope.pairing = HALVES);
    }
    let gate = AttentionGate { width: GateWidth::PerHead, activation: Activation::Sigmoid };
    spec.each_attention(|a| a.gate = Some(gate));
    let lower_bound = Some(p.f32("kda.gate_lower_bound")?);
    delta_layers(&mut spec, KdaSpec { lower_bound, ..kda(p, norm)? });
    let width = p.opt_u32("expert_shared_feed_forward_length")?.filter(|n| *n > 0);
    let count = if width.is_some() { 1 } else { p.u32("expert_shared_count")?.max(1) };
    shared_experts(&mut spec, width, count);
    Ok(spec)
}

/// Returns what both have in common, except for the layers of delta attention, which are those without key-value heads.
fn family(p: &Params<'_>, norm: NormSpec) -> Result<ModelSpec, LoadError> {
    let mut spec = hybrid(p, norm, ADJACENT)?;
    make_latent(p, &mut spec, norm)?;
    experts(p, &mut spec)?;
    routing(p, &mut spec, None, Need::Required)?;
    Ok(spec)
}

/// Returns delta attention without low ranks and bounds.
fn kda(p: &Params<'_>, norm: NormSpec) -> Result<KdaSpec, LoadError> {
    // an array has 0 for layers without keys and values, so take the heads of the first layer
    let n = super::n_layers(p)?;
    let heads = p.per_layer("attention.head_count", n)?;
    Ok(KdaSpec {
        n_heads: heads.into_iter().find(|n| *n > 0).unwrap_or(0) as usize,
        head_dim: p.u32("kda.head_dim")? as usize,
        kernel: p.u32("ssm.conv_kernel")? as usize,
        eps: norm.eps,
        rank: None,
        lower_bound: None,
        norm,
    })
}

/// Gives the layers without attention a mixer.
fn delta_layers(spec: &mut ModelSpec, kda: KdaSpec) {
    let norm = spec.output_norm;
    mixers(spec, Some(norm), RecurrentKind::Kda(kda), |layer, _| layer.attention.is_none());
    let recurrent = spec.layers.iter_mut().filter(|layer| layer.recurrent.is_some());
    recurrent.for_each(|layer| layer.inert = INERT);
}
