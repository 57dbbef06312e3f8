//! Reads what a Rust test program prints: each test's result, the output of failures, and which tests said that they
//! did not run.

use std::collections::BTreeSet;

/// The results of one program, or the sum of several.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Results {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) ignored: usize,
    /// Lines of tests that passed without their data: `NOT RUN: ...`.
    pub(crate) not_run: BTreeSet<String>,
}

/// The output of one program.
pub(crate) struct Output<'a> {
    pub(crate) results: Results,
    /// The lines `test NAME ... RESULT`.
    pub(crate) lines: Vec<&'a str>,
    /// The output of the tests that failed, with its heading.
    pub(crate) failures: &'a str,
    /// The last line, `test result: ...`; a program that crashed has none.
    pub(crate) summary: Option<&'a str>,
}

impl Results {
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.not_run.extend(other.not_run);
    }
}

/// Reads what a program printed under `--show-output`.
pub(crate) fn read(text: &str) -> Output<'_> {
    let mut results = Results::default();
    let mut lines = Vec::new();
    // What tests print comes after the list of tests, and may look like it.
    let end = ["\nsuccesses:\n", "\nfailures:\n"].iter().filter_map(|heading| text.find(heading)).min();
    let (list, rest) = text.split_at(end.unwrap_or(text.len()));
    for line in list.lines() {
        let Some((_, result)) = line.strip_prefix("test ").and_then(|line| line.rsplit_once(" ... ")) else {
            continue;
        };
        match result.split([' ', ',']).next() {
            Some("ok") => results.passed += 1,
            Some("FAILED") => results.failed += 1,
            Some("ignored") => results.ignored += 1,
            _ => continue,
        }
        lines.push(line);
    }
    let said = text.lines().filter_map(|line| line.find("NOT RUN").map(|at| line[at..].trim().to_owned()));
    results.not_run = said.collect();
    let summary = text.lines().rev().find(|line| line.starts_with("test result: "));
    // A test's threads and children may write into the lines above; nobody writes into the summary.
    if let Some(summary) = summary {
        let count = |word| count_before(summary, word);
        (results.passed, results.failed, results.ignored) =
            (count(" passed"), count(" failed"), count(" ignored"));
    }
    let failures = rest.find("\nfailures:\n").map_or("", |at| {
        let failures = &rest[at..];
        let end = failures.rfind("\ntest result: ").unwrap_or(failures.len());
        failures[..end].trim_end()
    });
    Output { results, lines, failures, summary }
}

/// The number that stands before a word of `test result: ok. 12 passed; 0 failed; ...`.
fn count_before(summary: &str, word: &str) -> usize {
    let number = summary.split(word).next().and_then(|text| text.rsplit(' ').next());
    number.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
running 4 tests
test a::b ... ok
test c - should panic ... ok
test d ... ignored, too slow
test e ... FAILED

successes:

---- a::b stdout ----
NOT RUN: no corpus at /x
test fake ... ok

successes:
    a::b

failures:

---- e stdout ----
thread 'e' panicked at tests/x.rs:3:5:
left is not right

failures:
    e

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
";

    #[test]
    fn a_program_s_output_is_read() {
        let output = read(TEXT);
        let not_run = BTreeSet::from(["NOT RUN: no corpus at /x".to_owned()]);
        assert_eq!(output.results, Results { passed: 2, failed: 1, ignored: 1, not_run });
        assert_eq!(output.lines.len(), 4);
        assert!(output.failures.contains("left is not right") && !output.failures.contains("test result"));
        assert!(output.summary.is_some_and(|line| line.contains("2 passed; 1 failed")));
    }

    #[test]
    fn counts_do_not_depend_on_lines_that_others_write_into() {
        let text = "test a ... noise\nok\ntest b ... ok\n\ntest result: ok. 2 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out\n";
        let output = read(text);
        assert_eq!((output.results.passed, output.results.failed, output.results.ignored), (2, 0, 3));
        assert_eq!(output.lines, ["test b ... ok"]);
    }

    #[test]
    fn a_crash_keeps_what_was_printed_before() {
        let output = read("\nrunning 3 tests\ntest a ... ok\ntest b ... ");
        assert_eq!((output.results.passed, output.results.failed, output.summary), (1, 0, None));
        assert_eq!(output.failures, "");
    }
}
