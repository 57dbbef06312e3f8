//! Phi 2, Phi 3 and Phi 3.5 MoE. Phi 3's sliding window is not applied, as in llama.cpp, whose files do not describe it fully.

use super::decoder::{HALVES, decoder, each_dense, layer_norm, mixture, rms};
use super::params::Params;
use crate::error::LoadError;
use crate::spec::{Activation, FfnInput, ModelSpec, Need, NormSpec, OutputKind, RopeFactors};

/// Phi 3: gate and up in one matrix, rotary factors for long and short contexts.
pub(super) fn phi3(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, HALVES)?;
    spec.ropes.iter_mut().for_each(|r| r.factors = RopeFactors::LongShort);
    each_dense(&mut spec, |d| d.fused = true);
    Ok(spec)
}

/// Phi 3.5 MoE: biases everywhere, including the norms.
pub(super) fn phimoe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut norm = rms(p)?;
    norm.bias = Need::Required;
    let mut spec = phi3(p)?;
    let n_ff = p.per_layer("feed_forward_length", spec.layers.len())?;
    mixture(p, &mut spec, &n_ff)?;
    spec.each_attention(|a| {
        a.norm = Some(norm);
        a.out_bias = Need::Required;
    });
    spec.each_ffn(|f| f.input = FfnInput::Norm(norm));
    spec.output_norm = norm;
    spec.output = OutputKind::Own;
    spec.output_bias = Need::Required;
    Ok(spec)
}

/// Phi 2: both halves read one layer norm; biases everywhere; an ungated block.
pub(super) fn phi2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = NormSpec { bias: Need::Required, ..layer_norm(p)? };
    let mut spec = decoder(p, norm, HALVES)?;
    spec.output = OutputKind::Own;
    spec.output_bias = Need::Required;
    spec.each_attention(|a| {
        a.qkv_bias = Need::Required;
        a.out_bias = Need::Required;
    });
    spec.each_ffn(|f| f.input = FfnInput::Attention);
    each_dense(&mut spec, |d| {
        d.gated = false;
        d.activation = Activation::Gelu;
        d.bias = Need::Required;
    });
    Ok(spec)
}
