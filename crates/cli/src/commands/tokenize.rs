//! `happy tokenize`: text to token ids. Needs the tokenizer only, so vocabulary-only files do.

use crate::error::{CliError, CliResult};
use crate::input::{self, StdinLines};
use crate::{load, prompt};
use clap::Args;
use happy_tokenizer::{EncodeOptions, TokenId, Tokenizer};
use serde::Deserialize;
use serde_json::json;
use std::io::{IsTerminal, Write};

/// Options of `happy tokenize`.
#[derive(Debug, Args)]
pub(crate) struct TokenizeArgs {
    /// Model: a path, or a known name
    #[arg(short, long)]
    model: String,
    /// Show the pieces of the text, in colours on a terminal, and under each line their ids
    #[arg(long, conflicts_with = "jsonl")]
    show: bool,
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
    if args.show {
        let text = input::read_stdin()?;
        let options = EncodeOptions { add_special: !args.no_bos, parse_special: !args.no_special };
        let ids = tokenizer.encode(&text, options)?;
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        show(&tokenizer, &ids, std::io::stdout().is_terminal() && !plain, &mut out)?;
    } else if !args.jsonl {
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

/// Background colours of neighbouring pieces (black text on pale red, green, yellow, blue, violet).
const COLOURS: [u8; 5] = [217, 157, 229, 153, 183];

/// A piece, readable: control characters and bytes that are no text are escaped.
fn readable(piece: &[u8]) -> String {
    let mut text = String::new();
    for chunk in piece.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// The pieces, a line of them for each line of the text, and under it their ids. Without colours, bars separate them.
fn show(tokenizer: &Tokenizer, ids: &[TokenId], colours: bool, out: &mut impl Write) -> CliResult {
    let (mut pieces, mut numbers) = (String::new(), Vec::new());
    for (i, id) in ids.iter().enumerate() {
        let piece = tokenizer.piece(*id)?;
        let colour = COLOURS[i % COLOURS.len()];
        let text = readable(&piece);
        if colours {
            pieces.push_str(&format!("\x1b[30;48;5;{colour}m{text}\x1b[0m"));
            numbers.push(format!("\x1b[38;5;{colour}m{id}\x1b[0m"));
        } else {
            pieces.push_str(&format!("|{text}"));
            numbers.push(id.to_string());
        }
        if piece.ends_with(b"\n") || i + 1 == ids.len() {
            let end = if colours { "" } else { "|" };
            writeln!(out, "{pieces}{end}\n{}", numbers.join(" "))?;
            pieces.clear();
            numbers.clear();
        }
    }
    writeln!(out, "{} tokens", ids.len())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn pieces_are_readable() {
        let cases: &[(&[u8], &str)] = &[
            (b" the", " the"),
            (b"\n", "\\n"),
            ("é".as_bytes(), "é"),
            (b"\xe4\xb8", "\\xe4\\xb8"),
            (b"", ""),
        ];
        for (piece, expected) in cases {
            assert_eq!(readable(piece), *expected);
        }
    }
}
