//! Finds the name of a pre-tokenizer from its stages in `tokenizer.json`.
//!
//! llama.cpp's converter tokenizes a text and looks up the hash of the result. The stages give the same answer without a
//! tokenizer.

use super::file::TokenizerFile;
use crate::error::{ConvertError, printable};
use serde_json::Value;
use std::path::Path;

/// One stage of a pre-tokenizer.
#[derive(Debug, PartialEq)]
enum Stage<'a> {
    /// Pieces that match a regular expression.
    Split(&'a str),
    /// Bytes as characters, with or without splitting by GPT-2's expression before.
    Bytes { regex: bool },
    /// Digits, one by one or in runs.
    Digits { individual: bool },
}

use Stage::{Bytes, Digits, Split};

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The stages, whether whole pieces are looked up before merging, and the name.
const KNOWN: &[(&[Stage<'_>], bool, &str)] = &[
    (&[Split(LLAMA3), Bytes { regex: false }], true, "llama-bpe"),
    // The same stages without the look-up have another name.
    (&[Split(LLAMA3), Bytes { regex: false }], false, "dbrx"),
    (&[Split(QWEN2), Bytes { regex: false }], false, "qwen2"),
    (&[Split(QWEN35), Bytes { regex: false }], false, "qwen35"),
    (&[Split(TEKKEN), Bytes { regex: false }], true, "tekken"),
    (&[Split(GPT4O), Bytes { regex: false }], false, "gpt-4o"),
    (&[Bytes { regex: true }], false, "gpt-2"),
    (&[Digits { individual: true }, Bytes { regex: true }], false, "smollm"),
];

/// Returns the name of a byte-level pre-tokenizer. `whole` says whether a piece that is a token is used without merging.
pub(crate) fn name(path: &Path, value: &Value, whole: bool) -> Result<&'static str, ConvertError> {
    let parts = TokenizerFile::parts(value, "pretokenizers");
    let stages: Option<Vec<Stage<'_>>> = parts.into_iter().map(stage).collect();
    let found = stages.and_then(|stages| {
        KNOWN
            .iter()
            .find(|(known, is_whole, _)| *is_whole == whole && **known == *stages)
            .map(|(.., name)| *name)
    });
    found.ok_or_else(|| {
        let found = printable(&value.to_string());
        ConvertError::unsupported(format!(
            "`{}`: key `pre_tokenizer`: unknown pre-tokenizer, give its name by the option pre: {found}",
            crate::error::shown(path)
        ))
    })
}

fn stage(part: &Value) -> Option<Stage<'_>> {
    let flag = |key: &str| part.get(key).and_then(Value::as_bool);
    Some(match part.get("type")?.as_str()? {
        "Split" if flag("invert") != Some(true) && part.get("behavior")? == "Isolated" => {
            Split(part.get("pattern")?.get("Regex")?.as_str()?)
        }
        "ByteLevel" if flag("add_prefix_space") != Some(true) => {
            Bytes { regex: flag("use_regex") != Some(false) }
        }
        "Digits" => Digits { individual: flag("individual_digits") == Some(true) },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn stages_have_the_names_of_files() {
        let of = |value: Value, whole| name(Path::new("t"), &value, whole).map_err(|e| e.to_string());
        let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
        assert_eq!(of(bytes.clone(), false), Ok("gpt-2"));
        let digits = json!({"type": "Digits", "individual_digits": true});
        assert_eq!(of(json!({"type": "Sequence", "pretokenizers": [digits, bytes]}), false), Ok("smollm"));
        let plain = json!({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false});
        let split = |regex| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false});
        let both = |regex| json!({"type": "Sequence", "pretokenizers": [split(regex), plain.clone()]});
        assert_eq!(of(both(LLAMA3), true), Ok("llama-bpe"));
        assert_eq!(of(both(QWEN2), false), Ok("qwen2"));
        let error = of(both("x+"), false).expect_err("unknown");
        assert!(error.contains("`pre_tokenizer`") && error.contains("option pre"), "{error}");
        assert!(of(Value::Null, false).is_err());
    }
}
