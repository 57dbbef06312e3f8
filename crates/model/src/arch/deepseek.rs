//! DeepSeek MoE, dots.llm1 and Ling: a few dense layers, then fine-grained experts beside shared ones.

use happy_kernels::ops::Gating;

use super::decoder::{ADJACENT, HALVES, decoder, each_moe, inv_sqrt, norm_heads, rms};
use super::experts::{experts, routing, shared_experts, weight_scale};
use super::params::Params;
use crate::error::LoadError;
use crate::spec::{ModelSpec, Need, OutputKind};

/// DeepSeek MoE 16B: softmax routing whose weights are not normalized.
pub(super) fn deepseek(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, ADJACENT)?;
    experts(p, &mut spec)?;
    let scale = weight_scale(p)?;
    each_moe(&mut spec, |moe| {
        moe.normalize = false;
        moe.weight_scale = scale;
    });
    shared_experts(&mut spec, None, p.u32("expert_shared_count")?);
    Ok(spec)
}

/// dots.llm1: norms of Q and K; the file says how tokens are routed.
pub(super) fn dots1(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, HALVES)?;
    spec.output = OutputKind::Own;
    norm_heads(&mut spec, norm, Need::Required, false);
    experts(p, &mut spec)?;
    routing(p, &mut spec, None, Need::Optional)?;
    shared_experts(&mut spec, None, p.u32("expert_shared_count")?);
    Ok(spec)
}

/// Ling: experts in every layer, scores scaled by `1 / sqrt(n_rot)` instead of `1 / sqrt(head_dim)`.
pub(super) fn bailingmoe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, ADJACENT)?;
    spec.output = OutputKind::Own;
    let n_rot = spec.ropes.first().map_or(1, |r| r.n_rot);
    spec.each_attention(|a| a.scale = inv_sqrt(n_rot));
    experts(p, &mut spec)?;
    routing(p, &mut spec, Some(Gating::Softmax), Need::Never)?;
    shared_experts(&mut spec, None, p.u32("expert_shared_count")?);
    Ok(spec)
}

/// Ling 2: norms of Q and K, groups of experts, dense layers at the start.
pub(super) fn bailingmoe2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, HALVES)?;
    spec.output = OutputKind::Own;
    norm_heads(&mut spec, norm, Need::Required, false);
    experts(p, &mut spec)?;
    routing(p, &mut spec, None, Need::Optional)?;
    let width = p.opt_u32("expert_shared_feed_forward_length")?.filter(|n| *n > 0);
    shared_experts(&mut spec, width, p.u32("expert_shared_count")?);
    Ok(spec)
}
