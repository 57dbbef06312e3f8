//! Encoders: models that see a text as a whole and return hidden states. BERT and its relatives apply norms after each addition; the other
//! encoders apply them before each half, as decoders do.

use super::decoder::{
    ADJACENT, HALVES, decoder, each_dense, each_moe, layer_norm, mixture, rms, window_rope, windowed,
};
use super::experts::weight_scale;
use super::params::Params;
use crate::error::LoadError;
use crate::names;
use crate::spec::*;

/// Returns a model with attention in both directions and without an output matrix.
fn encoder(p: &Params<'_>, norm: NormSpec, pairing: RopePairing) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, norm, pairing)?;
    spec.causal = false;
    spec.output = OutputKind::None;
    Ok(spec)
}

/// Removes the rotation.
fn unrotated(spec: &mut ModelSpec) {
    spec.ropes.clear();
    spec.each_attention(|a| a.rope = None);
}

/// Returns what BERT and its relatives have in common: `x = norm(x + half(x))`; layer norms with biases, also for the
/// embedding; biases if the file has them; GELU blocks without gates.
fn post_normed(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = NormSpec { bias: Need::Required, ..layer_norm(p)? };
    let mut spec = encoder(p, norm, HALVES)?;
    spec.token_types = Need::Optional;
    spec.embedding_norm = Some(norm);
    spec.output_norm = NormSpec::IDENTITY;
    spec.each_attention(|a| {
        (a.norm, a.sum_norm) = (None, Some(norm));
        a.out_bias = Need::Optional;
    });
    spec.each_ffn(|ffn| (ffn.input, ffn.sum_norm) = (FfnInput::Residual, Some(norm)));
    each_dense(&mut spec, |d| {
        d.gated = false;
        d.activation = Activation::GeluErf;
        d.bias = Need::Optional;
    });
    Ok(spec)
}

/// BERT: learned positions.
pub(super) fn bert(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = post_normed(p)?;
    unrotated(&mut spec);
    spec.learned_positions = true;
    Ok(spec)
}

/// Jina BERT v3: BERT with a rotation.
pub(super) fn jina_bert_v3(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    post_normed(p)
}

/// Nomic BERT: a rotation, SiLU-gated blocks.
pub(super) fn nomic_bert(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = post_normed(p)?;
    each_dense(&mut spec, |d| {
        d.gated = true;
        d.activation = Activation::Silu;
    });
    Ok(spec)
}

/// Nomic BERT v2: a rotation; every `moe_every_n_layers`-th layer from the second on is an ungated mixture of experts.
pub(super) fn nomic_bert_moe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = post_normed(p)?;
    let every = p.opt_u32("moe_every_n_layers")?.unwrap_or(0) as usize;
    let mut n_ff = p.per_layer("feed_forward_length", spec.layers.len())?;
    for (i, n_ff) in n_ff.iter_mut().enumerate() {
        if i.checked_rem(every) != Some(1) {
            *n_ff = 0;
        }
    }
    if n_ff.iter().any(|n| *n > 0) {
        mixture(p, &mut spec, &n_ff)?;
    }
    let scale = weight_scale(p)?;
    each_moe(&mut spec, |m| {
        (m.gated, m.activation) = (false, Activation::GeluErf);
        (m.normalize, m.weight_scale) = (false, scale);
    });
    Ok(spec)
}

/// Jina BERT v2: ALiBi instead of positions, and GELU-gated blocks. The model for code has gate and up in one matrix, norms of whole rows
/// of Q and K, and a second norm of the sum.
pub(super) fn jina_bert_v2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = post_normed(p)?;
    unrotated(&mut spec);
    let norm = NormSpec { bias: Need::Required, ..layer_norm(p)? };
    let max = p.opt_f32("attention.max_alibi_bias")?.unwrap_or(8.0);
    for (i, layer) in spec.layers.iter_mut().enumerate() {
        let tensor = |part| p.gguf().tensor(&names::block(i, part, "weight"));
        if let Some(a) = &mut layer.attention {
            let (kind, need) = (QkNormKind::WholeRow, Need::Optional);
            a.qk_norm = Some(QkNormSpec { kind, norm, need, after_rope: false });
            a.position_bias = Some(PositionBiasSpec::Alibi { max });
            a.second_sum_norm = tensor(names::ATTN_NORM_2).map(|_| norm);
        }
        if let Some(FfnKind::Dense(d)) = layer.ffn_kind_mut() {
            d.gated = tensor("ffn_gate").is_some();
            let rows = tensor("ffn_up").and_then(|(_, info)| info.dims.get(1).copied());
            d.fused = !d.gated && rows.is_some_and(|rows| rows != d.n_ff as u64);
        }
    }
    Ok(spec)
}

