//! Every corpus as a test, on the selection in the repository and, if `HAPPY_CONFORMANCE` is set, on the full data.

use happy_conform::{run, table};
use happy_testkit::Corpus;

fn check(name: &str) {
    let reports: Vec<_> = Corpus::all().iter().map(|corpus| run(name, corpus).expect("a corpus")).collect();
    let text = table(&reports);
    println!("{text}");
    assert!(reports.iter().all(|report| report.failed.is_empty()), "{text}");
    assert!(
        reports.iter().all(|report| report.passed + report.unsupported.len() > 0),
        "nothing ran:\n{text}"
    );
}

macro_rules! tests {
    ($feature:literal, $list:ident, $($test:ident: $name:literal),*) => {
        $(#[cfg(feature = $feature)] #[test] fn $test() { super::check($name); })*
        #[cfg(feature = $feature)]
        pub(super) const $list: &[&str] = &[$($name),*];
        #[cfg(not(feature = $feature))]
        pub(super) const $list: &[&str] = &[];
    };
}

/// `cargo xtask test` skips this module by its name: its step `conform` runs the same with the program.
mod corpus {
    tests!("files", FILES, gguf: "gguf", quants: "quants");
    tests!("text", TEXT, sampling: "sampling", grammar: "grammar", chat_templates: "chat-templates", tokenizer: "tokenizer");
    tests!("compute", COMPUTE, architectures: "architectures", embeddings: "embeddings", lora: "lora", reference_logits: "reference-logits");
}

#[test]
#[cfg(all(feature = "files", feature = "text", feature = "compute"))]
fn every_corpus_of_the_selection_is_read() {
    assert_eq!(happy_conform::unread(&Corpus::repository()).expect("a folder"), [""; 0]);
}

#[test]
fn every_corpus_has_a_test() {
    let tested = [corpus::FILES, corpus::TEXT, corpus::COMPUTE].concat();
    assert!(happy_conform::corpora().eq(tested.iter().copied()), "{tested:?}");
}
