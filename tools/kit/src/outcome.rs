//! How a step of `cargo xtask test` ended, even if another process ran it.
//!
//! ```text
//! xtask                                            a tool
//! ask(command): HAPPY_OUTCOME names a fresh file   tell(result): writes `passed`, `skipped REASON`, .. into it
//! reads the file after the program's end           exits with 0, or with 1 after a failure
//! ```

use crate::{Result, paths, process};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// How a step ended when it did not fail.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran and passed.
    Passed,
    /// It could not run here, for this reason. In CI this is a failure.
    Skipped(String),
    /// What it needs could not be fetched, which cannot be fixed here. It is reported, in CI too, and never counts as
    /// passed.
    Unavailable(String),
}

/// Names the file in which a tool leaves the outcome.
const VARIABLE: &str = "HAPPY_OUTCOME";

/// Runs a program that ends with [`tell`], and returns the outcome.
///
/// # Errors
/// If the step failed, or the program ended without an outcome, for example by a signal.
pub fn ask(command: &mut Command) -> Result<Outcome> {
    let file = paths::target().join(format!("outcome-{}.txt", std::process::id()));
    // Left over from a killed process with the same id.
    let _ = fs::remove_file(&file);
    let ran = process::run(command.env(VARIABLE, &file));
    let told = fs::read_to_string(&file);
    let _ = fs::remove_file(&file);
    match told {
        Ok(text) => read(&text),
        Err(_) => ran.and(Err(format!("`{}` did not tell how it ended", process::display(command)))),
    }
}

/// Returns the exit code for a step's result, which is also passed to the process that started it, or printed to the
/// terminal.
pub fn tell(result: &Result<Outcome>) -> ExitCode {
    let file = std::env::var_os(VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
    match file {
        Some(file) => tell_in(&file, result),
        None => println!("{}", write(result)),
    }
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell_in(file: &Path, result: &Result<Outcome>) {
    if let Err(e) = fs::write(file, write(result)) {
        eprintln!("error: cannot write {}: {e}", file.display());
    }
}

/// Returns the exit code for a command's result, and prints an error.
pub fn exit(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the command `cargo run` for a tool's program, in the profile of `cargo xtask`. It runs in the caller's
/// folder.
pub fn tool(package: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["run", "--profile", "xtask", "--package", package, "--manifest-path"]);
    command.arg(paths::root().join("Cargo.toml")).arg("--").args(arguments);
    command
}

fn write(result: &Result<Outcome>) -> String {
    match result {
        Ok(Outcome::Passed) => "passed".into(),
        Ok(Outcome::Skipped(reason)) => format!("skipped {reason}"),
        Ok(Outcome::Unavailable(reason)) => format!("unavailable {reason}"),
        Err(message) => format!("failed {message}"),
    }
}

fn read(text: &str) -> Result<Outcome> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "passed" => Ok(Outcome::Passed),
        "skipped" => Ok(Outcome::Skipped(rest.into())),
        "unavailable" => Ok(Outcome::Unavailable(rest.into())),
        "failed" => Err(rest.into()),
        _ => Err(format!("a tool told an outcome that is not known: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_is_read() {
        let cases = [
            Ok(Outcome::Passed),
            Ok(Outcome::Skipped("no root".into())),
            Ok(Outcome::Unavailable("no network:\n  two lines".into())),
            Err("a: b\nc".into()),
        ];
        for result in cases {
            assert_eq!(read(&write(&result)), result);
        }
        assert!(read("").is_err() && read("passed?").is_err());
    }
}
