//! The corpus of chat templates: the full one if `HAPPY_CONFORMANCE` is set, otherwise the selection in the repository.

use happy_chat::LocalTime;
use happy_testkit::Files;
use serde_json::Value;

/// The corpus `chat-templates`.
pub(crate) struct Corpus {
    files: Files,
    /// Whether this is the full corpus.
    pub(crate) full: bool,
}

impl Corpus {
    pub(crate) fn open() -> Self {
        let corpus = happy_testkit::Corpus::full().unwrap_or_else(happy_testkit::Corpus::repository);
        let files = corpus.open("chat-templates").unwrap_or_else(|e| panic!("{e}"));
        Corpus { files, full: corpus.is_full() }
    }

    /// Reads the cases of `renderings.jsonl.gz`.
    pub(crate) fn renderings(&self) -> Vec<Value> {
        let text = self.files.text("renderings.jsonl.gz").unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Returns the source of the template that a case names.
    pub(crate) fn source(&self, name: &Value) -> String {
        self.files.text(&format!("templates/{}.jinja", name.as_str().unwrap())).unwrap()
    }
}

/// The time of the corpus' clock.
pub(crate) fn now() -> Option<LocalTime> {
    Some("2026-03-14T09:26:53".parse().unwrap())
}
