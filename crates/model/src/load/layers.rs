//! Turns a parsed file into weights. Every tensor's presence, type and shape is checked here, so that code after this can rely on them.
//!
//! When memory can't be reserved, that is an error. [`crate::Outline`] computes a bound from the header alone, so whatever is kept here, or
//! held for a while, must be counted there too.
//!
//! Functions that load a part are not inlined. Inlined into one, they need stack for all of them at once, 23 KiB for a layer, and
//! apps load models on threads with small stacks.

use happy_gguf::{GgufSet, SharedBytes};
use happy_kernels::Kernels;
use happy_kernels::linear::Linear;
use happy_kernels::ops::{RopeError, RopeSpec, RopeTable, Yarn};

use super::tensors::Tensors;
use super::{draft_head, encoder, experts, latent, streams};
use crate::error::{LoadError, excerpt};
use crate::names::{self, block};
use crate::recurrent::{ChannelMix, Recurrent};
use crate::reserve::{collected, reserved};
use crate::spec::*;
use crate::weights::*;

/// Loads the weights, and returns them with the names of the tensors that nothing needs.
pub(crate) fn load(
    gguf: &GgufSet<'_>,
    parts: &[SharedBytes],
    spec: &ModelSpec,
    kernels: &Kernels,
) -> Result<(Weights, Vec<String>), LoadError> {
    let mut t = Tensors::new(gguf, parts, kernels, spec.prefix)?;
    let name = names::embedding(spec, |name| t.has(name));
    let embedding = t.table(&name, spec.n_embd, spec.n_vocab)?;
    let positions = match spec.learned_positions {
        true => Some(t.table(names::POSITION_EMBD, spec.n_embd, spec.n_ctx_train as usize)?),
        false => None,
    };
    let token_type = encoder::token_type(&mut t, spec)?;
    let embedding_norm = match &spec.embedding_norm {
        Some(norm) => Some(whole(t.norm(names::TOKEN_EMBD_NORM, norm, spec.n_embd)?, spec.n_embd)),
        None => None,
    };
    let name = names::output_norm(spec, |name| t.has(name));
    let output_norm = t.norm(&name, &spec.output_norm, spec.n_embd)?;
    let output = output(&mut t, spec)?;
    let head = encoder::head(&mut t, spec)?;
    let ropes = ropes(&mut t, spec)?;
    let per_layer = streams::per_layer_inputs(&mut t, spec)?;
    let altup = streams::altup_ends(&mut t, spec)?;
    let draft_head = draft_head::load(&mut t, spec)?;
    let relative = encoder::relative_biases(&mut t, spec)?;
    let mut layers = reserved(spec.layers.len())?;
    for i in 0..spec.layers.len() {
        // Filled where it stands: a layer is 5 KiB, and each copy of one takes that much stack.
        layers.push(Layer::default());
        if let Some(place) = layers.last_mut() {
            layer(&mut t, spec, i, &relative, place)?;
        }
    }
    let mut targets = t.take_targets();
    // What comes after the last layer is not part of a forward pass.
    for number in head.linears().filter_map(Linear::matrix) {
        if let Some(target) = targets.get_mut(number as usize) {
            target.name.clear();
        }
    }
    let unused = t.unused()?;
    if let Some(name) = unused.iter().find(|name| names::must_be_used(name, spec)) {
        return Err(LoadError::ExtraTensor { tensor: excerpt(name), architecture: spec.architecture });
    }
    let relative = collected(relative.len(), relative.into_iter().map(|(_, bias)| bias))?;
    let weights = Weights {
        embedding,
        positions,
        token_type,
        embedding_norm,
        per_layer,
        altup,
        draft_head,
        layers,
        relative,
        ropes,
        output_norm,
        output,
        head,
        targets,
    };
    Ok((weights, unused))
}

#[inline(never)]
fn output(t: &mut Tensors<'_>, spec: &ModelSpec) -> Result<Option<Linear>, LoadError> {
    let Some(name) = names::output(spec, |name| t.has(name)) else { return Ok(None) };
    let tensor = t.tensor(&name, &[spec.n_embd, spec.n_vocab])?;
    let bias = t.opt_vector(spec.output_bias, names::OUTPUT_BIAS, &[spec.n_vocab])?;
    t.rows(&tensor, 0, spec.n_vocab, spec.n_embd, bias.as_deref()).map(Some)
}

