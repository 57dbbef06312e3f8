//! Granite 3 and 4 without recurrent layers, dense and as mixtures of experts.

use super::decoder::each_moe;
use super::llama::family;
use super::params::Params;
use crate::error::LoadError;
use crate::spec::{ModelSpec, SharedExpertSpec};

/// Granite: Llama with scales; `rope.scaling.finetuned` = false turns the rotation off.
pub(super) fn granite(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = granitemoe(p)?;
    if p.opt_bool("rope.scaling.finetuned")? == Some(false) {
        spec.layers.iter_mut().for_each(|l| l.attention.rope = None);
    }
    Ok(spec)
}

/// Granite MoE: the same with the rotation always on. A scale of 0 means none.
pub(super) fn granitemoe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = family(p)?;
    let logit_scale = p.f32("logit_scale")?;
    if logit_scale == 0.0 {
        return Err(p.invalid("logit_scale", "a number other than 0"));
    }
    spec.logit_scale = Some(1.0 / logit_scale);
    spec.residual_scale = p.opt_f32("residual_scale")?.filter(|s| *s != 0.0);
    spec.embedding_scale = p.opt_f32("embedding_scale")?.filter(|s| *s != 0.0);
    if let Some(scale) = p.opt_f32("attention.scale")?.filter(|s| *s != 0.0) {
        spec.layers.iter_mut().for_each(|l| l.attention.scale = scale);
    }
    if let Some(n_ff) = p.opt_u32("expert_shared_feed_forward_length")?.filter(|n| *n > 0) {
        let n_ff = n_ff as usize;
        each_moe(&mut spec, |moe| moe.shared = Some(SharedExpertSpec { n_ff, gated: false }));
    }
    Ok(spec)
}
