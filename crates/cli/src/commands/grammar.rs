//! `happy grammar`: whether texts match a grammar. Needs no model.

use crate::error::{CliError, CliResult};
use crate::input::{self, StdinLines};
use clap::{ArgGroup, Args};
use happy_grammar::{Grammar, Limits, Recognizer};
use serde::Deserialize;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Options of `happy grammar`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true))]
pub(crate) struct GrammarArgs {
    /// A GBNF grammar
    #[arg(long, value_name = "F.gbnf", group = "source")]
    grammar: Option<PathBuf>,
    /// A JSON schema
    #[arg(long, value_name = "F.json", group = "source")]
    json_schema: Option<PathBuf>,
    /// The rule that texts begin with
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
    let (path, grammar) = compile(args)?;
    let wrong = |e: &dyn std::fmt::Display| CliError::usage(format!("`{}`: {e}", path.display()));
    let mut recognizer = Recognizer::new(&grammar).map_err(|e| wrong(&e))?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
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
        // A program that sends the next line after this answer must get it.
        out.flush()?;
    }
    out.flush()?;
    Ok(())
}

/// The grammar that the options name, and its file.
fn compile(args: &GrammarArgs) -> CliResult<(&Path, Grammar)> {
    let wrong =
        |path: &Path, e: &dyn std::fmt::Display| CliError::usage(format!("`{}`: {e}", path.display()));
    match (&args.grammar, &args.json_schema) {
        (Some(path), _) => {
            let text = input::read_text(path)?;
            let grammar = Grammar::from_gbnf_with(&text, &args.root, &Limits::default());
            Ok((path, grammar.map_err(|e| wrong(path, &e))?))
        }
        (None, Some(path)) => {
            let grammar = Grammar::from_json_schema(&input::read_text(path)?);
            Ok((path, grammar.map_err(|e| wrong(path, &e))?))
        }
        (None, None) => Err(CliError::usage("no grammar: give --grammar F.gbnf or --json-schema F.json")),
    }
}
