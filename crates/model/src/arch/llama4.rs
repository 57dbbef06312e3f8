//! Llama 4: three of four layers see chunks of positions; the fourth sees everything and has no rotation. The weights of experts multiply
//! what the experts read.

use happy_kernels::ops::Gating;

use super::decoder::{ADJACENT, decoder, each_moe, mixture, rms, window_rope, windowed};
use super::experts::{shared_experts, weight_scale};
use super::params::Params;
use super::rope;
use crate::error::LoadError;
use crate::spec::{ModelSpec, Need, NormSpec, QkNormKind, QkNormSpec, TemperatureSpec};

/// The number of positions in a chunk. Queries of layers without a rotation are scaled up from this position on. No key
/// holds either number.
const CHUNK: u32 = 8192;

/// Every fourth layer has no rotation.
const NO_ROPE: usize = 4;

/// Llama 4 Scout and Maverick; with a window of 0, all layers see everything and rotate (MobileLLM).
pub(super) fn llama4(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, ADJACENT)?;
    let factors = rope::llama_factors(p)?;
    spec.ropes.iter_mut().for_each(|r| r.factors = factors);
    let n_experts = p.opt_u32("expert_count")?.unwrap_or(0);
    if p.opt_u32("attention.sliding_window")? != Some(0) {
        chunks(p, &mut spec)?;
    }
    // Q and K get unit length after the rotation, except in Maverick, which has 128 experts
    if n_experts != 128 {
        let norm = NormSpec { weighted: false, ..norm };
        let qk_norm = QkNormSpec { kind: QkNormKind::PerHead, norm, need: Need::Required, after_rope: true };
        spec.attentions_mut().filter(|(_, a)| a.rope.is_some()).for_each(|(_, a)| a.qk_norm = Some(qk_norm));
    }
    if n_experts > 0 {
        experts(p, &mut spec)?;
    }
    Ok(spec)
}

/// Sets which layers see chunks, and which rotate.
fn chunks(p: &Params<'_>, spec: &mut ModelSpec) -> Result<(), LoadError> {
    let chunked = windowed(p, spec, 4, |i, every| i % every < every - 1)?;
    if let Some(local) = window_rope(p, spec)? {
        spec.ropes.push(local);
    }
    let temperature = TemperatureSpec { scale: 0.1, floor: CHUNK, offset: 1 };
    for ((i, a), chunked) in spec.attentions_mut().zip(chunked) {
        if chunked {
            (a.window, a.chunked, a.rope) = (Some(CHUNK), true, Some(1));
        }
        if (i + 1).is_multiple_of(NO_ROPE) {
            (a.rope, a.temperature) = (None, Some(temperature));
        }
    }
    Ok(())
}

/// Makes every `interleave_moe_layer_step`-th layer a mixture, with a shared expert as wide as the others.
fn experts(p: &Params<'_>, spec: &mut ModelSpec) -> Result<(), LoadError> {
    let mut n_ff = p.per_layer("expert_feed_forward_length", spec.layers.len())?;
    let step = p.u32("interleave_moe_layer_step")? as usize;
    for (i, n_ff) in n_ff.iter_mut().enumerate() {
        if !(i + 1).is_multiple_of(step) {
            *n_ff = 0;
        }
    }
    mixture(p, spec, &n_ff)?;
    let scale = weight_scale(p)?;
    each_moe(spec, |moe| {
        moe.gating = Gating::SigmoidAfterTopK;
        (moe.normalize, moe.weigh_input, moe.weight_scale) = (false, true, scale);
    });
    shared_experts(spec, None, 1);
    Ok(())
}
