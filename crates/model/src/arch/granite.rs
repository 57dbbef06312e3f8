//! Granite 3 and 4 without recurrent layers, dense and as mixtures of experts; MiniCPM, which has the same graph.

use super::decoder::{each_moe, windows};
use super::llama::family;
use super::params::Params;
use crate::error::LoadError;
use crate::spec::{ModelSpec, SharedExpertSpec};

/// Granite: Llama with scales; `rope.scaling.finetuned` = false turns the rotation off.
pub(super) fn granite(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = granitemoe(p)?;
    if p.opt_bool("rope.scaling.finetuned")? == Some(false) {
        spec.each_attention(|a| a.rope = None);
    }
    Ok(spec)
}

/// Returns what Granite 4's hybrids have in common with Granite: the scales, and the switch of the rotation. By default, logits aren't
/// scaled.
pub(super) fn hybrid(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = super::llama::family_of(p, super::decoder::hybrid)?;
    scales(p, &mut spec)?;
    spec.logit_scale = p.opt_f32("logit_scale")?.filter(|s| *s != 0.0).map(|s| 1.0 / s);
    if p.opt_bool("rope.scaling.finetuned")? == Some(false) {
        spec.each_attention(|a| a.rope = None);
    }
    Ok(spec)
}

/// Granite MoE: Granite with the rotation always on. A scale of 0 turns the scaling off, except for `logit_scale`,
/// which must not be 0.
pub(super) fn granitemoe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = family(p)?;
    let logit_scale = p.f32("logit_scale")?;
    if logit_scale == 0.0 {
        return Err(p.invalid("logit_scale", "a number other than 0"));
    }
    spec.logit_scale = Some(1.0 / logit_scale);
    scales(p, &mut spec)?;
    Ok(spec)
}

/// Sets the scales that the file has, unless they are 0, and adds the shared expert.
fn scales(p: &Params<'_>, spec: &mut ModelSpec) -> Result<(), LoadError> {
    spec.residual_scale = p.opt_f32("residual_scale")?.filter(|s| *s != 0.0);
    spec.embedding_scale = p.opt_f32("embedding_scale")?.filter(|s| *s != 0.0);
    if let Some(scale) = p.opt_f32("attention.scale")?.filter(|s| *s != 0.0) {
        spec.each_attention(|a| a.scale = scale);
    }
    if let Some(n_ff) = p.opt_u32("expert_shared_feed_forward_length")?.filter(|n| *n > 0) {
        let n_ff = n_ff as usize;
        each_moe(spec, |moe| moe.shared = Some(SharedExpertSpec::new(n_ff)));
    }
    Ok(())
}

/// Granite with sinks in every layer, and windows in the layers that the pattern names. `attention.rope_pattern` turns
/// the rotation off by layer. All layers use the same base.
pub(super) fn granite_swa(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = granite(p)?;
    windows(p, &mut spec, p.u32("attention.sliding_window")?, 0, 0)?;
    let rotated = p.opt_array("attention.rope_pattern", spec.layers.len())?;
    for (i, a) in spec.attentions_mut() {
        a.sinks = true;
        a.rope = Some(0).filter(|_| rotated.as_ref().is_none_or(|r| r[i] != 0));
    }
    each_moe(&mut spec, |moe| {
        if let Some(shared) = &mut moe.shared {
            shared.fused = true;
        }
    });
    Ok(spec)
}

/// MiniCPM: Granite with the rotation always on, and with llama.cpp's defaults for old files that lack the scales.
pub(super) fn minicpm(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = family(p)?;
    let logit_scale = p.opt_f32("logit_scale")?.unwrap_or(256.0 / spec.n_embd as f32);
    if logit_scale == 0.0 {
        return Err(p.invalid("logit_scale", "a number other than 0"));
    }
    let residual_scale = 1.4 / (spec.layers.len() as f32).sqrt();
    spec.logit_scale = Some(1.0 / logit_scale);
    spec.embedding_scale = Some(p.opt_f32("embedding_scale")?.unwrap_or(12.0));
    spec.residual_scale = Some(p.opt_f32("residual_scale")?.unwrap_or(residual_scale));
    Ok(spec)
}
