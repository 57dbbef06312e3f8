//! `happy tokenize`: text to token ids. Needs the tokenizer only, so vocabulary-only files do.

use crate::error::{CliError, CliResult};
use crate::input::{self, StdinLines};
use crate::{load, prompt};
use clap::Args;
use serde::Deserialize;
use serde_json::json;
use std::io::Write;

/// Options of `happy tokenize`.
#[derive(Debug, Args)]
pub(crate) struct TokenizeArgs {
    /// Model: a path, or a known name
    #[arg(short, long)]
    model: String,
    /// Read `{"text": ..}` a line, write `{"ids": [..]}` a line
    #[arg(long)]
    jsonl: bool,
    /// Take the strings of special tokens as plain text
    #[arg(long)]
    no_special: bool,
    /// Add nothing: no BOS, EOS, CLS or SEP
    #[arg(long)]
    no_bos: bool,
}

/// A line of input.
#[derive(Deserialize)]
struct Line {
    text: String,
}

/// Runs the command.
pub(crate) fn run(args: &TokenizeArgs) -> CliResult {
    let tokenizer = load::tokenizer(&args.model)?;
    let encode = |text: &str| prompt::encode(&tokenizer, text, !args.no_special, !args.no_bos);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if !args.jsonl {
        let ids: Vec<String> = encode(&input::read_stdin()?)?.iter().map(ToString::to_string).collect();
        writeln!(out, "{}", ids.join(" "))?;
    } else {
        let mut lines = StdinLines::default();
        while let Some((number, line)) = lines.next()? {
            if line.trim().is_empty() {
                continue;
            }
            let line: Line = serde_json::from_str(&line).map_err(|e| {
                CliError::new(format!("line {number} of standard input: expected {{\"text\": \"..\"}}: {e}"))
            })?;
            serde_json::to_writer(&mut out, &json!({ "ids": encode(&line.text)? }))?;
            writeln!(out)?;
            // A program that sends the next line after this answer must get it.
            out.flush()?;
        }
    }
    out.flush()?;
    Ok(())
}
