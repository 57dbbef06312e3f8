//! GroveMoE: Qwen 3 MoE with small experts that several neighbors share.

use super::decoder::{HALVES, decoder, each_moe, norm_heads, rms};
use super::experts::{experts, weight_scale};
use super::params::Params;
use crate::error::LoadError;
use crate::spec::{GroupExpertsSpec, ModelSpec, Need};

/// The small experts read what the large ones read, and the weights of both are the same, as in the original
/// (`modeling_grove_moe.py`). llama.cpp feeds them the large ones' sum.
pub(super) fn grovemoe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, HALVES)?;
    norm_heads(&mut spec, norm, Need::Required, false);
    experts(p, &mut spec)?;
    let head_dim = spec.attentions().next().map_or(0, |a| a.head_dim_k);
    let n_ff = p.opt_u32("expert_chunk_feed_forward_length")?.filter(|n| *n > 0);
    let of_groups = GroupExpertsSpec {
        n_ff: n_ff.map_or(head_dim, |n| n as usize),
        group: p.u32("experts_per_group")? as usize,
        scale: p.f32("expert_group_scale")?,
    };
    let scale = weight_scale(p)?;
    each_moe(&mut spec, |moe| (moe.weight_scale, moe.of_groups) = (scale, Some(of_groups)));
    Ok(spec)
}
