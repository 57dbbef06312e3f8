//! The tensors of a file, each checked when the loader asks for it.

use std::borrow::Cow;
use std::cell::RefCell;

use happy_gguf::{GgufSet, SharedBytes, TensorInfo};
use happy_kernels::Kernels;
use happy_kernels::linear::{Linear, LinearError, WeightMatrix};
use happy_tensor::{Bytes, DType, RowError, dequantize_to_vec};

use crate::error::LoadError;
use crate::names::{self, block, dtype, most_reads};
use crate::reserve::reserved;
use crate::spec::{Need, NormSpec};
use crate::weights::{Embedding, Norm, Target};

fn shape(dims: &[usize]) -> Vec<u64> {
    dims.iter().map(|d| *d as u64).collect()
}

/// The tensors of a file, or of the parts of a split one, and which of them were asked for.
pub(crate) struct Tensors<'a> {
    gguf: &'a GgufSet<'a>,
    /// The bytes of each part.
    parts: &'a [SharedBytes],
    kernels: &'a Kernels,
    /// What comes before `blk.` in the names of the layers' tensors.
    prefix: &'static str,
    /// The names of the tensors that were read. Some are there more than once.
    used: Vec<&'a str>,
    /// The tensors that became matrices. A few are there more than once.
    targets: RefCell<Vec<Target>>,
}

/// A tensor with its bytes.
pub(crate) struct Tensor<'a> {
    name: &'a str,
    pub(crate) dtype: DType,
    pub(crate) bytes: Bytes,
    /// Number of rows of all matrices in the stack together, and number of matrices in it.
    rows: usize,
    stack: usize,
    /// What the products are multiplied by: one number, or one for each matrix of the stack.
    scales: Option<Vec<f32>>,
}

impl<'a> Tensors<'a> {
    pub(crate) fn new(
        gguf: &'a GgufSet<'a>,
        parts: &'a [SharedBytes],
        kernels: &'a Kernels,
        prefix: &'static str,
    ) -> Result<Self, LoadError> {
        let n = most_reads(gguf.tensors().count());
        let targets = RefCell::new(reserved(n)?);
        Ok(Tensors { gguf, parts, kernels, prefix, used: reserved(n)?, targets })
    }

