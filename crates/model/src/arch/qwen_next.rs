//! Qwen 3.5 and Qwen 3 Next: gated delta nets, and attention with gates in every few layers.

use std::ops::Range;

use super::decoder::{HALVES, blocks, each_moe, n_layers, norm_heads, rms};
use super::experts::experts;
use super::params::Params;
use super::ssm::{mixers, recurrent_layers};
use crate::error::LoadError;
use crate::names;
use crate::spec::*;

/// Qwen 3.5.
pub(super) fn qwen35(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    p.opt_array("rope.dimension_sections", 4)?;
    family(p, false)
}

/// Qwen 3.5 MoE: a gated shared expert.
pub(super) fn qwen35moe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = qwen35(p)?;
    shared(p, &mut spec)?;
    Ok(spec)
}

/// The draft head of Qwen 3.5: the block after the last layer, always with attention.
pub(super) fn qwen35_head(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    p.opt_array("rope.dimension_sections", 4)?;
    let (norm, block) = (rms(p)?, n_layers(p)?);
    let mut spec = attention(p, norm, block..block.saturating_add(1))?;
    spec.draft_head = Some(DraftHeadSpec { block, norm });
    Ok(spec)
}

/// The draft head of Qwen 3.5 MoE, with the same experts as a layer.
pub(super) fn qwen35moe_head(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = qwen35_head(p)?;
    shared(p, &mut spec)?;
    Ok(spec)
}

/// Qwen 3 Next: beta and alpha are one matrix. Old files also have one matrix for q, k, v and z, `ssm_in`. Files that have only that one,
/// and not the two that are used, are not supported.
pub(super) fn qwen3next(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = family(p, true)?;
    shared(p, &mut spec)?;
    spec.layers.iter_mut().for_each(|l| l.inert = &["ssm_in.weight"]);
    Ok(spec)
}

/// Gives every layer experts and a gated shared expert.
fn shared(p: &Params<'_>, spec: &mut ModelSpec) -> Result<(), LoadError> {
    experts(p, spec)?;
    let n_ff = match p.opt_u32("expert_shared_feed_forward_length")?.filter(|n| *n > 0) {
        Some(n_ff) => n_ff,
        None => p.u32("feed_forward_length")?,
    };
    each_moe(spec, |moe| {
        moe.shared = Some(SharedExpertSpec { gated: true, ..SharedExpertSpec::new(n_ff as usize) });
    });
    Ok(())
}

/// Returns these blocks of the file as layers with attention.
fn attention(p: &Params<'_>, norm: NormSpec, layers: Range<usize>) -> Result<ModelSpec, LoadError> {
    let mut spec = blocks(p, norm, HALVES, layers)?;
    norm_heads(&mut spec, norm, Need::Required, false);
    spec.each_attention(|a| {
        a.gate = Some(AttentionGate { width: GateWidth::BesideQ, activation: Activation::Sigmoid });
    });
    spec.each_ffn(|f| f.norm_name = names::ATTN_POST_NORM);
    Ok(spec)
}

/// Returns what all of them have in common. `attention.recurrent_layers` lists the recurrent layers; without that key, all layers are
/// recurrent except for every `full_attention_interval`-th one (by default, every fourth).
fn family(p: &Params<'_>, grouped: bool) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = attention(p, norm, 0..n_layers(p)?)?;
    let n_v_heads = p.u32("ssm.time_step_rank")? as usize;
    let head_dim = p.u32("ssm.state_size")? as usize;
    let kind = RecurrentKind::DeltaNet(DeltaNetSpec {
        n_k_heads: p.u32("ssm.group_count")? as usize,
        n_v_heads,
        head_dim_k: head_dim,
        head_dim_v: head_dim,
        kernel: p.u32("ssm.conv_kernel")? as usize,
        eps: norm.eps,
        grouped,
        norm,
    });
    if p.u32("ssm.inner_size")? as usize != n_v_heads.saturating_mul(head_dim) {
        return Err(p.invalid("ssm.inner_size", "ssm.time_step_rank x ssm.state_size"));
    }
    let recurrent = recurrent_layers(p, spec.layers.len(), 4)?;
    for (layer, recurrent) in spec.layers.iter_mut().zip(&recurrent) {
        if *recurrent {
            layer.attention = None;
        }
    }
    mixers(&mut spec, Some(norm), kind, |_, i| recurrent.get(i) == Some(&true));
    Ok(spec)
}
