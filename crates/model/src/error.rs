//! Errors: [`LoadError`] while a model is read, [`BatchError`] for a batch that does not fit, [`KvError`] for the
//! cache, [`ForwardError`] while it runs.

use happy_gguf::GgmlType;
use happy_tensor::DType;

/// What kind of failure a [`LoadError`] is, and who can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadErrorKind {
    /// Nobody's fault: the file may be right, but it needs something that this library does not have. Its message contains
    /// `unsupported`. Another file of the model (in another format, say), or a later version of the library, may work.
    Unsupported,
    /// The fault of the program that wrote the file: a metadata key is missing, has the wrong type or an impossible
    /// value. For a caller's own [`Architecture`](crate::arch::Architecture), it may be the fault of its specification.
    Metadata,
    /// The fault of the program that wrote the file, or of an incomplete download: a tensor that the architecture needs
    /// is missing.
    MissingTensor,
    /// The fault of the program that wrote the file: a tensor's shape or size is not what metadata and architecture ask
    /// for.
    Tensor,
    /// Not the file's fault: memory could not be reserved. It may work once more is free.
    Memory,
}

/// The beginning of a file's text, for a message: it may be megabytes long.
pub(crate) fn excerpt(text: &str) -> String {
    const CHARS: usize = 64;
    let more = if text.chars().nth(CHARS).is_some() { "..." } else { "" };
    format!("{}{more}", text.chars().take(CHARS).flat_map(char::escape_debug).collect::<String>())
}

/// A shape in GGUF's order, the row length first; 0 stands for any number.
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

/// A model cannot be loaded: what is wrong, where, what was expected and what was found.
///
/// Names and texts from the file are shortened and escaped. A caller's own [`Architecture`](crate::arch::Architecture)
/// returns these errors too; [`Params`](crate::arch::Params) makes most of them.
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
        /// The known ones.
        expected: Vec<&'static str>,
    },
    /// A metadata key asks for something that is not implemented.
    #[error("unsupported: metadata key {key} = {found}{}", self::expected(expected))]
    UnsupportedKey {
        /// The full name of the key.
        key: String,
        /// Its value.
        found: String,
        /// The values that are implemented, if that can be said.
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
        /// What it may be.
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
    /// A tensor has another shape than metadata and architecture ask for.
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
        /// How many bytes.
        bytes: usize,
    },
}

impl LoadError {
    pub(crate) fn memory(bytes: usize) -> Self {
        LoadError::Memory { bytes }
    }

    /// The kind of failure.
    pub fn kind(&self) -> LoadErrorKind {
        match self {
            LoadError::Architecture { .. }
            | LoadError::UnsupportedKey { .. }
            | LoadError::ByteOrder { .. }
            | LoadError::TensorType { .. }
            | LoadError::ExtraTensor { .. } => LoadErrorKind::Unsupported,
            LoadError::MissingKey { .. } | LoadError::Key { .. } | LoadError::Spec { .. } => {
                LoadErrorKind::Metadata
            }
            LoadError::MissingTensor { .. } => LoadErrorKind::MissingTensor,
            LoadError::TensorShape { .. } | LoadError::TensorData { .. } => LoadErrorKind::Tensor,
            LoadError::Memory { .. } => LoadErrorKind::Memory,
        }
    }

    /// The full name of the metadata key at fault, if one is.
    pub fn key(&self) -> Option<&str> {
        match self {
            LoadError::Architecture { .. } => Some(crate::names::ARCHITECTURE),
            LoadError::UnsupportedKey { key, .. }
            | LoadError::MissingKey { key }
            | LoadError::Key { key, .. } => Some(key),
            _ => None,
        }
    }

