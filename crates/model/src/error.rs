//! The errors: [`LoadError`] of loading, [`BatchError`] of a batch, [`KvError`] of the cache, and [`ForwardError`] of a pass.

use happy_gguf::GgmlType;
use happy_tensor::DType;

/// The kind of a [`LoadError`], and who can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadErrorKind {
    /// Nobody's fault: the file may be valid, but it needs something that this library does not support. The message contains
    /// `unsupported`. Another file of the model, for example in another format, or a later version of the library may work.
    Unsupported,
    /// The fault of the program that wrote the file: a metadata key is missing, or has the wrong type or an impossible value. For a
    /// caller's own [`Architecture`](crate::arch::Architecture), its specification may be at fault.
    Metadata,
    /// The fault of the program that wrote the file, or of an incomplete download: a required tensor is missing.
    MissingTensor,
    /// The fault of the program that wrote the file: a tensor's shape or size does not fit the metadata and the architecture.
    Tensor,
    /// Not the file's fault: memory could not be reserved. It may work when more is free.
    Memory,
}

/// Returns the beginning of a text from a file, for a message. The text may have megabytes.
pub(crate) fn excerpt(text: &str) -> String {
    const CHARS: usize = 64;
    let more = if text.chars().nth(CHARS).is_some() { "..." } else { "" };
    format!("{}{more}", text.chars().take(CHARS).flat_map(char::escape_debug).collect::<String>())
}

/// Formats a shape in GGUF's order, with the row length first. 0 means any number.
pub(crate) fn shape(dims: &[u64]) -> String {
    if dims.is_empty() {
        return "scalar".to_owned();
    }
    let one = |d: &u64| if *d == 0 { "?".to_owned() } else { d.to_string() };
    dims.iter().map(one).collect::<Vec<_>>().join(" x ")
}

fn expected(expected: &Option<String>) -> String {
    expected.as_ref().map_or_else(String::new, |expected| format!(", expected {expected}"))
}