    /// Returns the name of a tensor in the file.
    fn full<'n>(&self, name: &'n str) -> Cow<'n, str> {
        match self.prefix {
            "" => Cow::Borrowed(name),
            _ if !name.starts_with("blk.") => Cow::Borrowed(name),
            prefix => Cow::Owned(format!("{prefix}{name}")),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.gguf.tensor(&self.full(name)).is_some()
    }

    /// Returns whether to read a tensor. If a required one is missing, reading it is going to be an error.
    fn wants(&self, need: Need, name: &str) -> bool {
        match need {
            Need::Never => false,
            Need::Optional => self.has(name),
            Need::Required => true,
        }
    }

    /// Returns the tensor called `name`, which must have this shape.
    pub(crate) fn tensor(&mut self, name: &str, dims: &[usize]) -> Result<Tensor<'a>, LoadError> {
        let name = &*self.full(name);
        let (part, info) = self
            .gguf
            .tensor(name)
            .ok_or_else(|| LoadError::MissingTensor { tensor: name.to_owned(), expected: shape(dims) })?;
        self.used.try_reserve(1).map_err(|_| LoadError::memory(size_of::<&str>()))?;
        self.used.push(info.name);
        if !same_shape(&info, dims) {
            let (expected, found) = (shape(dims), info.dims.to_vec());
            return Err(LoadError::TensorShape { tensor: name.to_owned(), expected, found });
        }
        let Some(dtype) = dtype(info.ty) else {
            return Err(LoadError::TensorType { tensor: name.to_owned(), found: info.ty });
        };
        let bytes = usize::try_from(info.range.start)
            .ok()
            .zip(usize::try_from(info.range.end).ok())
            .zip(self.parts.get(part))
            .and_then(|((start, end), part)| Bytes::from_owner_range(part.clone(), start..end).ok())
            .ok_or_else(|| damaged(name, "its bytes are not in the file"))?;
        let product = |dims: &[usize]| dims.iter().fold(1, |n: usize, d| n.saturating_mul(*d));
        let (rows, stack) = (product(dims.get(1..).unwrap_or(&[])), product(dims.get(2..).unwrap_or(&[])));
        let scales = self.scales(info.name, stack)?;
        Ok(Tensor { name: info.name, dtype, bytes, rows, stack, scales })
    }

    /// Reads the tensor `X.scale` of a matrix `X.weight`, if it exists and the matrix is one of those that may have scales, as in NVFP4 and
    /// ternary files.
    fn scales(&mut self, weight: &str, stack: usize) -> Result<Option<Vec<f32>>, LoadError> {
        let Some(name) = names::scale_of(weight, self.prefix).filter(|name| self.gguf.tensor(name).is_some())
        else {
            return Ok(None);
        };
        self.vector(name.strip_prefix(self.prefix).unwrap_or(&name), &[stack]).map(Some)
    }

    /// Returns the number of rows of a matrix, or 0 if it is missing.
    pub(crate) fn rows_of(&self, name: &str) -> usize {
        let rows = self.gguf.tensor(&self.full(name)).map_or(0, |(_, info)| info.dims.padded()[1]);
        usize::try_from(rows).unwrap_or(usize::MAX)
    }

    /// Reads a small vector, or several one after the other, as f32.
    pub(crate) fn vector(&mut self, name: &str, dims: &[usize]) -> Result<Vec<f32>, LoadError> {
        let t = self.tensor(name, dims)?;
        dequantize_to_vec(t.dtype, &t.bytes).map_err(|e| match e {
            RowError::OutOfMemory { elements } => LoadError::memory(elements.saturating_mul(4)),
            e => damaged(name, e),
        })
    }

    pub(crate) fn opt_vector(
        &mut self,
        need: Need,
        name: &str,
        dims: &[usize],
    ) -> Result<Option<Vec<f32>>, LoadError> {
        if !self.wants(need, name) { Ok(None) } else { self.vector(name, dims).map(Some) }
    }

    /// Returns a tensor of `n_rows` rows that are decoded one at a time.
    pub(crate) fn table(&mut self, name: &str, n: usize, n_rows: usize) -> Result<Embedding, LoadError> {
        let tensor = self.tensor(name, &[n, n_rows])?;
        let row_bytes = tensor.dtype.row_bytes(n).map_err(|e| damaged(name, e))?;
        Ok(Embedding { dtype: tensor.dtype, bytes: tensor.bytes, row_bytes })
    }

    /// Returns `n_out` rows of a tensor, from row `first` on, as a matrix.
    pub(crate) fn rows(
        &self,
        t: &Tensor<'_>,
        first: usize,
        n_out: usize,
        n_in: usize,
        bias: Option<&[f32]>,
    ) -> Result<Linear, LoadError> {
        let wrong = |e: &dyn std::fmt::Display| damaged(t.name, e);
        let row_bytes = t.dtype.row_bytes(n_in).map_err(|e| wrong(&e))?;
        let at = |row: usize| row.saturating_mul(row_bytes);
        let bytes = t.bytes.slice(at(first)..at(first.saturating_add(n_out))).map_err(|e| wrong(&e))?;
        if let Some(unit) = t.dtype.activation_len().filter(|unit| !n_in.is_multiple_of(*unit)) {
            return Err(wrong(&format!("rows of {n_in} elements are not whole blocks of {unit}")));
        }
        let linear = Linear::new(WeightMatrix { dtype: t.dtype, n_out, n_in, bytes }, self.kernels)
            .map_err(|e| wrong(&e))?
            .placed(self.target(t, n_in)?, first);
        let linear = match &t.scales {
            None => linear,
            // a part of a stack takes its own scales
            Some(scales) if scales.len() > 1 && n_out != t.rows => {
                let each = (t.rows / scales.len()).max(1);
                let own = scales.get(first / each..first.saturating_add(n_out) / each).unwrap_or(&[]);
                linear.with_scales(own).map_err(|e| wrong(&e))?
            }
            Some(scales) => linear.with_scales(scales).map_err(|e| wrong(&e))?,
        };
        match bias {
            Some(bias) => linear.with_bias(bias).map_err(|e| match e {
                LinearError::Memory { bytes } => LoadError::memory(bytes),
                e => wrong(&e),
            }),
            None => Ok(linear),
        }
    }

    /// Returns the number of a tensor to which adapters may add.
    fn target(&self, t: &Tensor<'_>, n_in: usize) -> Result<u32, LoadError> {
        let mut targets = self.targets.borrow_mut();
        if targets.last().is_none_or(|last| last.name != t.name) {
            targets.try_reserve(1).map_err(|_| LoadError::memory(size_of::<Target>()))?;
            targets.push(Target { name: owned(t.name)?, n_in, rows: t.rows, stack: t.stack });
        }
        Ok(targets.len() as u32 - 1)
    }

    /// Returns the tensors by those numbers, and keeps none.
    pub(crate) fn take_targets(&mut self) -> Vec<Target> {
        self.targets.take()
    }

    /// Returns the matrix `blk.{layer}.{part}.weight` with its bias.
    pub(crate) fn linear(
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

    /// Reads a norm. `prefix` is its name without `.weight`; some converters leave that out.
    pub(crate) fn norm(&mut self, prefix: &str, spec: &NormSpec, width: usize) -> Result<Norm, LoadError> {
        let name = format!("{prefix}.weight");
        let weight = match spec.weighted {
            true if !self.has(&name) && self.has(prefix) => Some(self.vector(prefix, &[width])?),
            true => Some(self.vector(&name, &[width])?),
            false => None,
        };
        let bias = self.opt_vector(spec.bias, &format!("{prefix}.bias"), &[width])?;
        Ok(Norm { kind: spec.kind, eps: spec.eps, weight, bias })
    }

    /// Reads a norm whose weights, in the tensor called `name`, are multiplied by a factor.
    pub(crate) fn scaled_norm(
        &mut self,
        name: &str,
        spec: &NormSpec,
        width: usize,
        factor: f32,
    ) -> Result<Norm, LoadError> {
        let mut weight = self.vector(name, &[width])?;
        weight.iter_mut().for_each(|w| *w *= factor);
        Ok(Norm { kind: spec.kind, eps: spec.eps, weight: Some(weight), bias: None })
    }

    /// Reads the norm of a half's result, by the second name if the file has no tensor with the first.
    pub(crate) fn post_norm(
        &mut self,
        layer: usize,
        [part, other]: [&str; 2],
        spec: Option<&NormSpec>,
        width: usize,
    ) -> Result<Option<Norm>, LoadError> {
        let has = |part: &str| self.has(&block(layer, part, "weight"));
        let part = if !has(part) && has(other) { other } else { part };
        self.opt_norm(layer, part, spec, width)
    }

    pub(crate) fn opt_norm(
        &mut self,
        layer: usize,
        part: &str,
        spec: Option<&NormSpec>,
        width: usize,
    ) -> Result<Option<Norm>, LoadError> {
        spec.map(|spec| self.norm(&format!("blk.{layer}.{part}"), spec, width)).transpose()
    }
}

