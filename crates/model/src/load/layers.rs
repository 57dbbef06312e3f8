//! From a parsed file to weights: every tensor's presence, type and shape is checked here, so that nothing can be
//! wrong with them later.
//!
//! All memory is reserved fallibly, and [`crate::Outline`] bounds it from the header: what this file keeps or holds for
//! a while is counted there.

use happy_gguf::{GgufSet, SharedBytes};
use happy_kernels::Kernels;
use happy_kernels::linear::Linear;
use happy_kernels::ops::{Activation, RopeError, RopeSpec, RopeTable, Yarn};

use super::tensors::{Tensors, damaged};
use crate::error::{LoadError, excerpt};
use crate::names::{self, block};
use crate::reserve::reserved;
use crate::spec::*;
use crate::weights::*;

/// Weights and the names of the tensors that nothing needs.
pub(crate) fn load(
    gguf: &GgufSet<'_>,
    parts: &[SharedBytes],
    spec: &ModelSpec,
    kernels: &Kernels,
) -> Result<(Weights, Vec<String>), LoadError> {
    let mut t = Tensors::new(gguf, parts, kernels)?;
    let embedding = embedding(&mut t, spec)?;
    let output_norm = t.norm(names::OUTPUT_NORM, &spec.output_norm, spec.n_embd)?;
    let output = output(&mut t, spec)?;
    let ropes = ropes(&mut t, spec)?;
    let mut layers = reserved(spec.layers.len())?;
    for i in 0..spec.layers.len() {
        layers.push(layer(&mut t, spec, i)?);
    }
    let unused = t.unused()?;
    if let Some(name) = unused.iter().find(|name| names::matters(name, spec.layers.len())) {
        return Err(LoadError::ExtraTensor { tensor: excerpt(name), architecture: spec.architecture });
    }
    Ok((Weights { embedding, layers, ropes, output_norm, output }, unused))
}

fn embedding(t: &mut Tensors<'_>, spec: &ModelSpec) -> Result<Embedding, LoadError> {
    let tensor = t.tensor(names::TOKEN_EMBD, &[spec.n_embd, spec.n_vocab])?;
    let row_bytes = tensor.dtype.row_bytes(spec.n_embd).map_err(|e| damaged(names::TOKEN_EMBD, e))?;
    Ok(Embedding { dtype: tensor.dtype, bytes: tensor.bytes, row_bytes })
}

fn output(t: &mut Tensors<'_>, spec: &ModelSpec) -> Result<Linear, LoadError> {
    let own = match spec.output {
        OutputKind::Own => true,
        OutputKind::OwnOrTied => t.has(names::OUTPUT),
        OutputKind::Tied => false,
    };
    let name = if own { names::OUTPUT } else { names::TOKEN_EMBD };
    let tensor = t.tensor(name, &[spec.n_embd, spec.n_vocab])?;
    let bias = t.opt_vector(spec.output_bias, names::OUTPUT_BIAS, &[spec.n_vocab])?;
    t.rows(&tensor, 0, spec.n_vocab, spec.n_embd, bias.as_deref())
}

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

fn layer(t: &mut Tensors<'_>, spec: &ModelSpec, i: usize) -> Result<Layer, LoadError> {
    let LayerSpec { attention, ffn } = &spec.layers[i];
    let n_embd = spec.n_embd;
    let prefix = format!("blk.{i}.{}", ffn.norm_name);
    let ffn_in = match &ffn.input {
        FfnInput::Norm(norm) => FfnIn::Norm(t.norm(&prefix, norm, n_embd)?),
        FfnInput::NormOrAttention(norm) if t.has(&format!("{prefix}.weight")) => {
            FfnIn::Norm(t.norm(&prefix, norm, n_embd)?)
        }
        FfnInput::NormOrAttention(_) | FfnInput::Attention => FfnIn::Attention,
        FfnInput::Residual => FfnIn::Residual,
    };
    Ok(Layer {
        attention: attention_weights(t, n_embd, attention, i)?,
        ffn_in,
        ffn: match &ffn.kind {
            FfnKind::Dense(dense) => Ffn::Dense(dense_weights(t, n_embd, dense, i)?),
            FfnKind::Moe(moe) => moe_weights(t, n_embd, moe, i)?,
        },
        ffn_post_norm: t.opt_norm(i, names::FFN_POST_NORM, ffn.post_norm.as_ref(), n_embd)?,
    })
}

fn attention_weights(
    t: &mut Tensors<'_>,
    n_embd: usize,
    a: &AttentionSpec,
    i: usize,
) -> Result<Attention, LoadError> {
    let norm = t.opt_norm(i, names::ATTN_NORM, a.norm.as_ref(), n_embd)?;
    let [q, k, v] = qkv(t, n_embd, a, i)?;
    let (q_norm, k_norm) = match &a.qk_norm {
        Some(spec) => (
            qk_norm(t, spec, i, "attn_q_norm", a.n_heads, a)?,
            qk_norm(t, spec, i, "attn_k_norm", a.n_kv_heads, a)?,
        ),
        None => (None, None),
    };
    let need = if a.sinks { Need::Required } else { Need::Never };
    Ok(Attention {
        norm,
        q,
        k,
        v,
        q_norm,
        k_norm,
        out: t.linear(i, "attn_output", a.out_dim(), n_embd, a.out_bias)?,
        sinks: t.opt_vector(need, &block(i, "attn_sinks", "weight"), &[a.n_heads])?,
        post_norm: t.opt_norm(i, names::ATTN_POST_NORM, a.post_norm.as_ref(), n_embd)?,
    })
}

