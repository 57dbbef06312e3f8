//! Tokenizers of GGUF models: BPE, SentencePiece BPE, WordPiece, Unigram and more, without regular expressions.
//!
//! ```text
//! TokenizerSpec   plain data: strings (that may stay in a mapped file), types, scores, merges, flags
//! Tokenizer       text -> ids, ids -> text; immutable, Send + Sync
//! DecodeStream    ids as they come -> text that never splits a character
//! GrowingText     a chat that grows -> its tokens, and how many of them stayed
//! ```
//!
//! Ids equal llama.cpp's on the conformance corpus. A vocabulary kind or pre-tokenizer that is not implemented is an
//! error that names it.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod borders;
mod bpe;
mod byte_level;
mod bytes;
mod charsmap;
mod decode;
mod encode;
mod error;
#[cfg(feature = "gguf")]
mod from_gguf;
mod growing;
mod hash;
mod job;
mod kind;
mod merge;
mod plamo2;
#[cfg(feature = "gguf")]
mod plan;
mod pre;
mod queue;
mod reserve;
mod roles;
mod rules;
mod rwkv;
mod sink;
mod sort;
mod spec;
mod special;
mod split;
mod spm;
mod tokenizer;
mod trie;
mod unicode;
mod unigram;
mod vocab;
mod watch;
mod wordpiece;

pub use charsmap::CharsMap;
pub use decode::{DecodeOptions, DecodeStream, StreamDecoder};
pub use encode::{EncodeOptions, EncodeScratch, Encoded};
pub use error::TokenizerError;
pub use growing::GrowingText;
pub use spec::{Normalizer, Scores, SharedBytes, SpecialIds, Strings, TokenType, TokenizerSpec};
pub use tokenizer::Tokenizer;

/// Number of a token in its vocabulary.
pub type TokenId = u32;
