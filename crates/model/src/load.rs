//! From a parsed file to weights: every tensor's presence, type and shape is checked here, so that nothing can be
//! wrong with them later.

use std::collections::BTreeSet;

use happy_gguf::{GgmlType, Gguf, GgufFile, SharedBytes, TensorInfo};
use happy_kernels::Kernels;
use happy_kernels::linear::{Linear, WeightMatrix};
use happy_kernels::ops::{RopeSpec, RopeTable, Yarn};
use happy_tensor::{Bytes, DType, dequantize_to_vec};

use crate::error::{LoadError, LoadErrorKind};
use crate::names::{self, block};
use crate::spec::*;
use crate::weights::*;

/// The types of a file that can be computed with.
fn dtype(ty: GgmlType) -> Option<DType> {
    Some(match ty {
        GgmlType::F32 => DType::F32,
        GgmlType::F16 => DType::F16,
        GgmlType::BF16 => DType::BF16,
        GgmlType::Q4_0 => DType::Q4_0,
        GgmlType::Q4_1 => DType::Q4_1,
        GgmlType::Q5_0 => DType::Q5_0,
        GgmlType::Q5_1 => DType::Q5_1,
        GgmlType::Q8_0 => DType::Q8_0,
        GgmlType::Q2_K => DType::Q2K,
        GgmlType::Q3_K => DType::Q3K,
        GgmlType::Q4_K => DType::Q4K,
        GgmlType::Q5_K => DType::Q5K,
        GgmlType::Q6_K => DType::Q6K,
        GgmlType::Q1_0 => DType::Q1_0,
        GgmlType::Q2_0 => DType::Q2_0,
        GgmlType::IQ1_S => DType::IQ1S,
        GgmlType::IQ1_M => DType::IQ1M,
        GgmlType::IQ2_XXS => DType::IQ2XXS,
        GgmlType::IQ2_XS => DType::IQ2XS,
        GgmlType::IQ2_S => DType::IQ2S,
        GgmlType::IQ3_XXS => DType::IQ3XXS,
        GgmlType::IQ3_S => DType::IQ3S,
        GgmlType::IQ4_NL => DType::IQ4NL,
        GgmlType::IQ4_XS => DType::IQ4XS,
        GgmlType::TQ1_0 => DType::TQ1_0,
        GgmlType::TQ2_0 => DType::TQ2_0,
        GgmlType::MXFP4 => DType::MXFP4,
        GgmlType::NVFP4 => DType::NVFP4,
        _ => return None,
    })
}

/// A shape in GGUF order, the row length first; 0 stands for any number.
fn shape(dims: &[usize]) -> String {
    let one = |d: &usize| if *d == 0 { "?".to_owned() } else { d.to_string() };
    dims.iter().map(one).collect::<Vec<_>>().join(" x ")
}

/// The error for a tensor that a file lacks.
pub(crate) fn missing(name: &str, dims: &[usize]) -> LoadError {
    LoadError::new(
        LoadErrorKind::MissingTensor,
        format!("tensor {name} is missing, expected one of shape {}", shape(dims)),
    )
}

/// A file's tensors, and which of them were asked for.
struct Tensors<'a> {
    gguf: &'a Gguf<'a>,
    shared: SharedBytes,
    kernels: &'a Kernels,
    used: BTreeSet<String>,
}

/// A tensor with its bytes.
struct Tensor {
    name: String,
    dtype: DType,
    bytes: Bytes,
}

