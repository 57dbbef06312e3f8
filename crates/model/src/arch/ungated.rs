//! Decoders of GPT's kind: layer norms with biases, blocks without a gate.

use super::decoder::{HALVES, decoder, each_dense, layer_norm};
use super::params::Params;
use crate::error::LoadError;
use crate::names;
use crate::spec::{Activation, FfnInput, ModelSpec, Need, NormSpec, OutputKind};

/// CodeShell.
pub(super) fn codeshell(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    ungated(p, Activation::Gelu, Need::Required)
}

/// StarCoder 2.
pub(super) fn starcoder2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = ungated(p, Activation::Gelu, Need::Required)?;
    spec.output = OutputKind::OwnOrTied;
    Ok(spec)
}

/// Jais 2.
pub(super) fn jais2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = ungated(p, Activation::ReluSquared, Need::Required)?;
    spec.output = OutputKind::OwnOrTied;
    Ok(spec)
}

/// Nemotron.
pub(super) fn nemotron(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    ungated(p, Activation::ReluSquared, Need::Optional)
}

/// GPT-NeoX: the halves run one after the other, or in parallel with a norm each.
pub(super) fn gptneox(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    const PARALLEL: &str = "use_parallel_residual";
    let mut spec = ungated(p, Activation::Gelu, Need::Required)?;
    let Some(parallel) = p.opt_bool(PARALLEL)? else {
        return Err(LoadError::MissingKey { key: p.key(PARALLEL) });
    };
    if parallel {
        let norm = spec.output_norm;
        spec.each_ffn(|f| f.input = FfnInput::Layer(norm));
    }
    Ok(spec)
}

/// Falcon: the halves run in parallel, with one norm for both (7B) or with one norm each (40B). In the latter case the
/// attention has the second norm.
pub(super) fn falcon(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = ungated(p, Activation::Gelu, Need::Never)?;
    spec.output = OutputKind::OwnOrTied;
    let norm = spec.output_norm;
    for (i, layer) in spec.layers.iter_mut().enumerate() {
        let (Some(a), Some(f)) = (&mut layer.attention, &mut layer.ffn) else { continue };
        f.input = FfnInput::Attention;
        if p.gguf().tensor(&names::block(i, names::ATTN_NORM_2, "weight")).is_some() {
            a.norm_name = names::ATTN_NORM_2;
            f.norm_name = names::ATTN_NORM;
            f.input = FfnInput::Layer(norm);
        }
    }
    Ok(spec)
}

/// Orion: gated blocks, and layer norms with biases.
pub(super) fn orion(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = NormSpec { bias: Need::Required, ..layer_norm(p)? };
    let mut spec = decoder(p, norm, HALVES)?;
    spec.output = OutputKind::Own;
    Ok(spec)
}

/// Returns a decoder of this kind. `bias` says whether the attention's output and the blocks have biases.
pub(super) fn ungated(p: &Params<'_>, activation: Activation, bias: Need) -> Result<ModelSpec, LoadError> {
    let mut spec = orion(p)?;
    spec.each_attention(|a| a.out_bias = bias);
    each_dense(&mut spec, |d| {
        d.gated = false;
        d.activation = activation;
        d.bias = bias;
    });
    Ok(spec)
}
