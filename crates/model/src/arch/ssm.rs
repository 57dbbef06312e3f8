//! State space models: Mamba, Mamba 2, and hybrids with attention.

use super::decoder::{ADJACENT, HALVES, each_dense, each_moe, hybrid, layer_norm, mixture, rms};
use super::granite;
use super::params::Params;
use crate::error::LoadError;
use crate::names;
use crate::reserve::collected;
use crate::spec::*;

/// Gives a recurrent mixer to the layers that `which` chooses.
pub fn mixers(
    spec: &mut ModelSpec,
    norm: Option<NormSpec>,
    kind: RecurrentKind,
    which: impl Fn(&LayerSpec, usize) -> bool,
) {
    for (i, layer) in spec.layers.iter_mut().enumerate() {
        if which(layer, i) {
            layer.recurrent =
                Some(RecurrentSpec { norm, norm_name: names::ATTN_NORM, kind, post_norm: None });
        }
    }
}

/// Returns which of `n` layers are recurrent: those that `attention.recurrent_layers` lists; without that key, all except for every
/// `full_attention_interval`-th layer. The default of the interval is `default`.
///
/// # Errors
/// If a key has an impossible value.
pub(super) fn recurrent_layers(p: &Params<'_>, n: usize, default: u32) -> Result<Vec<bool>, LoadError> {
    let flags = p.opt_array("attention.recurrent_layers", n)?;
    let interval = p.opt_u32("full_attention_interval")?.unwrap_or(default).max(1) as usize;
    let is_recurrent = |i: usize| match &flags {
        Some(flags) => flags.get(i).is_some_and(|flag| *flag != 0),
        None => !(i + 1).is_multiple_of(interval),
    };
    Ok(collected(n, (0..n).map(is_recurrent))?)
}

/// Reads the sizes of a Mamba mixer from metadata.
///
/// # Errors
/// If a key is missing or has an impossible value.
pub fn mamba_kind(p: &Params<'_>, dt_b_c_norm: Option<NormSpec>) -> Result<RecurrentKind, LoadError> {
    Ok(RecurrentKind::Mamba(MambaSpec {
        d_inner: p.u32("ssm.inner_size")? as usize,
        d_state: p.u32("ssm.state_size")? as usize,
        dt_rank: p.u32("ssm.time_step_rank")? as usize,
        kernel: p.u32("ssm.conv_kernel")? as usize,
        dt_b_c_norm,
    }))
}

/// Reads the sizes of a Mamba 2 mixer from metadata.
///
/// # Errors
/// If a key is missing or has an impossible value.
pub fn mamba2_kind(p: &Params<'_>, norm: Option<NormSpec>) -> Result<RecurrentKind, LoadError> {
    Ok(RecurrentKind::Mamba2(Mamba2Spec {
        d_inner: p.u32("ssm.inner_size")? as usize,
        n_heads: p.u32("ssm.time_step_rank")? as usize,
        n_groups: p.u32("ssm.group_count")? as usize,
        d_state: p.u32("ssm.state_size")? as usize,
        kernel: p.u32("ssm.conv_kernel")? as usize,
        norm,
    }))
}

/// Mamba: only mixers. Falcon Mamba also norms dt, B and C, without weights.
pub(super) fn mamba(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let inner = NormSpec { weighted: false, ..norm };
    let normed = p.opt_bool("ssm.dt_b_c_rms")?.unwrap_or(false);
    let kind = mamba_kind(p, normed.then_some(inner))?;
    alone(p, norm, kind)
}

/// Mamba 2: only mixers.
pub(super) fn mamba2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    alone(p, norm, mamba2_kind(p, Some(norm))?)
}

/// Returns a model whose layers have only mixers.
fn alone(p: &Params<'_>, norm: NormSpec, kind: RecurrentKind) -> Result<ModelSpec, LoadError> {
    let mut spec = hybrid(p, norm, HALVES)?;
    spec.ropes.clear();
    for layer in &mut spec.layers {
        (layer.attention, layer.ffn) = (None, None);
    }
    mixers(&mut spec, Some(norm), kind, |_, _| true);
    Ok(spec)
}

