//! Tests that are skipped inside test programs: each appends a line to the file that `HAPPY_SKIPS` names
//! (`crates/testkit`), so that the summary of `cargo xtask test` can list them, although cargo shows nothing of tests
//! that pass.

use happy_tool_kit::paths;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// Returns the variable and the file for programs that this process starts.
pub(crate) fn variable() -> (&'static str, PathBuf) {
    ("HAPPY_SKIPS", file())
}

/// Returns the skips since the last call, with the number of times each was reported, in the order of their texts.
pub(crate) fn take() -> BTreeMap<String, usize> {
    // Without skips there is no file.
    let text = fs::read_to_string(file()).unwrap_or_default();
    let _ = fs::remove_file(file());
    count(&text)
}

fn file() -> PathBuf {
    paths::target().join(format!("skips-{}.txt", std::process::id()))
}

fn count(text: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_skips_are_counted() {
        let found = count("jvm a: no `javac`\n\njvm a: no `javac`\njvm b: no `javac`\n");
        let found: Vec<_> = found.iter().map(|(line, n)| (line.as_str(), *n)).collect();
        assert_eq!(found, [("jvm a: no `javac`", 2), ("jvm b: no `javac`", 1)]);
    }
}
