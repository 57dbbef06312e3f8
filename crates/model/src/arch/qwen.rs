//! Qwen 2 and 3, dense, as mixtures of experts, and the text part of their vision models.

use super::decoder::{HALVES, decoder, each_moe, rms};
use super::experts::experts;
use super::params::Params;
use super::rope;
use crate::error::LoadError;
use crate::spec::{
    ModelSpec, Need, NormKind, NormSpec, OutputKind, QkNormKind, QkNormSpec, SharedExpertSpec,
};

/// Qwen 2: the decoder with Q, K and V biases.
pub(super) fn qwen2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, HALVES)?;
    spec.output_bias = Need::Optional;
    Ok(spec)
}

/// Qwen 3: Q and K are normed head by head.
pub(super) fn qwen3(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, HALVES)?;
    let qk_norm = QkNormSpec { kind: QkNormKind::PerHead, norm, need: Need::Required, after_rope: false };
    spec.layers.iter_mut().for_each(|l| l.attention.qk_norm = Some(qk_norm));
    Ok(spec)
}

/// Qwen 3 MoE: weights of the chosen experts add up to 1.
pub(super) fn qwen3moe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = qwen3(p)?;
    experts(p, &mut spec)?;
    Ok(spec)
}

/// Qwen 2 MoE: weights are not normalized; a gated shared expert.
pub(super) fn qwen2moe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, HALVES)?;
    spec.output = OutputKind::Own;
    experts(p, &mut spec)?;
    let n_ff = match p.opt_u32("expert_shared_feed_forward_length")?.filter(|n| *n > 0) {
        Some(n_ff) => n_ff,
        None => p.u32("feed_forward_length")?,
    };
    each_moe(&mut spec, |moe| {
        moe.normalize = false;
        moe.shared = Some(SharedExpertSpec { n_ff: n_ff as usize, gated: true, fused: false });
    });
    Ok(spec)
}

/// Qwen 2 VL: Qwen 2. llama.cpp does not read the norms' epsilon, and loads the output's bias without adding it.
pub(super) fn qwen2vl(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = match p.has("attention.layer_norm_rms_epsilon") {
        true => rms(p)?,
        false => NormSpec { kind: NormKind::Rms, eps: 0.0, weighted: true, bias: Need::Never },
    };
    let mut spec = decoder(p, norm, HALVES)?;
    rope::sections(p, &spec)?;
    spec.inert = &["output.bias"];
    Ok(spec)
}

/// Qwen 3 VL: Qwen 3. A text token has the same position in all sections of the interleaved rotation, which so is Qwen 3's.
pub(super) fn qwen3vl(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    p.opt_array("rope.dimension_sections", 3)?;
    qwen3(p)
}

/// Qwen 3 VL MoE: Qwen 3 MoE.
pub(super) fn qwen3vlmoe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    p.opt_array("rope.dimension_sections", 3)?;
    qwen3moe(p)
}
