//! Gemma 4: layers with and without windows, of different shapes; the last layers share keys and values; per-layer embeddings; and in some
//! models, experts beside the dense block.

use happy_kernels::ops::Activation;

use super::decoder::{mixture, norm_heads, norm_results, rms};
use super::gemma::gemma;
use super::params::Params;
use crate::error::LoadError;
use crate::names::{self, block};
use crate::spec::*;

/// Tensors that layers have but don't need, because they read the keys and values of another layer.
const UNUSED_KV: &[&str] = &["attn_k.weight", "attn_v.weight", "attn_k_norm.weight"];

/// Gemma 4, dense (31B), with per-layer embeddings (E2B, E4B) or with experts (26B).
pub(super) fn gemma4(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = gemma(p)?;
    spec.output = OutputKind::OwnOrTied;
    norm_heads(&mut spec, norm, Need::Required, false);
    norm_results(&mut spec, norm);
    spec.final_soft_cap = p.opt_f32("final_logit_softcapping")?.filter(|c| *c != 0.0);
    let width = p.u32("embedding_length_per_layer_input")? as usize;
    spec.per_layer = (width > 0).then_some(PerLayerSpec { width, norm });
    for (i, layer) in spec.layers.iter_mut().enumerate() {
        let has = |part: &str| p.gguf().tensor(&block(i, part, "weight")).is_some();
        layer.out_scale = Need::Optional;
        let Some(a) = &mut layer.attention else { continue };
        a.qkv_bias = Need::Never;
        a.scale = 1.0;
        a.v_norm = Some(NormSpec { weighted: false, ..norm });
        a.v_is_k = !has("attn_v") && !has("attn_qkv");
    }
    kinds_of_layers(p, &mut spec)?;
    share_kv(p, &mut spec, p.opt_u32("attention.shared_kv_layers")?.unwrap_or(0) as usize)?;
    experts(p, &mut spec, norm)?;
    Ok(spec)
}

/// Gives layers with windows their own head sizes and rotation.
fn kinds_of_layers(p: &Params<'_>, spec: &mut ModelSpec) -> Result<(), LoadError> {
    const PATTERN: &str = "attention.sliding_window_pattern";
    let n = spec.layers.len();
    let Some(windowed) = p.opt_array(PATTERN, n)? else {
        return Err(LoadError::MissingKey { key: p.key(PATTERN) });
    };
    let window = p.u32("attention.sliding_window")?;
    let head_dim = p.u32("attention.key_length_swa")? as usize;
    if p.u32("attention.value_length_swa")? as usize != head_dim {
        return Err(p.unsupported("attention.value_length_swa", Some("attention.key_length_swa")));
    }
    let n_rot = p.opt_u32("rope.dimension_count_swa")?.map_or(head_dim, |n| n as usize);
    let theta = p.opt_f32("rope.freq_base_swa")?.unwrap_or(10000.0);
    if let Some(full) = spec.ropes.first_mut() {
        full.factors = RopeFactors::Freqs;
        let local = RopeParams { n_rot, theta, freq_scale: 1.0, factors: RopeFactors::None, ..*full };
        spec.ropes.push(local);
    }
    for (a, windowed) in spec.layers.iter_mut().filter_map(|l| l.attention.as_mut()).zip(windowed) {
        if windowed != 0 {
            (a.window, a.rope, a.head_dim_k, a.head_dim_v) = (Some(window), Some(1), head_dim, head_dim);
        }
    }
    Ok(())
}

/// Lets each of the last `shared` layers read the keys and values of the last layer before them that has the same window.
pub(super) fn share_kv(p: &Params<'_>, spec: &mut ModelSpec, shared: usize) -> Result<(), LoadError> {
    let own = spec.layers.len().saturating_sub(shared);
    let (owners, sharing) = spec.layers.split_at_mut(own);
    for layer in sharing {
        let Some(a) = &mut layer.attention else { continue };
        let same = |owner: &LayerSpec| owner.attention.is_some_and(|owner| owner.window == a.window);
        let Some(from) = owners.iter().rposition(same) else {
            let expected = "layers of each kind before those that share";
            return Err(p.invalid("attention.shared_kv_layers", expected));
        };
        (a.kv_from, a.v_is_k) = (Some(from), false);
        layer.inert = UNUSED_KV;
    }
    Ok(())
}

/// Adds experts beside the dense block in layers with a router. Experts and block have norms of their own.
fn experts(p: &Params<'_>, spec: &mut ModelSpec, norm: NormSpec) -> Result<(), LoadError> {
    let n = spec.layers.len();
    let Some(mut n_ff) = p.opt_per_layer("expert_feed_forward_length", n)? else { return Ok(()) };
    for (i, n_ff) in n_ff.iter_mut().enumerate() {
        if p.gguf().tensor(&block(i, "ffn_gate_inp", "weight")).is_none() {
            *n_ff = 0;
        }
    }
    if n_ff.iter().all(|n| *n == 0) {
        return Ok(());
    }
    let dense = p.per_layer("feed_forward_length", n)?;
    mixture(p, spec, &n_ff)?;
    for (layer, n_ff) in spec.layers.iter_mut().zip(dense) {
        let Some(FfnSpec { norm_name, kind: FfnKind::Moe(moe), .. }) = &mut layer.ffn else { continue };
        moe.router_input = RouterInput::Scaled(norm);
        moe.activation = Activation::Gelu;
        moe.post_norm = Some(norm);
        let shared = SharedExpertSpec::new(n_ff as usize);
        moe.shared =
            Some(SharedExpertSpec { dense: true, norm: Some(norm), post_norm: Some(norm), ..shared });
        *norm_name = names::FFN_NORM_2;
    }
    Ok(())
}
