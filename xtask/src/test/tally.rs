//! The results of the steps of a run, and their summary.

use super::clock::Clock;
use super::steps::{STEPS, Step};
use crate::skips;
use happy_tool_kit::outcome::Outcome;
use happy_tool_kit::{Result, paths};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// The results of one process. [`Tally::add`] joins those of two.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Tally {
    /// A step's name, and its line in the summary.
    lines: Vec<(String, String)>,
    /// What was skipped inside steps.
    skips: Vec<String>,
    failures: Vec<String>,
    passed: usize,
    not_run: usize,
}

impl Tally {
    /// Runs a step.
    pub(super) fn run(&mut self, step: &Step) {
        eprintln!("\n=== {}: {}", step.name, step.what);
        let clock = Clock::start();
        let result = (step.run)();
        match result {
            Ok(Outcome::Passed) => self.passed += 1,
            Ok(_) if !paths::is_ci() => self.not_run += 1,
            Ok(Outcome::Unavailable(_)) => self.not_run += 1,
            _ => {}
        }
        let (mut line, failure) = judge(step, result, paths::is_ci());
        let inside = skips::take();
        if !inside.is_empty() {
            line += &format!(", {} skipped inside", inside.values().sum::<usize>());
            let often = |n: usize| if n > 1 { format!(" ({n} times)") } else { String::new() };
            self.skips.extend(inside.iter().map(|(skip, n)| format!("{}: {skip}{}", step.name, often(*n))));
        }
        let line = format!("{:<14}{}  {line}", step.name, clock.columns());
        eprintln!("=== {line}");
        self.lines.push((step.name.to_owned(), line));
        self.failures.extend(failure);
    }

    /// Adds the results of other steps.
    pub(super) fn add(&mut self, other: Tally) {
        self.lines.extend(other.lines);
        let place = |name: &str| STEPS.iter().position(|step| step.name == name);
        self.lines.sort_by_key(|(name, _)| place(name));
        self.skips.extend(other.skips);
        self.failures.extend(other.failures);
        self.passed += other.passed;
        self.not_run += other.not_run;
    }

    pub(super) fn has_failed(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Prints the failures, and the summary.
    pub(super) fn print(&self, clock: &Clock) {
        for failure in &self.failures {
            eprintln!("{failure}");
        }
        println!("\nsummary of cargo xtask test: elapsed and CPU time");
        for (_, line) in &self.lines {
            println!("  {line}");
        }
        println!("  {:<14}{}  {} not run", "total", clock.columns(), self.not_run);
        if !self.skips.is_empty() {
            println!("skipped inside steps:");
            for skip in &self.skips {
                println!("  {skip}");
            }
        }
        println!("{} passed, {} failed", self.passed, self.failures.len());
    }

    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string(self).map_err(|e| format!("cannot write the report: {e}"))?;
        fs::write(file, text).map_err(|e| format!("cannot write {}: {e}", file.display()))
    }

    pub(super) fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))
    }
}

/// Returns the summary's text for a step's result, and the error if it counts as a failure.
fn judge(step: &Step, result: Result<Outcome>, ci: bool) -> (String, Option<String>) {
    match result {
        Ok(Outcome::Passed) => ("passed".into(), None),
        Ok(Outcome::Skipped(reason)) if ci => {
            let text = format!("FAILED: it cannot run here ({reason}), and CI=true allows no skips");
            (text.clone(), Some(format!("step {}: {text}", step.name)))
        }
        Ok(Outcome::Skipped(reason)) => (format!("SKIPPED: {reason}"), None),
        Ok(Outcome::Unavailable(reason)) => (format!("NOT RUN: {reason}"), None),
        Err(message) => (
            "FAILED".into(),
            Some(format!("step {} failed: {message}\nwhat to do: {}", step.name, step.advice)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_passes_on_a_desk_and_fails_in_ci() {
        let step = &STEPS[0];
        let skipped = || Ok(Outcome::Skipped("no root".into()));
        assert!(judge(step, skipped(), false).1.is_none());
        assert!(judge(step, skipped(), false).0.contains("SKIPPED: no root"));
        assert!(judge(step, skipped(), true).1.is_some_and(|message| message.contains("no root")));
        let unavailable = judge(step, Ok(Outcome::Unavailable("no network".into())), true);
        assert_eq!(unavailable, ("NOT RUN: no network".into(), None));
    }

    #[test]
    fn a_failure_says_what_to_do() {
        let (line, failure) = judge(&STEPS[0], Err("it broke".into()), false);
        assert_eq!(line, "FAILED");
        assert_eq!(failure.as_deref(), Some("step fmt failed: it broke\nwhat to do: run `cargo fmt --all`"));
    }

    #[test]
    fn what_ran_beside_counts_and_keeps_its_place() {
        let line = |name: &str| (name.to_owned(), format!("{name} 1 s"));
        let mut tally = Tally { lines: vec![line("fmt"), line("tests")], passed: 2, ..Tally::default() };
        let other =
            Tally { lines: vec![line("clippy")], failures: vec!["clippy failed".into()], ..Tally::default() };
        let text = serde_json::to_string(&other).expect("JSON");
        tally.add(serde_json::from_str(&text).expect("the same"));
        let names: Vec<&str> = tally.lines.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names, tally.passed), (vec!["fmt", "clippy", "tests"], 2));
        assert!(tally.has_failed());
    }
}
