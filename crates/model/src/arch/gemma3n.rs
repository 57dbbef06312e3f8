//! Gemma 3n: four residual streams (AltUp), a low-rank matrix beside the attention (LAuReL), per-layer embeddings, sparse gates in the
//! first layers, and keys and values that the last layers share.

use happy_gguf::Value;

use super::decoder::{norm_heads, norm_results, rms, window_rope, windows};
use super::gemma::gemma;
use super::gemma4::share_kv;
use super::params::Params;
use crate::error::LoadError;
use crate::reserve::collected;
use crate::spec::*;

/// The number of layers with sparse gates, and how many standard deviations above the mean a gate must be to count. If gates are normally
/// distributed, one in twenty counts.
const SPARSE: (usize, f32) = (10, 1.644_853_6);

/// Gemma 3n, E2B and E4B.
pub(super) fn gemma3n(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = gemma(p)?;
    spec.output = OutputKind::OwnOrTied;
    norm_heads(&mut spec, norm, Need::Required, false);
    norm_results(&mut spec, norm);
    spec.final_soft_cap = Some(p.opt_f32("final_logit_softcapping")?.unwrap_or(30.0));
    let width = p.opt_u32("embedding_length_per_layer_input")?.unwrap_or(256) as usize;
    spec.per_layer = Some(PerLayerSpec { width, norm });
    spec.altup = Some(altup(p, norm)?);
    let sparsity = sparsity(p, spec.layers.len())?;
    for (layer, sparsity) in spec.layers.iter_mut().zip(sparsity) {
        layer.laurel = Some(LaurelSpec { rank: 64, norm });
        if let Some(FfnKind::Dense(dense)) = layer.ffn_kind_mut() {
            dense.sparsity = sparsity;
        }
    }
    spec.each_attention(|a| {
        a.scale = 1.0;
        a.v_norm = Some(NormSpec { weighted: false, ..norm });
    });
    let window = p.u32("attention.sliding_window")?;
    let theta = p.opt_f32("rope.freq_base_swa")?.unwrap_or(10000.0);
    let local = window_rope(p, &spec)?.map(|global| RopeParams { theta, freq_scale: 1.0, ..global });
    spec.ropes.extend(local);
    windows(p, &mut spec, window, 5, 1)?;
    let shared = p.opt_u32("attention.shared_kv_layers")?.map(|n| n as usize);
    let shared = shared.unwrap_or(spec.layers.len().saturating_sub(20));
    share_kv(p, &mut spec, shared)?;
    Ok(spec)
}

fn altup(p: &Params<'_>, norm: NormSpec) -> Result<AltUpSpec, LoadError> {
    if p.opt_u32("altup.active_idx")?.unwrap_or(0) != 0 {
        return Err(p.unsupported("altup.active_idx", Some("0")));
    }
    let n_streams = p.opt_u32("altup.num_inputs")?.unwrap_or(4) as usize;
    if !(2..=16).contains(&n_streams) {
        return Err(p.invalid("altup.num_inputs", "2 to 16"));
    }
    Ok(AltUpSpec { n_streams, norm })
}

/// Returns `activation_sparsity_scale` of each layer, or `None` if that is minus infinity.
fn sparsity(p: &Params<'_>, n: usize) -> Result<Vec<Option<f32>>, LoadError> {
    const KEY: &str = "activation_sparsity_scale";
    let Some(value) = p.value(KEY) else {
        let (n_sparse, scale) = SPARSE;
        return Ok(collected(n, (0..n).map(|i| (i < n_sparse).then_some(scale)))?);
    };
    let Value::Array(array) = value else { return Err(p.invalid(KEY, "an array of f32")) };
    let scales = array.iter().map_while(|value| match value {
        Value::F32(x) if x == f32::NEG_INFINITY => Some(None),
        Value::F32(x) if x.is_finite() => Some(Some(x)),
        _ => None,
    });
    let scales = collected(n, scales)?;
    if scales.len() < n {
        return Err(p.invalid(KEY, &format!("a number or minus infinity for each of {n} layers")));
    }
    Ok(scales)
}
