//! Unigram: SentencePiece's other kind of vocabulary, which multilingual encoders have.

use super::file::TokenizerFile;
use super::{TokenType, Vocab};
use crate::error::ConvertError;
use crate::pairs::Pairs;
use happy_gguf::{OwnedArray, OwnedValue};
use serde_json::Value;
use std::path::Path;

pub(crate) fn pairs(
    path: &Path,
    file: &TokenizerFile,
    vocab: &mut Vocab,
    pairs: &mut Pairs,
) -> Result<(), ConvertError> {
    /// The score that llama.cpp gives to ids without a token.
    const NEVER: f32 = -10_000.0;
    let unknown = file.model.unk_id;
    for token in &file.model.vocab.0 {
        vocab.set(token.id, token.text.clone(), TokenType::Normal)?;
    }
    super::add_added(file, vocab)?;
    if let Some(token) = file.model.vocab.0.iter().find(|t| Some(t.id) == unknown) {
        vocab.set(token.id, token.text.clone(), TokenType::Unknown)?;
    }
    let mut scores = vec![NEVER; vocab.len()];
    for token in &file.model.vocab.0 {
        if let Some(score) = scores.get_mut(token.id as usize) {
            *score = token.score;
        }
    }
    pairs.add("tokenizer.ggml.model", "t5");
    pairs.add("tokenizer.ggml.pre", "default");
    pairs.add("tokenizer.ggml.scores", OwnedValue::Array(OwnedArray::packed(scores)));
    pairs.add("tokenizer.ggml.add_space_prefix", true);
    pairs.add("tokenizer.ggml.remove_extra_whitespaces", true);
    for part in TokenizerFile::parts(&file.normalizer, "normalizers") {
        if let Some(text) = part.get("precompiled_charsmap").and_then(Value::as_str) {
            let bytes = base64(text).ok_or_else(|| {
                ConvertError::invalid(path, "key `normalizer.precompiled_charsmap`: expected base64")
            })?;
            pairs.add("tokenizer.ggml.precompiled_charsmap", OwnedValue::Array(OwnedArray::packed(bytes)));
        }
    }
    Ok(())
}

/// Decodes base64, with or without `=` at its end.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| {
        Some(u32::from(match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        }))
    };
    let mut out = Vec::new();
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let mut bits = 0;
        for &b in group {
            bits = bits << 6 | digit(b)?;
        }
        // Two digits are one byte, three are two, four are three.
        let n = match group.len() {
            2..=4 => group.len() - 1,
            _ => return None,
        };
        let [_, bytes @ ..] = (bits << (6 * (4 - group.len()))).to_be_bytes();
        out.extend(bytes.iter().take(n));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_of_each_length() {
        let cases = [("", &b""[..]), ("Zg==", b"f"), ("Zm8=", b"fo"), ("Zm9v", b"foo"), ("Zm9vYg", b"foob")];
        for (text, expected) in cases {
            assert_eq!(base64(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(base64("Z"), None);
        assert_eq!(base64("Zm9*"), None);
    }
}
