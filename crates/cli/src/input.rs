//! Reading what people and programs give us.

use crate::error::{CliError, CliResult};
use rustyline::error::ReadlineError;
use serde_json::Value;
use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;

/// All of a file, or of standard input for `-`, as text.
pub(crate) fn read_text(path: &Path) -> CliResult<String> {
    if path == Path::new("-") {
        return read_stdin();
    }
    let bytes = std::fs::read(path).map_err(|e| CliError::io("read", path.display(), &e))?;
    utf8(bytes, &format!("`{}`", path.display()), 0)
}

/// A file, or standard input for `-`, as JSON.
pub(crate) fn read_json(path: &Path) -> CliResult<Value> {
    let text = read_text(path)?;
    serde_json::from_str(&text)
        .map_err(|e| CliError::new(format!("`{}` is not valid JSON: {e}", path.display())))
}

/// A file that holds a JSON array.
pub(crate) fn read_array(path: &Path) -> CliResult<Vec<Value>> {
    match read_json(path)? {
        Value::Array(items) => Ok(items),
        other => {
            let found = kind(&other);
            Err(CliError::new(format!("`{}` holds {found}, expected an array", path.display())))
        }
    }
}

/// A file that holds a JSON object.
pub(crate) fn read_object(path: &Path) -> CliResult<Value> {
    match read_json(path)? {
        object @ Value::Object(_) => Ok(object),
        other => {
            let found = kind(&other);
            Err(CliError::new(format!("`{}` holds {found}, expected an object", path.display())))
        }
    }
}

/// What a JSON value is, for messages.
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

/// All of standard input as text.
pub(crate) fn read_stdin() -> CliResult<String> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut bytes)
        .map_err(|e| CliError::io("read", "standard input", &e))?;
    utf8(bytes, "standard input", 0)
}

/// Bytes as text, or where they are none; `start`: their offset in what is read.
fn utf8(bytes: Vec<u8>, what: &str, start: usize) -> CliResult<String> {
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let byte = e.as_bytes().get(at).copied().unwrap_or_default();
        CliError::new(format!("{what} is not valid UTF-8: byte {byte:#04x} at offset {}", start + at))
    })
}

/// Lines of standard input without their ends, counted.
#[derive(Default)]
pub(crate) struct StdinLines {
    offset: usize,
    number: usize,
}

impl StdinLines {
    /// The next line and its number from 1; `None` at the end.
    pub(crate) fn next(&mut self) -> CliResult<Option<(usize, String)>> {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_until(b'\n', &mut bytes);
        let read = read.map_err(|e| CliError::io("read", "standard input", &e))?;
        if read == 0 {
            return Ok(None);
        }
        let line = utf8(bytes, "standard input", self.offset)?;
        self.offset += read;
        self.number += 1;
        Ok(Some((self.number, line.trim_end_matches(['\r', '\n']).to_owned())))
    }
}

/// Lines that somebody types, with editing and history, or that a program sends.
pub(crate) enum LineReader {
    /// A terminal.
    Editor(Box<rustyline::DefaultEditor>),
    /// A pipe or a file.
    Plain(StdinLines),
}

impl LineReader {
    pub(crate) fn new() -> CliResult<Self> {
        if !std::io::stdin().is_terminal() {
            return Ok(Self::Plain(StdinLines::default()));
        }
        let editor = rustyline::DefaultEditor::new()
            .map_err(|e| CliError::new(format!("cannot read from the terminal: {e}")))?;
        Ok(Self::Editor(Box::new(editor)))
    }

    /// Whether somebody types.
    pub(crate) fn is_interactive(&self) -> bool {
        matches!(self, Self::Editor(_))
    }

    /// The next line; `None` at the end, or when Ctrl-C was typed on an empty line.
    pub(crate) fn read(&mut self) -> CliResult<Option<String>> {
        let editor = match self {
            Self::Plain(lines) => return Ok(lines.next()?.map(|(_, line)| line)),
            Self::Editor(editor) => editor,
        };
        match editor.readline("> ") {
            Ok(line) => {
                // History is a convenience: without room for it, editing goes on.
                let _ = editor.add_history_entry(line.as_str());
                Ok(Some(line))
            }
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
            Err(error) => Err(CliError::new(format!("cannot read from the terminal: {error}"))),
        }
    }
}

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
