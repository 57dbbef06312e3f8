//! Errors: [`LoadError`] while a model is read, [`BatchError`] for a batch that does not fit, [`KvError`] for the
//! cache, [`ForwardError`] while it runs.

use std::fmt;

/// What is wrong with a file that does not load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadErrorKind {
    /// The architecture, or something that the metadata asks for, is not implemented; the message contains `unsupported`.
    Unsupported,
    /// A metadata key is missing, has the wrong type or an impossible value.
    Metadata,
    /// A tensor that the architecture needs is missing.
    MissingTensor,
    /// A tensor's shape or type is not what the architecture needs.
    Tensor,
    /// Memory could not be reserved.
    Memory,
}

/// The beginning of a file's text, for a message: it may be megabytes long.
pub(crate) fn excerpt(text: &str) -> String {
    const CHARS: usize = 64;
    let more = if text.chars().nth(CHARS).is_some() { "..." } else { "" };
    format!("{}{more}", text.chars().take(CHARS).flat_map(char::escape_debug).collect::<String>())
}

/// A model cannot be loaded: what is wrong, where, what was expected and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    kind: LoadErrorKind,
    message: String,
}

impl LoadError {
    pub(crate) fn new(kind: LoadErrorKind, message: impl Into<String>) -> Self {
        LoadError { kind, message: message.into() }
    }

    pub(crate) fn unsupported(message: impl fmt::Display) -> Self {
        LoadError::new(LoadErrorKind::Unsupported, format!("unsupported: {message}"))
    }

    pub(crate) fn metadata(message: impl Into<String>) -> Self {
        LoadError::new(LoadErrorKind::Metadata, message)
    }

    pub(crate) fn tensor(message: impl Into<String>) -> Self {
        LoadError::new(LoadErrorKind::Tensor, message)
    }

    pub(crate) fn memory(bytes: usize) -> Self {
        LoadError::new(LoadErrorKind::Memory, format!("cannot reserve {bytes} bytes for the model's tables"))
    }

    /// The kind of failure, for a program.
    pub fn kind(&self) -> LoadErrorKind {
        self.kind
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LoadError {}

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
    /// The cancel flag was set.
    #[error("cancelled")]
    Cancelled,
}
