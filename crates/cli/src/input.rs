//! Reads input from people and programs.

use crate::error::{CliError, CliResult};
use happy_engine::chat::{json, messages_from_json};
use rustyline::error::ReadlineError;
use rustyline::{Cmd, KeyCode, KeyEvent, Modifiers};
use serde_json::{Map, Value};
use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;

/// Reads all of a file, or of standard input for `-`, as text.
pub(crate) fn read_text(path: &Path) -> CliResult<String> {
    if path == Path::new("-") {
        return read_stdin();
    }
    let bytes = std::fs::read(path).map_err(|e| CliError::io("read", path.display(), &e))?;
    utf8(bytes, &format!("`{}`", path.display()), 0)
}

/// Reads a file, or standard input for `-`, as JSON.
pub(crate) fn read_json(path: &Path) -> CliResult<Value> {
    parse(path, json::parse)
}

fn parse(path: &Path, parse: impl Fn(&str) -> serde_json::Result<Value>) -> CliResult<Value> {
    let text = read_text(path)?;
    parse(&text).map_err(|e| {
        let problem = if e.is_data() { "cannot be read" } else { "is not valid JSON" };
        CliError::new(format!("`{}` {problem}: {e}", path.display()))
    })
}

/// Reads a file that holds a JSON array.
pub(crate) fn read_array(path: &Path) -> CliResult<Vec<Value>> {
    array(path, read_json(path)?)
}

/// Reads a file that holds a JSON array of messages. Arguments of calls keep the digits of their numbers.
pub(crate) fn read_messages(path: &Path) -> CliResult<Vec<Value>> {
    array(path, parse(path, messages_from_json)?)
}

fn array(path: &Path, json: Value) -> CliResult<Vec<Value>> {
    match json {
        Value::Array(items) => Ok(items),
        other => {
            let found = kind(&other);
            Err(CliError::new(format!("`{}` holds {found}, expected an array", path.display())))
        }
    }
}

/// Reads a file that holds a JSON object.
pub(crate) fn read_object(path: &Path) -> CliResult<Value> {
    match read_json(path)? {
        object @ Value::Object(_) => Ok(object),
        other => {
            let found = kind(&other);
            Err(CliError::new(format!("`{}` holds {found}, expected an object", path.display())))
        }
    }
}

/// Parses variables of a template in the form NAME=VALUE. The value is JSON, or a string if it is not valid JSON.
pub(crate) fn variables(pairs: &[String]) -> CliResult<Map<String, Value>> {
    let pair = |text: &String| {
        let (name, value) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| CliError::usage(format!("--var has {text:?}, expected NAME=VALUE")))?;
        Ok((name.to_owned(), json::parse(value).unwrap_or_else(|_| Value::from(value))))
    };
    pairs.iter().map(pair).collect()
}

/// Returns the kind of a JSON value, for messages.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Reads what was piped into the command, if anything was: a terminal, a device and a closed input give nothing.
pub(crate) fn piped() -> CliResult<Option<String>> {
    if !has_pipe() {
        return Ok(None);
    }
    Ok(Some(read_stdin()?).filter(|text| !text.trim().is_empty()))
}

/// Returns whether standard input is a pipe, a socket or a file.
#[cfg(unix)]
fn has_pipe() -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileTypeExt;
    let file = std::io::stdin().as_fd().try_clone_to_owned().map(std::fs::File::from);
    file.and_then(|file| file.metadata()).is_ok_and(|metadata| {
        let kind = metadata.file_type();
        kind.is_fifo() || kind.is_socket() || kind.is_file()
    })
}

#[cfg(not(unix))]
fn has_pipe() -> bool {
    !std::io::stdin().is_terminal()
}

/// Reads all of standard input as text.
pub(crate) fn read_stdin() -> CliResult<String> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut bytes)
        .map_err(|e| CliError::io("read", "standard input", &e))?;
    utf8(bytes, "standard input", 0)
}

/// Returns bytes as text, or where they are not valid UTF-8. `start` is their offset in the input.
fn utf8(bytes: Vec<u8>, what: &str, start: usize) -> CliResult<String> {
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let byte = e.as_bytes().get(at).copied().unwrap_or_default();
        CliError::new(format!("{what} is not valid UTF-8: byte {byte:#04x} at offset {}", start + at))
    })
}

/// Reads a line with its end into `line`. (std's `read_until` reserves infallibly.)
fn line(from: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        let bytes = match from.fill_buf() {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            bytes => bytes?,
        };
        let end = bytes.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
        let taken = end.unwrap_or(bytes.len());
        line.try_reserve(taken)?;
        line.extend_from_slice(&bytes[..taken]);
        from.consume(taken);
        if end.is_some() || taken == 0 {
            return Ok(());
        }
    }
}

/// Lines of standard input without their ends, counted.
#[derive(Default)]
pub(crate) struct StdinLines {
    offset: usize,
    number: usize,
}

