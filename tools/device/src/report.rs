//! The table at the end of a run on a device, and whether the run passed.

use crate::libtest::Results;
use happy_tool_emulated::isa::Coverage;
use happy_tool_kit::Result;

/// A package, or one of the other checks.
#[derive(Default)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) results: Results,
    pub(crate) programs: usize,
    pub(crate) seconds: f64,
    /// What failed, one line for each failure.
    pub(crate) failures: Vec<String>,
    pub(crate) coverage: Coverage,
}

/// Everything that was run on one device.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    /// What was left out, and why.
    pub(crate) notes: Vec<String>,
}

impl Report {
    /// Returns the table.
    pub(crate) fn text(&self, device: &str) -> String {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max(7);
        let mut text = format!(
            "\non {device}\n{:<width$} {:>7} {:>7} {:>7} {:>8} {:>9}\n",
            "package", "passed", "failed", "ignored", "programs", "time"
        );
        let mut line = |name: &str, passed, failed, ignored, programs, seconds: f64| {
            text += &format!(
                "{name:<width$} {passed:>7} {failed:>7} {ignored:>7} {programs:>8} {seconds:>7.1} s\n"
            );
        };
        let mut sums = Row::default();
        for row in &self.rows {
            let r = &row.results;
            line(&row.name, r.passed, r.failed, r.ignored, row.programs, row.seconds);
            sums.results.passed += r.passed;
            sums.results.failed += r.failed;
            sums.results.ignored += r.ignored;
            sums.programs += row.programs;
            sums.seconds += row.seconds;
        }
        let r = &sums.results;
        line("total", r.passed, r.failed, r.ignored, sums.programs, sums.seconds);
        for row in self.rows.iter().filter(|row| row.coverage.any()) {
            text += &format!("{}: isa: {}\n", row.name, row.coverage);
        }
        for row in &self.rows {
            for said in &row.results.not_run {
                text += &format!("{}: {said}\n", row.name);
            }
        }
        for note in &self.notes {
            text += &format!("{note}\n");
        }
        text
    }

    /// Returns an error that names what failed. A run without any tests is a failure, too.
    pub(crate) fn verdict(&self, device: &str) -> Result<()> {
        let failures: Vec<&str> =
            self.rows.iter().flat_map(|row| &row.failures).map(String::as_str).collect();
        if !failures.is_empty() {
            return Err(format!("{} failure(s) on {device}:\n  {}", failures.len(), failures.join("\n  ")));
        }
        if self.rows.iter().all(|row| row.results.passed == 0) {
            return Err(format!("no test ran on {device}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, passed: usize, failures: &[&str]) -> Row {
        Row {
            name: name.into(),
            results: Results { passed, failed: failures.len(), ..Results::default() },
            failures: failures.iter().map(|text| (*text).to_owned()).collect(),
            ..Row::default()
        }
    }

    #[test]
    fn a_run_passes_when_something_ran_and_nothing_failed() {
        let cases: &[(&str, Vec<Row>, Option<&str>)] = &[
            ("all pass", vec![row("a", 2, &[]), row("b", 0, &[])], None),
            ("one fails", vec![row("a", 2, &[]), row("b", 1, &["t of b"])], Some("t of b")),
            ("nothing ran", vec![row("a", 0, &[])], Some("no test ran")),
            ("no rows", vec![], Some("no test ran")),
        ];
        let mut wrong = Vec::new();
        for (what, rows, expected) in cases {
            let rows = rows.iter().map(|r| {
                row(&r.name, r.results.passed, &r.failures.iter().map(String::as_str).collect::<Vec<_>>())
            });
            let report = Report { rows: rows.collect(), notes: Vec::new() };
            let found = report.verdict("S1");
            let right = match expected {
                None => found.is_ok(),
                Some(part) => found.as_ref().is_err_and(|e| e.contains(part) && e.contains("S1")),
            };
            if !right {
                wrong.push(format!("{what}: {found:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_table_has_sums_and_notes() {
        let mut report = Report { rows: vec![row("happy-a", 2, &[]), row("b", 3, &["x"])], notes: vec![] };
        report.rows[1].results.not_run.insert("NOT RUN: no corpus".into());
        report.notes.push("left out".into());
        let text = report.text("S1");
        let total: Vec<&str> =
            text.lines().find(|l| l.starts_with("total")).expect("a sum").split_whitespace().collect();
        assert_eq!(total[1..4], ["5", "1", "0"]);
        assert!(text.contains("b: NOT RUN: no corpus") && text.ends_with("left out\n"));
    }
}
