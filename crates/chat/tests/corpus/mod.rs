//! The chat template corpus.
#![allow(dead_code)] // each test binary uses a part

use std::io::Read;
use std::path::PathBuf;

use happy_chat::LocalTime;
use serde_json::Value;

/// The corpus folder.
pub(crate) struct Corpus(PathBuf);

impl Corpus {
    /// The corpus; without one, says so and fails under CI.
    pub(crate) fn open() -> Option<Self> {
        let root = match std::env::var_os("HAPPY_CONFORMANCE") {
            Some(dir) => PathBuf::from(dir),
            None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
        };
        let dir = root.join("chat-templates");
        if dir.is_dir() {
            return Some(Corpus(dir));
        }
        let note =
            format!("NOT RUN: the chat template corpus is absent ({}); set HAPPY_CONFORMANCE", dir.display());
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{note}");
        eprintln!("{note}");
        None
    }

    /// The cases of `renderings.jsonl.gz`.
    pub(crate) fn renderings(&self) -> Vec<Value> {
        let mut text = String::new();
        let file = std::fs::File::open(self.0.join("renderings.jsonl.gz")).unwrap();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The cases of a file that is an array.
    pub(crate) fn cases(&self, file: &str) -> Vec<Value> {
        serde_json::from_slice(&std::fs::read(self.0.join(file)).unwrap()).unwrap()
    }

    /// The text of the template that a case names.
    pub(crate) fn source(&self, name: &Value) -> String {
        let file = format!("{}.jinja", name.as_str().unwrap());
        std::fs::read_to_string(self.0.join("templates").join(file)).unwrap()
    }
}

/// The moment at which the corpus froze its clock.
pub(crate) fn now() -> Option<LocalTime> {
    Some("2026-03-14T09:26:53".parse().unwrap())
}