impl StdinLines {
    /// Returns the next line and its number from 1; `None` at the end.
    pub(crate) fn next(&mut self) -> CliResult<Option<(usize, String)>> {
        let mut bytes = Vec::new();
        // Values of a line of JSON take up to a few times its bytes, which serde reserves infallibly.
        let read = line(&mut std::io::stdin().lock(), &mut bytes)
            .and_then(|()| Ok(Vec::<u8>::new().try_reserve_exact(4 * bytes.len())?));
        read.map_err(|e| CliError::io("read", "standard input", &e))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let read = bytes.len();
        while bytes.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
            bytes.pop();
        }
        let line = utf8(bytes, "standard input", self.offset)?;
        self.offset += read;
        self.number += 1;
        Ok(Some((self.number, line)))
    }
}

/// Messages that a person types, with editing and history, or that a program sends, one on each line.
pub(crate) enum MessageReader {
    /// A terminal.
    Editor(Box<rustyline::DefaultEditor>),
    /// A pipe or a file.
    Plain(StdinLines),
}

/// What was typed.
pub(crate) enum Typed {
    Message(String),
    /// Ctrl-C on an empty line.
    Interrupt,
    /// Ctrl-D, or the end of the input.
    End,
}

/// Begins and ends a message of several lines.
const FENCE: &str = "\"\"\"";

impl MessageReader {
    pub(crate) fn new() -> CliResult<Self> {
        if !std::io::stdin().is_terminal() {
            return Ok(Self::Plain(StdinLines::default()));
        }
        let mut editor = rustyline::DefaultEditor::new()
            .map_err(|e| CliError::new(format!("cannot read from the terminal: {e}")))?;
        // Not Ctrl-J, because Enter typed while the model answers arrives as that.
        editor.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
        Ok(Self::Editor(Box::new(editor)))
    }

    /// Returns whether a person types.
    pub(crate) fn is_interactive(&self) -> bool {
        matches!(self, Self::Editor(_))
    }

    /// Reads the next message: a line; lines that end in a backslash, with the one after them; or everything between
    /// two `"""`.
    pub(crate) fn read(&mut self) -> CliResult<Typed> {
        let mut message = String::new();
        let mut fenced = false;
        loop {
            let line = match self.line(if message.is_empty() && !fenced { PROMPT } else { MORE })? {
                Typed::Message(line) => line,
                // What was typed so far is dropped.
                Typed::Interrupt if fenced || !message.is_empty() => {
                    return Ok(Typed::Message(String::new()));
                }
                Typed::End if fenced || !message.is_empty() => return Ok(self.remember(message)),
                other => return Ok(other),
            };
            if fenced {
                if let Some(last) = line.trim_end().strip_suffix(FENCE) {
                    message.push_str(last);
                    return Ok(self.remember(message));
                }
                message.push_str(&line);
                message.push('\n');
            } else if let Some(first) = line.trim_start().strip_prefix(FENCE).filter(|_| message.is_empty()) {
                if let Some(all) = first.trim_end().strip_suffix(FENCE) {
                    return Ok(self.remember(all.to_owned()));
                }
                fenced = true;
                if !first.is_empty() {
                    message.push_str(first);
                    message.push('\n');
                }
            } else if let Some(line) = line.strip_suffix('\\') {
                message.push_str(line);
                message.push('\n');
            } else {
                message.push_str(&line);
                return Ok(self.remember(message));
            }
        }
    }

    fn remember(&mut self, message: String) -> Typed {
        if let Self::Editor(editor) = self {
            // History is a convenience: without room for it, editing goes on.
            let _ = editor.add_history_entry(message.as_str());
        }
        Typed::Message(message)
    }

    /// Reads the next line, without its end.
    fn line(&mut self, prompt: &str) -> CliResult<Typed> {
        let editor = match self {
            Self::Plain(lines) => {
                return Ok(lines.next()?.map_or(Typed::End, |(_, line)| Typed::Message(line)));
            }
            Self::Editor(editor) => editor,
        };
        match editor.readline(prompt) {
            Ok(line) => Ok(Typed::Message(line)),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(ReadlineError::Interrupted) => Ok(Typed::Interrupt),
            Err(error) => Err(CliError::new(format!("cannot read from the terminal: {error}"))),
        }
    }
}

/// The prompts for a message, and for more of it.
const PROMPT: &str = "> ";
const MORE: &str = ". ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_utf8_is_found_by_its_offset() {
        let message = utf8(b"ab\xffc".to_vec(), "standard input", 10).map_err(|e| e.to_string());
        assert_eq!(message, Err("standard input is not valid UTF-8: byte 0xff at offset 12".to_owned()));
        assert_eq!(utf8("é".into(), "x", 0).map_err(|e| e.to_string()), Ok("é".to_owned()));
    }
}
