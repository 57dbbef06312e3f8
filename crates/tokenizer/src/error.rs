//! What can go wrong: building a tokenizer from a description or a file, and ids that are not in the vocabulary.

use crate::TokenId;

/// An error of this crate. Messages say what, where, what was expected and what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The kind of vocabulary is one that this crate does not implement.
    #[error("unsupported tokenizer model '{model}' (supported: {supported})")]
    UnsupportedModel {
        /// The value of `tokenizer.ggml.model`.
        model: String,
        /// The names that are implemented.
        supported: &'static str,
    },
    /// The pre-tokenizer's name is not known; guessing would give wrong ids without an error.
    #[error("unsupported pre-tokenizer '{pre}' (tokenizer.ggml.pre) of a '{model}' vocabulary")]
    UnsupportedPreTokenizer {
        /// The value of `tokenizer.ggml.pre`.
        pre: String,
        /// The value of `tokenizer.ggml.model`.
        model: String,
    },
    /// A part without which this kind of tokenizer cannot work.
    #[error("missing '{key}': {why}")]
    Missing {
        /// The metadata key.
        key: &'static str,
        /// What needs it.
        why: &'static str,
    },
    /// A value of another type than the key's.
    #[error("'{key}': expected {expected}, found {found}")]
    WrongType {
        /// The metadata key.
        key: String,
        /// The type that the key has.
        expected: &'static str,
        /// The type in the file.
        found: String,
    },
    /// A metadata value that cannot be read.
    #[error("{message}")]
    Value {
        /// The key, what was expected and what was found.
        message: String,
    },
    /// An array that is too short for the vocabulary.
    #[error("'{key}': expected at least {expected} entries, one a token, found {found}")]
    WrongLength {
        /// The metadata key.
        key: &'static str,
        /// The number of tokens.
        expected: usize,
        /// The number of entries.
        found: usize,
    },
    /// More tokens, merges or bytes than this crate's 32-bit positions reach.
    #[error("{what}: {found} is more than the supported {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// Positions that lie outside of the bytes they refer to.
    #[error("{what}: bytes {start}..{end} lie outside of the {len} bytes of the storage")]
    OutOfStorage {
        /// What the positions belong to.
        what: &'static str,
        /// First byte.
        start: usize,
        /// First byte behind.
        end: usize,
        /// Bytes in the storage.
        len: usize,
    },
    /// A token id that the vocabulary does not have.
    #[error("token id {id} is out of range: the vocabulary has {vocab_size} tokens")]
    TokenOutOfRange {
        /// The id.
        id: TokenId,
        /// The number of tokens.
        vocab_size: usize,
    },
    /// An allocation failed. Nothing is lost but the result.
    #[error("out of memory: no room for {bytes} bytes")]
    OutOfMemory {
        /// Bytes that the buffer was to hold, at least.
        bytes: usize,
    },
    /// The caller's `cancelled` returned true.
    #[error("cancelled")]
    Cancelled,
    /// A token whose text is longer than any real vocabulary has; one such token could fill the memory when generated.
    #[error("token id {id}: its text has {length} bytes, more than the supported {limit}")]
    TokenTooLong {
        /// The id.
        id: TokenId,
        /// Bytes of its text.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// A plain range of [`crate::Tokenizer::encode_marked`] that is not one of the text's.
    #[error("plain range {index} ({start}..{end}): {why}")]
    PlainRange {
        /// Its place in the list.
        index: usize,
        /// First byte.
        start: usize,
        /// First byte after it.
        end: usize,
        /// What is wrong with it.
        why: &'static str,
    },
}
