//! Checks the syntax of the Dart files: tree-sitter's grammar, from a package that pip fetches, parses each of them. A
//! compiler would find far more, but none can be installed from a package registry.

use happy_tool_kit::outcome::Outcome;
use happy_tool_kit::{Result, paths, process};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The parser and the grammar, with their versions.
const PACKAGES: &[&str] = &["tree-sitter==0.25.2", "tree-sitter-dart==0.1.0"];

const INSTALL_LIMIT: Duration = Duration::from_secs(300);
const PARSE_LIMIT: Duration = Duration::from_secs(120);

/// Parses `files`. A syntax error is reported with file and line.
pub(super) fn check(files: &[PathBuf]) -> Result<Outcome> {
    let packages = match install()? {
        Ok(packages) => packages,
        Err(reason) => return Ok(Outcome::Unavailable(reason)),
    };
    try_out(&packages)?;
    parse(files, &packages)?;
    println!("{} Dart files parsed with {}", files.len(), PACKAGES.join(" and "));
    Ok(Outcome::Passed)
}

fn parse(files: &[PathBuf], packages: &Path) -> Result<()> {
    let script = paths::root().join("tools/bindings/src/dart/parse.py");
    let mut command = Command::new("python3");
    let done = process::run_within(
        command.arg(script).args(files).env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1"),
        PARSE_LIMIT,
    )?;
    if done.success {
        return Ok(());
    }
    Err(format!("not every Dart file is Dart ({}):\n{}{}", done.ending, done.stdout, done.stderr))
}

/// Texts and the place of the error in each. A parser that misses one of them proves nothing about other files.
const TRIALS: &[(&str, &str, Option<&str>)] = &[
    (
        "good.dart",
        "sealed class A {}\nfinal class B extends A { B(this.x); final int? x; }\n\
         int f(A a) => switch (a) { B(:final x?) => x, _ => 0 };\n",
        None,
    ),
    ("error.dart", "void f() {}\nvoid g() { final x = ; }\n", Some("error.dart:2:20: no Dart")),
    ("missing.dart", "class A {\n  int f() => 1\n}\n", Some("missing.dart:2:15: a missing ;")),
    ("open.dart", "class A {\n  void f() {\n}\n", Some("open.dart:")),
];

/// Parses the trials, which test the script and the grammar on each machine that runs them.
fn try_out(packages: &Path) -> Result<()> {
    let folder = paths::target().join("dart").join(format!("trials-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
    let mut failures = Vec::new();
    for (name, text, expected) in TRIALS {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        match (parse(&[path], packages), expected) {
            (Ok(()), None) => {}
            (Err(found), Some(expected)) if found.contains(expected) => {}
            (found, expected) => failures.push(format!("{name}: expected {expected:?}, found {found:?}")),
        }
    }
    // It is not needed any more.
    let _ = std::fs::remove_dir_all(&folder);
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// Returns the folder of the packages or, if pip cannot fetch them, the reason.
fn install() -> Result<std::result::Result<PathBuf, String>> {
    let folder =
        paths::target().join("dart").join(format!("grammar-{}", PACKAGES.join("-").replace("==", "-")));
    if folder.is_dir() {
        return Ok(Ok(folder));
    }
    // It has another name until it is complete, since another process may be doing the same.
    let partial = folder.with_extension(format!("partial-{}", std::process::id()));
    let mut command = Command::new("python3");
    command
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary", ":all:", "--target"])
        .arg(&partial)
        .args(PACKAGES);
    let done = process::run_within(&mut command, INSTALL_LIMIT)?;
    if !done.success {
        let _ = std::fs::remove_dir_all(&partial);
        let last = done.stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("").trim();
        return Ok(Err(format!("pip cannot fetch {} ({}): {last}", PACKAGES.join(", "), done.ending)));
    }
    if let Err(e) = std::fs::rename(&partial, &folder) {
        let _ = std::fs::remove_dir_all(&partial);
        if !folder.is_dir() {
            return Err(format!("cannot rename {} to {}: {e}", partial.display(), folder.display()));
        }
    }
    Ok(Ok(folder))
}
