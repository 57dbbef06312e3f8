//! `happy gguf check`: checks whether every reader accepts a file.

use super::print_json;
use crate::error::{CliError, CliResult};
use crate::models;
use crate::paths::{AccessArgs, shown};
use clap::Args;
use happy_gguf::{FileName, GgufHeader, GgufSetFile, HeaderOptions, Limits, recover_file};
use serde_json::json;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Options of `happy gguf check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// GGUF file: a path or a name, as `happy run -m` takes it; any part of a split model
    file: OsString,
    /// Also fail for what the reference reader refuses
    #[arg(long)]
    strict: bool,
    /// Restore the header if a change of it was interrupted
    #[arg(long)]
    recover: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: AccessArgs,
}

/// What was found.
struct Findings {
    errors: Vec<String>,
    warnings: Vec<String>,
    tensors: usize,
    parts: usize,
}

/// Runs the command.
pub(super) fn run(args: &CheckArgs) -> CliResult {
    let path = models::resolve(&args.file)?;
    let recovered = args.recover && recover_file(&path)?;
    let found = check(&path, args.strict)?;
    let fits = FileName::parse(&name_of(&path)).is_some();
    if args.json {
        print_json(&json!({
            "file": shown(&args.file), "valid": found.errors.is_empty(), "errors": found.errors, "warnings": found.warnings,
            "parts": found.parts, "tensors": found.tensors, "recovered": recovered, "name_follows_convention": fits,
        }))?;
    } else {
        let mut out = std::io::stdout().lock();
        if recovered {
            writeln!(out, "the header was put back")?;
        }
        for warning in &found.warnings {
            writeln!(out, "warning: {warning}")?;
        }
        if found.errors.is_empty() {
            writeln!(out, "valid: {} tensors in {} files", found.tensors, found.parts)?;
        }
    }
    match found.errors.first() {
        None => Ok(()),
        Some(error) => Err(CliError::new(error.clone())),
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn check(path: &Path, strict: bool) -> CliResult<Findings> {
    let mut found = Findings { errors: Vec::new(), warnings: Vec::new(), tensors: 0, parts: 0 };
    match GgufSetFile::headers(path, &Limits::default()) {
        Ok(set) => {
            for (name, file) in set.parts() {
                let view = file.view();
                found.parts += 1;
                found.tensors += view.tensors().len();
                found.warnings.extend(view.warnings().iter().map(|w| format!("{name}: {w}")));
                if let (true, Err(error)) = (strict, view.check_strict()) {
                    found.errors.push(format!("{name}: {error}"));
                }
            }
        }
        Err(error) => {
            found.errors.push(error.to_string());
            found.warnings = leniently(path);
        }
    }
    Ok(found)
}

/// Returns everything that is wrong with a file that only lenient reading accepts.
fn leniently(path: &Path) -> Vec<String> {
    let header = || {
        let file = File::open(path).ok()?;
        let file_len = Some(file.metadata().ok()?.len());
        let options = HeaderOptions { lenient: true, file_len, ..HeaderOptions::default() };
        GgufHeader::read_with(file, &options).ok()
    };
    header().map(|h| h.view().warnings().iter().map(ToString::to_string).collect()).unwrap_or_default()
}