/// Why a model cannot be loaded: what is wrong, where, what was expected and what was found.
///
/// Names and texts from the file are shortened and escaped. A caller's own [`Architecture`](crate::arch::Architecture) also returns
/// these errors; [`Params`](crate::arch::Params) makes most of them.
///
/// ```
/// use happy_gguf::{GgufFile, GgufWriter, Limits};
/// use happy_kernels::Kernels;
/// use happy_model::{LoadError, LoadErrorKind, Model};
///
/// let bytes = GgufWriter::new().kv("general.architecture", "llama").to_vec()?;
/// let file = GgufFile::from_shared(std::sync::Arc::new(bytes), &Limits::default())?;
/// let error = Model::load(&file, &Kernels::scalar()).unwrap_err();
/// assert_eq!((error.kind(), error.key()), (LoadErrorKind::Metadata, Some("llama.attention.layer_norm_rms_epsilon")));
/// assert!(matches!(error, LoadError::MissingKey { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The architecture is neither in the [`registry`](crate::arch::registry) nor one of the caller's.
    #[error("unsupported: architecture `{found}`, expected one of {}", expected.join(", "))]
    Architecture {
        /// The file's `general.architecture`.
        found: String,
        /// The known architectures.
        expected: Vec<&'static str>,
    },
    /// A metadata key requires something that is not implemented.
    #[error("unsupported: metadata key {key} = {found}{}", self::expected(expected))]
    UnsupportedKey {
        /// The full name of the key.
        key: String,
        /// Its value.
        found: String,
        /// The values that are implemented, if they can be listed.
        expected: Option<String>,
    },
    /// The file's numbers are stored in another byte order than little-endian.
    #[error(
        "unsupported: a {found} file, expected a little-endian one: its weights would have to be byte-swapped"
    )]
    ByteOrder {
        /// The file's byte order.
        found: happy_gguf::ByteOrder,
    },
    /// A tensor has a type that cannot be computed with.
    #[error(
        "unsupported: tensor {tensor} is of type {found}, expected one of {}",
        DType::ALL.iter().map(|t| t.name()).collect::<Vec<_>>().join(", ")
    )]
    TensorType {
        /// The tensor's name.
        tensor: String,
        /// Its type.
        found: GgmlType,
    },
    /// A tensor would change what the model computes, and the architecture does not use it.
    #[error("unsupported: tensor {tensor} has no part in architecture {architecture}")]
    ExtraTensor {
        /// The tensor's name.
        tensor: String,
        /// The file's architecture.
        architecture: &'static str,
    },
    /// There is no draft head to load.
    #[error("unsupported: a draft head of architecture {architecture}: {reason}; load the model without it")]
    NoDraftHead {
        /// The file's architecture.
        architecture: &'static str,
        /// The reason.
        reason: &'static str,
    },
    /// A metadata key is missing.
    #[error("metadata key {key} is missing")]
    MissingKey {
        /// The full name of the key.
        key: String,
    },
    /// A metadata key has a wrong type or an impossible value.
    #[error("metadata key {key}: expected {expected}, found {found}")]
    Key {
        /// The full name of the key.
        key: String,
        /// The allowed values.
        expected: String,
        /// Its type and value.
        found: String,
    },
    /// The specification that an architecture makes of the metadata is impossible.
    #[error("architecture {architecture}: {problem}")]
    Spec {
        /// The file's architecture.
        architecture: &'static str,
        /// Which number is wrong, what was expected, what was found.
        problem: String,
    },
    /// A tensor is missing.
    #[error("tensor {tensor} is missing, expected one of shape {}", shape(expected))]
    MissingTensor {
        /// The tensor's name.
        tensor: String,
        /// The shape it should have, the row length first; 0 stands for any number.
        expected: Vec<u64>,
    },
    /// A tensor's shape does not fit the metadata and the architecture.
    #[error("tensor {tensor}: expected shape {}, found {}", shape(expected), shape(found))]
    TensorShape {
        /// The tensor's name.
        tensor: String,
        /// The shape it should have, the row length first; 0 stands for any number.
        expected: Vec<u64>,
        /// The shape it has.
        found: Vec<u64>,
    },
    /// A tensor's bytes cannot be used.
    #[error("tensor {tensor}: {problem}")]
    TensorData {
        /// The tensor's name.
        tensor: String,
        /// What is wrong with them.
        problem: String,
    },
    /// Memory could not be reserved.
    #[error("cannot reserve {bytes} bytes for the model's tables")]
    Memory {
        /// The number of bytes.
        bytes: usize,
    },
}

