//! Which instruction sets a run of tests covered, from the lines `isa: NAME ran` and `isa: NAME skipped` of its output.

use std::collections::BTreeMap;
use std::fmt;

/// What the kernel tests reported, collected over all binaries.
#[derive(Default)]
pub struct Coverage {
    /// For the name of each instruction set, whether any test ran on it.
    seen: BTreeMap<String, bool>,
}

impl Coverage {
    /// Adds what a test binary printed. An instruction set counts as covered if any test ran on it.
    pub fn read(&mut self, stdout: &str) {
        for line in stdout.lines() {
            // If several tests run at once, a line may follow another test's text: `test a ... isa: neon ran`.
            let Some((_, report)) = line.split_once("isa: ") else { continue };
            let mut words = report.split_whitespace();
            let (Some(name), Some(state)) = (words.next(), words.next()) else { continue };
            let ran = match state.trim_end_matches(',') {
                "ran" => true,
                "skipped" => false,
                _ => continue,
            };
            *self.seen.entry(name.to_owned()).or_default() |= ran;
        }
    }

    /// Returns whether any test reported an instruction set.
    pub fn any(&self) -> bool {
        !self.seen.is_empty()
    }

    /// Returns whether a test ran on this instruction set.
    pub fn ran(&self, isa: &str) -> bool {
        self.seen.get(isa).copied().unwrap_or(false)
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.seen.is_empty() {
            return f.write_str("no report");
        }
        for (i, (name, ran)) in self.seen.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{name} {}", if *ran { "ran" } else { "skipped" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_wherever_they_stand() {
        let mut coverage = Coverage::default();
        coverage.read("isa: neon ran\ntest gemv ... isa: dotprod skipped\nisa: i8mm maybe\nnothing\n");
        assert!(coverage.ran("neon"));
        assert!(!coverage.ran("dotprod"));
        assert!(!coverage.ran("i8mm"));
        assert_eq!(coverage.to_string(), "dotprod skipped, neon ran");
    }

    #[test]
    fn a_skip_after_a_run_does_not_undo_it() {
        let mut coverage = Coverage::default();
        coverage.read("isa: neon ran\n");
        coverage.read("isa: neon skipped\n");
        assert!(coverage.ran("neon"));
    }

    #[test]
    fn no_line_is_no_coverage() {
        assert_eq!(Coverage::default().to_string(), "no report");
    }
}
