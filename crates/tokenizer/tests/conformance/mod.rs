//! Where the conformance corpus is, and its vocabularies.

use happy_gguf::{GgufFile, Limits};
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The corpus's folder; without one a message and `None`, and a failure under CI.
pub(crate) fn corpus() -> Option<PathBuf> {
    let root = std::env::var_os("HAPPY_CONFORMANCE")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"));
    if root.join("tokenizer").is_dir() {
        return Some(root);
    }
    println!("DID NOT RUN: no conformance corpus at {}", root.display());
    assert!(std::env::var("CI").is_err(), "the conformance corpus is required under CI");
    None
}

/// JSON in a file.
pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What the corpus knows of each vocabulary, by name; there are 25.
pub(crate) fn vocabularies(corpus: &Path) -> serde_json::Map<String, Value> {
    let Value::Object(all) = json(&corpus.join("tokenizer/vocabs.json")) else {
        panic!("expected an object")
    };
    assert_eq!(all.len(), 25);
    all
}

/// The file that an entry of [`vocabularies`] names.
pub(crate) fn load(corpus: &Path, info: &Value) -> GgufFile {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(corpus.join("tokenizer").join(info["file"].as_str().unwrap())).unwrap();
    ruzstd::decoding::StreamingDecoder::new(file).unwrap().read_to_end(&mut bytes).unwrap();
    GgufFile::from_shared(Arc::new(bytes), &Limits::default()).unwrap()
}
