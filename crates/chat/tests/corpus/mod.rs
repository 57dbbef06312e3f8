//! The chat template corpus: the full data if `HAPPY_CONFORMANCE` names them, the selection in the repository otherwise.

use happy_chat::LocalTime;
use happy_testkit::Files;
use serde_json::Value;

/// The corpus `chat-templates`.
pub(crate) struct Corpus {
    files: Files,
    /// Whether these are the full data.
    pub(crate) full: bool,
}

impl Corpus {
    pub(crate) fn open() -> Self {
        let corpus = happy_testkit::Corpus::full().unwrap_or_else(happy_testkit::Corpus::repository);
        let files = corpus.open("chat-templates").unwrap_or_else(|e| panic!("{e}"));
        Corpus { files, full: corpus.is_full() }
    }

    /// The cases of `renderings.jsonl.gz`.
    pub(crate) fn renderings(&self) -> Vec<Value> {
        let text = self.files.text("renderings.jsonl.gz").unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The text of the template that a case names.
    pub(crate) fn source(&self, name: &Value) -> String {
        self.files.text(&format!("templates/{}.jinja", name.as_str().unwrap())).unwrap()
    }
}

/// The moment at which the corpus froze its clock.
pub(crate) fn now() -> Option<LocalTime> {
    Some("2026-03-14T09:26:53".parse().unwrap())
}