/// Jamba: Mamba in the layers without key-value heads, no rotation, experts in the layers that have a router.
pub(super) fn jamba(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = hybrid(p, norm, HALVES)?;
    spec.ropes.clear();
    spec.each_attention(|a| a.rope = None);
    mixers(&mut spec, Some(norm), mamba_kind(p, Some(norm))?, |l, _| l.attention.is_none());
    let mut n_ff = p.per_layer("feed_forward_length", spec.layers.len())?;
    for (i, n_ff) in n_ff.iter_mut().enumerate() {
        if p.gguf().tensor(&names::block(i, "ffn_gate_inp", "weight")).is_none() {
            *n_ff = 0;
        }
    }
    if n_ff.iter().any(|n| *n > 0) {
        mixture(p, &mut spec, &n_ff)?;
        each_moe(&mut spec, |moe| moe.normalize = false);
    }
    Ok(spec)
}

/// Granite 4 hybrid: Granite with Mamba 2 in the layers without key-value heads.
pub(super) fn granitehybrid(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = granite::hybrid(p)?;
    mixers(&mut spec, Some(norm), mamba2_kind(p, Some(norm))?, |l, _| l.attention.is_none());
    Ok(spec)
}

/// Falcon H1: attention and Mamba 2 side by side in every layer. A bias of the attention's output is not used.
pub(super) fn falcon_h1(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = hybrid(p, norm, HALVES)?;
    let normed = p.gguf().tensor(&names::block(0, "ssm_norm", "weight")).is_some();
    mixers(&mut spec, None, mamba2_kind(p, normed.then_some(norm))?, |_, _| true);
    each_dense(&mut spec, |d| d.bias = Need::Optional);
    spec.inert = &["rope_freqs.weight"];
    spec.layers.iter_mut().for_each(|l| l.inert = &["attn_output.bias"]);
    Ok(spec)
}

/// Nemotron H: every layer has only one half, which is attention, Mamba 2, a dense feed-forward block or, if the layer has a router, a
/// mixture of experts. All have the same name for their norm. There is no rotation.
pub(super) fn nemotron_h(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = match p.has("attention.layer_norm_rms_epsilon") {
        true => rms(p)?,
        false => NormSpec { kind: NormKind::Rms, ..layer_norm(p)? },
    };
    let mut spec = hybrid(p, norm, ADJACENT)?;
    spec.ropes.clear();
    let n_ff = p.per_layer("feed_forward_length", spec.layers.len())?;
    spec.each_attention(|a| {
        a.rope = None;
        a.out_bias = Need::Optional;
    });
    each_dense(&mut spec, |d| {
        d.gated = false;
        d.activation = Activation::ReluSquared;
        d.bias = Need::Optional;
    });
    spec.each_ffn(|f| f.norm_name = names::ATTN_NORM);
    mixtures(p, &mut spec, &n_ff)?;
    for (layer, n_ff) in spec.layers.iter_mut().zip(&n_ff) {
        match n_ff {
            0 => layer.ffn = None,
            _ => layer.attention = None,
        }
    }
    let none = |l: &LayerSpec, _| l.attention.is_none() && l.ffn.is_none();
    mixers(&mut spec, Some(norm), mamba2_kind(p, Some(norm))?, none);
    Ok(spec)
}

/// Adds the mixtures of Nemotron H: sigmoid routing with a bias for the choice, experts without gates, and a shared
/// expert.
fn mixtures(p: &Params<'_>, spec: &mut ModelSpec, n_ff: &[u32]) -> Result<(), LoadError> {
    if p.opt_u32("expert_count")?.unwrap_or(0) == 0 {
        return Ok(());
    }
    if p.opt_u32("moe_latent_size")?.unwrap_or(0) > 0 {
        return Err(p.unsupported("moe_latent_size", Some("0")));
    }
    let mut width = p.per_layer("expert_feed_forward_length", n_ff.len())?;
    for (i, (width, n_ff)) in width.iter_mut().zip(n_ff).enumerate() {
        if *n_ff == 0 || p.gguf().tensor(&names::block(i, "ffn_gate_inp", "weight")).is_none() {
            *width = 0;
        }
    }
    mixture(p, spec, &width)?;
    super::experts::routing(p, spec, Some(happy_kernels::ops::Gating::Sigmoid), Need::Required)?;
    let shared = p.opt_u32("expert_shared_feed_forward_length")?.unwrap_or(0) as usize;
    each_moe(spec, |moe| {
        moe.gated = false;
        moe.activation = Activation::ReluSquared;
        moe.shared = (shared > 0).then_some(SharedExpertSpec::new(shared));
    });
    Ok(())
}