    /// The name of the tensor at fault, if one is.
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

/// A batch that cannot be run; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// No tokens.
    #[error("the batch is empty")]
    Empty,
    /// The batch already holds as many tokens as it has room for.
    #[error("the batch is full: it holds {capacity} tokens")]
    Full {
        /// Tokens it can hold.
        capacity: usize,
    },
    /// More tokens, or more rows that want a result, than the scratch was planned for.
    #[error("the batch has {found} {what}, the scratch was planned for {planned}")]
    TooLarge {
        /// `tokens` or `rows with logits`.
        what: &'static str,
        /// In the batch.
        found: usize,
        /// Planned.
        planned: usize,
    },
    /// A token id outside the vocabulary.
    #[error("token {index} of the batch has id {token}, the vocabulary has ids 0 to {}", .n_vocab - 1)]
    Token {
        /// Index in the batch.
        index: usize,
        /// Its id.
        token: u32,
        /// Size of the vocabulary.
        n_vocab: usize,
    },
    /// A position that is not the next one of its sequence.
    #[error(
        "token {index} of the batch is at position {found} of sequence {sequence}, the next position is {expected}"
    )]
    Position {
        /// Index in the batch.
        index: usize,
        /// Sequence.
        sequence: u32,
        /// Next position of the sequence.
        expected: u32,
        /// Position given.
        found: u32,
    },
    /// A position that a model of learned positions has no row for.
    #[error("token {index} of the batch is at position {position}, the model has learned positions 0 to {}", .n - 1)]
    NotLearned {
        /// Index in the batch.
        index: usize,
        /// Its position.
        position: u32,
        /// Positions of the model.
        n: u32,
    },
    /// Logits of a model that has no output matrix.
    #[error(
        "token {index} of the batch wants logits, the model has no output matrix: it gives hidden states only"
    )]
    NoLogits {
        /// Index in the batch.
        index: usize,
    },
    /// A row that does not want what the pooling reads.
    #[error(
        "token {index} of the batch does not want what pooling `{pooling}` reads: fill the batch by `push_text`"
    )]
    Pooling {
        /// Index in the batch.
        index: usize,
        /// The pooling.
        pooling: &'static str,
    },
    /// A set of adapters of another model.
    #[error("the batch has adapters that were loaded for another model")]
    OtherAdapters,
    /// Adapters of a greater rank than the scratch was planned for.
    #[error("the batch has adapters of rank {found}, the scratch was planned for {planned} (`adapter_rank`)")]
    AdapterRank {
        /// Sum of the ranks of a set.
        found: usize,
        /// Planned.
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

/// The KV cache refuses; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    /// A sequence id that the cache was not made for.
    #[error("sequence {sequence} is out of range: the cache holds {n_sequences} sequences")]
    Sequence {
        /// Given.
        sequence: u32,
        /// Sequences of the cache.
        n_sequences: usize,
    },
    /// A sequence would grow over the context size.
    #[error("sequence {sequence} has {len} positions and would need {needed}, the context holds {n_ctx}")]
    Context {
        /// Sequence.
        sequence: u32,
        /// Positions it has.
        len: usize,
        /// Positions it would have.
        needed: usize,
        /// Largest.
        n_ctx: usize,
    },
    /// No free pages.
    #[error(
        "the kv cache is full: {needed} more pages of {page} positions are needed, {free} of {total} are free"
    )]
    Full {
        /// Pages needed.
        needed: usize,
        /// Pages free.
        free: usize,
        /// Pages of the cache.
        total: usize,
        /// Positions of a page.
        page: usize,
    },
    /// Truncation to more positions than there are.
    #[error("sequence {sequence} has {len} positions and cannot be truncated to {to}")]
    Truncate {
        /// Sequence.
        sequence: u32,
        /// Positions it has.
        len: usize,
        /// Positions asked for.
        to: usize,
    },
    /// More speculative rows than were planned for.
    #[error("a speculative batch of {found} rows, the cache was planned for {planned}")]
    Speculative {
        /// Rows.
        found: usize,
        /// [`KvOptions::n_speculative`](crate::KvOptions::n_speculative).
        planned: usize,
    },
    /// Bytes that are not an exported sequence of this model and these options.
    #[error("the exported sequence cannot be restored: {problem}")]
    Import {
        /// What is wrong.
        problem: &'static str,
    },
    /// The cache was made for another model.
    #[error(
        "the kv cache was made for another model: its pages hold {found} elements, this model's {expected}"
    )]
    Layout {
        /// Elements a page of this model.
        expected: usize,
        /// Elements a page of the cache.
        found: usize,
    },
    /// Memory could not be reserved.
    #[error("cannot reserve {bytes} bytes for the {what}")]
    Memory {
        /// Bytes.
        bytes: usize,
        /// What for.
        what: &'static str,
    },
}

/// A forward pass that gave no result. The KV cache keeps the sequences as they were before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// The batch is wrong.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The cache refuses.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The scratch was made for another model, or for fewer threads than the pool has.
    #[error("the scratch was made for another model, or for fewer threads than the pool has")]
    Scratch,
    /// An activation is infinite or not a number; `layer` equal to the number of layers means the output.
    #[error(
        "a value that is not finite appeared in layer {layer}: the weights are damaged, or a value is too large for the \
         f16 kv cache (an f32 cache, `--kv f32`, holds it)"
    )]
    NonFinite {
        /// Layer, from 0.
        layer: usize,
    },
    /// Ranks of a model without a classifier.
    #[error("the {architecture} model has no classifier (tensors `cls.*`): it cannot rank")]
    NoClassifier {
        /// Its architecture.
        architecture: &'static str,
    },
    /// The cancel flag was set.
    #[error("cancelled")]
    Cancelled,
}
