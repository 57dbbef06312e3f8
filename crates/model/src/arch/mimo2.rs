//! MiMo 2 and MiniMax M2.

use happy_kernels::ops::Gating;

use super::decoder::{HALVES, decoder, each_moe, mixture, rms, window_rope, windows};
use super::experts::{experts_by_tensors, routing};
use super::params::Params;
use crate::error::LoadError;
use crate::names;
use crate::spec::{ModelSpec, Need, OutputKind, QkNormKind, QkNormSpec, RopeParams};

/// MiMo 2: windows by layer with a rotation of their own, sinks if the file has them, sigmoid routing with a bias for
/// the choice. The tensors say which layers have experts. Biases of Q, K and V are not used.
pub(super) fn mimo2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, HALVES)?;
    spec.output = OutputKind::Own;
    let theta = p.opt_f32("rope.freq_base_swa")?.unwrap_or(10000.0);
    let local = window_rope(p, &spec)?.map(|global| RopeParams { theta, freq_scale: 1.0, ..global });
    spec.ropes.extend(local);
    windows(p, &mut spec, p.u32("attention.sliding_window")?, 0, 1)?;
    experts_by_tensors(p, &mut spec)?;
    each_moe(&mut spec, |moe| {
        moe.gating = Gating::Sigmoid;
        moe.choice_bias = Need::Optional;
    });
    let out_scale = p.opt_f32("attention.value_scale")?.filter(|scale| *scale != 0.0 && *scale != 1.0);
    for (i, layer) in spec.layers.iter_mut().enumerate() {
        if let Some(a) = &mut layer.attention {
            a.out_scale = out_scale;
            a.qkv_bias = Need::Never;
            a.sinks = p.gguf().tensor(&names::block(i, "attn_sinks", "weight")).is_some();
        }
        layer.inert = &[
            "attn_q.bias",
            "attn_k.bias",
            "attn_v.bias",
            "ffn_gate.weight",
            "ffn_up.weight",
            "ffn_down.weight",
        ];
    }
    Ok(spec)
}

/// MiniMax M2: Q and K normed as whole rows, experts as wide as `feed_forward_length`, the file says how tokens are routed.
pub(super) fn minimax_m2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, HALVES)?;
    spec.output = OutputKind::Own;
    let (kind, need) = (QkNormKind::WholeRow, Need::Required);
    let qk_norm = QkNormSpec { kind, norm, need, after_rope: false };
    spec.each_attention(|a| a.qk_norm = Some(qk_norm));
    let n_ff = p.per_layer("feed_forward_length", spec.layers.len())?;
    mixture(p, &mut spec, &n_ff)?;
    routing(p, &mut spec, None, Need::Required)?;
    each_moe(&mut spec, |moe| moe.normalize = true);
    Ok(spec)
}
