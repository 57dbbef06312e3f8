//! GLM 4, dense and as mixture of experts.

use happy_kernels::ops::Gating;

use super::decoder::{ADJACENT, HALVES, decoder, each_dense, norm_heads, norm_results, rms};
use super::experts::{experts, routing, shared_experts};
use super::params::Params;
use super::rope;
use crate::error::LoadError;
use crate::names;
use crate::spec::{ModelSpec, Need};

/// GLM 4: norms before and after both halves, gate and up in one matrix. Files of its vision models have rotary
/// sections, and rotary pairs across the halves of a head.
pub(super) fn glm4(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, ADJACENT)?;
    if rope::sections(p, &spec)? {
        spec.ropes.iter_mut().for_each(|r| r.pairing = HALVES);
    }
    norm_results(&mut spec, norm);
    each_dense(&mut spec, |d| d.fused = true);
    Ok(spec)
}

/// GLM 4.5: sigmoid routing with a bias for the choice, a shared expert, dense layers at the start. The feed-forward norm is
/// stored as `post_attention_norm`.
pub(super) fn glm4moe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, HALVES)?;
    rope::sections(p, &spec)?;
    norm_heads(&mut spec, norm, Need::Optional, false);
    experts(p, &mut spec)?;
    routing(p, &mut spec, Some(Gating::Sigmoid), Need::Required)?;
    shared_experts(&mut spec, None, p.u32("expert_shared_count")?);
    spec.each_ffn(|f| f.norm_name = names::ATTN_POST_NORM);
    Ok(spec)
}
