//! The parts of `tokenizer.json` that are read.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

#[derive(Deserialize)]
pub(crate) struct TokenizerFile {
    #[serde(default)]
    pub(crate) added_tokens: Vec<AddedToken>,
    #[serde(default)]
    pub(crate) normalizer: Value,
    #[serde(default)]
    pub(crate) pre_tokenizer: Value,
    #[serde(default)]
    pub(crate) post_processor: Value,
    pub(crate) model: Model,
}

#[derive(Deserialize)]
pub(crate) struct AddedToken {
    pub(crate) id: u32,
    pub(crate) content: String,
    #[serde(default)]
    pub(crate) special: bool,
}

#[derive(Deserialize)]
pub(crate) struct Model {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) vocab: Tokens,
    #[serde(default)]
    pub(crate) merges: Vec<Merge>,
    pub(crate) unk_token: Option<String>,
    pub(crate) unk_id: Option<u32>,
    pub(crate) continuing_subword_prefix: Option<String>,
    pub(crate) max_input_chars_per_word: Option<u64>,
    #[serde(default)]
    pub(crate) byte_fallback: Option<bool>,
    #[serde(default)]
    pub(crate) ignore_merges: Option<bool>,
}

impl TokenizerFile {
    /// Returns the id of a text, whether it is an added token or not.
    pub(crate) fn id(&self, text: &str) -> Option<u32> {
        let added = self.added_tokens.iter().find(|t| t.content == text).map(|t| t.id);
        added.or_else(|| self.model.vocab.0.iter().find(|t| t.text == text).map(|t| t.id))
    }

    /// Returns the parts of a normalizer, a pre-tokenizer or a post-processor: those of a sequence, or the single one.
    pub(crate) fn parts<'v>(value: &'v Value, list: &str) -> Vec<&'v Value> {
        match value.get("type").and_then(Value::as_str) {
            None => Vec::new(),
            Some("Sequence") => {
                let parts = value.get(list).and_then(Value::as_array);
                // Sequences inside of sequences are not known to exist.
                parts.into_iter().flatten().collect()
            }
            Some(_) => vec![value],
        }
    }
}

/// The vocabulary: an object of ids (WordPiece, BPE), or a list of texts and scores in the order of the ids (Unigram).
pub(crate) struct Tokens(pub(crate) Vec<Token>);

pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) id: u32,
    pub(crate) score: f32,
}

impl<'de> Deserialize<'de> for Tokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TokensVisitor)
    }
}

struct TokensVisitor;

impl<'de> Visitor<'de> for TokensVisitor {
    type Value = Tokens;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of ids, or a list of texts and scores")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tokens, A::Error> {
        let mut tokens = Vec::new();
        while let Some((text, id)) = map.next_entry::<String, u32>()? {
            push(&mut tokens, Token { text, id, score: 0.0 })?;
        }
        Ok(Tokens(tokens))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tokens, A::Error> {
        let mut tokens = Vec::new();
        while let Some((text, score)) = list.next_element::<(String, f64)>()? {
            let id = u32::try_from(tokens.len()).map_err(A::Error::custom)?;
            push(&mut tokens, Token { text, id, score: score as f32 })?;
        }
        Ok(Tokens(tokens))
    }
}

fn push<T, E: serde::de::Error>(list: &mut Vec<T>, item: T) -> Result<(), E> {
    list.try_reserve(1).map_err(|_| E::custom("no memory for the vocabulary"))?;
    list.push(item);
    Ok(())
}

/// A merge of two texts: `"a b"`, or `["a", "b"]` in new files.
pub(crate) struct Merge(pub(crate) String, pub(crate) String);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MergeVisitor)
    }
}

struct MergeVisitor;

impl<'de> Visitor<'de> for MergeVisitor {
    type Value = Merge;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("two texts, or one with a space between two")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Merge, E> {
        match text.split_once(' ') {
            Some((a, b)) if !b.contains(' ') => Ok(Merge(a.to_owned(), b.to_owned())),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merge, A::Error> {
        let mut next = |n| list.next_element::<String>()?.ok_or_else(|| A::Error::invalid_length(n, &self));
        let merge = Merge(next(0)?, next(1)?);
        match list.next_element::<IgnoredAny>()? {
            None => Ok(merge),
            Some(_) => Err(A::Error::invalid_length(3, &self)),
        }
    }
}
