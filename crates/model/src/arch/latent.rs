//! Latent attention (MLA): keys and values are computed from one short row for each position. The last elements of that row are rotated.
//!
//! Files have the tensors `attn_k_b` and `attn_v_b`; those of older converters, and of MiniCPM 3, have both in one, `attn_kv_b`. With two
//! tensors the cache holds the short rows, with one it holds full keys and values.

use happy_kernels::ops::{Gating, RopePairing};

use super::decoder::{ADJACENT, HALVES, decoder, inv_sqrt, rms};
use super::experts::{experts, routing, shared_experts};
use super::params::Params;
use super::rope;
use crate::error::LoadError;
use crate::names::block;
use crate::spec::*;

/// DeepSeek V2 and V3, and models with the same structure.
pub(super) fn deepseek2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    // llama.cpp assumes that YaRN's two magnitudes are equal, so that they cancel out in the rotation.
    family(p, |log_mul| if log_mul == 0.0 { 0.0 } else { 1.0 })
}

/// Mistral 4.
pub(super) fn mistral4(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    family(p, |log_mul| log_mul)
}

fn family(p: &Params<'_>, in_rotation: fn(f32) -> f32) -> Result<ModelSpec, LoadError> {
    let mut spec = latent(p, ADJACENT)?;
    // converters write a tenth of the multiplier
    let log_mul = p.opt_f32("rope.scaling.yarn_log_multiplier")?.unwrap_or(0.0) / 0.1;
    if let Some(old) = spec.ropes.first_mut() {
        *old = rope::global(p, ADJACENT, old.n_rot, spec.n_ctx_train, in_rotation(log_mul))?;
        let log = libm::log(1.0 / f64::from(old.freq_scale));
        let magnitude =
            f64::from(old.attn_factor) * (1.0 + 0.1 * log) * (1.0 + 0.1 * f64::from(log_mul) * log);
        spec.each_attention(|a| a.scale *= (magnitude * magnitude) as f32);
    }
    let scale = p.opt_f32("attention.temperature_scale")?.unwrap_or(0.0);
    if scale != 0.0 {
        let floor = p.u32("attention.temperature_length")?;
        spec.each_attention(|a| a.temperature = Some(TemperatureSpec { scale, floor, offset: 0 }));
    }
    experts(p, &mut spec)?;
    // files of GLM 4.7 Flash don't say that it routes with sigmoids
    let glm = spec.n_vocab == 154_880 && (47..=48).contains(&spec.layers.len());
    let default = if glm { Gating::Sigmoid } else { Gating::Softmax };
    routing(p, &mut spec, Some(default), Need::Optional)?;
    shared_experts(&mut spec, None, p.u32("expert_shared_count")?);
    Ok(spec)
}

/// MiniCPM 3: dense blocks, and the same scales as MiniCPM.
pub(super) fn minicpm3(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = latent(p, HALVES)?;
    spec.ropes.iter_mut().for_each(|rope| rope.factors = RopeFactors::LongShort);
    spec.embedding_scale = Some(12.0);
    spec.residual_scale = Some(1.4 / (spec.layers.len() as f32).sqrt());
    spec.logit_scale = Some(256.0 / spec.n_embd as f32);
    Ok(spec)
}

/// Returns a decoder whose layers have latent attention.
fn latent(p: &Params<'_>, pairing: RopePairing) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, pairing)?;
    make_latent(p, &mut spec, norm)?;
    Ok(spec)
}

/// Turns the attention of every layer that has some into latent attention.
pub(super) fn make_latent(p: &Params<'_>, spec: &mut ModelSpec, norm: NormSpec) -> Result<(), LoadError> {
    let kv_rank = p.u32("attention.kv_lora_rank")? as usize;
    let q_rank = p.opt_u32("attention.q_lora_rank")?.map(|n| n as usize);
    let key_length = p.opt_u32("attention.key_length_mla")?.map(|n| n as usize);
    let value_length = p.opt_u32("attention.value_length_mla")?.map(|n| n as usize);
    let n_rot = spec.ropes.first().map_or(0, |rope| rope.n_rot);
    for (i, a) in spec.attentions_mut() {
        let has = |part: &str| p.gguf().tensor(&block(i, part, "weight")).is_some();
        let absorbed = !has("attn_kv_b") && (has("attn_k_b") || has("attn_v_b"));
        let form = if absorbed { LatentForm::Absorbed } else { LatentForm::Expanded };
        let latent = LatentSpec {
            q_rank: q_rank.filter(|_| !has("attn_q")),
            kv_rank,
            head_dim_q: key_length.unwrap_or(a.head_dim_k),
            n_rot,
            head_dim_out: value_length.unwrap_or(a.head_dim_v),
            norm,
            form,
        };
        a.qkv_bias = Need::Never;
        a.scale = inv_sqrt(latent.head_dim_q);
        (a.n_kv_heads, a.head_dim_k, a.head_dim_v) = latent.cached(a.n_heads);
        a.latent = Some(latent);
    }
    Ok(())
}