impl Tensors<'_> {
    fn has(&self, name: &str) -> bool {
        self.gguf.tensor(name).is_some()
    }

    /// Whether to read a tensor; a required one that is missing is an error later.
    fn wants(&self, need: Need, name: &str) -> bool {
        match need {
            Need::Never => false,
            Need::Optional => self.has(name),
            Need::Required => true,
        }
    }

    /// The tensor of this name and shape.
    fn tensor(&mut self, name: &str, dims: &[usize]) -> Result<Tensor, LoadError> {
        let info = self.gguf.tensor(name).ok_or_else(|| missing(name, dims))?;
        self.used.insert(name.to_owned());
        if !same_shape(&info, dims) {
            let expected = shape(dims);
            return Err(LoadError::tensor(format!(
                "tensor {name}: expected shape {expected}, found {}",
                info.dims
            )));
        }
        let Some(dtype) = dtype(info.ty) else {
            let known: Vec<&str> = DType::ALL.iter().map(|t| t.name()).collect();
            return Err(LoadError::unsupported(format!(
                "tensor {name} is of type {}, expected one of {}",
                info.ty,
                known.join(", ")
            )));
        };
        let bytes = usize::try_from(info.range.start)
            .ok()
            .zip(usize::try_from(info.range.end).ok())
            .and_then(|(start, end)| Bytes::from_owner_range(self.shared.clone(), start..end).ok())
            .ok_or_else(|| LoadError::tensor(format!("tensor {name}: its bytes are not in the file")))?;
        Ok(Tensor { name: name.to_owned(), dtype, bytes })
    }

    /// A small vector (or several in a row), converted to f32.
    fn vector(&mut self, name: &str, dims: &[usize]) -> Result<Vec<f32>, LoadError> {
        let t = self.tensor(name, dims)?;
        dequantize_to_vec(t.dtype, &t.bytes).map_err(|e| LoadError::tensor(format!("tensor {name}: {e}")))
    }

    fn opt_vector(&mut self, need: Need, name: &str, dims: &[usize]) -> Result<Option<Vec<f32>>, LoadError> {
        if !self.wants(need, name) { Ok(None) } else { self.vector(name, dims).map(Some) }
    }

    /// Rows `rows` of a tensor as a matrix.
    fn rows(
        &self,
        t: &Tensor,
        first: usize,
        n_out: usize,
        n_in: usize,
        bias: Option<&[f32]>,
    ) -> Result<Linear, LoadError> {
        let wrong = |e: &dyn std::fmt::Display| LoadError::tensor(format!("tensor {}: {e}", t.name));
        let row_bytes = t.dtype.row_bytes(n_in).map_err(|e| wrong(&e))?;
        let bytes = t.bytes.slice(first * row_bytes..(first + n_out) * row_bytes).map_err(|e| wrong(&e))?;
        if let Some(unit) = t.dtype.activation_len().filter(|unit| !n_in.is_multiple_of(*unit)) {
            return Err(wrong(&format!("rows of {n_in} elements are not whole blocks of {unit}")));
        }
        let linear = Linear::new(WeightMatrix { dtype: t.dtype, n_out, n_in, bytes }, self.kernels)
            .map_err(|e| wrong(&e))?;
        match bias {
            Some(bias) => linear.with_bias(bias).map_err(|e| wrong(&e)),
            None => Ok(linear),
        }
    }

    /// A matrix `blk.{layer}.{part}.weight`, with its bias.
    fn linear(
        &mut self,
        layer: usize,
        part: &str,
        n_in: usize,
        n_out: usize,
        bias: Need,
    ) -> Result<Linear, LoadError> {
        let t = self.tensor(&block(layer, part, "weight"), &[n_in, n_out])?;
        let bias = self.opt_vector(bias, &block(layer, part, "bias"), &[n_out])?;
        self.rows(&t, 0, n_out, n_in, bias.as_deref())
    }

    /// A norm; `prefix` is its name without `.weight`.
    fn norm(&mut self, prefix: &str, spec: &NormSpec, width: usize) -> Result<Norm, LoadError> {
        let weight = self.vector(&format!("{prefix}.weight"), &[width])?;
        let bias = self.opt_vector(spec.bias, &format!("{prefix}.bias"), &[width])?;
        Ok(Norm { kind: spec.kind, eps: spec.eps, weight, bias })
    }

    fn opt_norm(
        &mut self,
        layer: usize,
        part: &str,
        spec: Option<&NormSpec>,
        width: usize,
    ) -> Result<Option<Norm>, LoadError> {
        spec.map(|spec| self.norm(&format!("blk.{layer}.{part}"), spec, width)).transpose()
    }
}

fn same_shape(info: &TensorInfo<'_>, dims: &[usize]) -> bool {
    let found = info.dims.padded();
    let expected = dims.iter().map(|d| *d as u64).chain(std::iter::repeat(1));
    dims.len() <= found.len() && found.iter().zip(expected).all(|(a, b)| *a == b)
}

/// Weights and the names of the tensors that nothing needs.
pub(crate) fn load(
    file: &GgufFile,
    spec: &ModelSpec,
    kernels: &Kernels,
) -> Result<(Weights, Vec<String>), LoadError> {
    let view = file.view();
    let mut t = Tensors { gguf: &view, shared: file.shared(), kernels, used: BTreeSet::new() };
    let weights = Weights {
        embedding: embedding(&mut t, spec)?,
        output_norm: t.norm(names::OUTPUT_NORM, &spec.output_norm, spec.n_embd)?,
        output: output(&mut t, spec)?,
        ropes: ropes(&mut t, spec)?,
        layers: (0..spec.layers.len()).map(|i| layer(&mut t, spec, i)).collect::<Result<_, _>>()?,
    };
    let unused: Vec<String> =
        view.tensors().map(|info| info.name.to_owned()).filter(|name| !t.used.contains(name)).collect();
    if let Some(name) = unused.iter().find(|name| names::matters(name, spec.layers.len())) {
        return Err(LoadError::unsupported(format!(
            "tensor {name} has no part in architecture {}",
            spec.architecture
        )));
    }
    Ok((weights, unused))
}

