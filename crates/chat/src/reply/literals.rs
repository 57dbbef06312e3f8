//! Arguments as `key=value` in brackets, converted to JSON: Python's keyword arguments (LFM2) and Gemma's own notation.
//!
//! ```text
//! key [=:] value (, key [=:] value)* close
//! ```

use std::fmt::{self, Write as _};

use serde_json::Value as Json;

use super::fault::{Step, fault};
use super::grammar::Notation;
use super::scan::{Extent, Scan};
use super::{MAX_DEPTH, MAX_NAME};
use crate::memory::{OutOfMemory, R, Text, copied, push};
use crate::{digits, json};

/// Arguments that are being read.
#[derive(Debug)]
pub(super) struct Literals {
    notation: Notation,
    key: Text,
    /// The value, once the key is complete.
    value: Option<Scan>,
}

/// What a character completed.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    /// Nothing.
    None,
    /// A key and its value, as JSON.
    Member(String, String),
    /// All arguments, with the last member if there is one.
    End(Option<(String, String)>),
}

impl Literals {
    pub(super) fn new(notation: Notation) -> Self {
        Literals { notation, key: Text::default(), value: None }
    }

    /// Returns whether the key began with a quote that has not ended.
    fn in_quotes(&self) -> bool {
        let key = self.key.trim_start();
        let Some(quote) = self.notation.quotes.iter().find(|quote| key.starts_with(quote.mark)) else {
            // An incomplete `<|"|>`.
            return self.notation.quotes.iter().any(|q| !key.is_empty() && q.mark.starts_with(key));
        };
        let inside = key.get(quote.mark.len()..).unwrap_or_default();
        let mut escaped = false;
        for (i, c) in inside.char_indices() {
            if escaped {
                escaped = false;
            } else if quote.escapes && c == '\\' {
                escaped = true;
            } else if inside[i..].starts_with(quote.mark) {
                return false;
            }
        }
        true
    }

    /// Takes a character.
    pub(super) fn feed(&mut self, c: char) -> Step<Piece> {
        let close = c == self.notation.close;
        if self.key.len() > MAX_NAME {
            return Err(fault!("an argument's name has more than {MAX_NAME} bytes"));
        }
        let Some(scan) = &mut self.value else {
            let empty = self.key.trim().is_empty();
            return match c {
                // A key in quotes ends with its quote.
                c if self.in_quotes() => {
                    self.key.add_char(c)?;
                    Ok(Piece::None)
                }
                _ if close && empty => Ok(Piece::End(None)),
                c if c == self.notation.key_end && !empty => {
                    self.value = Some(Scan::new(self.notation));
                    Ok(Piece::None)
                }
                ',' | '(' | '[' | '{' | ')' | ']' | '}' => Err("an argument has no name".into()),
                c => {
                    self.key.add_char(c)?;
                    Ok(Piece::None)
                }
            };
        };
        // White space may come before and after values. A value that ended with its last character is completed as a member by
        // the comma or bracket.
        if c.is_whitespace() && (scan.text().is_empty() || scan.is_over()) {
            return Ok(Piece::None);
        }
        match scan.feed(c)? {
            Extent::Inside | Extent::Last => return Ok(Piece::None),
            Extent::After if c.is_whitespace() => {
                scan.end();
                return Ok(Piece::None);
            }
            Extent::After => {}
        }
        let value = value(scan.text(), self.notation)?.text()?;
        let key = key(&std::mem::take(&mut self.key), self.notation)?;
        self.value = None;
        match c {
            ',' => Ok(Piece::Member(key, value)),
            _ if close => Ok(Piece::End(Some((key, value)))),
            _ => Err(fault!("expected a comma or `{}`, found `{c}`", self.notation.close)),
        }
    }
}

/// Reads a key, with quotes or without.
fn key(text: &str, notation: Notation) -> Step<String> {
    let mut reader = Reader::new(text, notation);
    match reader.string()? {
        Some(key) if reader.rest.trim().is_empty() => Ok(key),
        Some(_) => Err(fault!("expected nothing after a key, found `{}`", Start(reader.rest.trim()))),
        None => Ok(copied(text.trim())?),
    }
}

/// A value, and its numbers as the model wrote them.
#[derive(Debug, PartialEq)]
pub(super) struct Literal {
    pub(super) value: Json,
    pub(super) numbers: Vec<String>,
}

