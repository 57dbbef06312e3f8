//! The results of a corpus, and the table of all corpora.

use serde::Serialize;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A case and why it is listed.
#[derive(Serialize)]
pub struct Case {
    /// The case's name, unique in its corpus.
    pub name: String,
    /// What was found and expected, or what is not supported.
    pub why: String,
}

/// How a case ended.
pub(crate) enum Verdict {
    Passed,
    Failed(String),
    Unsupported(String),
}

impl From<Result<(), String>> for Verdict {
    fn from(result: Result<(), String>) -> Self {
        result.map_or_else(Self::Failed, |()| Self::Passed)
    }
}

/// The result of one corpus.
#[derive(Serialize)]
pub struct Report {
    /// The corpus' name.
    pub corpus: &'static str,
    /// Where the data are from: `selection` (in the repository) or `full`.
    pub data: &'static str,
    /// Number of cases in the data: the sum of those that passed, failed and are not supported, unless a fault of the corpus
    /// itself is among the failures.
    pub cases: usize,
    /// Number of cases that passed.
    pub passed: usize,
    /// Cases that failed.
    pub failed: Vec<Case>,
    /// Cases of something that the crates do not support, that cannot be compared, or that differ on purpose. They are
    /// not run or do not count as passed; each has the reason.
    pub unsupported: Vec<Case>,
    /// Measurements for information only.
    pub notes: Vec<String>,
    /// Wall-clock time of the whole corpus.
    pub seconds: f64,
    /// Number of cases that were run.
    #[serde(skip)]
    judged: usize,
}

impl Report {
    pub(crate) fn new(corpus: &'static str, data: &'static str) -> Self {
        Self {
            corpus,
            data,
            cases: 0,
            passed: 0,
            failed: Vec::new(),
            unsupported: Vec::new(),
            notes: Vec::new(),
            seconds: 0.0,
            judged: 0,
        }
    }

    /// Declares that the data have `n` more cases, each of which must be passed to [`case`](Self::case).
    pub(crate) fn holds(&mut self, n: usize) {
        self.cases += n;
    }

    /// Fails unless every case of the data was run.
    pub(crate) fn finish(&mut self) {
        if self.judged != self.cases {
            let (judged, cases) = (self.judged, self.cases);
            self.fail("the corpus itself", format!("{cases} cases, of which {judged} were run"));
        }
    }

    /// Runs one case. A panic counts as a failure.
    pub(crate) fn case(&mut self, name: &str, run: impl FnOnce() -> Verdict) {
        self.judged += 1;
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

/// Returns the table, then every failure and everything unsupported by name, then the notes.
pub fn table(reports: &[Report]) -> String {
    let mut text = format!(
        "{:<18}{:<11}{:>8}{:>8}{:>8}{:>13}{:>10}\n",
        "corpus", "data", "cases", "passed", "failed", "unsupported", "seconds"
    );
    for r in reports {
        let (failed, unsupported) = (r.failed.len(), r.unsupported.len());
        let _ = writeln!(
            text,
            "{:<18}{:<11}{:>8}{:>8}{failed:>8}{unsupported:>13}{:>10.1}",
            r.corpus, r.data, r.cases, r.passed, r.seconds
        );
    }
    for r in reports {
        if !r.failed.is_empty() {
            let _ = writeln!(text, "\n{}, {}: failed", r.corpus, r.data);
            for case in &r.failed {
                let _ = writeln!(text, "  {}: {}", case.name, case.why);
            }
        }
        if !r.unsupported.is_empty() {
            let _ = writeln!(text, "\n{}, {}: unsupported", r.corpus, r.data);
            for (why, names) in by_reason(&r.unsupported) {
                let _ = writeln!(text, "  {why}: {}", names.join(", "));
            }
        }
        if !r.notes.is_empty() {
            let _ = writeln!(text, "\n{}, {}: notes", r.corpus, r.data);
            for note in &r.notes {
                let _ = writeln!(text, "  {note}");
            }
        }
    }
    text
}

/// Groups cases by their reason, in the order of first appearance.
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
        let mut report = Report::new("toy", "selection");
        report.holds(5);
        report.case("a", || Verdict::Passed);
        report.case("b", || Verdict::Failed("off by one".into()));
        for name in ["c", "d"] {
            report.case(name, || Verdict::Unsupported("no such sampler".into()));
        }
        report.case("e", || panic!("a panic in a case"));
        report.finish();
        let text = table(&[report]);
        for line in [
            "toy               selection         5       1       2            2",
            "  b: off by one",
            "  no such sampler: c, d",
            "  e: it panicked",
        ] {
            assert!(text.contains(line), "no '{line}' in:\n{text}");
        }
    }

    #[test]
    fn a_case_that_was_not_run_is_a_failure() {
        let mut report = Report::new("toy", "selection");
        report.holds(2);
        report.case("a", || Verdict::Passed);
        report.finish();
        assert_eq!(report.failed.first().map(|case| case.why.as_str()), Some("2 cases, of which 1 were run"));
    }
}
