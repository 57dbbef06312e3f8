//! What mixtures of experts share: which layers have one, how tokens are routed, the shared expert.

use happy_kernels::ops::Gating;

use super::decoder::{each_moe, mixture};
use super::params::Params;
use crate::error::LoadError;
use crate::names;
use crate::spec::{ExpertGroups, ModelSpec, Need, SharedExpertSpec};

/// Mixtures of experts of `expert_feed_forward_length` (or the layer's feed-forward length over the number of used experts)
/// after `leading_dense_block_count` dense layers, with SiLU-gated experts.
///
/// # Errors
/// A key that is missing or has an impossible value.
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

/// Routing as metadata says it: `expert_gating_func` (`default` where the file lacks it), `expert_weights_norm`,
/// `expert_weights_scale`, `expert_group_count` and `expert_group_used_count`; `choice_bias` is the architecture's.
///
/// # Errors
/// A key that is missing or has an impossible value.
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

/// `expert_weights_scale`; 0 and no key mean 1.
///
/// # Errors
/// A value of a wrong type.
pub fn weight_scale(p: &Params<'_>) -> Result<f32, LoadError> {
    Ok(p.opt_f32("expert_weights_scale")?.filter(|scale| *scale != 0.0).unwrap_or(1.0))
}

fn groups(p: &Params<'_>) -> Result<Option<ExpertGroups>, LoadError> {
    let Some(n_groups) = p.opt_u32("expert_group_count")?.filter(|n| *n > 1) else { return Ok(None) };
    let n_used = p.u32("expert_group_used_count")?;
    Ok(Some(ExpertGroups { n_groups: n_groups as usize, n_used: n_used as usize }))
}

/// An ungated shared expert beside each mixture, `count` times as wide as one of `width`, or as one of the mixture's.
/// A count of 0 means none.
pub fn shared_experts(spec: &mut ModelSpec, width: Option<u32>, count: u32) {
    each_moe(spec, |moe| {
        let n_ff = width.map_or(moe.n_ff, |n| n as usize).saturating_mul(count as usize);
        moe.shared = (count > 0).then_some(SharedExpertSpec::new(n_ff));
    });
}

/// Mixtures of experts of `expert_feed_forward_length` in the layers that have a router; their dense blocks, if the file has
/// some, are inert.
///
/// # Errors
/// A key that is missing or has an impossible value.
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
