//! From text to token ids, and back.

use crate::error::CliResult;
use happy_tokenizer::{DecodeOptions, EncodeOptions, TokenId, Tokenizer};

/// Token ids of a text. `special`: strings of special tokens become those tokens; `add`: the tokens that the model
/// wants around a text (BOS, EOS) are added.
pub(crate) fn encode(tokenizer: &Tokenizer, text: &str, special: bool, add: bool) -> CliResult<Vec<TokenId>> {
    Ok(tokenizer.encode(text, EncodeOptions { add_special: add, parse_special: special })?)
}

/// Bytes of token ids, those of special tokens where `special` says so.
pub(crate) fn decode(tokenizer: &Tokenizer, ids: &[TokenId], special: bool) -> CliResult<Vec<u8>> {
    Ok(tokenizer.decode_bytes(ids, DecodeOptions { special, ..DecodeOptions::default() })?)
}
