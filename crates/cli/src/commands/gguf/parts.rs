//! `happy gguf split` and `happy gguf merge`.

use super::{open, print_json};
use crate::error::CliResult;
use crate::paths::{AccessArgs, check_output, shown};
use crate::{interrupt, output};
use clap::Args;
use happy_gguf::{GgufWriter, SplitBy, WriteOptions, part_paths};
use serde_json::json;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

/// Options of `happy gguf split`.
#[derive(Debug, Args)]
pub(crate) struct SplitArgs {
    /// GGUF file: a path or a name, as `happy run -m` takes it
    file: OsString,
    /// What the new names begin with: PREFIX-00001-of-00003.gguf
    prefix: PathBuf,
    /// Maximum number of tensors in a file
    #[arg(long, value_name = "N", conflicts_with = "max_size", required_unless_present = "max_size")]
    max_tensors: Option<usize>,
    /// Maximum size of the tensors in a file: 500M, 2G
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// Replace files that exist
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: AccessArgs,
}

/// Options of `happy gguf merge`.
#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// A file of a split model: any part
    part: OsString,
    /// The file to write
    output: PathBuf,
    /// Replace files that exist
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: AccessArgs,
}

/// Runs `happy gguf split`.
pub(super) fn split(args: &SplitArgs) -> CliResult {
    let model = open(&args.file)?;
    let by = match (args.max_tensors, args.max_size) {
        (Some(n), _) => SplitBy::Tensors(n),
        (None, size) => SplitBy::Bytes(size.unwrap_or(u64::MAX)),
    };
    let parts = model.split(by)?;
    for path in part_paths(&args.prefix, parts.len()) {
        check_output(&path, model.paths(), args.force)?;
    }
    interrupt::remove_unfinished_files()?;
    let paths = GgufWriter::write_parts(&parts, &args.prefix, &options(args.force))?;
    if args.json {
        let files: Vec<_> = paths.iter().map(shown).collect();
        return print_json(&json!({ "files": files }));
    }
    let mut out = std::io::stdout().lock();
    for path in paths {
        writeln!(out, "{}", shown(path))?;
    }
    Ok(())
}

/// Runs `happy gguf merge`.
pub(super) fn merge(args: &MergeArgs) -> CliResult {
    let model = open(&args.part)?;
    check_output(&args.output, model.paths(), args.force)?;
    interrupt::remove_unfinished_files()?;
    let n = model.paths().len();
    let bytes = model.merge().write_file_with(&args.output, &options(args.force))?;
    let path = shown(&args.output);
    if args.json {
        return print_json(&json!({ "file": path, "bytes": bytes, "parts": n }));
    }
    output::note(&format!("{path}: {} from {n} files", output::human_bytes(bytes)));
    Ok(())
}

fn options(force: bool) -> WriteOptions<'static> {
    WriteOptions { replace: force, ..WriteOptions::default() }
}

/// Parses a number of bytes, which may be followed by K, M or G (of 1024).
fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 1u64 << 10),
        Some((at, 'M' | 'm')) => (&text[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let n = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    n.filter(|n| *n > 0).ok_or_else(|| "expected a number of bytes such as 500M".to_owned())
}
