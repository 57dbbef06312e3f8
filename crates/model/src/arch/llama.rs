//! Llama and Mistral 3 (both also as mixtures of experts), SmolLM3, Arcee, InternLM 2, Nanbeige
//! and others that differ from Llama in one or two points.

use super::decoder::{ADJACENT, HALVES, decoder, each_dense, mixture, norm_heads, rms};
use super::params::Params;
use super::rope;
use crate::error::LoadError;
use crate::spec::{
    Activation, ModelSpec, Need, NormSpec, OutputKind, RopeFactors, RopePairing, TemperatureSpec,
};

/// Llama: the decoder itself, with biases if the file has them, and with experts if the file's count of experts isn't
/// 0.
pub(super) fn llama(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let spec = family(p)?;
    let rotates_all = spec.attentions().all(|a| spec.ropes.first().is_some_and(|r| r.n_rot == a.head_dim_k));
    if !rotates_all {
        return Err(p.invalid("rope.dimension_count", "the number of elements of a head"));
    }
    Ok(spec)
}

/// Returns what Llama, Mistral 3 and Granite have in common.
pub(super) fn family(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    family_of(p, decoder)
}

/// Does the same as [`family`], starting from another model.
pub(super) fn family_of(
    p: &Params<'_>,
    base: fn(&Params<'_>, NormSpec, RopePairing) -> Result<ModelSpec, LoadError>,
) -> Result<ModelSpec, LoadError> {
    let mut spec = base(p, rms(p)?, ADJACENT)?;
    let factors = rope::llama_factors(p)?;
    spec.ropes.iter_mut().for_each(|r| r.factors = factors);
    spec.each_attention(|a| a.out_bias = Need::Optional);
    each_dense(&mut spec, |d| d.bias = Need::Optional);
    if p.opt_u32("expert_count")?.unwrap_or(0) > 0 {
        let n_ff = p.per_layer("feed_forward_length", spec.layers.len())?;
        mixture(p, &mut spec, &n_ff)?;
    }
    Ok(spec)
}

/// Mistral 3: YaRN with a multiplier of its own, and Q scaled with the position.
pub(super) fn mistral3(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = family(p)?;
    let log_mul = p.opt_f32("rope.scaling.yarn_log_multiplier")?.unwrap_or(0.0);
    for r in &mut spec.ropes {
        *r = rope::global(p, r.pairing, r.n_rot, spec.n_ctx_train, log_mul)?;
        r.beta_fast = p.opt_f32("rope.scaling.yarn_beta_fast")?.unwrap_or(r.beta_fast);
        r.beta_slow = p.opt_f32("rope.scaling.yarn_beta_slow")?.unwrap_or(r.beta_slow);
        r.factors = rope::llama_factors(p)?;
    }
    let scale = p.opt_f32("attention.temperature_scale")?.unwrap_or(0.0);
    if scale != 0.0 {
        let floor = spec.ropes.first().map_or(0, |r| r.n_ctx_orig);
        if floor == 0 {
            return Err(p.invalid("rope.scaling.original_context_length", "at least 1"));
        }
        spec.each_attention(|a| a.temperature = Some(TemperatureSpec { scale, floor, offset: 0 }));
    }
    Ok(spec)
}

/// SmolLM3: no rotation in every fourth layer.
pub(super) fn smollm3(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, ADJACENT)?;
    spec.attentions_mut().skip(3).step_by(4).for_each(|(_, a)| a.rope = None);
    Ok(spec)
}

/// Arcee: Llama with an ungated block, `down(relu(up x)^2)`.
pub(super) fn arcee(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = nanbeige(p)?;
    each_dense(&mut spec, |d| {
        d.gated = false;
        d.activation = Activation::ReluSquared;
    });
    Ok(spec)
}

/// InternLM 2: Llama with an output matrix of its own.
pub(super) fn internlm2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, ADJACENT)?;
    spec.output = OutputKind::Own;
    Ok(spec)
}

/// Nanbeige: Llama. Files whose layers run more than once are refused.
pub(super) fn nanbeige(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    if p.opt_u32("num_loops")?.is_some_and(|n| n > 1) {
        return Err(p.unsupported("num_loops", Some("1")));
    }
    let mut spec = decoder(p, rms(p)?, ADJACENT)?;
    spec.ropes.iter_mut().for_each(|r| r.factors = RopeFactors::Freqs);
    Ok(spec)
}

/// XVERSE: InternLM 2 under another name.
pub(super) fn xverse(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    internlm2(p)
}

/// Baichuan: the 7B model, with 32 layers, is InternLM 2. The 13B model, with 40 layers, has ALiBi instead of a rotation, and is refused.
/// In llama.cpp, models of other sizes have neither.
pub(super) fn baichuan(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = internlm2(p)?;
    match spec.layers.len() {
        32 => {}
        40 => return Err(p.unsupported("block_count", Some("32 layers (without ALiBi)"))),
        _ => spec.each_attention(|a| a.rope = None),
    }
    Ok(spec)
}

/// ChatGLM: gate and up in one matrix.
pub(super) fn chatglm(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, ADJACENT)?;
    each_dense(&mut spec, |d| d.fused = true);
    Ok(spec)
}

/// Maincoder: Q and K normed after the rotation.
pub(super) fn maincoder(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, ADJACENT)?;
    norm_heads(&mut spec, norm, Need::Required, true);
    Ok(spec)
}

/// Pangu: rotary pairs across the halves of a head, and biases of the attention. A file's rotary factors are not used.
pub(super) fn pangu(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, HALVES)?;
    spec.output_bias = Need::Optional;
    spec.inert = &["rope_freqs.weight"];
    spec.each_attention(|a| {
        a.qkv_bias = Need::Required;
        a.out_bias = Need::Required;
    });
    Ok(spec)
}

/// OpenELM: numbers of heads and widths that differ by layer, norms of Q and K, output tied to the embedding.
pub(super) fn openelm(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, HALVES)?;
    spec.output = OutputKind::Tied;
    norm_heads(&mut spec, norm, Need::Required, false);
    Ok(spec)
}