/// Q, K and V, from matrices of their own or from rows of a fused one; a fused one may have separate biases.
fn qkv(t: &mut Tensors<'_>, n_embd: usize, a: &AttentionSpec, i: usize) -> Result<[Linear; 3], LoadError> {
    let dims = [a.q_dim(), a.k_dim(), a.v_dim()];
    let [q, k, v] = dims;
    let fused = block(i, "attn_qkv", "weight");
    if !t.has(&fused) {
        return Ok([
            t.linear(i, "attn_q", n_embd, q, a.qkv_bias)?,
            t.linear(i, "attn_k", n_embd, k, a.qkv_bias)?,
            t.linear(i, "attn_v", n_embd, v, a.qkv_bias)?,
        ]);
    }
    let tensor = t.tensor(&fused, &[n_embd, q + k + v])?;
    let whole = t.opt_vector(Need::Optional, &block(i, "attn_qkv", "bias"), &[q + k + v])?;
    let mut part = |name: &str, first: usize, n_out: usize| {
        let own = match &whole {
            Some(_) => None,
            None => t.opt_vector(Need::Optional, &block(i, name, "bias"), &[n_out])?,
        };
        let bias = own.as_deref().or(whole.as_deref().and_then(|b| b.get(first..first + n_out)));
        t.rows(&tensor, first, n_out, n_embd, bias)
    };
    Ok([part("attn_q", 0, q)?, part("attn_k", q, k)?, part("attn_v", q + k, v)?])
}

fn qk_norm(
    t: &mut Tensors<'_>,
    spec: &QkNormSpec,
    i: usize,
    part: &str,
    heads: usize,
    a: &AttentionSpec,
) -> Result<Option<QkNorm>, LoadError> {
    let dim = a.head_dim_k;
    let (dims, width): (&[usize], usize) = match spec.kind {
        QkNormKind::PerHead => (&[dim], dim),
        QkNormKind::PerHeadOwnWeight => (&[dim, heads], dim),
        QkNormKind::WholeRow => (&[dim * heads], dim * heads),
    };
    let weight = t.opt_vector(spec.need, &block(i, part, "weight"), dims)?;
    Ok(weight.map(|weight| QkNorm { kind: spec.norm.kind, eps: spec.norm.eps, weight, width }))
}

fn dense_weights(t: &mut Tensors<'_>, n_embd: usize, d: &DenseSpec, i: usize) -> Result<Mlp, LoadError> {
    let down = t.linear(i, "ffn_down", d.n_ff, n_embd, d.bias)?;
    if d.fused {
        // gate rows first, then up rows
        let tensor = t.tensor(&block(i, "ffn_up", "weight"), &[n_embd, 2 * d.n_ff])?;
        let gate = Some(t.rows(&tensor, 0, d.n_ff, n_embd, None)?);
        return Ok(Mlp {
            activation: d.activation,
            gate,
            up: t.rows(&tensor, d.n_ff, d.n_ff, n_embd, None)?,
            down,
        });
    }
    let gate = if d.gated { Some(t.linear(i, "ffn_gate", n_embd, d.n_ff, d.bias)?) } else { None };
    Ok(Mlp { activation: d.activation, gate, up: t.linear(i, "ffn_up", n_embd, d.n_ff, d.bias)?, down })
}

fn moe_weights(t: &mut Tensors<'_>, n_embd: usize, m: &MoeSpec, i: usize) -> Result<Ffn, LoadError> {
    let router = t.linear(i, "ffn_gate_inp", n_embd, m.n_experts, m.bias)?;
    let mut stack = |part: &str, n_in: usize, n_out: usize| -> Result<Linear, LoadError> {
        let tensor = t.tensor(&block(i, part, "weight"), &[n_in, n_out, m.n_experts])?;
        let bias = t.opt_vector(m.bias, &block(i, part, "bias"), &[n_out, m.n_experts])?;
        t.rows(&tensor, 0, n_out.saturating_mul(m.n_experts), n_in, bias.as_deref())
    };
    let experts = Mlp {
        activation: m.activation,
        gate: Some(stack("ffn_gate_exps", n_embd, m.n_ff)?),
        up: stack("ffn_up_exps", n_embd, m.n_ff)?,
        down: stack("ffn_down_exps", m.n_ff, n_embd)?,
    };
    let shared = m.shared.as_ref().map(|s| shared_expert(t, n_embd, s, m.activation, i)).transpose()?;
    Ok(Ffn::Moe(Moe { spec: *m, router, experts, shared }))
}

fn shared_expert(
    t: &mut Tensors<'_>,
    n_embd: usize,
    s: &SharedExpertSpec,
    activation: Activation,
    i: usize,
) -> Result<SharedExpert, LoadError> {
    let gate = if s.gated {
        let tensor = t.tensor(&block(i, "ffn_gate_inp_shexp", "weight"), &[n_embd])?;
        Some(t.rows(&tensor, 0, 1, n_embd, None)?)
    } else {
        None
    };
    let mlp = Mlp {
        activation,
        gate: Some(t.linear(i, "ffn_gate_shexp", n_embd, s.n_ff, Need::Never)?),
        up: t.linear(i, "ffn_up_shexp", n_embd, s.n_ff, Need::Never)?,
        down: t.linear(i, "ffn_down_shexp", s.n_ff, n_embd, Need::Never)?,
    };
    Ok(SharedExpert { mlp, gate })
}
