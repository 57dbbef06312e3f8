//! RWKV-6, and Qwen 2 with its attention.

use super::decoder::{HALVES, hybrid, layer_norm, rms};
use super::params::Params;
use super::ssm::mixers;
use crate::error::LoadError;
use crate::names;
use crate::spec::*;

/// Epsilon of the norm of each head, which no key says.
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
            ffn.kind = FfnKind::ChannelMix(ChannelMixSpec { width, n_ff: n_ff as usize });
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

/// How many rows a layer keeps.
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

/// The residual stream is halved after every so many layers.
fn halve(p: &Params<'_>, spec: &mut ModelSpec) -> Result<(), LoadError> {
    let every = p.opt_u32("rescale_every_n_layers")?.unwrap_or(0) as usize;
    if every > 0 {
        spec.layers.iter_mut().skip(every - 1).step_by(every).for_each(|l| l.scale = Some(0.5));
    }
    Ok(())
}
