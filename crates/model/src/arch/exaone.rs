//! EXAONE 3, 4 and MoE.

use super::decoder::{HALVES, decoder, norm_heads, norm_results, rms, windows};
use super::experts::{experts, routing, shared_experts};
use super::params::Params;
use crate::error::LoadError;
use crate::spec::{FfnInput, ModelSpec, Need, RopeFactors};

/// EXAONE 3: the decoder with rotary factors.
pub(super) fn exaone(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, HALVES)?;
    spec.ropes.iter_mut().for_each(|r| r.factors = RopeFactors::Freqs);
    Ok(spec)
}

/// The number of layers of EXAONE 4 32B, the only model of the family with windows.
const WITH_WINDOWS: usize = 64;

/// EXAONE 4: norms after each half instead of before it, Q and K normed head by head. The 32B model has windows in
/// three of four layers, and only these rotate.
pub(super) fn exaone4(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = exaone(p)?;
    norm_heads(&mut spec, norm, Need::Required, false);
    norm_results(&mut spec, norm);
    let has_windows = spec.layers.len() == WITH_WINDOWS;
    spec.each_attention(|a| {
        a.norm = None;
        a.rope = Some(0).filter(|_| !has_windows);
    });
    spec.each_ffn(|f| f.input = FfnInput::Residual);
    if has_windows {
        let window = p.opt_u32("attention.sliding_window")?.unwrap_or(4096);
        windows(p, &mut spec, window, 4, 0)?;
    }
    Ok(spec)
}

/// EXAONE MoE: norms before each half; windows in three of four layers, and only these rotate; experts after the dense
/// layers at the start, routed as the file says.
pub(super) fn exaone_moe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = exaone(p)?;
    norm_heads(&mut spec, norm, Need::Required, false);
    spec.each_attention(|a| a.rope = None);
    windows(p, &mut spec, p.u32("attention.sliding_window")?, 4, 0)?;
    experts(p, &mut spec)?;
    routing(p, &mut spec, None, Need::Optional)?;
    let width = p.opt_u32("expert_shared_feed_forward_length")?.filter(|n| *n > 0);
    shared_experts(&mut spec, width, 1);
    Ok(spec)
}
