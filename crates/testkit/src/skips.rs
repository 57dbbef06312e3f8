//! Skips that nobody overlooks: they are printed, written to a file for the summary, and are failures in CI.

use crate::variable;
use std::io::Write;

/// Reports that the calling test, or a part of it, does not run, and why. The test must return then.
///
/// # Panics
/// With `CI=true` or `CI=1`, where everything that needs no root must be installed.
pub fn skip(why: &str) {
    report(why);
    assert!(!is_ci(), "CI=true allows no skips, but: {why}");
}

/// Does the same for tools that only root can install, such as a compiler of another language. The skip is reported,
/// but is no failure in CI.
pub fn skip_without_root(why: &str) {
    report(why);
}

fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

fn report(why: &str) {
    // The test harness names its threads after the tests.
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let program = std::env::args().next().unwrap_or_default();
    let program = program.rsplit(['/', '\\']).next().unwrap_or_default();
    // Cargo appends a hash.
    let program = program.rsplit_once('-').map_or(program, |(name, _)| name);
    let line = format!("{program} {test}: {}", why.replace('\n', " "));
    println!("NOT RUN: {line}");
    let Some(path) = variable("HAPPY_SKIPS") else { return };
    // One write for each line, because several processes append to the file.
    let written = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    if let Err(e) = written {
        panic!("cannot append to {} (HAPPY_SKIPS): {e}", path.display());
    }
}
