//! A vocabulary as the peers want it: the GGUF file, and a `tokenizer.json` made from its tables.

use crate::Error;
use happy_gguf::{Array, GgufFile};
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// A vocabulary.
pub(crate) struct Vocabulary {
    pub(crate) gguf: PathBuf,
    /// `tokenizer.json` of Hugging Face's library.
    pub(crate) json: Vec<u8>,
}

const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How the original tokenizer cuts the text.
fn pre_tokenizer(name: &str) -> Result<Value, Error> {
    let byte_level = |expression: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": expression });
    let stages = match name {
        "smollm2" => [json!({ "type": "Digits", "individual_digits": true }), byte_level(true)],
        "qwen2" => [
            json!({ "type": "Split", "pattern": { "Regex": QWEN2 }, "behavior": "Isolated", "invert": false }),
            byte_level(false),
        ],
        _ => return Err(format!("no pre-tokenizer is written down for {name}").into()),
    };
    Ok(json!({ "type": "Sequence", "pretokenizers": stages }))
}

/// `tokenizer.json`, without normalization and without special tokens: the texts have none.
fn to_json(file: &GgufFile, name: &str) -> Result<Vec<u8>, Error> {
    let strings = |key: &str| -> Result<Vec<String>, Error> {
        let array: Array<'_> = file.view().metadata().optional(key)?.ok_or_else(|| format!("no {key}"))?;
        let strings = array.strings().ok_or("expected strings")?;
        strings.map(|s| Ok(std::str::from_utf8(s.as_bytes())?.to_owned())).collect()
    };
    let tokens = strings("tokenizer.ggml.tokens")?;
    let vocab: Map<String, Value> =
        tokens.into_iter().enumerate().map(|(id, token)| (token, Value::from(id))).collect();
    let byte_level =
        json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    let model = json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
        "vocab": vocab, "merges": strings("tokenizer.ggml.merges")?,
    });
    let all = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": pre_tokenizer(name)?, "post_processor": null, "decoder": byte_level, "model": model,
    });
    Ok(serde_json::to_vec(&all)?)
}

/// The bytes of a packed file.
pub(crate) fn unzstd(packed: &Path) -> Result<Vec<u8>, Error> {
    let packed = File::open(packed).map_err(|e| format!("{}: {e}", packed.display()))?;
    let mut bytes = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(packed)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Where the conformance corpus has a vocabulary.
pub(crate) fn packed(conformance: &Path, name: &str) -> PathBuf {
    conformance.join(format!("tokenizer/vocabs/{name}.gguf.zst"))
}

/// Unpacks a vocabulary of the conformance corpus into `folder`.
pub(crate) fn unpack(conformance: &Path, name: &str, folder: &Path) -> Result<Vocabulary, Error> {
    let gguf = folder.join(format!("{name}.gguf"));
    fs::write(&gguf, unzstd(&packed(conformance, name))?)?;
    let json = to_json(&GgufFile::read(&gguf)?, name)?;
    Ok(Vocabulary { gguf, json })
}
