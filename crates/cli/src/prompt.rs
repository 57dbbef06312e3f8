//! Converts text to token ids, and back.

use crate::error::CliResult;
use happy_tokenizer::{DecodeOptions, EncodeOptions, TokenId, Tokenizer};

/// Returns the token ids of a text. With `special`, strings of special tokens become those tokens. With `add`, the
/// tokens that the model wants around a text (BOS, EOS) are added.
pub(crate) fn encode(tokenizer: &Tokenizer, text: &str, special: bool, add: bool) -> CliResult<Vec<TokenId>> {
    Ok(tokenizer.encode(text, EncodeOptions { add_special: add, parse_special: special })?)
}

/// Returns the bytes of token ids, including those of special tokens if `special` is set.
pub(crate) fn decode(tokenizer: &Tokenizer, ids: &[TokenId], special: bool) -> CliResult<Vec<u8>> {
    Ok(tokenizer.decode_bytes(ids, DecodeOptions { special, ..DecodeOptions::default() })?)
}
