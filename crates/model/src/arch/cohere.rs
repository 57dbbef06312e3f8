//! Command R, Command R7B and Cohere 2 MoE.

use happy_kernels::ops::Gating;

use super::decoder::{ADJACENT, decoder, layer_norm, rms, window_rope, windowed, windows};
use super::experts::{experts, routing, shared_experts};
use super::params::Params;
use crate::error::LoadError;
use crate::spec::{FfnInput, FfnKind, ModelSpec, Need, OutputKind, QkNormKind, QkNormSpec};

/// Command R's models with at least this many layers norm Q and K.
const WITH_QK_NORM: usize = 64;

/// Command R: layer norms without biases, one for both halves; output tied to the embedding.
pub(super) fn command_r(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = parallel(p)?;
    if spec.layers.len() >= WITH_QK_NORM {
        let (kind, norm) = (QkNormKind::PerHeadOwnWeight, layer_norm(p)?);
        let qk_norm = QkNormSpec { kind, norm, need: Need::Required, after_rope: false };
        spec.each_attention(|a| a.qk_norm = Some(qk_norm));
    }
    Ok(spec)
}

/// Command R7B: three of four layers have a window, and only these rotate.
pub(super) fn cohere2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    p.f32("logit_scale")?;
    let mut spec = parallel(p)?;
    spec.each_attention(|a| a.rope = None);
    windows(p, &mut spec, p.u32("attention.sliding_window")?, 4, 0)?;
    Ok(spec)
}

fn parallel(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, layer_norm(p)?, ADJACENT)?;
    spec.output = OutputKind::Tied;
    spec.logit_scale = p.opt_f32("logit_scale")?.filter(|scale| *scale != 0.0);
    spec.each_ffn(|f| f.input = FfnInput::Attention);
    Ok(spec)
}

/// Cohere 2 MoE: experts after the dense layers at the start, whose sum with the shared expert is halved. Layers with a
/// window and dense layers rotate. The norms are RMS norms if the file has the epsilon of an RMS norm, and layer norms
/// otherwise.
pub(super) fn cohere2moe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = if p.has("attention.layer_norm_rms_epsilon") { rms(p)? } else { layer_norm(p)? };
    let mut spec = decoder(p, norm, ADJACENT)?;
    spec.logit_scale = Some(p.f32("logit_scale")?).filter(|scale| *scale != 0.0);
    let local = window_rope(p, &spec)?;
    spec.ropes.extend(local);
    experts(p, &mut spec)?;
    routing(p, &mut spec, Some(Gating::Sigmoid), Need::Never)?;
    let width = p.opt_u32("expert_shared_feed_forward_length")?.filter(|n| *n > 0);
    shared_experts(&mut spec, width, p.opt_u32("expert_shared_count")?.unwrap_or(0));
    let window = p.u32("attention.sliding_window")?;
    let windowed = windowed(p, &spec, 4, |i, every| i % every != 0)?;
    for (layer, windowed) in spec.layers.iter_mut().zip(windowed) {
        let (Some(a), Some(f)) = (&mut layer.attention, &mut layer.ffn) else { continue };
        let routed = matches!(f.kind, FfnKind::Moe(_));
        a.window = windowed.then_some(window);
        a.rope = if windowed { Some(1) } else { Some(0).filter(|_| !routed) };
        f.scale = routed.then_some(0.5);
        f.input = FfnInput::Attention;
    }
    Ok(spec)
}