impl<'a> Tensors<'a> {
    /// Returns the names of the tensors that were not read.
    pub(crate) fn unused(mut self) -> Result<Vec<String>, LoadError> {
        self.used.sort_unstable();
        let names = || {
            let all = self.gguf.tensors().map(|(_, info)| info.name);
            all.filter(|name| self.used.binary_search(name).is_err())
        };
        let mut unused = reserved(names().count())?;
        for name in names() {
            unused.push(owned(name)?);
        }
        Ok(unused)
    }
}

/// Returns a copy of a name.
fn owned(name: &str) -> Result<String, LoadError> {
    let mut own = String::new();
    own.try_reserve_exact(name.len()).map_err(|_| LoadError::memory(name.len()))?;
    own.push_str(name);
    Ok(own)
}

/// Returns the error for a tensor whose bytes can't be used.
pub(super) fn damaged(name: &str, problem: impl std::fmt::Display) -> LoadError {
    LoadError::TensorData { tensor: name.to_owned(), problem: problem.to_string() }
}

fn same_shape(info: &TensorInfo<'_>, dims: &[usize]) -> bool {
    let found = info.dims.padded();
    let expected = dims.iter().map(|d| *d as u64).chain(std::iter::repeat(1));
    dims.len() <= found.len() && found.iter().zip(expected).all(|(a, b)| *a == b)
}
