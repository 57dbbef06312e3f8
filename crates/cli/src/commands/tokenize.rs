//! `happy tokenize`: turns text into token ids. It needs only the tokenizer, so vocabulary-only files will do.

use crate::error::{CliError, CliResult};
use crate::input::{self, StdinLines};
use crate::load::ModelArgs;
use crate::paths::AccessArgs;
use crate::{load, output, prompt};
use clap::Args;
use happy_tokenizer::{TokenId, Tokenizer};
use serde::{Deserialize, Serialize};
use std::io::{IsTerminal, Write};

/// Options of `happy tokenize`.
#[derive(Debug, Args)]
pub(crate) struct TokenizeArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Show the pieces of the text, in colors on a terminal, and under each line their ids
    #[arg(long, conflicts_with = "jsonl")]
    show: bool,
    /// Read one `{"text": ..}` per line, write one `{"ids": [..]}` per line
    #[arg(long)]
    jsonl: bool,
    /// Take the strings of special tokens as plain text
    #[arg(long)]
    no_special: bool,
    /// Add no special tokens: no BOS, EOS, CLS or SEP
    #[arg(long)]
    no_bos: bool,
    #[command(flatten)]
    access: AccessArgs,
}

/// A line of input.
#[derive(Deserialize)]
struct Line {
    text: String,
}

/// A line of output.
#[derive(Serialize)]
struct Ids {
    ids: Vec<TokenId>,
}

/// Runs the command.
pub(crate) fn run(args: &TokenizeArgs) -> CliResult {
    let tokenizer = load::tokenizer(&args.model)?;
    let encode = |text: &str| {
        let ids = prompt::encode(&tokenizer, text, !args.no_special, !args.no_bos)?;
        if !args.no_bos && tokenizer.has_double_bos(&ids) {
            output::note(
                "the ids begin with BOS twice: the text has it and one is added; --no-bos adds none",
            );
        }
        CliResult::Ok(ids)
    };
    let mut out = output::buffered(std::io::stdout().lock());
    if args.show {
        let ids = encode(&input::read_stdin()?)?;
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        show(&tokenizer, &ids, std::io::stdout().is_terminal() && !plain, &mut out)?;
    } else if !args.jsonl {
        for (i, id) in encode(&input::read_stdin()?)?.iter().enumerate() {
            write!(out, "{}{id}", if i > 0 { " " } else { "" })?;
        }
        writeln!(out)?;
    } else {
        let mut lines = StdinLines::default();
        while let Some((number, line)) = lines.next()? {
            if line.trim().is_empty() {
                continue;
            }
            let line: Line = serde_json::from_str(&line).map_err(|e| {
                CliError::new(format!("line {number} of standard input: expected {{\"text\": \"..\"}}: {e}"))
            })?;
            serde_json::to_writer(&mut out, &Ids { ids: encode(&line.text)? })?;
            writeln!(out)?;
            // Flushed, because a program may wait for this answer before it sends the next line.
            out.flush()?;
        }
    }
    out.flush()?;
    Ok(())
}

/// Background colors of neighboring pieces (black text on pale red, green, yellow, blue, violet).
const COLORS: [u8; 5] = [217, 157, 229, 153, 183];

/// Makes a piece readable: characters that are invisible, move other text or are not text are escaped, and so are
/// backslashes.
fn readable(piece: &[u8]) -> String {
    let mut text = String::new();
    for chunk in piece.utf8_chunks() {
        // Backslashes are doubled, so these two are always escaped quotes.
        let escaped = chunk.valid().escape_debug().to_string();
        text.push_str(&escaped.replace("\\'", "'").replace("\\\"", "\""));
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// Prints the pieces, one line for each line of the text, with their ids below. In color, control tokens are bold.
/// Without color, bars separate the pieces (not `|`, which many special tokens contain), and such bars in the text are
/// escaped.
fn show(tokenizer: &Tokenizer, ids: &[TokenId], colors: bool, out: &mut impl Write) -> CliResult {
    let (mut pieces, mut numbers) = (String::new(), Vec::new());
    for (i, id) in ids.iter().enumerate() {
        let piece = tokenizer.piece(*id)?;
        let color = COLORS[i % COLORS.len()];
        // Unused tokens decode to nothing.
        let text = readable(if piece.is_empty() { tokenizer.token_text(*id)? } else { &piece });
        if colors {
            let weight = if tokenizer.is_control(*id) { "1;" } else { "" };
            pieces.push_str(&format!("\x1b[{weight}30;48;5;{color}m{text}\x1b[0m"));
            numbers.push(format!("\x1b[38;5;{color}m{id}\x1b[0m"));
        } else {
            pieces.push_str(&format!("│{}", text.replace('│', "\\u{2502}")));
            numbers.push(id.to_string());
        }
        if piece.ends_with(b"\n") || i + 1 == ids.len() {
            let end = if colors { "" } else { "│" };
            writeln!(out, "{pieces}{end}\n{}", numbers.join(" "))?;
            pieces.clear();
            numbers.clear();
        }
    }
    writeln!(out, "{} token{}", ids.len(), if ids.len() == 1 { "" } else { "s" })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{readable, show};
    use happy_tokenizer::{EncodeOptions, Strings, TokenType, Tokenizer, TokenizerSpec};

    #[test]
    fn pieces_are_readable() {
        let cases: &[(&[u8], &str)] = &[
            (b" the", " the"),
            (b"\n", "\\n"),
            ("é".as_bytes(), "é"),
            ("กั้น".as_bytes(), "กั้น"),
            ("\u{301}".as_bytes(), "\\u{301}"),
            ("\u{202e}\u{a0}".as_bytes(), "\\u{202e}\\u{a0}"),
            (b"\\n'\"", "\\\\n'\""),
            (b"\\'", "\\\\'"),
            (b"\xe4\xb8", "\\xe4\\xb8"),
            (b"", ""),
        ];
        for (piece, expected) in cases {
            assert_eq!(readable(piece), *expected);
        }
    }

    #[test]
    fn pieces_and_ids_are_shown_by_lines() {
        let mut spec =
            TokenizerSpec::new("rwkv", Strings::from_list(["<s>", "a│", "\\n", "b"]).expect("strings"));
        spec.token_types = vec![TokenType::Control, TokenType::Normal, TokenType::Normal, TokenType::Normal];
        let tokenizer = Tokenizer::new(spec).expect("a tokenizer");
        let shown = |text: &str, colors| {
            let ids = tokenizer.encode(text, EncodeOptions::default()).expect("a short text");
            let mut out = Vec::new();
            show(&tokenizer, &ids, colors, &mut out).expect("memory takes it");
            String::from_utf8(out).expect("text")
        };
        assert_eq!(shown("a│\nb", false), "│a\\u{2502}│\\n│\n1 2\n│b│\n3\n3 tokens\n");
        assert_eq!(shown("", false), "0 tokens\n");
        let bold = "\x1b[1;30;48;5;217m<s>\x1b[0m\x1b[30;48;5;157mb\x1b[0m\n";
        let ids = "\x1b[38;5;217m0\x1b[0m \x1b[38;5;157m3\x1b[0m\n";
        assert_eq!(shown("<s>b", true), format!("{bold}{ids}2 tokens\n"));
    }
}
