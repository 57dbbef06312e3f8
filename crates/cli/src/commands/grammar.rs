//! `happy grammar`: checks whether texts match a grammar. It needs no model.

use crate::constrain::{GrammarSource, wrong};
use crate::error::{CliError, CliResult};
use crate::input::StdinLines;
use crate::output;
use clap::Args;
use happy_grammar::Recognizer;
use serde::Deserialize;
use serde_json::json;
use std::io::Write;

const FORMAT: &str = "\
A line of input: {\"text\": \"..\"}, or {\"pieces\": [..]} with the pieces of a text: strings, or {\"token\": 1, \"text\": \"..\"}.
A line of output: {\"accepts\": true} if the grammar accepts the text as a whole, otherwise {\"accepts\": false}.

Examples:
  echo '{\"text\": \"[1, 2]\"}' | happy grammar --json-schema list.json";

/// Options of `happy grammar`.
#[derive(Debug, Args)]
#[command(after_help = FORMAT)]
pub(crate) struct GrammarArgs {
    #[command(flatten)]
    source: GrammarSource,
    /// Rule of the GBNF grammar that texts begin with
    #[arg(long, value_name = "NAME", default_value = "root", conflicts_with = "json_schema")]
    root: String,
}

/// A line of input: a text, or tokens in the order of the text.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Line {
    Text { text: String },
    Pieces { pieces: Vec<Piece> },
}

/// A token: its text, its id, or both.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Piece {
    Text(String),
    Token {
        token: u32,
        #[serde(default)]
        text: String,
    },
}

/// Runs the command: a line `{"accepts": ..}` for each line of standard input.
pub(crate) fn run(args: &GrammarArgs) -> CliResult {
    let (Some(path), Some(grammar)) = (args.source.path(), args.source.compile(&args.root)?) else {
        return Err(CliError::usage("no grammar: give --grammar F.gbnf or --json-schema F.json"));
    };
    let mut recognizer = Recognizer::new(&grammar).map_err(|e| wrong(path, &e))?;
    let mut out = output::buffered(std::io::stdout().lock());
    let mut lines = StdinLines::default();
    while let Some((number, line)) = lines.next()? {
        if line.trim().is_empty() {
            continue;
        }
        let failed =
            |e: &dyn std::fmt::Display| CliError::new(format!("line {number} of standard input: {e}"));
        let line: Line = serde_json::from_str(&line).map_err(|e| {
            failed(&format!(
                "expected {{\"text\": \"..\"}} or {{\"pieces\": [\"..\", {{\"token\": 1}}]}}: {e}"
            ))
        })?;
        recognizer.reset();
        match line {
            Line::Text { text } => recognizer.push(text.as_bytes()).map_err(|e| failed(&e))?,
            Line::Pieces { pieces } => {
                for piece in &pieces {
                    let (id, text) = match piece {
                        Piece::Text(text) => (None, text),
                        Piece::Token { token, text } => (Some(*token), text),
                    };
                    recognizer.push_token(id, text.as_bytes()).map_err(|e| failed(&e))?;
                }
            }
        }
        serde_json::to_writer(&mut out, &json!({ "accepts": recognizer.is_complete() }))?;
        writeln!(out)?;
        // Flushed, because a program may wait for this answer before it sends the next line.
        out.flush()?;
    }
    out.flush()?;
    Ok(())
}
