//! The errors of this crate: building a tokenizer from a description or a file, and invalid arguments.

use crate::TokenId;

/// An error of this crate. Messages say what is wrong, where, and what was expected and found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// This crate does not implement this kind of vocabulary.
    #[error("unsupported tokenizer model '{model}' (supported: {supported})")]
    UnsupportedModel {
        /// The value of `tokenizer.ggml.model`.
        model: String,
        /// The names of the kinds that are implemented.
        supported: &'static str,
    },
    /// The name of the pre-tokenizer is unknown. Guessing would silently give wrong ids.
    #[error("unsupported pre-tokenizer '{pre}' (tokenizer.ggml.pre) of a '{model}' vocabulary")]
    UnsupportedPreTokenizer {
        /// The value of `tokenizer.ggml.pre`.
        pre: String,
        /// The value of `tokenizer.ggml.model`.
        model: String,
    },
    /// A part that this kind of tokenizer requires is missing.
    #[error("missing '{key}': {why}")]
    Missing {
        /// The metadata key.
        key: &'static str,
        /// Why it is needed.
        why: &'static str,
    },
    /// A metadata value has the wrong type.
    #[error("'{key}': expected {expected}, found {found}")]
    WrongType {
        /// The metadata key.
        key: String,
        /// The type that the key requires.
        expected: &'static str,
        /// The type in the file.
        found: String,
    },
    /// A metadata value cannot be read.
    #[error("{message}")]
    Value {
        /// The key, and what was expected and found.
        message: String,
    },
    /// An array is too short for the vocabulary.
    #[error("'{key}': expected at least {expected} entries, one per token, found {found}")]
    WrongLength {
        /// The metadata key.
        key: &'static str,
        /// The number of tokens.
        expected: usize,
        /// The number of entries.
        found: usize,
    },
    /// There are more tokens, merges or bytes than this crate's 32-bit positions can address.
    #[error("{what}: {found} is more than the supported {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// Positions lie outside the bytes that they refer to.
    #[error("{what}: bytes {start}..{end} lie outside the {len} bytes of the storage")]
    OutOfStorage {
        /// What the positions belong to.
        what: &'static str,
        /// The first byte.
        start: usize,
        /// The first byte after the range.
        end: usize,
        /// The length of the storage in bytes.
        len: usize,
    },
    /// The vocabulary has no token with this id.
    #[error("token id {id} is out of range: the vocabulary has {vocab_size} tokens")]
    TokenOutOfRange {
        /// The id.
        id: TokenId,
        /// The number of tokens.
        vocab_size: usize,
    },
    /// Memory was refused. The operation has no result, but nothing else is lost.
    #[error("out of memory: no room for {bytes} bytes")]
    OutOfMemory {
        /// The minimum size of the buffer that was needed, in bytes.
        bytes: usize,
    },
    /// The caller's `cancelled` returned true.
    #[error("cancelled")]
    Cancelled,
    /// The text of a token is longer than that of any real vocabulary. Generating such a token repeatedly could exhaust
    /// memory.
    #[error("token id {id}: its text has {length} bytes, more than the supported {limit}")]
    TokenTooLong {
        /// The id.
        id: TokenId,
        /// The length of its text in bytes.
        length: usize,
        /// The maximum length in bytes.
        limit: usize,
    },
    /// A plain range of [`crate::Tokenizer::encode_marked`] is not valid for the text.
    #[error("plain range {index} ({start}..{end}): {why}")]
    PlainRange {
        /// The index of the range in the list.
        index: usize,
        /// The first byte.
        start: usize,
        /// The first byte after the range.
        end: usize,
        /// What is wrong with it.
        why: &'static str,
    },
}
