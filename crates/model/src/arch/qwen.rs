//! Qwen 1, 2 and 3, dense, as mixtures of experts, and the text part of their vision models; CogVLM, Mellum and Maple.

use super::decoder::{HALVES, decoder, each_dense, each_moe, norm_heads, rms, window_rope, windows};
use super::encoder::classifier;
use super::experts::experts;
use super::params::Params;
use super::rope;
use crate::error::LoadError;
use crate::spec::*;

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
    norm_heads(&mut spec, norm, Need::Required, false);
    // the reranker's scores are probabilities
    let classifier = classifier(Pooling::Last, Activation::Tanh, None);
    spec.head.classifier = Some(ClassifierSpec { softmax: true, ..classifier });
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
        moe.shared = Some(SharedExpertSpec { gated: true, ..SharedExpertSpec::new(n_ff as usize) });
    });
    Ok(spec)
}

/// Qwen 2 VL: Qwen 2. As in llama.cpp, the epsilon of the norms may be missing, and is then 0, and the bias of the
/// output is not added.
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

/// Qwen 3 VL: Qwen 3. A text token has the same position in all sections of the interleaved rotation, which is
/// therefore the same as Qwen 3's.
pub(super) fn qwen3vl(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    p.opt_array("rope.dimension_sections", 3)?;
    qwen3(p)
}

/// Qwen 3 VL MoE: Qwen 3 MoE.
pub(super) fn qwen3vlmoe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    p.opt_array("rope.dimension_sections", 3)?;
    qwen3moe(p)
}

/// Qwen 1: blocks half as wide as the file says. Q, K and V are one matrix of `3 n_embd` rows. A model with fewer
/// key-value heads uses only the first of these rows.
pub(super) fn qwen(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, HALVES)?;
    spec.output = OutputKind::Own;
    each_dense(&mut spec, |d| d.n_ff /= 2);
    let all = 3 * spec.n_embd;
    spec.each_attention(|a| {
        let (q, k) = (a.q_dim(), a.k_dim());
        a.fused_rows = Some(FusedRows { k: q, v: q.saturating_add(k), all });
    });
    Ok(spec)
}

/// CogVLM, its text part: Q, K and V are the thirds of one matrix. A model with fewer heads uses the first rows of each
/// third. There is one fixed rotation of the whole head. The matrices for images are skipped.
pub(super) fn cogvlm(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, HALVES)?;
    let third = spec.n_embd;
    spec.each_attention(|a| a.fused_rows = Some(FusedRows { k: third, v: 2 * third, all: 3 * third }));
    spec.layers.iter_mut().for_each(|l| l.inert = &["vis_*"]);
    let n_rot = spec.attentions().next().map_or(0, |a| a.head_dim_k);
    for rope in &mut spec.ropes {
        *rope =
            RopeParams { n_rot, theta: 10000.0, freq_scale: 1.0, ext_factor: 0.0, attn_factor: 1.0, ..*rope };
    }
    spec.inert = &["rope_freqs.weight"];
    Ok(spec)
}

/// Mellum: Qwen 3 MoE with windows in three of four layers, where the rotation is not scaled.
pub(super) fn mellum(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = qwen3moe(p)?;
    spec.output = OutputKind::Own;
    let window = p.opt_u32("attention.sliding_window")?.unwrap_or(0);
    if window > 0 {
        let plain = RopeParams { freq_scale: 1.0, ext_factor: 0.0, attn_factor: 1.0, ..spec.ropes[0] };
        spec.ropes.push(plain);
        windows(p, &mut spec, window, 4, 1)?;
    }
    Ok(spec)
}

/// Maple: Qwen 3 MoE with windows by layer; only layers with a window rotate. The gate and up values of experts are
/// clamped.
pub(super) fn maple(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = qwen3moe(p)?;
    spec.output = OutputKind::Own;
    let local = window_rope(p, &spec)?;
    spec.ropes.extend(local);
    spec.each_attention(|a| a.rope = None);
    windows(p, &mut spec, p.u32("attention.sliding_window")?, 0, 1)?;
    let limits = p.opt_f32_per_layer("swiglu_clamp_exp", spec.layers.len())?;
    let limits = limits.ok_or_else(|| LoadError::MissingKey { key: p.key("swiglu_clamp_exp") })?;
    for (layer, limit) in spec.layers.iter_mut().zip(limits) {
        if let Some(FfnKind::Moe(moe)) = layer.ffn_kind_mut()
            && limit > 0.0
        {
            moe.activation = Activation::SwigluClamped { limit };
        }
    }
    Ok(spec)
}
