//! The vocabularies of the conformance corpus.

use happy_gguf::{GgufFile, Limits};
use happy_testkit::{Corpus, Files};
use serde_json::Value;
use std::sync::Arc;

/// The corpus of vocabularies: the full data if `HAPPY_CONFORMANCE` names it, otherwise the selection in the
/// repository.
pub(crate) fn corpus() -> Files {
    let corpus = Corpus::full().unwrap_or_else(Corpus::repository);
    corpus.open("tokenizer").unwrap_or_else(|e| panic!("{e}"))
}

/// What the corpus says about each vocabulary, by name.
pub(crate) fn vocabularies(corpus: &Files) -> serde_json::Map<String, Value> {
    match serde_json::from_slice(&corpus.bytes("vocabs.json").unwrap()).unwrap() {
        Value::Object(all) if all.len() > 10 => all,
        _ => panic!("expected an object with vocabularies"),
    }
}

/// The file that an entry of [`vocabularies`] names.
pub(crate) fn load(corpus: &Files, info: &Value) -> GgufFile {
    let bytes = corpus.unpacked(info["file"].as_str().unwrap()).unwrap();
    GgufFile::from_shared(Arc::new(bytes), &Limits::default()).unwrap()
}
