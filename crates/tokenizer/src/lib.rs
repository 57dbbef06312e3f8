//! Tokenizers of GGUF models: byte-level BPE and SentencePiece BPE, without regular expressions.
//!
//! ```text
//! TokenizerSpec   plain data: strings (that may stay in a mapped file), types, scores, merges, flags
//! Tokenizer       text -> ids, ids -> text; immutable, Send + Sync
//! StreamDecoder   ids as they come -> text that never splits a character
//! ```
//!
//! Ids equal llama.cpp's on the conformance corpus. A vocabulary kind or pre-tokenizer that is not implemented is an
//! error that names it.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bpe;
mod byte_level;
mod decode;
mod error;
#[cfg(feature = "gguf")]
mod from_gguf;
mod hash;
mod merge;
mod pre;
mod roles;
mod spec;
mod special;
mod split;
mod spm;
mod tokenizer;
mod unicode;
mod vocab;

pub use decode::{DecodeOptions, StreamDecoder};
pub use error::TokenizerError;
pub use spec::{Scores, SharedBytes, SpecialIds, Strings, TokenType, TokenizerSpec};
pub use tokenizer::{EncodeOptions, EncodeScratch, Tokenizer};

/// Number of a token in its vocabulary.
pub type TokenId = u32;
