//! Byte-pair encoding, of bytes (in GPT-2's notation) or of characters (as in SentencePiece).

use super::file::{Merge, TokenizerFile};
use super::{TokenType, Vocab, pre};
use crate::error::ConvertError;
use crate::pairs::Pairs;
use happy_gguf::{OwnedArray, OwnedValue};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// Adds the metadata of either kind.
pub(crate) fn pairs(
    path: &Path,
    file: &TokenizerFile,
    pre: Option<&str>,
    vocab: &mut Vocab,
    pairs: &mut Pairs,
) -> Result<(), ConvertError> {
    if file.model.merges.is_empty() {
        return Err(ConvertError::invalid(path, "key `model.merges`: expected at least one pair"));
    }
    if file.model.byte_fallback == Some(true) {
        return characters(file, vocab, pairs);
    }
    let name = match pre {
        Some(name) => name,
        None => pre::name(path, &file.pre_tokenizer, file.model.ignore_merges == Some(true))?,
    };
    for token in &file.model.vocab.0 {
        vocab.set(token.id, token.text.clone(), TokenType::Normal)?;
    }
    super::add_added(file, vocab)?;
    pairs.add("tokenizer.ggml.model", "gpt2");
    pairs.add("tokenizer.ggml.pre", name);
    // Bytes are written as characters other than spaces, but some files contain spaces.
    let safe = |text: &str| text.replace(' ', "\u{120}");
    let merge = |Merge(a, b): &Merge| format!("{} {}", safe(a), safe(b));
    let merges = OwnedArray::strings(file.model.merges.iter().map(merge));
    pairs.add("tokenizer.ggml.merges", OwnedValue::Array(merges));
    Ok(())
}

/// Restores SentencePiece's scores from the merges: the token that is merged first gets the highest score. (SentencePiece
/// scores tokens, and `tokenizer.json` was made from these scores.)
fn characters(file: &TokenizerFile, vocab: &mut Vocab, pairs: &mut Pairs) -> Result<(), ConvertError> {
    /// The score that llama.cpp gives to tokens that are never merged.
    const NEVER: f32 = -1e9;
    let model = &file.model;
    for token in &model.vocab.0 {
        let kind = if model.unk_token.as_deref() == Some(&token.text) {
            TokenType::Unknown
        } else if is_byte(&token.text) {
            TokenType::Byte
        } else {
            TokenType::Normal
        };
        vocab.set(token.id, token.text.clone(), kind)?;
    }
    for token in &file.added_tokens {
        if model.unk_token.as_deref() != Some(&token.content) {
            let kind = if token.special { TokenType::Control } else { TokenType::UserDefined };
            vocab.set(token.id, token.content.clone(), kind)?;
        }
    }
    let mut rank = HashMap::new();
    for Merge(a, b) in &model.merges {
        let next = rank.len();
        rank.entry([a.as_str(), b.as_str()].concat()).or_insert(next);
    }
    let mut scores = vec![NEVER; vocab.len()];
    for (id, text) in vocab.iter() {
        if let (Some(rank), Some(score)) = (rank.get(text), scores.get_mut(id)) {
            *score = -(*rank as f32);
        }
    }
    pairs.add("tokenizer.ggml.model", "llama");
    pairs.add("tokenizer.ggml.pre", "default");
    pairs.add("tokenizer.ggml.scores", OwnedValue::Array(OwnedArray::packed(scores)));
    pairs.add("tokenizer.ggml.add_space_prefix", begins_with_space(file));
    Ok(())
}

/// Returns whether a text is one of `<0x00>` to `<0xFF>`.
fn is_byte(text: &str) -> bool {
    let digits = text.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|d| d.len() == 2 && d.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Returns whether a space is put before the text, by the normalizer of old files or the pre-tokenizer of new ones.
fn begins_with_space(file: &TokenizerFile) -> bool {
    let kind = |part: &Value, name: &str| part.get("type").and_then(Value::as_str) == Some(name);
    let normalizer = TokenizerFile::parts(&file.normalizer, "normalizers");
    let pre = TokenizerFile::parts(&file.pre_tokenizer, "pretokenizers");
    normalizer.iter().any(|part| kind(part, "Prepend"))
        || pre.iter().any(|part| {
            let scheme = part.get("prepend_scheme").and_then(Value::as_str);
            kind(part, "Metaspace")
                && scheme != Some("never")
                && part.get("add_prefix_space") != Some(&Value::Bool(false))
        })
}
