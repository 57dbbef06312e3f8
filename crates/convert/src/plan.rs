//! Plans what becomes of each tensor, and the metadata. Everything is chosen and checked before anything is written.

use crate::arch::{Architecture, architecture, heads, n_layers};
use crate::checkpoint::{Checkpoint, Tensor};
use crate::error::{ConvertError, printable};
use crate::names::{Need, PREFIXES, Row, is_ignored, rows};
use crate::pairs::Pairs;
use crate::safetensors::Dtype;
use crate::{pooling, tokenizer};
use happy_gguf::{GgmlType, OwnedValue};
use happy_tensor::DType;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// The type of the output's matrices. Vectors, norms and position embeddings are always F32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OutputType {
    /// 32 bits: the same values as in the checkpoint, unless it has F64.
    F32,
    /// 16 bits, half precision. This is the default.
    #[default]
    F16,
    /// 16 bits, with the range of F32.
    BF16,
    /// 8.5 bits. Matrices whose rows are not a whole number of blocks of 32 become F16. In encoders (`bert`, `nomic-bert`), so
    /// do Q, K and V, and in the second half of the layers the matrices that lead into the feed-forward network.
    Q8_0,
}

impl OutputType {
    const ALL: [Self; 4] = [Self::F32, Self::F16, Self::BF16, Self::Q8_0];

    fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::BF16 => DType::BF16,
            Self::Q8_0 => DType::Q8_0,
        }
    }

    /// Returns llama.cpp's number for the type, `general.file_type`.
    fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::BF16 => 32,
            Self::Q8_0 => 7,
        }
    }
}

impl fmt::Display for OutputType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.dtype().name())
    }
}

/// Reads a name in upper or lower case.
impl FromStr for OutputType {
    type Err = ConvertError;

    fn from_str(name: &str) -> Result<Self, ConvertError> {
        Self::ALL.into_iter().find(|t| t.dtype().name().eq_ignore_ascii_case(name)).ok_or_else(|| {
            ConvertError::unsupported(format!(
                "unknown type `{}`, expected one of F32, F16, BF16, Q8_0",
                printable(name)
            ))
        })
    }
}

/// Options for planning a conversion.
#[derive(Clone, Debug, Default)]
pub struct ConvertOptions {
    /// The type of the matrices. The default is F16.
    pub output_type: OutputType,
    /// The model's name, `general.name`. The default is the name of the folder.
    pub name: Option<String>,
    /// The name of the pre-tokenizer, `tokenizer.ggml.pre`, for a byte-pair encoding. By default, it is recognized by its
    /// description in `tokenizer.json`; set it if that fails.
    pub pre: Option<String>,
}

/// A change of a tensor's values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    None,
    /// The rows of each head are interleaved. This is the number of heads.
    Interleave(u64),
    PlusOne,
}

/// The source of an output tensor's values.
#[derive(Clone, Debug)]
pub(crate) enum Source<'a> {
    Tensor(&'a Tensor, Change),
    Values(Vec<f32>),
}

/// One tensor of the output.
#[derive(Clone, Debug)]
pub struct TensorPlan<'a> {
    pub(crate) name: String,
    pub(crate) from: Source<'a>,
    pub(crate) to: DType,
    pub(crate) file_type: GgmlType,
    /// The fastest dimension comes first.
    pub(crate) dims: Vec<u64>,
}

impl TensorPlan<'_> {
    /// Returns the name in the output.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the type in the output.
    pub fn output_type(&self) -> DType {
        self.to
    }

    /// Returns the dimensions, the fastest first.
    pub fn dims(&self) -> &[u64] {
        &self.dims
    }

    /// Returns the name in the checkpoint, or `None` for a tensor that is computed.
    pub fn source_name(&self) -> Option<&str> {
        match &self.from {
            Source::Tensor(tensor, _) => Some(&tensor.name),
            Source::Values(_) => None,
        }
    }

    pub(crate) fn elements(&self) -> u64 {
        self.dims.iter().fold(1, |n: u64, dim| n.saturating_mul(*dim))
    }
}

/// The plan of a conversion. [`Conversion::write_file`] carries it out.
#[derive(Debug)]
pub struct Conversion<'a> {
    pub(crate) checkpoint: &'a Checkpoint,
    pub(crate) pairs: Vec<(String, OwnedValue)>,
    pub(crate) tensors: Vec<TensorPlan<'a>>,
    warnings: Vec<String>,
}

