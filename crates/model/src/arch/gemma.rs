//! Gemma 1, 2 and 3. The files' norm weights already contain Gemma's `+ 1`.

use happy_kernels::ops::Activation;

use super::decoder::{
    HALVES, decoder, each_dense, inv_sqrt, norm_heads, norm_results, rms, window_rope, windows,
};
use super::params::Params;
use crate::error::LoadError;
use crate::spec::{ModelSpec, Need, OutputKind, RopeParams};

/// Gemma: embeddings scaled by `sqrt(n_embd)`, GELU gates, output tied to the embedding.
pub(super) fn gemma(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, HALVES)?;
    spec.embedding_scale = Some((spec.n_embd as f32).sqrt());
    spec.output = OutputKind::Tied;
    each_dense(&mut spec, |d| d.activation = Activation::Gelu);
    Ok(spec)
}

/// Gemma 2: norms after both halves, soft caps, and a window in every second layer (4096 positions unless the file says
/// otherwise).
pub(super) fn gemma2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = gemma(p)?;
    post_norms(p, &mut spec, 46)?;
    let cap = p.opt_f32("attn_logit_softcapping")?.unwrap_or(50.0);
    spec.each_attention(|a| a.soft_cap = Some(cap));
    spec.final_soft_cap = Some(p.opt_f32("final_logit_softcapping")?.unwrap_or(30.0));
    let window = p.opt_u32("attention.sliding_window")?.unwrap_or(4096);
    spec.ropes.extend(window_rope(p, &spec)?);
    windows(p, &mut spec, window, 2, 1)?;
    Ok(spec)
}

/// Gemma 3: norms of Q and K. For each layer that sees everything, there are five with a window and a rotation of their
/// own.
pub(super) fn gemma3(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = gemma3_layers(p)?;
    spec.final_soft_cap = p.opt_f32("final_logit_softcapping")?.filter(|c| *c != 0.0);
    let window = p.opt_u32("attention.sliding_window")?.unwrap_or(0);
    if window > 0 {
        let theta = p.opt_f32("rope.freq_base_swa")?.unwrap_or(10000.0);
        let local = window_rope(p, &spec)?.map(|global| RopeParams { theta, freq_scale: 1.0, ..global });
        spec.ropes.extend(local);
        windows(p, &mut spec, window, 6, 1)?;
    }
    Ok(spec)
}

/// Returns what Gemma 3 and EmbeddingGemma have in common: the layers, without windows and soft caps.
pub(super) fn gemma3_layers(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = gemma(p)?;
    spec.output = OutputKind::OwnOrTied;
    post_norms(p, &mut spec, 62)?;
    norm_heads(&mut spec, rms(p)?, Need::Required, false);
    Ok(spec)
}

/// Adds norms after both halves. The 27B models, recognized by their number of layers, scale scores by
/// `1 / sqrt(n_embd / n_heads)` instead of `1 / sqrt(head_dim)`.
fn post_norms(p: &Params<'_>, spec: &mut ModelSpec, layers_of_27b: usize) -> Result<(), LoadError> {
    let norm = rms(p)?;
    let is_27b = spec.layers.len() == layers_of_27b;
    let n_embd = spec.n_embd;
    norm_results(spec, norm);
    if is_27b {
        spec.each_attention(|a| a.scale = inv_sqrt(n_embd / a.n_heads));
    }
    Ok(())
}
