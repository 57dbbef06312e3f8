//! `cargo xtask dart`: the Dart bindings in `bindings/flutter`, made from the C header, and checked without Dart.
//!
//! ```text
//! header.rs    happy.h -> declarations           (lex.rs: its tokens)
//! emit.rs      declarations -> bindings.dart
//! --check:     bindings.dart is what the header gives, and then
//! read.rs      bindings.dart -> what Dart sees   (layout.rs: sizes and offsets by the rules of dart:ffi)
//! probe.rs     the C compiler compares that with happy.h
//! uses.rs      the hand-written Dart uses bindings that exist, with the right number of arguments
//! grammar.rs   every Dart file parses
//! ```

mod emit;
mod grammar;
pub(crate) mod header;
mod layout;
mod lex;
mod probe;
mod read;
mod uses;

use happy_tool_kit::outcome::Outcome;
use happy_tool_kit::{Result, paths};
use std::path::{Path, PathBuf};

/// Arguments of `dart`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail if the bindings are not what the header gives, or if some Dart file cannot be right
    #[arg(long)]
    check: bool,
}

/// The folder of the header, from the root.
const INCLUDE: &str = "crates/ffi/include";
const PLUGIN: &str = "bindings/flutter";
const BINDINGS: &str = "bindings/flutter/lib/src/bindings.dart";

/// Folders that Flutter's tools create.
const MADE: &[&str] = &["build", ".dart_tool"];

/// `cargo xtask dart [--check]`.
pub(crate) fn run(args: &Args) -> Result<()> {
    if !args.check {
        let path = paths::root().join(BINDINGS);
        let text = emit::dart(&header()?)?;
        return std::fs::write(&path, text).map_err(|e| format!("cannot write {BINDINGS}: {e}"));
    }
    match step()? {
        Outcome::Passed => Ok(()),
        Outcome::Skipped(reason) | Outcome::Unavailable(reason) => Err(reason),
    }
}

/// The step of `cargo xtask test`.
pub(crate) fn step() -> Result<Outcome> {
    crate::options::check()?;
    let header = header()?;
    let text = read(&paths::root().join(BINDINGS))?;
    same(&text, &emit::dart(&header)?)?;
    let dart = read::read(&text).map_err(|what| format!("{BINDINGS}: {what}"))?;
    println!("{}", probe::check(&header, &dart, &paths::root().join(INCLUDE))?);
    let files = dart_files(&paths::root().join(PLUGIN))?;
    let mut faults = Vec::new();
    for path in files.iter().filter(|path| !path.ends_with(BINDINGS)) {
        let found = uses::faults(&dart, &read(path)?);
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", paths::short(path))));
    }
    if !faults.is_empty() {
        return Err(faults.join("\n"));
    }
    grammar::check(&files)
}

pub(crate) fn header() -> Result<header::Header> {
    let path = paths::root().join(INCLUDE).join("happy.h");
    header::parse(&read(&path)?).map_err(|what| format!("{}: {what}", paths::short(&path)))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", paths::short(path)))
}

/// Checks that the bindings in the repository are those that the header gives.
fn same(found: &str, expected: &str) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let common = found.lines().zip(expected.lines()).take_while(|(a, b)| a == b).count();
    Err(format!(
        "{BINDINGS}:{}: not what the header gives; run `cargo xtask dart` and commit the result",
        common + 1
    ))
}

/// Returns all Dart files under `folder`, in the order of their paths.
fn dart_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = std::fs::read_dir(folder).map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|e| format!("cannot read {}: {e}", folder.display()))?.path();
        if path.is_dir() {
            let made = path.file_name().is_some_and(|name| MADE.iter().any(|made| name == *made));
            if !made {
                files.extend(dart_files(&path)?);
            }
        } else if path.extension().is_some_and(|extension| extension == "dart") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bindings_are_what_the_header_gives() {
        same(&read(&paths::root().join(BINDINGS)).unwrap(), &emit::dart(&header().unwrap()).unwrap())
            .unwrap();
    }

    #[test]
    fn a_difference_is_named_by_its_line() {
        assert!(same("a\nb\n", "a\nc\n").is_err_and(|e| e.contains("bindings.dart:2: not what")));
        assert!(same("a\n", "a\nb\n").is_err_and(|e| e.contains("bindings.dart:2: not what")));
    }
}
