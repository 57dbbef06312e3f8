//! RWKV-6 and RWKV-7, and Qwen 2 with their attention.

use super::decoder::{HALVES, hybrid, layer_norm, rms};
use super::params::Params;
use super::ssm::mixers;
use crate::error::LoadError;
use crate::names;
use crate::spec::*;

/// The epsilon of each head's norm. No key holds it.
const HEAD_EPS: f32 = 64e-5;

/// RWKV-6: layer norms with biases, also of the embedding; time mix and channel mix.
pub(super) fn rwkv6(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    shifts(p, 2)?;
    let norm = NormSpec { bias: Need::Required, ..layer_norm(p)? };
    let mut spec = hybrid(p, norm, HALVES)?;
    spec.output = OutputKind::Own;
    spec.embedding_norm = Some(norm);
    let kind = time_mix(p, &spec, false)?;
    mixers(&mut spec, Some(norm), kind, |_, _| true);
    let (width, n_ff) = (spec.n_embd, p.per_layer("feed_forward_length", spec.layers.len())?);
    for (layer, n_ff) in spec.layers.iter_mut().zip(n_ff) {
        if let Some(ffn) = &mut layer.ffn {
            ffn.norm_name = names::ATTN_NORM_2;
            ffn.kind = FfnKind::ChannelMix(ChannelMixSpec { width, n_ff: n_ff as usize, gated: true });
        }
    }
    halve(p, &mut spec)?;
    Ok(spec)
}

/// Qwen 2 with RWKV-6's time mix as linear attention.
pub(super) fn rwkv6qwen2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    shifts(p, 1)?;
    let norm = rms(p)?;
    let mut spec = hybrid(p, norm, HALVES)?;
    spec.output = OutputKind::Own;
    spec.output_norm.bias = Need::Optional;
    let kind = time_mix(p, &spec, true)?;
    mixers(&mut spec, Some(norm), kind, |_, _| true);
    halve(p, &mut spec)?;
    Ok(spec)
}

/// RWKV-7: layer norms with biases, also of the embedding; time mix and channel mix.
pub(super) fn rwkv7(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    shifts(p, 2)?;
    let norm = NormSpec { bias: Need::Required, ..layer_norm(p)? };
    let mut spec = hybrid(p, norm, HALVES)?;
    spec.output = OutputKind::Own;
    spec.embedding_norm = Some(norm);
    time_mix7(p, &mut spec, norm)?;
    let (width, n_ff) = (spec.n_embd, p.per_layer("feed_forward_length", spec.layers.len())?);
    for (layer, n_ff) in spec.layers.iter_mut().zip(n_ff) {
        if let Some(ffn) = &mut layer.ffn {
            ffn.norm_name = names::ATTN_NORM_2;
            ffn.kind = FfnKind::ChannelMix(ChannelMixSpec { width, n_ff: n_ff as usize, gated: false });
        }
    }
    Ok(spec)
}

/// Qwen 2 with RWKV-7's time mix, which may have neither gates nor a norm of each head.
pub(super) fn arwkv7(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    shifts(p, 1)?;
    let norm = rms(p)?;
    let mut spec = hybrid(p, norm, HALVES)?;
    spec.output = OutputKind::Own;
    time_mix7(p, &mut spec, norm)?;
    Ok(spec)
}

/// Gives every layer the time mix of RWKV-7. The first layer has no earlier values to read, so its matrices for them are not used.
fn time_mix7(p: &Params<'_>, spec: &mut ModelSpec, norm: NormSpec) -> Result<(), LoadError> {
    let head_size = p.u32("wkv.head_size")? as usize;
    let normed = p.gguf().tensor(&names::block(0, "time_mix_ln", "weight")).is_some();
    let rank = |key: &str| Ok::<_, LoadError>(p.u32(key)? as usize);
    let value_rank = rank("attention.value_residual_mix_lora_rank")?;
    let first = Rwkv7Spec {
        n_heads: spec.n_embd.checked_div(head_size).unwrap_or(0),
        head_size,
        decay_rank: rank("attention.decay_lora_rank")?,
        rate_rank: rank("attention.iclr_lora_rank")?,
        value_rank: None,
        gate_rank: p.opt_u32("attention.gate_lora_rank")?.filter(|n| *n > 0).map(|n| n as usize),
        norm_eps: (normed || p.architecture() == "rwkv7").then_some(HEAD_EPS),
    };
    let others = Rwkv7Spec { value_rank: Some(value_rank), ..first };
    mixers(spec, Some(norm), RecurrentKind::Rwkv7(others), |_, i| i > 0);
    mixers(spec, Some(norm), RecurrentKind::Rwkv7(first), |_, i| i == 0);
    if let Some(layer) = spec.layers.first_mut() {
        layer.inert = &["time_mix_v0.weight", "time_mix_v1.weight", "time_mix_v2.weight"];
    }
    Ok(())
}

/// Checks that the file's layers keep `n` rows for token shift.
fn shifts(p: &Params<'_>, n: u32) -> Result<(), LoadError> {
    match p.opt_u32("token_shift_count")? {
        Some(found) if found != n => Err(p.unsupported("token_shift_count", Some(&n.to_string()))),
        _ => Ok(()),
    }
}

fn time_mix(p: &Params<'_>, spec: &ModelSpec, linear: bool) -> Result<RecurrentKind, LoadError> {
    let head_size = p.u32("wkv.head_size")? as usize;
    let n_heads = spec.n_embd.checked_div(head_size).unwrap_or(0);
    let n_kv_heads = p.opt_u32("attention.head_count_kv")?.filter(|n| *n > 0).map_or(n_heads, |n| n as usize);
    Ok(RecurrentKind::Rwkv6(Rwkv6Spec {
        n_heads,
        head_size,
        n_kv_heads,
        mix_rank: p.u32("time_mix_extra_dim")? as usize,
        decay_rank: p.u32("time_decay_extra_dim")? as usize,
        linear,
        norm_eps: (!linear).then_some(HEAD_EPS),
    }))
}

/// Halves the residual stream after every `rescale_every_n_layers` layers, if the file has that key.
fn halve(p: &Params<'_>, spec: &mut ModelSpec) -> Result<(), LoadError> {
    let every = p.opt_u32("rescale_every_n_layers")?.unwrap_or(0) as usize;
    if every > 0 {
        spec.layers.iter_mut().skip(every - 1).step_by(every).for_each(|l| l.scale = Some(0.5));
    }
    Ok(())
}