#[inline(never)]
fn ropes(t: &mut Tensors<'_>, spec: &ModelSpec) -> Result<Vec<Rope>, LoadError> {
    let mut ropes = reserved(spec.ropes.len())?;
    for r in &spec.ropes {
        let dims = [r.n_rot / 2];
        let (short, long) = match r.factors {
            RopeFactors::None => (None, None),
            RopeFactors::Freqs => (t.opt_vector(Need::Optional, names::ROPE_FREQS, &dims)?, None),
            RopeFactors::LongShort => (
                t.opt_vector(Need::Optional, names::ROPE_SHORT, &dims)?,
                Some(t.opt_vector(Need::Optional, names::ROPE_LONG, &dims)?),
            ),
        };
        let table = |factors: Option<&[f32]>| rope_table(spec, r, factors);
        ropes.push(Rope {
            short: table(short.as_deref())?,
            long: long.map(|f| table(f.as_deref())).transpose()?,
        });
    }
    Ok(ropes)
}

fn rope_table(model: &ModelSpec, r: &RopeParams, factors: Option<&[f32]>) -> Result<RopeTable, LoadError> {
    let yarn = Yarn {
        ext_factor: r.ext_factor,
        beta_fast: r.beta_fast,
        beta_slow: r.beta_slow,
        n_ctx_orig: r.n_ctx_orig,
    };
    let spec = RopeSpec {
        n_rot: r.n_rot,
        theta_base: r.theta,
        scale: r.freq_scale,
        attn_factor: r.attn_factor,
        yarn: (r.ext_factor != 0.0).then_some(yarn),
    };
    RopeTable::new(&spec, factors).map_err(|e| match e {
        RopeError::Memory { bytes } => LoadError::memory(bytes),
        e => LoadError::Spec { architecture: model.architecture, problem: e.to_string() },
    })
}

#[inline(never)]
fn layer(
    t: &mut Tensors<'_>,
    spec: &ModelSpec,
    i: usize,
    relative: &[(usize, RelativeBias)],
    layer: &mut Layer,
) -> Result<(), LoadError> {
    let LayerSpec { attention, recurrent, ffn, out_scale, laurel, .. } = &spec.layers[i];
    let scale = spec.layers[i].scale;
    // The names of its tensors have the number in the file.
    let i = spec.first_block() + i;
    let n_state = recurrent.map_or(0, |r| r.state_elements());
    if let Some(recurrent) = recurrent {
        layer.recurrent = reserved(1)?;
        layer.recurrent.push(Recurrent::load(t, spec.n_embd, recurrent, i)?);
    }
    let own = t.opt_vector(*out_scale, &block(i, "layer_output_scale", "weight"), &[1])?;
    layer.out_scale = own.and_then(|own| own.first().copied()).or(scale);
    if let Some(attention) = attention {
        set(&mut layer.attention, || attention_weights(t, spec.n_embd, attention, i, relative).map(Some))?;
    }
    if let Some(ffn) = ffn {
        set(&mut layer.ffn, || feed_forward(t, spec.n_embd, n_state, ffn, i).map(Some))?;
    }
    set(&mut layer.laurel, || streams::laurel(t, spec.n_embd, *laurel, i))?;
    set(&mut layer.per_layer, || streams::per_layer(t, spec, i))?;
    set(&mut layer.altup, || streams::altup(t, spec, i))
}

/// Puts a part of a layer in its place. What it takes of the stack meanwhile is free again for the next part.
#[inline(never)]
fn set<T>(place: &mut T, load: impl FnOnce() -> Result<T, LoadError>) -> Result<(), LoadError> {
    *place = load()?;
    Ok(())
}

#[inline(never)]
fn feed_forward(
    t: &mut Tensors<'_>,
    n_embd: usize,
    n_state: usize,
    ffn: &FfnSpec,
    i: usize,
) -> Result<FeedForward, LoadError> {
    let prefix = format!("blk.{i}.{}", ffn.norm_name);
    let input = match &ffn.input {
        FfnInput::Norm(norm) => FfnIn::Norm(t.norm(&prefix, norm, n_embd)?),
        FfnInput::NormOrAttention(norm) if t.has(&format!("{prefix}.weight")) => {
            FfnIn::Norm(t.norm(&prefix, norm, n_embd)?)
        }
        FfnInput::NormOrAttention(_) | FfnInput::Attention => FfnIn::Attention,
        FfnInput::Residual => FfnIn::Residual,
        FfnInput::Layer(norm) => FfnIn::Layer(t.norm(&prefix, norm, n_embd)?),
    };
    Ok(FeedForward {
        input,
        block: match &ffn.kind {
            FfnKind::Elementwise(activation) => Ffn::Elementwise(*activation),
            FfnKind::Dense(dense) => Ffn::Dense(dense_weights(t, n_embd, dense, i)?),
            FfnKind::Moe(moe) => experts::load(t, n_embd, moe, i)?,
            FfnKind::ChannelMix(mix) => Ffn::ChannelMix(ChannelMix::load(t, mix, n_state, i)?),
        },
        scale: ffn.scale,
        post_norm: t.post_norm(
            i,
            [names::FFN_POST_NORM, names::FFN_POST_NORM_GROK],
            ffn.post_norm.as_ref(),
            n_embd,
        )?,
        sum_norm: t.opt_norm(i, names::FFN_SUM_NORM, ffn.sum_norm.as_ref(), n_embd)?,
    })
}