impl<'a> Conversion<'a> {
    /// Chooses names, types and metadata for a model. This reads the tokenizer, but no tensor.
    ///
    /// # Errors
    /// If the architecture or the tokenizer is not converted, a key or tensor is missing or of a form that is not converted, or
    /// there is a tensor that the architecture does not have.
    pub fn plan(checkpoint: &'a Checkpoint, options: &ConvertOptions) -> Result<Self, ConvertError> {
        let config = &checkpoint.config;
        let arch = architecture(config)?;
        let mut pairs = Pairs::new(arch.name);
        pairs.add("general.name", options.name.clone().unwrap_or_else(|| folder_name(&checkpoint.dir)));
        pairs.add("general.file_type", options.output_type.file_type());
        pairs.add("general.quantization_version", 2u32);
        (arch.pairs)(config, &mut pairs)?;
        pooling::pairs(&checkpoint.dir, &mut pairs)?;
        let tensors = tensors(checkpoint, arch, options.output_type, &mut pairs)?;
        let n_tokens = tensors.iter().find(|t| t.name == "token_embd.weight").and_then(|t| t.dims.get(1));
        tokenizer::pairs(checkpoint, n_tokens.copied().unwrap_or(0), options.pre.as_deref(), &mut pairs)?;
        Ok(Self { checkpoint, pairs: pairs.list, tensors, warnings: pairs.warnings })
    }

    /// Returns every tensor of the output, in order.
    pub fn tensors(&self) -> &[TensorPlan<'a>] {
        &self.tensors
    }

    /// Returns what the output does not carry over, one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

fn folder_name(dir: &Path) -> String {
    let full = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    full.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Finds the prefix of the names. The first row of an architecture always exists.
fn prefix(checkpoint: &Checkpoint, arch: &Architecture) -> Result<&'static str, ConvertError> {
    let first = rows(arch.name).next().map_or("", |row| row.from);
    let is_there = |prefix: &&&str| checkpoint.get(&format!("{prefix}{first}.weight")).is_some();
    PREFIXES.iter().find(is_there).copied().ok_or_else(|| {
        ConvertError::missing(format!(
            "tensor `{first}.weight` of architecture {} is not in the files",
            arch.name
        ))
    })
}

fn tensors<'a>(
    checkpoint: &'a Checkpoint,
    arch: &Architecture,
    output_type: OutputType,
    pairs: &mut Pairs,
) -> Result<Vec<TensorPlan<'a>>, ConvertError> {
    let builder = Builder { checkpoint, arch, output_type, prefix: prefix(checkpoint, arch)? };
    let (mut tensors, mut used) = (Vec::new(), BTreeSet::new());
    let mut add = |row: &Row, layer: Option<u32>| builder.row(row, layer, &mut tensors, &mut used);
    let is_layered = |row: &&Row| row.from.contains("{}");
    let all = || rows(arch.name);
    all().take_while(|row| !is_layered(row)).try_for_each(|row| add(row, None))?;
    for layer in 0..n_layers(&checkpoint.config)? {
        all().filter(is_layered).try_for_each(|row| add(row, Some(layer)))?;
    }
    all()
        .skip_while(|row| !is_layered(row))
        .filter(|row| !is_layered(row))
        .try_for_each(|row| add(row, None))?;
    if let Some(factors) = pairs.rope_factors.take() {
        let dims = vec![factors.len() as u64];
        let (name, from) = ("rope_freqs.weight".to_owned(), Source::Values(factors));
        tensors.push(TensorPlan { name, from, to: DType::F32, file_type: GgmlType::F32, dims });
    }
    let rest = |t: &&Tensor| !used.contains(t.name.as_str()) && !is_ignored(&t.name);
    if let Some(t) = checkpoint.tensors().iter().find(rest) {
        let (name, arch) = (printable(&t.name), arch.name);
        return Err(ConvertError::unsupported(format!(
            "tensor `{name}` does not belong to architecture {arch} with {} layers, as in the configuration",
            n_layers(&checkpoint.config)?
        )));
    }
    Ok(tensors)
}

struct Builder<'a, 'b> {
    checkpoint: &'a Checkpoint,
    arch: &'b Architecture,
    output_type: OutputType,
    prefix: &'static str,
}

