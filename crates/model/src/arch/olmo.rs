//! OLMo 1, OLMo 2, OLMo 3 (which has OLMo 2's name in files) and OLMoE; DBRX.

use super::decoder::{ADJACENT, HALVES, decoder, each_moe, layer_norm, mixture, norm_results, rms, windows};
use super::params::Params;
use crate::error::LoadError;
use crate::spec::{FfnInput, ModelSpec, Need, NormSpec, OutputKind, QkNormKind, QkNormSpec, RopeParams};

/// OLMo 2: norms after each half instead of before, Q and K normed as whole rows. OLMo 3 adds windowed layers, whose
/// rotation is not scaled.
pub(super) fn olmo2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = normed(p)?;
    norm_results(&mut spec, norm);
    spec.each_attention(|a| a.norm = None);
    spec.each_ffn(|f| f.input = FfnInput::Residual);
    let window = p.opt_u32("attention.sliding_window")?.unwrap_or(0);
    if window > 0 {
        let plain = spec.ropes.first().map(|r| RopeParams {
            freq_scale: 1.0,
            ext_factor: 0.0,
            attn_factor: 1.0,
            ..*r
        });
        spec.ropes.extend(plain);
        windows(p, &mut spec, window, 4, 1)?;
    }
    Ok(spec)
}

/// OLMoE: norms before each half, Q and K normed as whole rows, weights of the experts not normalized.
pub(super) fn olmoe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = normed(p)?;
    let n_ff = p.per_layer("feed_forward_length", spec.layers.len())?;
    mixture(p, &mut spec, &n_ff)?;
    each_moe(&mut spec, |moe| moe.normalize = false);
    Ok(spec)
}

/// OLMo 1: layer norms without weights; Q, K and V may be clamped.
pub(super) fn olmo(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = NormSpec { weighted: false, ..layer_norm(p)? };
    let mut spec = decoder(p, norm, ADJACENT)?;
    let clamp = p.opt_f32("attention.clamp_kqv")?.filter(|c| *c > 0.0);
    spec.each_attention(|a| a.clamp = clamp);
    Ok(spec)
}

/// Returns what OLMo 2 and OLMoE have in common.
fn normed(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, HALVES)?;
    spec.output = OutputKind::Own;
    let qk_norm = QkNormSpec { kind: QkNormKind::WholeRow, norm, need: Need::Required, after_rope: false };
    spec.each_attention(|a| a.qk_norm = Some(qk_norm));
    Ok(spec)
}

/// DBRX: layer norms without biases, clamped Q, K and V, experts in every layer. The feed-forward norm is stored as
/// `attn_output_norm`.
pub(super) fn dbrx(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, layer_norm(p)?, HALVES)?;
    spec.output = OutputKind::Own;
    let n_ff = p.per_layer("feed_forward_length", spec.layers.len())?;
    mixture(p, &mut spec, &n_ff)?;
    let clamp = p.f32("attention.clamp_kqv")?;
    spec.each_attention(|a| a.clamp = Some(clamp).filter(|c| *c > 0.0));
    spec.each_ffn(|f| f.norm_name = "attn_output_norm");
    Ok(spec)
}