/// Makes gate and up one matrix, with gate first.
fn fused(spec: &mut ModelSpec, activation: Activation) {
    each_dense(spec, |d| (d.fused, d.activation) = (true, activation));
}

/// ModernBERT: layer norms without biases, and no norm before the attention of layer 0. Every third layer, starting with the first, sees
/// everything; the others have windows around each position, and a rotation of their own.
pub(super) fn modern_bert(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = layer_norm(p)?;
    let mut spec = encoder(p, norm, HALVES)?;
    spec.embedding_norm = Some(norm);
    fused(&mut spec, activation(p)?);
    if p.gguf().tensor(&names::block(0, names::ATTN_NORM, "weight")).is_none()
        && let Some((_, first)) = spec.attentions_mut().next()
    {
        first.norm = None;
    }
    around(p, &mut spec, 3, |i, n| i % n != 0)?;
    let (pooling, activation) = (Pooling::Mean, Activation::GeluErf);
    spec.head.classifier = Some(classifier(pooling, activation, Some(norm)));
    Ok(spec)
}

/// Returns the activation that `hidden_activation` names, or GELU if the file doesn't have that key.
fn activation(p: &Params<'_>) -> Result<Activation, LoadError> {
    match p.opt_str("hidden_activation")? {
        None | Some("gelu") => Ok(Activation::GeluErf),
        Some("gelu_pytorch_tanh" | "gelu_new") => Ok(Activation::Gelu),
        Some("silu" | "swish") => Ok(Activation::Silu),
        Some(_) => Err(p.unsupported("hidden_activation", Some("gelu or silu"))),
    }
}

/// If the file has `attention.sliding_window`, gives the layers of the pattern windows of that size, around each position, and a rotation
/// of their own.
fn around(
    p: &Params<'_>,
    spec: &mut ModelSpec,
    period: u32,
    rule: impl Fn(usize, usize) -> bool,
) -> Result<(), LoadError> {
    let Some(window) = p.opt_u32("attention.sliding_window")?.filter(|n| *n > 0) else { return Ok(()) };
    spec.ropes.extend(window_rope(p, spec)?);
    let flags = windowed(p, spec, period, rule)?;
    for (i, a) in spec.attentions_mut() {
        if flags.get(i) == Some(&true) {
            (a.window, a.rope) = (Some(window), Some(1));
        }
    }
    Ok(())
}

/// Returns a classifier whose sizes are still to be read from the file.
pub(super) fn classifier(pooling: Pooling, activation: Activation, norm: Option<NormSpec>) -> ClassifierSpec {
    ClassifierSpec { pooling, n_hidden: None, activation, norm, n_labels: None, softmax: false }
}

/// NeoBERT: RMS norms, SiLU-gated blocks with gate and up in one matrix.
pub(super) fn neo_bert(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = encoder(p, rms(p)?, ADJACENT)?;
    spec.output_norm_name = "enc.output_norm";
    fused(&mut spec, Activation::Silu);
    Ok(spec)
}

/// EuroBERT: Llama with attention in both directions.
pub(super) fn eurobert(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    encoder(p, rms(p)?, HALVES)
}

/// Llama as an embedding model: its layers, with attention in both directions.
pub(super) fn llama_embed(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = super::llama::llama(p)?;
    spec.causal = p.opt_bool("attention.causal")?.unwrap_or(true);
    Ok(spec)
}

/// EmbeddingGemma: Gemma 3 with attention in both directions, and windows around each position.
pub(super) fn gemma_embedding(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = super::gemma::gemma3_layers(p)?;
    spec.causal = false;
    p.u32("attention.sliding_window")?;
    around(p, &mut spec, 6, |i, n| i % n + 1 < n)?;
    Ok(spec)
}

/// T5's encoder: scores aren't scaled, and a learned table adds something to them by distance; blocks with GELU gates, or with ReLU and
/// without gates.
pub(super) fn t5encoder(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = encoder(p, rms(p)?, HALVES)?;
    unrotated(&mut spec);
    (spec.prefix, spec.output_norm_name) = ("enc.", "enc.output_norm");
    spec.inert = &["output.weight"];
    let n_buckets = p.u32("attention.relative_buckets_count")? as usize;
    let gated = p.gguf().tensor("enc.blk.0.ffn_gate.weight").is_some();
    spec.each_attention(|a| {
        (a.scale, a.out_name) = (1.0, "attn_o");
        a.position_bias = Some(PositionBiasSpec::Relative { n_buckets });
    });
    each_dense(&mut spec, |d| {
        (d.gated, d.activation) = (gated, if gated { Activation::Gelu } else { Activation::Relu });
    });
    Ok(spec)
}