impl<'a> Builder<'a, '_> {
    /// Adds the weight and the bias of a row.
    fn row(
        &self,
        row: &Row,
        layer: Option<u32>,
        tensors: &mut Vec<TensorPlan<'a>>,
        used: &mut BTreeSet<&'a str>,
    ) -> Result<(), ConvertError> {
        let numbered = |name: &str| layer.map_or(name.to_owned(), |n| name.replace("{}", &n.to_string()));
        let (from, to) = (numbered(row.from), numbered(row.to));
        // Old checkpoints of BERT have other names for the tensors of norms.
        for (ends, end, is_needed) in [
            (["weight", "gamma"], "weight", row.need != Need::Optional),
            (["bias", "beta"], "bias", row.need == Need::Both),
        ] {
            let Some(tensor) = ends.iter().find_map(|end| self.find(&from, end)) else {
                if is_needed {
                    let (name, arch) = (printable(&from), self.arch.name);
                    return Err(ConvertError::missing(format!(
                        "tensor `{}{name}.{end}` of architecture {arch} is not in the files",
                        self.prefix
                    )));
                }
                continue;
            };
            used.insert(&tensor.name);
            if row.to == "output" && self.checkpoint.config.bool("tie_word_embeddings")? == Some(true) {
                continue;
            }
            tensors.push(self.tensor(tensor, format!("{to}.{end}"), layer)?);
        }
        Ok(())
    }

    fn find(&self, from: &str, end: &str) -> Option<&'a Tensor> {
        let at = |prefix: &str| self.checkpoint.get(&format!("{prefix}{from}.{end}"));
        // The name of a head does not have the prefix of the model.
        at(self.prefix)
            .or_else(|| if from == "lm_head" { at("").or_else(|| at("language_model.")) } else { None })
    }

    fn tensor(
        &self,
        tensor: &'a Tensor,
        name: String,
        layer: Option<u32>,
    ) -> Result<TensorPlan<'a>, ConvertError> {
        let shown = printable(&tensor.name);
        if !matches!(tensor.dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            let dtype = printable(&tensor.dtype_name);
            return Err(ConvertError::unsupported(format!(
                "tensor `{shown}`: type {dtype} is not converted, expected F64, F32, F16 or BF16"
            )));
        }
        let dims: Vec<u64> = tensor.shape.iter().rev().copied().collect();
        if !(1..=4).contains(&dims.len()) || dims.contains(&0) {
            return Err(ConvertError::unsupported(format!(
                "tensor `{shown}`: shape {:?} is not converted, expected 1 to 4 dimensions of at least 1",
                tensor.shape
            )));
        }
        let change = self.change(&name, tensor)?;
        let (to, file_type) = self.type_of(&name, layer, &dims)?;
        Ok(TensorPlan { name, from: Source::Tensor(tensor, change), to, file_type, dims })
    }

    fn change(&self, name: &str, tensor: &Tensor) -> Result<Change, ConvertError> {
        if self.arch.norm_plus_one && name.ends_with("norm.weight") {
            return Ok(Change::PlusOne);
        }
        let is = |matrix: &str| name.rsplit('.').nth(1) == Some(matrix);
        if !self.arch.interleaved || !(is("attn_q") || is("attn_k")) {
            return Ok(Change::None);
        }
        let (n_heads, n_kv) = heads(&self.checkpoint.config)?;
        let n = u64::from(if is("attn_q") { n_heads } else { n_kv });
        let rows = tensor.shape.first().copied().unwrap_or(0);
        if !rows.is_multiple_of(2 * n) {
            return Err(ConvertError::unsupported(format!(
                "tensor `{}`: {rows} rows, expected {n} heads of an even number of rows",
                printable(&tensor.name)
            )));
        }
        Ok(Change::Interleave(n))
    }

    /// Chooses the type of a tensor. As in llama.cpp's converter, vectors, norms and everything that is added to embeddings is F32.
    fn type_of(
        &self,
        name: &str,
        layer: Option<u32>,
        dims: &[u64],
    ) -> Result<(DType, GgmlType), ConvertError> {
        let is_small = dims.len() < 2 || name.ends_with("_norm.weight") || !name.ends_with(".weight");
        let is_added = matches!(name, "position_embd.weight" | "token_types.weight");
        let is_whole = dims.first().is_some_and(|n| n.is_multiple_of(32));
        Ok(match self.output_type {
            _ if is_small || is_added => (DType::F32, GgmlType::F32),
            OutputType::F32 => (DType::F32, GgmlType::F32),
            OutputType::BF16 => (DType::BF16, GgmlType::BF16),
            OutputType::Q8_0 if is_whole && !self.is_sensitive(name, layer)? => (DType::Q8_0, GgmlType::Q8_0),
            OutputType::F16 | OutputType::Q8_0 => (DType::F16, GgmlType::F16),
        })
    }

    /// Returns whether a matrix of an encoder stays F16 in a file of Q8_0, so that its input is not quantized either.
    ///
    /// The vector of a text is a mean over few rows, so errors of 8 bits show in it. The greatest `1 - cosine` that each part causes
    /// by itself, measured with all-MiniLM-L6-v2 on 200 texts: inputs of Q, K and V 9.0e-4, of `ffn_up` 4.1e-4, of `ffn_down`
    /// 2.2e-4, of `attn_output` 2e-5; weights of Q, K and V 2.5e-4, of `ffn_up` 1.6e-4, of `ffn_down` 1.5e-4, others 4e-5. Later
    /// layers matter most. With everything in Q8_0 it is 25.5e-4, with this choice 4.3e-4, for a sixth more bytes.
    fn is_sensitive(&self, name: &str, layer: Option<u32>) -> Result<bool, ConvertError> {
        let Some(layer) = layer.filter(|_| self.arch.is_encoder) else { return Ok(false) };
        let is_late = u64::from(layer) * 2 >= u64::from(n_layers(&self.checkpoint.config)?);
        Ok(match name.rsplit('.').nth(1) {
            Some("attn_q" | "attn_k" | "attn_v" | "attn_qkv") => true,
            Some("ffn_up" | "ffn_gate") => is_late,
            _ => false,
        })
    }
}