#[inline(never)]
fn attention_weights(
    t: &mut Tensors<'_>,
    n_embd: usize,
    a: &AttentionSpec,
    i: usize,
    relative: &[(usize, RelativeBias)],
) -> Result<Attention, LoadError> {
    let norm = t.opt_norm(i, a.norm_name, a.norm.as_ref(), n_embd)?;
    let (q, k, v, latent) = match &a.latent {
        Some(l) => {
            let (q, latent) = latent::load(t, n_embd, (a, l), i)?;
            (q, None, None, Some(latent))
        }
        None => {
            let (q, k, v) = qkv(t, n_embd, a, i)?;
            (q, k, v, None)
        }
    };
    let mut norm_of = |part: &str, heads: usize| match &a.qk_norm {
        Some(spec) => qk_norm(t, spec, i, part, heads, a),
        None => Ok(None),
    };
    let q_norm = norm_of("attn_q_norm", a.n_heads)?;
    let k_norm = if a.kv_from.is_none() { norm_of("attn_k_norm", a.n_kv_heads)? } else { None };
    let v_norm = a.v_norm.map(|norm| weightless(&norm, a.head_dim_v));
    let gate = match a.gate {
        Some(AttentionGate { width: GateWidth::PerHead | GateWidth::PerElement, .. }) => {
            Some(t.linear(i, "attn_gate", n_embd, a.gate_dim(), Need::Never)?)
        }
        Some(AttentionGate { width: GateWidth::BesideQ, .. }) | None => None,
    };
    let need = if a.sinks { Need::Required } else { Need::Never };
    Ok(Attention {
        spec: *a,
        norm,
        q,
        latent,
        k,
        v,
        q_norm,
        k_norm,
        v_norm,
        gate,
        sub_norm: sub_norm(t, i, "attn_sub_norm", a.sub_norm.as_ref(), a.out_dim())?,
        out: t.linear(i, a.out_name, a.result_dim(), n_embd, a.out_bias)?,
        sinks: t.opt_vector(need, &block(i, "attn_sinks", "weight"), &[a.n_heads])?,
        post_norm: t.post_norm(
            i,
            [names::ATTN_POST_NORM, names::ATTN_POST_NORM_GROK],
            a.post_norm.as_ref(),
            n_embd,
        )?,
        position_bias: encoder::position_bias(a, i, relative)?,
        sum_norm: t.opt_norm(i, names::ATTN_SUM_NORM, a.sum_norm.as_ref(), n_embd)?,
        second_sum_norm: t.opt_norm(i, names::ATTN_NORM_2, a.second_sum_norm.as_ref(), n_embd)?,
    })
}

/// Q, and K and V if the layer has them.
type Qkv = (Linear, Option<Linear>, Option<Linear>);

/// Loads Q, K and V: each from a matrix of its own, or from the rows of a fused one. A fused matrix may have separate biases.
#[inline(never)]
fn qkv(t: &mut Tensors<'_>, n_embd: usize, a: &AttentionSpec, i: usize) -> Result<Qkv, LoadError> {
    let dims = [a.q_dim(), a.k_dim(), a.v_dim()];
    let [q, k, v] = dims;
    let beside = a.gate.is_some_and(|gate| gate.width == GateWidth::BesideQ);
    let q = if beside { a.gate_dim() } else { q };
    let fused = block(i, "attn_qkv", "weight");
    if !t.has(&fused) || a.kv_from.is_some() || a.v_is_k {
        let mut linear = |part: &str, n_out: usize, has: bool| {
            has.then(|| t.linear(i, part, n_embd, n_out, a.qkv_bias)).transpose()
        };
        let k_linear = linear("attn_k", k, a.kv_from.is_none())?;
        let v_linear = linear("attn_v", v, a.kv_from.is_none() && !a.v_is_k)?;
        return Ok((t.linear(i, "attn_q", n_embd, q, a.qkv_bias)?, k_linear, v_linear));
    }
    let at = a.fused_rows.unwrap_or(FusedRows { k: q, v: q + k, all: q + k + v });
    let tensor = t.tensor(&fused, &[n_embd, at.all])?;
    let whole = t.opt_vector(Need::Optional, &block(i, "attn_qkv", "bias"), &[at.all])?;
    let mut part = |name: &str, first: usize, n_out: usize| {
        let own = match &whole {
            Some(_) => None,
            None => t.opt_vector(Need::Optional, &block(i, name, "bias"), &[n_out])?,
        };
        let bias = own.as_deref().or(whole.as_deref().and_then(|b| b.get(first..first + n_out)));
        t.rows(&tensor, first, n_out, n_embd, bias)
    };
    Ok((part("attn_q", 0, q)?, Some(part("attn_k", at.k, k)?), Some(part("attn_v", at.v, v)?)))
}

