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

/// The id of a token: its index in the vocabulary, from 0.
pub type TokenId = u32;
