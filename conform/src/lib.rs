//! Conformance: inputs with results of other people's software, and what this project makes of them.
//!
//! There is one reader per corpus ([`corpora`]). It reads both the selection in the repository (`fixtures/corpus`) and
//! the full data ([`happy_testkit::Corpus`]), runs every case, and lists each failure and everything unsupported by
//! name. A kind of case, a type or a rule that a reader does not know is a failure, so nothing is left out silently.
//!
//! - `cargo test -p happy-conform`: every corpus as a test.
//! - `cargo xtask conform [CORPUS..] [--json]`: the same as a table.
//! - `cargo xtask make-corpus FOLDER`: writes the selection from the full data; [`make`] says what is selected.

#![forbid(unsafe_code)]

#[cfg(feature = "compute")]
mod architectures;
#[cfg(feature = "text")]
mod chat_templates;
mod data;
#[cfg(feature = "compute")]
mod embeddings;
#[cfg(feature = "files")]
mod gguf;
#[cfg(feature = "text")]
mod grammar;
#[cfg(feature = "compute")]
mod kl;
#[cfg(feature = "compute")]
mod lora;
pub mod make;
mod missing;
#[cfg(feature = "files")]
mod quants;
#[cfg(feature = "compute")]
mod recipe;
#[cfg(feature = "compute")]
mod reference_logits;
mod report;
#[cfg(feature = "compute")]
mod runner;
#[cfg(feature = "text")]
mod sampling;
#[cfg(feature = "text")]
mod tokenizer;

use happy_testkit::Corpus;
pub use report::{Case, Report, table};
use std::time::Instant;

/// Runs a corpus and writes what it finds into the report.
type Run = fn(&Corpus, &mut Report) -> Result<(), String>;

/// The corpora and their readers, cheap ones first.
const READERS: &[(&str, Run)] = &[
    #[cfg(feature = "files")]
    ("gguf", gguf::run),
    #[cfg(feature = "files")]
    ("quants", quants::run),
    #[cfg(feature = "text")]
    ("sampling", sampling::run),
    #[cfg(feature = "text")]
    ("grammar", grammar::run),
    #[cfg(feature = "text")]
    ("chat-templates", chat_templates::run),
    #[cfg(feature = "text")]
    ("tokenizer", tokenizer::run),
    #[cfg(feature = "compute")]
    ("architectures", architectures::run),
    #[cfg(feature = "compute")]
    ("embeddings", embeddings::run),
    #[cfg(feature = "compute")]
    ("lora", lora::run),
    #[cfg(feature = "compute")]
    ("reference-logits", reference_logits::run),
];

/// Returns the names of the corpora that are compiled in, cheap ones first.
pub fn corpora() -> impl Iterator<Item = &'static str> {
    READERS.iter().map(|(name, _)| *name)
}

/// The corpus that the reader of `tokenizer` reads in addition to its own.
const READ_WITH_ANOTHER: &str = "text";

/// Returns the corpora in the data that have no reader here, in ascending order.
///
/// # Errors
/// If the data cannot be listed.
pub fn unread(corpus: &Corpus) -> Result<Vec<String>, String> {
    let mut names = corpus.names()?;
    names.retain(|name| name != READ_WITH_ANOTHER && corpora().all(|known| known != name));
    Ok(names)
}

/// Runs one corpus of [`corpora`]. Data that cannot be read are a failure in the report.
///
/// # Errors
/// If no corpus has this name.
pub fn run(name: &str, corpus: &Corpus) -> Result<Report, String> {
    let Some((name, reader)) = READERS.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = corpora().collect();
        return Err(format!("unknown corpus `{name}`: expected one of {}", known.join(", ")));
    };
    let start = Instant::now();
    let mut report = Report::new(name, corpus.name());
    match reader(corpus, &mut report) {
        Ok(()) => report.finish(),
        Err(message) => report.fail("the corpus itself", message),
    }
    report.seconds = start.elapsed().as_secs_f64();
    Ok(report)
}
