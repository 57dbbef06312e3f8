//! `happy detokenize`: turns token ids into text. It needs only the tokenizer, so vocabulary-only files will do.

use crate::error::{CliError, CliResult};
use crate::input::{self, StdinLines};
use crate::load::ModelArgs;
use crate::paths::AccessArgs;
use crate::{load, prompt, terminal};
use clap::Args;
use happy_tokenizer::TokenId;
use serde::Deserialize;
use serde_json::json;
use std::io::Write;

/// Options of `happy detokenize`.
#[derive(Debug, Args)]
pub(crate) struct DetokenizeArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Read one `{"ids": [..]}` per line, write one `{"text": ..}` per line
    #[arg(long)]
    jsonl: bool,
    /// Leave special tokens out of the text
    #[arg(long)]
    no_special: bool,
    #[command(flatten)]
    access: AccessArgs,
}

/// A line of input.
#[derive(Deserialize)]
struct Line {
    ids: Vec<TokenId>,
}

/// Runs the command.
pub(crate) fn run(args: &DetokenizeArgs) -> CliResult {
    let tokenizer = load::tokenizer(&args.model)?;
    let mut out = terminal::stdout();
    if !args.jsonl {
        // The bytes are written as they are, since the text of single tokens need not be UTF-8.
        let bytes = prompt::decode(&tokenizer, &parse_ids(&input::read_stdin()?)?, !args.no_special)?;
        out.write_all(&bytes)?;
        out.end_on_terminal(&bytes)?;
    } else {
        let mut lines = StdinLines::default();
        while let Some((number, line)) = lines.next()? {
            if line.trim().is_empty() {
                continue;
            }
            let at =
                |e: &dyn std::fmt::Display| CliError::new(format!("line {number} of standard input: {e}"));
            let line: Line =
                serde_json::from_str(&line).map_err(|e| at(&format!("expected {{\"ids\": [..]}}: {e}")))?;
            let bytes = prompt::decode(&tokenizer, &line.ids, !args.no_special).map_err(|e| at(&e))?;
            serde_json::to_writer(&mut out, &json!({ "text": String::from_utf8_lossy(&bytes) }))?;
            writeln!(out)?;
            // Flushed, because a program may wait for this answer before it sends the next line.
            out.flush()?;
        }
    }
    out.flush()?;
    Ok(())
}

/// Parses ids separated by white space, commas or brackets, as programs print lists.
fn parse_ids(text: &str) -> CliResult<Vec<TokenId>> {
    let separator = |c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']');
    let mut ids = Vec::new();
    for word in text.split(separator).filter(|w| !w.is_empty()) {
        let id = word.parse().map_err(|_| {
            CliError::new(format!("standard input has {word:?}, expected a token id (a number from 0 on)"))
        })?;
        ids.try_reserve(1).map_err(|e| CliError::io("read", "standard input", &e.into()))?;
        ids.push(id);
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_lists() {
        assert_eq!(parse_ids("1 2\n3\t4").map_err(|e| e.to_string()), Ok(vec![1, 2, 3, 4]));
        assert_eq!(parse_ids("[1, 2,3]").map_err(|e| e.to_string()), Ok(vec![1, 2, 3]));
        for wrong in ["-1", "1 x", "4294967296"] {
            assert!(parse_ids(wrong).is_err_and(|e| e.to_string().contains("token id")), "{wrong}");
        }
    }
}
