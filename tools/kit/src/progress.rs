//! `cargo test` as a line per test program: what runs, how many tests passed, how long it took; failures in full.
//!
//! ```text
//!   happy_gguf tests/files.rs: 21 passed, 0.4 s
//! ```

use crate::{Result, process};
use std::io::{BufRead, BufReader};
use std::process::Command;
use std::time::Instant;

/// What the test programs of a run reported.
#[derive(Default)]
pub struct Totals {
    programs: usize,
    passed: usize,
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tests in {} programs passed", self.passed, self.programs)
    }
}

/// Runs a `cargo test` (without `--quiet`) and shows its progress.
pub fn run(command: &mut Command) -> Result<Totals> {
    // One pipe for both outputs keeps their order.
    let broken = |e: std::io::Error| format!("cannot start `cargo test`: {e}");
    let (reader, writer) = std::io::pipe().map_err(broken)?;
    command.stdout(writer.try_clone().map_err(broken)?).stderr(writer);
    let mut child = command.spawn().map_err(broken)?;
    let shown = process::display(command);
    // The command holds the pipe's writing end; without this the reader would never end.
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let (mut filter, mut totals) = (Filter::default(), Totals::default());
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.map_err(|e| format!("cannot read the output of `{shown}`: {e}"))?;
        if let Some(text) = filter.line(&String::from_utf8_lossy(&line), &mut totals) {
            println!("{text}");
        }
    }
    let status = child.wait().map_err(|e| format!("cannot wait for `{shown}`: {e}"))?;
    if status.success() { Ok(totals) } else { Err(format!("`{shown}` failed ({status})")) }
}

/// Filters out what passes.
#[derive(Default)]
struct Filter {
    /// The program that is running, and when it started.
    program: Option<(String, Instant)>,
    /// Whether failures are being printed.
    failing: bool,
}

impl Filter {
    /// Returns what to show for a line of cargo's or of a test program's.
    fn line(&mut self, line: &str, totals: &mut Totals) -> Option<String> {
        let trimmed = line.trim_start();
        if let Some(program) = trimmed.strip_prefix("Running ").or(trimmed.strip_prefix("Doc-tests ")) {
            let doc = trimmed.starts_with("Doc-tests");
            let name = if doc { format!("{program} documentation") } else { name(program) };
            self.program = Some((name, Instant::now()));
            self.failing = false;
            return None;
        }
        if let Some(result) = line.strip_prefix("test result: ") {
            let passed: usize =
                result.split(" passed").next()?.rsplit(' ').next()?.parse().unwrap_or_default();
            totals.programs += 1;
            totals.passed += passed;
            let (name, start) = self.program.take().unwrap_or_else(|| ("tests".into(), Instant::now()));
            self.failing = false;
            let seconds = start.elapsed().as_secs_f64();
            return match result.starts_with("ok") {
                // A program without tests prints nothing worth a line.
                true if passed == 0 => None,
                true => Some(format!("  {name}: {passed} passed, {seconds:.1} s")),
                false => Some(format!("  {name}: FAILED, {result}")),
            };
        }
        self.failing |= line == "failures:";
        let passes = line.starts_with("running ")
            || line.starts_with("all doctests ran in ")
            || line.starts_with("test ") && !line.ends_with("FAILED") && line.contains(" ... ")
            || line.trim().is_empty();
        (self.failing || !passes).then(|| line.to_owned())
    }
}

/// Turns `tests/files.rs (target/release/deps/files-0123)` or `unittests src/lib.rs (.../happy_gguf-0123)` into program
/// and file.
fn name(program: &str) -> String {
    let (source, binary) = program.split_once(" (").unwrap_or((program, ""));
    let source = source.trim_start_matches("unittests ");
    let binary = binary.trim_end_matches(')').rsplit(['/', '\\']).next().unwrap_or_default();
    let binary = binary.rsplit_once('-').map_or(binary, |(name, _)| name);
    format!("{binary} {source}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> (Vec<String>, Totals) {
        let (mut filter, mut totals) = (Filter::default(), Totals::default());
        let lines = text.lines().filter_map(|line| filter.line(line, &mut totals)).collect();
        (lines, totals)
    }

    #[test]
    fn programs_that_pass_take_a_line() {
        let (lines, totals) = shown(
            "   Compiling happy-gguf v0.1.0\n     Running tests/files.rs (target/release/deps/files-01ab)\n\nrunning 2 tests\n\
             test a ... ok\ntest b ... ok\n\ntest result: ok. 2 passed; 0 failed; 0 ignored\n\n   Doc-tests happy_gguf\n\n\
             running 0 tests\n\ntest result: ok. 0 passed; 0 failed\n",
        );
        assert_eq!(lines[0], "   Compiling happy-gguf v0.1.0");
        assert!(lines[1].starts_with("  files tests/files.rs: 2 passed, "), "{lines:?}");
        assert_eq!((lines.len(), totals.programs, totals.passed), (2, 2, 2));
    }

    #[test]
    fn failures_are_told_in_full() {
        let (lines, _) = shown(
            "     Running unittests src/lib.rs (target/deps/happy_x-1)\nrunning 2 tests\ntest a ... FAILED\ntest b ... ok\n\n\
             failures:\n\n---- a stdout ----\ntest b ... ok, it said\n\nfailures:\n    a\n\ntest result: FAILED. 1 passed; 1 failed\n",
        );
        assert!(lines.contains(&"test a ... FAILED".to_owned()), "{lines:?}");
        assert!(lines.contains(&"test b ... ok, it said".to_owned()), "{lines:?}");
        assert_eq!(
            lines.last().map(String::as_str),
            Some("  happy_x src/lib.rs: FAILED, FAILED. 1 passed; 1 failed")
        );
    }
}