fn embedding(t: &mut Tensors<'_>, spec: &ModelSpec) -> Result<Embedding, LoadError> {
    let tensor = t.tensor(names::TOKEN_EMBD, &[spec.n_embd, spec.n_vocab])?;
    let row_bytes = tensor
        .dtype
        .row_bytes(spec.n_embd)
        .map_err(|e| LoadError::tensor(format!("tensor {}: {e}", names::TOKEN_EMBD)))?;
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
    let mut ropes = Vec::new();
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
        let table = |factors: Option<&[f32]>| rope_table(r, factors);
        ropes.push(Rope {
            short: table(short.as_deref())?,
            long: long.map(|f| table(f.as_deref())).transpose()?,
        });
    }
    Ok(ropes)
}

fn rope_table(r: &RopeParams, factors: Option<&[f32]>) -> Result<RopeTable, LoadError> {
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
    RopeTable::new(&spec, factors).map_err(|e| LoadError::metadata(e.to_string()))
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
            FfnKind::Dense(dense) => Ffn::Dense(Box::new(dense_weights(t, n_embd, dense, i)?)),
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
    let (dims, width) = match spec.kind {
        QkNormKind::PerHead => (vec![dim], dim),
        QkNormKind::PerHeadOwnWeight => (vec![dim, heads], dim),
        QkNormKind::WholeRow => (vec![dim * heads], dim * heads),
    };
    let weight = t.opt_vector(spec.need, &block(i, part, "weight"), &dims)?;
    Ok(weight.map(|weight| QkNorm { kind: spec.norm.kind, eps: spec.norm.eps, weight, width }))
}

fn dense_weights(t: &mut Tensors<'_>, n_embd: usize, d: &DenseSpec, i: usize) -> Result<Mlp, LoadError> {
    let down = t.linear(i, "ffn_down", d.n_ff, n_embd, d.bias)?;
    if d.fused {
        // gate rows first, then up rows
        let tensor = t.tensor(&block(i, "ffn_up", "weight"), &[n_embd, 2 * d.n_ff])?;
        let gate = Some(t.rows(&tensor, 0, d.n_ff, n_embd, None)?);
        return Ok(Mlp { gate, up: t.rows(&tensor, d.n_ff, d.n_ff, n_embd, None)?, down });
    }
    let gate = if d.gated { Some(t.linear(i, "ffn_gate", n_embd, d.n_ff, d.bias)?) } else { None };
    Ok(Mlp { gate, up: t.linear(i, "ffn_up", n_embd, d.n_ff, d.bias)?, down })
}

fn moe_weights(t: &mut Tensors<'_>, n_embd: usize, m: &MoeSpec, i: usize) -> Result<Ffn, LoadError> {
    let router = t.linear(i, "ffn_gate_inp", n_embd, m.n_experts, m.bias)?;
    let mut stacked = |part: &str, n_in: usize, n_out: usize| -> Result<Vec<Linear>, LoadError> {
        let tensor = t.tensor(&block(i, part, "weight"), &[n_in, n_out, m.n_experts])?;
        let bias = t.opt_vector(m.bias, &block(i, part, "bias"), &[n_out, m.n_experts])?;
        let slice = |e: usize| bias.as_deref().and_then(|b| b.get(e * n_out..(e + 1) * n_out));
        (0..m.n_experts).map(|e| t.rows(&tensor, e * n_out, n_out, n_in, slice(e))).collect()
    };
    let gate = stacked("ffn_gate_exps", n_embd, m.n_ff)?;
    let up = stacked("ffn_up_exps", n_embd, m.n_ff)?;
    let down = stacked("ffn_down_exps", m.n_ff, n_embd)?;
    let experts = gate
        .into_iter()
        .zip(up)
        .zip(down)
        .map(|((gate, up), down)| Mlp { gate: Some(gate), up, down })
        .collect();
    let shared = m.shared.as_ref().map(|s| shared_expert(t, n_embd, s, i).map(Box::new)).transpose()?;
    Ok(Ffn::Moe { router, experts, shared })
}

fn shared_expert(
    t: &mut Tensors<'_>,
    n_embd: usize,
    s: &SharedExpertSpec,
    i: usize,
) -> Result<SharedExpert, LoadError> {
    let gate = if s.gated {
        let tensor = t.tensor(&block(i, "ffn_gate_inp_shexp", "weight"), &[n_embd])?;
        Some(t.rows(&tensor, 0, 1, n_embd, None)?)
    } else {
        None
    };
    let mlp = Mlp {
        gate: Some(t.linear(i, "ffn_gate_shexp", n_embd, s.n_ff, Need::Never)?),
        up: t.linear(i, "ffn_up_shexp", n_embd, s.n_ff, Need::Never)?,
        down: t.linear(i, "ffn_down_shexp", s.n_ff, n_embd, Need::Never)?,
    };
    Ok(SharedExpert { mlp, gate })
}