impl Literal {
    /// Returns the value as JSON.
    pub(super) fn text(&self) -> R<String> {
        digits::text_of(&self.value, &self.numbers)
    }
}

/// Reads a value.
pub(super) fn value(text: &str, notation: Notation) -> Step<Literal> {
    let mut reader = Reader::new(text, notation);
    let value = reader.value(0)?;
    match reader.rest.trim_start() {
        "" => Ok(Literal { value, numbers: reader.numbers }),
        rest => Err(fault!("expected nothing after a value, found `{}`", Start(rest))),
    }
}

/// Returns the first characters of a text, for messages.
struct Start<'a>(&'a str);

impl fmt::Display for Start<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().take(20).try_for_each(|c| f.write_char(c))
    }
}

struct Reader<'a> {
    rest: &'a str,
    notation: Notation,
    /// The numbers so far, as the model wrote them.
    numbers: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(rest: &'a str, notation: Notation) -> Self {
        Reader { rest, notation, numbers: Vec::new() }
    }

    fn take(&mut self, prefix: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes everything before the first of `ends`.
    fn until(&mut self, ends: &[char]) -> &'a str {
        let (word, rest) = self.rest.split_at(self.rest.find(ends).unwrap_or(self.rest.len()));
        self.rest = rest;
        word.trim()
    }

    fn value(&mut self, depth: usize) -> Step<Json> {
        if depth > MAX_DEPTH {
            return Err(fault!("the arguments are nested more than {MAX_DEPTH} deep"));
        }
        if let Some(text) = self.string()? {
            return Ok(text.into());
        }
        for (open, close) in [("[", "]"), ("(", ")")] {
            if self.take(open) {
                let mut items = Vec::new();
                while !self.take(close) {
                    push(&mut items, self.value(depth + 1)?)?;
                    self.comma_or(close)?;
                }
                return Ok(Json::Array(items));
            }
        }
        if self.take("{") {
            let mut members = Vec::new();
            while !self.take("}") {
                let key = match self.string()? {
                    Some(key) => key,
                    None => copied(self.until(&[':', '}', ',']))?,
                };
                if !self.take(":") {
                    return Err(fault!("expected `:` after the key `{}`", Start(&key)));
                }
                push(&mut members, (key, self.value(depth + 1)?))?;
                self.comma_or("}")?;
            }
            return Ok(Json::Object(json::object(members).map_err(OutOfMemory::from)?));
        }
        let word = self.until(&[',', ']', '}', ')']);
        match word {
            "True" => Ok(true.into()),
            "False" => Ok(false.into()),
            "None" => Ok(Json::Null),
            // Numbers, true, false, null; a string would have been found above.
            _ => {
                let value = json::read(word)?.ok_or_else(|| fault!("`{}` is not a value", Start(word)))?;
                if value.is_number() {
                    push(&mut self.numbers, copied(word)?)?;
                }
                Ok(value)
            }
        }
    }

    fn comma_or(&mut self, close: &str) -> Step<()> {
        self.rest = self.rest.trim_start();
        if self.take(",") || self.rest.starts_with(close) {
            return Ok(());
        }
        Err(fault!("expected a comma or `{close}`, found `{}`", Start(self.rest)))
    }

    /// Reads a string, if one begins here.
    fn string(&mut self) -> Step<Option<String>> {
        let quotes = self.notation.quotes;
        let Some(quote) = quotes.iter().find(|quote| self.take(quote.mark)) else { return Ok(None) };
        let mut text = Text::default();
        loop {
            if let Some(rest) = self.rest.strip_prefix(quote.mark) {
                self.rest = rest;
                return Ok(Some(text.0));
            }
            let mut chars = self.rest.chars();
            match chars.next() {
                None => return Err("a string has no end".into()),
                Some('\\') if quote.escapes => {
                    self.rest = chars.as_str();
                    self.escape(&mut text)?;
                }
                Some(c) => {
                    self.rest = chars.as_str();
                    text.add_char(c)?;
                }
            }
        }
    }

    /// Reads the characters after a backslash, by Python's rules.
    fn escape(&mut self, text: &mut Text) -> Step<()> {
        let mut chars = self.rest.chars();
        let c = chars.next().ok_or("a string has no end")?;
        self.rest = chars.as_str();
        let digits = match c {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => {
                match c {
                    'n' => text.add_char('\n')?,
                    't' => text.add_char('\t')?,
                    'r' => text.add_char('\r')?,
                    '\\' | '\'' | '"' => text.add_char(c)?,
                    '\n' => {}
                    // Python keeps the backslash of an escape that it doesn't know.
                    c => {
                        text.add_char('\\')?;
                        text.add_char(c)?;
                    }
                }
                return Ok(());
            }
        };
        let code = self.rest.get(..digits).filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()));
        let found = code.and_then(|code| char::from_u32(u32::from_str_radix(code, 16).ok()?));
        text.add_char(found.ok_or_else(|| fault!("`\\{c}{}` is not a character", Start(self.rest)))?)?;
        self.rest = self.rest.get(digits..).unwrap_or_default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    const GEMMA: Notation = Notation::GEMMA4;

    fn read(notation: Notation, text: &str) -> String {
        let mut literals = Literals::new(notation);
        let mut out = String::new();
        let member = |out: &mut String, key: &str, value: &str| {
            let text = schema::member(out.is_empty(), key, value)
                .unwrap()
                .replace(", \"", ",\"")
                .replace("\": ", "\":");
            out.push_str(&text);
        };
        for (i, c) in text.char_indices() {
            match literals.feed(c) {
                Ok(Piece::None) => {}
                Ok(Piece::Member(key, value)) => member(&mut out, &key, &value),
                Ok(Piece::End(last)) => {
                    last.iter().for_each(|(key, value)| member(&mut out, key, value));
                    assert_eq!(i + c.len_utf8(), text.len(), "{text}");
                    return if out.is_empty() { "{}".to_owned() } else { out + "}" };
                }
                Err(e) => return e.reason().unwrap().into_owned(),
            }
        }
        "no end".to_owned()
    }

    #[test]
    fn notations_become_json() {
        let cases = [
            (Notation::PYTHON, ")", "{}"),
            (Notation::PYTHON, "a = 'x' , b=\"it's\",)", r#"{"a":"x","b":"it's"}"#),
            (
                Notation::PYTHON,
                "a=[1, 2.5, -3], b={\"r\": true, 'n': None})",
                r#"{"a":[1,2.5,-3],"b":{"r":true,"n":null}}"#,
            ),
            (Notation::PYTHON, r"a='\'\n\x41\u00e9\q')", r#"{"a":"'\nAé\\q"}"#),
            (Notation::PYTHON, "a=(1, 'b)'), c=True )", r#"{"a":[1,"b)"],"c":true}"#),
            (Notation::PYTHON, "1)", "an argument has no name"),
            (Notation::PYTHON, "a=x)", "`x` is not a value"),
            (Notation::PYTHON, "a=1]", "expected a comma or `)`, found `]`"),
            (Notation::PYTHON, "a='x' 'y')", "expected nothing after a value, found `'y'`"),
            (Notation::PYTHON, r"a='\xzz')", r"`\xzz'` is not a character"),
            (Notation::PYTHON, "a=", "no end"),
            (GEMMA, "}", "{}"),
            (GEMMA, "c:<|\"|>東,京}<|\"|>,d:2}", r#"{"c":"東,京}","d":2}"#),
            (GEMMA, "o:{r:true,l:[<|\"|>a<|\"|>,1]},x:null}", r#"{"o":{"r":true,"l":["a",1]},"x":null}"#),
            (GEMMA, "o:{<|\"|>k:<|\"|>:<|\"|>\\n<|\"|>}}", r#"{"o":{"k:":"\\n"}}"#),
            (GEMMA, "o:{k}}", "expected `:` after the key `k`"),
            (
                GEMMA,
                "\"a:}\": 1, 'b': {\"c\": ['d', <|\"|>e<|\"|>]}, <|\"|>f<|\"|>:2}",
                r#"{"a:}":1,"b":{"c":["d","e"]},"f":2}"#,
            ),
            (GEMMA, "\"a\" b: 1}", "expected nothing after a key, found `b`"),
            (
                GEMMA,
                "n:123456789012345678901234567890,d:0.10}",
                r#"{"n":123456789012345678901234567890,"d":0.10}"#,
            ),
        ];
        let wrong: Vec<String> = cases
            .iter()
            .filter_map(|(notation, text, expect)| {
                let got = read(*notation, text);
                (got != *expect).then(|| format!("{text}: got {got}, expected {expect}"))
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let deep = "[".repeat(MAX_DEPTH + 2);
        assert!(value(&deep, Notation::PYTHON).unwrap_err().reason().unwrap().contains("deep"));
    }
}
