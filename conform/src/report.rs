//! What a corpus gave, and the table of all.

use serde::Serialize;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A case and why it is listed.
#[derive(Serialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) why: String,
}

/// How a case ended.
pub(crate) enum Verdict {
    Passed,
    Failed(String),
    Unsupported(String),
}

/// The result of one corpus.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) corpus: &'static str,
    pub(crate) passed: usize,
    pub(crate) failed: Vec<Case>,
    pub(crate) unsupported: Vec<Case>,
    /// Measurements worth knowing that decide nothing.
    pub(crate) notes: Vec<String>,
    pub(crate) seconds: f64,
}

impl Report {
    pub(crate) fn new(corpus: &'static str) -> Self {
        Self {
            corpus,
            passed: 0,
            failed: Vec::new(),
            unsupported: Vec::new(),
            notes: Vec::new(),
            seconds: 0.0,
        }
    }

    /// Runs one case; a panic in it is a failure like any other.
    pub(crate) fn case(&mut self, name: &str, run: impl FnOnce() -> Verdict) {
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Verdict::Passed) => self.passed += 1,
            Ok(Verdict::Failed(why)) => self.fail(name, why),
            Ok(Verdict::Unsupported(why)) => self.unsupported.push(Case { name: name.to_owned(), why }),
            Err(_) => self.fail(name, "it panicked"),
        }
    }

    pub(crate) fn fail(&mut self, name: &str, why: impl Into<String>) {
        self.failed.push(Case { name: name.to_owned(), why: why.into() });
    }
}

/// The table, then every failure and everything unsupported by name, then the notes.
pub(crate) fn table(reports: &[Report]) -> String {
    let mut text =
        format!("{:<18}{:>8}{:>8}{:>13}{:>10}\n", "corpus", "passed", "failed", "unsupported", "seconds");
    for r in reports {
        let (failed, unsupported) = (r.failed.len(), r.unsupported.len());
        let _ =
            writeln!(text, "{:<18}{:>8}{failed:>8}{unsupported:>13}{:>10.1}", r.corpus, r.passed, r.seconds);
    }
    for r in reports {
        if !r.failed.is_empty() {
            let _ = writeln!(text, "\n{}: failed", r.corpus);
            for case in &r.failed {
                let _ = writeln!(text, "  {}: {}", case.name, case.why);
            }
        }
        if !r.unsupported.is_empty() {
            let _ = writeln!(text, "\n{}: unsupported", r.corpus);
            for (why, names) in by_reason(&r.unsupported) {
                let _ = writeln!(text, "  {why}: {}", names.join(", "));
            }
        }
        if !r.notes.is_empty() {
            let _ = writeln!(text, "\n{}: notes", r.corpus);
            for note in &r.notes {
                let _ = writeln!(text, "  {note}");
            }
        }
    }
    text
}

/// Cases of the same reason together, in the order of first appearance.
fn by_reason(cases: &[Case]) -> Vec<(&str, Vec<&str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for case in cases {
        match groups.iter_mut().find(|(why, _)| *why == case.why) {
            Some((_, names)) => names.push(&case.name),
            None => groups.push((&case.why, vec![&case.name])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_listed_by_name() {
        let mut report = Report::new("toy");
        report.case("a", || Verdict::Passed);
        report.case("b", || Verdict::Failed("off by one".into()));
        for name in ["c", "d"] {
            report.case(name, || Verdict::Unsupported("no such sampler".into()));
        }
        report.case("e", || panic!("a panic in a case"));
        let text = table(&[report]);
        for line in [
            "toy                      1       2            2",
            "  b: off by one",
            "  no such sampler: c, d",
            "  e: it panicked",
        ] {
            assert!(text.contains(line), "no '{line}' in:\n{text}");
        }
    }
}