impl LoadError {
    pub(crate) fn memory(bytes: usize) -> Self {
        LoadError::Memory { bytes }
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> LoadErrorKind {
        match self {
            LoadError::Architecture { .. }
            | LoadError::UnsupportedKey { .. }
            | LoadError::ByteOrder { .. }
            | LoadError::TensorType { .. }
            | LoadError::ExtraTensor { .. }
            | LoadError::NoDraftHead { .. } => LoadErrorKind::Unsupported,
            LoadError::MissingKey { .. } | LoadError::Key { .. } | LoadError::Spec { .. } => {
                LoadErrorKind::Metadata
            }
            LoadError::MissingTensor { .. } => LoadErrorKind::MissingTensor,
            LoadError::TensorShape { .. } | LoadError::TensorData { .. } => LoadErrorKind::Tensor,
            LoadError::Memory { .. } => LoadErrorKind::Memory,
        }
    }

    /// Returns the full name of the metadata key that is at fault, if there is one.
    pub fn key(&self) -> Option<&str> {
        match self {
            LoadError::Architecture { .. } => Some(crate::names::ARCHITECTURE),
            LoadError::UnsupportedKey { key, .. }
            | LoadError::MissingKey { key }
            | LoadError::Key { key, .. } => Some(key),
            _ => None,
        }
    }

    /// Returns the name of the tensor that is at fault, if there is one.
    pub fn tensor(&self) -> Option<&str> {
        match self {
            LoadError::TensorType { tensor, .. }
            | LoadError::ExtraTensor { tensor, .. }
            | LoadError::MissingTensor { tensor, .. }
            | LoadError::TensorShape { tensor, .. }
            | LoadError::TensorData { tensor, .. } => Some(tensor),
            _ => None,
        }
    }
}

/// Why a batch cannot be run. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// It has no tokens.
    #[error("the batch is empty")]
    Empty,
    /// The batch has no room for more tokens.
    #[error("the batch is full: it holds {capacity} tokens")]
    Full {
        /// The number of tokens that it has room for.
        capacity: usize,
    },
    /// There are more tokens, or more rows that want a result, than the scratch was planned for.
    #[error("the batch has {found} {what}, the scratch was planned for {planned}")]
    TooLarge {
        /// `tokens`, `rows with logits` or `rows with results`.
        what: &'static str,
        /// Their number in the batch.
        found: usize,
        /// The planned number.
        planned: usize,
    },
    /// A token id is not in the vocabulary.
    #[error("token {index} of the batch has id {token}, the vocabulary has ids 0 to {}", .n_vocab - 1)]
    Token {
        /// Index in the batch.
        index: usize,
        /// Its id.
        token: u32,
        /// Size of the vocabulary.
        n_vocab: usize,
    },
    /// A position is not the next one of its sequence.
    #[error(
        "token {index} of the batch is at position {found} of sequence {sequence}, the next position is {expected}"
    )]
    Position {
        /// Index in the batch.
        index: usize,
        /// The sequence.
        sequence: u32,
        /// The next position of the sequence.
        expected: u32,
        /// The position in the batch.
        found: u32,
    },
    /// The model has learned positions, and none for this one.
    #[error("token {index} of the batch is at position {position}, the model has learned positions 0 to {}", .n - 1)]
    NotLearned {
        /// Index in the batch.
        index: usize,
        /// Its position.
        position: u32,
        /// The number of learned positions.
        n: u32,
    },
    /// Logits are wanted, but the model has no output matrix.
    #[error(
        "token {index} of the batch wants logits, the model has no output matrix: it gives hidden states only"
    )]
    NoLogits {
        /// Index in the batch.
        index: usize,
    },
    /// A row does not want what the pooling reads.
    #[error(
        "token {index} of the batch does not want what pooling `{pooling}` reads: fill the batch by `push_text`"
    )]
    Pooling {
        /// Index in the batch.
        index: usize,
        /// The pooling.
        pooling: &'static str,
    },
    /// A draft head was not given a hidden state for each token, or a model was given some.
    #[error(
        "{found} values of hidden states before the batch's tokens, expected {expected} (see `Model::forward_after`)"
    )]
    Hidden {
        /// The number of values.
        found: usize,
        /// `n_embd` for each token of the batch; 0 for a model.
        expected: usize,
    },
    /// A set of adapters belongs to another model.
    #[error("the batch has adapters that were loaded for another model")]
    OtherAdapters,
    /// The rank of the adapters exceeds what the scratch was planned for.
    #[error("the batch has adapters of rank {found}, the scratch was planned for {planned} (`adapter_rank`)")]
    AdapterRank {
        /// The sum of the ranks of a set.
        found: usize,
        /// The planned rank.
        planned: usize,
    },
    /// The tokens of a sequence are not next to each other.
    #[error(
        "token {index} of the batch returns to sequence {sequence}: tokens of a sequence must be next to each other"
    )]
    Interleaved {
        /// Index in the batch.
        index: usize,
        /// Sequence.
        sequence: u32,
    },
}