/// Returns a norm without weights, for parts of `width` elements.
fn weightless(spec: &NormSpec, width: usize) -> PartsNorm {
    let norm = Norm { kind: spec.kind, eps: spec.eps, weight: None, bias: None };
    PartsNorm { norm, width, after_rope: false }
}

/// Returns a norm of whole rows, in place.
fn whole(norm: Norm, width: usize) -> PartsNorm {
    PartsNorm { norm, width, after_rope: false }
}

/// Loads the norm of a whole row before a matrix.
fn sub_norm(
    t: &mut Tensors<'_>,
    i: usize,
    part: &str,
    spec: Option<&NormSpec>,
    width: usize,
) -> Result<Option<PartsNorm>, LoadError> {
    let norm = t.opt_norm(i, part, spec, width)?;
    Ok(norm.map(|norm| whole(norm, width)))
}

#[inline(never)]
fn qk_norm(
    t: &mut Tensors<'_>,
    spec: &QkNormSpec,
    i: usize,
    part: &str,
    heads: usize,
    a: &AttentionSpec,
) -> Result<Option<PartsNorm>, LoadError> {
    let dim = a.head_dim_k;
    let (dims, width): (&[usize], usize) = match spec.kind {
        QkNormKind::PerHead | QkNormKind::PerHeadGain => (&[dim], dim),
        QkNormKind::PerHeadOwnWeight => (&[dim, heads], dim),
        QkNormKind::WholeRow => (&[dim * heads], dim * heads),
    };
    let (kind, eps, after_rope) = (spec.norm.kind, spec.norm.eps, spec.after_rope);
    let gain = spec.kind == QkNormKind::PerHeadGain;
    if !spec.norm.weighted || gain && part == "attn_k_norm" {
        return Ok(Some(PartsNorm { after_rope, ..weightless(&spec.norm, width) }));
    }
    if gain {
        let gains = t.vector(&block(i, part, "weight"), &[1, heads])?;
        let weight = gains.iter().flat_map(|gain| std::iter::repeat_n(*gain, dim));
        let weight = Some(collected(dim.saturating_mul(heads), weight)?);
        return Ok(Some(PartsNorm { norm: Norm { kind, eps, weight, bias: None }, width, after_rope }));
    }
    let weight = t.opt_vector(spec.need, &block(i, part, "weight"), dims)?;
    let bias = match weight {
        Some(_) => t.opt_vector(spec.norm.bias, &block(i, part, "bias"), dims)?,
        None => None,
    };
    let norm = |weight| Norm { kind, eps, weight: Some(weight), bias };
    Ok(weight.map(|weight| PartsNorm { norm: norm(weight), width, after_rope }))
}

#[inline(never)]
fn dense_weights(t: &mut Tensors<'_>, n_embd: usize, d: &DenseSpec, i: usize) -> Result<Mlp, LoadError> {
    let down = t.linear(i, "ffn_down", d.n_ff, n_embd, d.bias)?;
    let divisors = t.opt_vector(d.divisors, &block(i, "ffn.act", "scales"), &[d.n_ff])?;
    let sub_norm = sub_norm(t, i, "ffn_sub_norm", d.sub_norm.as_ref(), d.n_ff)?;
    if d.fused {
        // the rows of gate come first, then those of up
        let tensor = t.tensor(&block(i, "ffn_up", "weight"), &[n_embd, 2 * d.n_ff])?;
        let gate = Some(t.rows(&tensor, 0, d.n_ff, n_embd, None)?);
        return Ok(Mlp {
            activation: d.activation,
            sparsity: d.sparsity,
            gate,
            up: t.rows(&tensor, d.n_ff, d.n_ff, n_embd, None)?,
            divisors,
            sub_norm,
            down,
        });
    }
    let gate = if d.gated { Some(t.linear(i, "ffn_gate", n_embd, d.n_ff, d.bias)?) } else { None };
    let up = t.linear(i, "ffn_up", n_embd, d.n_ff, d.bias)?;
    Ok(Mlp { activation: d.activation, sparsity: d.sparsity, gate, up, divisors, sub_norm, down })
}
