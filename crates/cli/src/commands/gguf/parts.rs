//! `happy gguf split` and `happy gguf merge`.

use super::{open, print_json};
use crate::error::CliResult;
use crate::output;
use clap::Args;
use happy_gguf::{GgufWriter, SplitBy};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

/// Options of `happy gguf split`.
#[derive(Debug, Args)]
pub(crate) struct SplitArgs {
    /// GGUF file: a path, or a known name
    file: String,
    /// What the new names begin with: PREFIX-00001-of-00003.gguf
    prefix: PathBuf,
    /// Tensors in a file
    #[arg(long, value_name = "N", conflicts_with = "max_size", required_unless_present = "max_size")]
    max_tensors: Option<usize>,
    /// Most bytes of tensors in a file: 500M, 2G
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Options of `happy gguf merge`.
#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// The first file of a split model
    first: String,
    /// The file to write
    output: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs `happy gguf split`.
pub(super) fn split(args: &SplitArgs) -> CliResult {
    let model = open(&args.file)?;
    let by = match (args.max_tensors, args.max_size) {
        (Some(n), _) => SplitBy::Tensors(n),
        (None, size) => SplitBy::Bytes(size.unwrap_or(u64::MAX)),
    };
    let paths = GgufWriter::write_split(&model.view(), by, &args.prefix)?;
    if args.json {
        let files: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        return print_json(&json!({ "files": files }));
    }
    let mut out = std::io::stdout().lock();
    for path in paths {
        writeln!(out, "{}", path.display())?;
    }
    Ok(())
}

/// Runs `happy gguf merge`.
pub(super) fn merge(args: &MergeArgs) -> CliResult {
    let model = open(&args.first)?;
    let n = model.parts().len();
    let bytes = GgufWriter::merge(&model.view()).write_file(&args.output)?;
    if args.json {
        return print_json(&json!({ "file": args.output.display().to_string(), "bytes": bytes, "parts": n }));
    }
    output::note(&format!("{}: {} from {n} files", args.output.display(), output::human_bytes(bytes)));
    Ok(())
}

/// A number of bytes, with K, M, G (of 1024) behind it.
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
