//! What architectures with mixtures of experts have in common: which layers have a mixture, how tokens are routed, and the shared expert.

use happy_kernels::ops::Gating;

use super::decoder::{each_moe, mixture};
use super::params::Params;
use crate::error::LoadError;
use crate::names;
use crate::spec::{ExpertGroups, ModelSpec, Need, SharedExpertSpec};

/// Replaces the dense blocks, except for those of the first `leading_dense_block_count` layers, by mixtures of SiLU-gated experts. The
/// width of an expert is `expert_feed_forward_length` or, if that key is missing or 0, the layer's feed-forward length divided by the
/// number of experts that a token uses.
///
/// # Errors
/// If a key is missing or has an impossible value.
pub fn experts(p: &Params<'_>, spec: &mut ModelSpec) -> Result<(), LoadError> {
    let n = spec.layers.len();
    let mut n_ff = match p.opt_per_layer("expert_feed_forward_length", n)?.filter(|v| !v.contains(&0)) {
        Some(n_ff) => n_ff,
        None => {
            let all = p.per_layer("feed_forward_length", n)?;
            let used = p.per_layer("expert_used_count", n)?;
            crate::reserve::collected(n, all.iter().zip(used).map(|(ff, used)| ff / used.max(1)))?
        }
    };
    let lead = p.opt_u32("leading_dense_block_count")?.unwrap_or(0) as usize;
    n_ff.iter_mut().take(lead).for_each(|n_ff| *n_ff = 0);
    mixture(p, spec, &n_ff)
}

/// Sets how tokens are routed, from the keys `expert_gating_func` (the default is `default`), `expert_weights_norm`,
/// `expert_weights_scale`, `expert_group_count` and `expert_group_used_count`. `choice_bias` is decided by the
/// architecture.
///
/// # Errors
/// If a key is missing or has an impossible value.
pub fn routing(
    p: &Params<'_>,
    spec: &mut ModelSpec,
    default: Option<Gating>,
    choice_bias: Need,
) -> Result<(), LoadError> {
    const GATING: &str = "expert_gating_func";
    let gating = match (p.opt_u32(GATING)?, default) {
        (None | Some(0), Some(gating)) => gating,
        (None, None) => return Err(LoadError::MissingKey { key: p.key(GATING) }),
        (Some(1), _) => Gating::Softmax,
        (Some(2), _) => Gating::Sigmoid,
        (Some(3), _) => Gating::SoftmaxAfterTopK,
        (Some(_), _) => {
            return Err(p.unsupported(GATING, Some("1 (softmax), 2 (sigmoid) or 3 (softmax of the chosen)")));
        }
    };
    let normalize = p.opt_bool("expert_weights_norm")?.unwrap_or(false);
    let groups = groups(p)?;
    let scale = weight_scale(p)?;
    each_moe(spec, |moe| {
        moe.gating = gating;
        moe.choice_bias = choice_bias;
        moe.normalize = normalize;
        moe.groups = groups;
        moe.weight_scale = scale;
    });
    Ok(())
}

/// Returns `expert_weights_scale`. It is 1 if the key is 0 or missing.
///
/// # Errors
/// If the value has the wrong type.
pub fn weight_scale(p: &Params<'_>) -> Result<f32, LoadError> {
    Ok(p.opt_f32("expert_weights_scale")?.filter(|scale| *scale != 0.0).unwrap_or(1.0))
}

fn groups(p: &Params<'_>) -> Result<Option<ExpertGroups>, LoadError> {
    let Some(n_groups) = p.opt_u32("expert_group_count")?.filter(|n| *n > 1) else { return Ok(None) };
    let n_used = p.u32("expert_group_used_count")?;
    Ok(Some(ExpertGroups { n_groups: n_groups as usize, n_used: n_used as usize }))
}

/// Adds a shared expert without a gate to each mixture. It is `count` times as wide as `width`, or as one of the mixture's experts. With a
/// count of 0, there is no shared expert.
pub fn shared_experts(spec: &mut ModelSpec, width: Option<u32>, count: u32) {
    each_moe(spec, |moe| {
        let n_ff = width.map_or(moe.n_ff, |n| n as usize).saturating_mul(count as usize);
        moe.shared = (count > 0).then_some(SharedExpertSpec::new(n_ff));
    });
}

/// Replaces the dense blocks by mixtures of experts, each `expert_feed_forward_length` wide, in the layers that have a router. If the file
/// has dense blocks in those layers too, they aren't used.
///
/// # Errors
/// If a key is missing or has an impossible value.
pub fn experts_by_tensors(p: &Params<'_>, spec: &mut ModelSpec) -> Result<(), LoadError> {
    let mut n_ff = p.per_layer("expert_feed_forward_length", spec.layers.len())?;
    for ((i, layer), n_ff) in spec.layers.iter_mut().enumerate().zip(&mut n_ff) {
        match p.gguf().tensor(&names::block(i, "ffn_gate_inp", "weight")) {
            Some(_) => layer.inert = &["ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"],
            None => *n_ff = 0,
        }
    }
    mixture(p, spec, &n_ff)
}