/// Why an operation on the KV cache failed. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    /// The cache was not made for this sequence id.
    #[error("sequence {sequence} is out of range: the cache holds {n_sequences} sequences")]
    Sequence {
        /// The id.
        sequence: u32,
        /// The number of sequences of the cache.
        n_sequences: usize,
    },
    /// A sequence would exceed the context size.
    #[error("sequence {sequence} has {len} positions and would need {needed}, the context holds {n_ctx}")]
    Context {
        /// The sequence.
        sequence: u32,
        /// Its number of positions.
        len: usize,
        /// The number of positions it would have.
        needed: usize,
        /// The maximum number of positions.
        n_ctx: usize,
    },
    /// There are too few free pages.
    #[error(
        "the kv cache is full: {needed} more pages of {page} positions are needed, {free} of {total} are free"
    )]
    Full {
        /// The number of needed pages.
        needed: usize,
        /// The number of free pages.
        free: usize,
        /// The number of pages in the cache.
        total: usize,
        /// The number of positions in a page.
        page: usize,
    },
    /// A sequence cannot be truncated to more positions than it has.
    #[error("sequence {sequence} has {len} positions and cannot be truncated to {to}")]
    Truncate {
        /// The sequence.
        sequence: u32,
        /// Its number of positions.
        len: usize,
        /// The requested number of positions.
        to: usize,
    },
    /// There are more speculative rows than planned.
    #[error("a speculative batch of {found} rows, the cache was planned for {planned}")]
    Speculative {
        /// The number of rows.
        found: usize,
        /// [`KvOptions::n_speculative`](crate::KvOptions::n_speculative).
        planned: usize,
    },
    /// The bytes are not an exported sequence of this model and these options.
    #[error("the exported sequence cannot be restored: {problem}")]
    Import {
        /// What is wrong.
        problem: &'static str,
    },
    /// The model's keys and values can't be quantized.
    #[error(
        "architecture `{architecture}` can't have a kv cache of q8_0: layer {layer}: {problem}; f16 and f32 are possible"
    )]
    Quantized {
        /// The architecture.
        architecture: &'static str,
        /// The first such layer.
        layer: usize,
        /// Why not.
        problem: &'static str,
    },
    /// Positions in the middle of a sequence can't be dropped.
    #[error(
        "architecture `{architecture}` can't move its keys to other positions (context policy `shift`): {problem}; `drop-oldest` is possible"
    )]
    Shift {
        /// The architecture.
        architecture: &'static str,
        /// What is in the way.
        problem: &'static str,
    },
    /// The cache was made for another model.
    #[error(
        "the kv cache was made for another model: its pages hold {found} elements, this model's {expected}"
    )]
    Layout {
        /// The number of elements in a page of this model.
        expected: usize,
        /// The number of elements in a page of the cache.
        found: usize,
    },
    /// Memory could not be reserved.
    #[error("cannot reserve {bytes} bytes for the {what}")]
    Memory {
        /// The number of bytes.
        bytes: usize,
        /// The purpose of the memory.
        what: &'static str,
    },
}

/// Why a forward pass has no result. The sequences of the KV cache are as before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// The batch cannot be run.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The cache has no room for the batch, or does not fit the model.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The scratch was made for another model, or for fewer threads than the pool has.
    #[error("the scratch was made for another model, or for fewer threads than the pool has")]
    Scratch,
    /// An activation is infinite or NaN.
    #[error(
        "a value that is not finite appeared in layer {layer}: the weights are damaged, or a value is too large for the \
         f16 kv cache (an f32 cache, `--kv f32`, holds it)"
    )]
    NonFinite {
        /// The layer, from 0. The number of layers means the output.
        layer: usize,
    },
    /// Ranks are wanted, but the model has no classifier.
    #[error("the {architecture} model has no classifier (tensors `cls.*`): it cannot rank")]
    NoClassifier {
        /// Its architecture.
        architecture: &'static str,
    },
    /// The cancel flag was set.
    #[error("cancelled")]
    Cancelled,
}
