//! Finds the end of a value while its characters come.

use std::fmt::Write as _;

use super::MAX_DEPTH;
use super::fault::{Step, fault};
use super::grammar::{Notation, Quote};
use crate::memory::{OutOfMemory, R, Text};

/// What a character means for the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// The value goes on after it.
    Inside,
    /// The value ends with it.
    Last,
    /// The value ended before it.
    After,
}

/// A value that is being read: brackets are counted and strings skipped. Whoever takes the text has to check whether it is a
/// valid value.
#[derive(Debug)]
pub(super) struct Scan {
    notation: Notation,
    text: Text,
    depth: usize,
    /// The quote of the string that is open, and the start of its contents.
    string: Option<(&'static Quote, usize)>,
    escaped: bool,
    over: bool,
    /// A comma of JSON and the white space after it, until it is known that a value follows: models write one comma too many.
    comma: Text,
}

impl Scan {
    pub(super) fn new(notation: Notation) -> Self {
        Scan {
            notation,
            text: Text::default(),
            depth: 0,
            string: None,
            escaped: false,
            over: false,
            comma: Text::default(),
        }
    }

    /// Returns the characters that were taken.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether the value is known to be complete.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Ends the value.
    pub(super) fn end(&mut self) {
        self.over = true;
    }

    /// Takes a character, unless it is [`Extent::After`] the value.
    ///
    /// An array or object ends with its last bracket. A string ends with its quote if nothing else can follow. Other values end
    /// before a bracket, a comma or white space.
    pub(super) fn feed(&mut self, c: char) -> Step<Extent> {
        if let Some((quote, start)) = self.string {
            if self.notation.json {
                self.mend(c)?;
            } else {
                self.text.add_char(c)?;
            }
            if self.escaped {
                self.escaped = false;
            } else if quote.escapes && c == '\\' {
                self.escaped = true;
            } else if self.text.len() >= start + quote.mark.len() && self.text.ends_with(quote.mark) {
                self.string = None;
                self.over = self.depth == 0;
                return Ok(if self.over { Extent::Last } else { Extent::Inside });
            }
            return Ok(Extent::Inside);
        }
        let closing = matches!(c, '}' | ']' | ')');
        if self.depth == 0 && (closing || c == ',' || c.is_whitespace()) {
            return Ok(Extent::After);
        }
        if self.notation.json && self.depth > 0 {
            if !self.comma.is_empty() && c.is_whitespace() {
                self.comma.add_char(c)?;
                return Ok(Extent::Inside);
            }
            let comma = std::mem::take(&mut self.comma);
            self.text.add(if closing { comma.get(1..).unwrap_or_default() } else { &comma })?;
            if c == ',' {
                self.comma.add_char(c)?;
                return Ok(Extent::Inside);
            }
        }
        self.text.add_char(c)?;
        if let Some(quote) = self.opened(c) {
            self.string = Some((quote, self.text.len()));
        } else if matches!(c, '{' | '[' | '(') {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(fault!("the arguments are nested more than {MAX_DEPTH} deep"));
            }
        } else if closing {
            self.depth -= 1;
            if self.depth == 0 {
                self.over = true;
                return Ok(Extent::Last);
            }
        }
        Ok(Extent::Inside)
    }

    /// Returns the quote that `c`, the last character, completes, unless it is part of a longer one.
    fn opened(&self, c: char) -> Option<&'static Quote> {
        let quotes = self.notation.quotes;
        let longer = |quote: &Quote| {
            let ends =
                quote.mark.char_indices().map(|(i, c)| i + c.len_utf8()).filter(|i| *i < quote.mark.len());
            ends.filter_map(|i| quote.mark.get(..i))
                .any(|part| part.len() > 1 && part.ends_with(c) && self.text.ends_with(part))
        };
        if quotes.len() > 1 && quotes.iter().any(longer) {
            return None;
        }
        quotes.iter().find(|quote| self.text.ends_with(quote.mark))
    }

    /// Takes a character of a JSON string, and corrects what models do wrong: they write line feeds and other control characters
    /// without escapes, and escapes that JSON does not know. `\'` becomes the quote; other escapes keep their backslash.
    fn mend(&mut self, c: char) -> R<()> {
        if self.escaped {
            match c {
                '\'' => {}
                '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't' | 'u' => self.text.add_char('\\')?,
                _ => self.text.add("\\\\")?,
            }
        }
        match c {
            // Written together with the next character.
            '\\' if !self.escaped => Ok(()),
            '\n' => self.text.add("\\n"),
            '\r' => self.text.add("\\r"),
            '\t' => self.text.add("\\t"),
            c if c < ' ' => write!(self.text, "\\u{:04x}", u32::from(c)).map_err(|_| OutOfMemory),
            c => self.text.add_char(c),
        }
    }
}

/// Returns the text of JSON values, with strings corrected as [`Scan`] does.
pub(super) fn mended(text: &str) -> Step<String> {
    let mut scan = Scan { depth: 1, ..Scan::new(Notation::JSON) };
    for c in text.chars() {
        if scan.depth == 0 {
            return Err("brackets close that did not open".into());
        }
        scan.feed(c)?;
    }
    Ok(scan.text.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_end_where_they_end() {
        let gemma = Notation::GEMMA4;
        let cases = [
            (Notation::JSON, r#"{"a": "}"} x"#, r#"{"a": "}"}"#),
            (Notation::JSON, r#""\"]", 1"#, r#""\"]""#),
            (Notation::JSON, "12.5,", "12.5"),
            (Notation::JSON, "true}", "true"),
            (Notation::JSON, "[[]]]", "[[]]"),
            (Notation::JSON, "{\"a\": [1, 2,\n], \"b\": \",}\",}", "{\"a\": [1, 2\n], \"b\": \",}\"}"),
            (Notation::JSON, "[1,,2]", "[1,,2]"),
            (Notation::PYTHON, r#"'it"s', b"#, r#"'it"s'"#),
            (Notation::PYTHON, r"'\'' )", r"'\''"),
            (Notation::PYTHON, "{'a': (1, 2)})", "{'a': (1, 2)}"),
            (gemma, "<|\"|>a,<|\"}\"|<|\"|>}", "<|\"|>a,<|\"}\"|<|\"|>"),
            (gemma, "<|\"|><|\"|>,", "<|\"|><|\"|>"),
            (gemma, "\"a } b\"}", "\"a } b\""),
            (gemma, "['a\\'', {\"k\": <|\"|>'<|\"|>}],", "['a\\'', {\"k\": <|\"|>'<|\"|>}]"),
            (Notation::JSON, "\"a\nb\\'\\d\u{1}\",", r#""a\nb'\\d\u0001""#),
        ];
        for (notation, text, value) in cases {
            let mut scan = Scan::new(notation);
            for c in text.chars() {
                if scan.feed(c).unwrap() != Extent::Inside {
                    break;
                }
            }
            assert_eq!(scan.text(), value, "{text}");
        }
        let mut scan = Scan::new(Notation::JSON);
        assert!("[".repeat(MAX_DEPTH + 1).chars().any(|c| scan.feed(c).is_err()));
    }
}
