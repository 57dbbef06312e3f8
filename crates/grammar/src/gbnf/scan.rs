//! Scanning the text: characters, positions, spaces, names, escapes, and errors that quote what was found.

use crate::error::{GrammarError, GrammarErrorKind, Place};

/// A position in the text of a grammar.
pub(super) struct Scanner<'a> {
    rest: &'a str,
    line: u32,
    column: u32,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1, column: 1 }
    }

    pub(super) fn place(&self) -> Place {
        Place { line: self.line, column: self.column }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn peek_second(&self) -> Option<char> {
        self.rest.chars().nth(1)
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(c)
    }

    /// The maximum number of characters in a class that starts here.
    pub(super) fn class_length(&self) -> usize {
        self.rest.chars().take_while(|c| *c != ']').count() + 1
    }

    /// Consumes `text` if it comes next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.rest.starts_with(text);
        if found {
            for _ in text.chars() {
                self.next();
            }
        }
        found
    }

    pub(super) fn expect(&mut self, text: &str, what: &str) -> Result<(), GrammarError> {
        if self.take(text) { Ok(()) } else { Err(self.expected(what)) }
    }

    /// Skips spaces and comments, and line ends if they have no meaning here.
    pub(super) fn spaces(&mut self, newlines: bool) {
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' => {}
                '\r' | '\n' if newlines => {}
                '#' => {
                    while self.peek().is_some_and(|c| c != '\r' && c != '\n') {
                        self.next();
                    }
                    continue;
                }
                _ => return,
            }
            self.next();
        }
    }

    /// Consumes the longest run of characters that `accepts` accepts.
    pub(super) fn run(&mut self, accepts: fn(char) -> bool) -> &'a str {
        let text = self.rest;
        let len = text.find(|c| !accepts(c)).unwrap_or(text.len());
        // No run contains a line end, so only the column moves.
        self.column = self.column.saturating_add(text[..len].chars().count() as u32);
        self.rest = &text[len..];
        &text[..len]
    }

    /// Parses a rule name.
    pub(super) fn name(&mut self) -> Result<&'a str, GrammarError> {
        match self.run(|c| c.is_ascii_alphanumeric() || c == '-') {
            "" => Err(self.expected("a rule name (letters, digits, '-')")),
            name => Ok(name),
        }
    }

    /// Parses a decimal number.
    pub(super) fn number(&mut self) -> Result<u32, GrammarError> {
        let place = self.place();
        match self.run(|c| c.is_ascii_digit()) {
            "" => Err(self.expected("a number")),
            digits => digits.parse().map_err(|_| {
                let message = format!("expected a number below 2^32, found {}", shortened(digits));
                GrammarError::new(GrammarErrorKind::Limit, Some(place), message)
            }),
        }
    }

    /// Parses a character of a literal or class, with escapes. `what` names the construct for errors.
    pub(super) fn character(&mut self, what: &str) -> Result<char, GrammarError> {
        let place = self.place();
        let Some(c) = self.next() else { return Err(self.expected(&format!("the end of {what}"))) };
        if c != '\\' {
            return Ok(c);
        }
        let digits = match self.next() {
            Some('t') => return Ok('\t'),
            Some('r') => return Ok('\r'),
            Some('n') => return Ok('\n'),
            Some(c @ ('\\' | '"' | '[' | ']' | '-')) => return Ok(c),
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            other => {
                let found = other.map_or("the end".to_owned(), |c| format!("'\\{}'", c.escape_debug()));
                let message = format!(
                    "expected one of the escapes \\t \\r \\n \\\\ \\\" \\[ \\] \\- \\xHH \\uHHHH \\UHHHHHHHH, found {found}"
                );
                return Err(GrammarError::new(GrammarErrorKind::Syntax, Some(place), message));
            }
        };
        let mut code = 0u32;
        for _ in 0..digits {
            let digit = self.peek().and_then(|c| c.to_digit(16));
            let Some(digit) = digit else {
                return Err(self.expected(&format!("{digits} hexadecimal digits")));
            };
            code = code << 4 | digit;
            self.next();
        }
        char::from_u32(code).ok_or_else(|| {
            let message =
                format!("expected a character, found U+{code:04X}, which is not a Unicode scalar value");
            GrammarError::new(GrammarErrorKind::Syntax, Some(place), message)
        })
    }

    /// An error of the form "expected this, found what comes next".
    pub(super) fn expected(&self, what: &str) -> GrammarError {
        let found = match self.peek() {
            None => "the end of the grammar".to_owned(),
            Some('\n' | '\r') => "the end of the line".to_owned(),
            Some(c) => format!("'{}'", c.escape_debug()),
        };
        let message = format!("expected {what}, found {found}");
        GrammarError::new(GrammarErrorKind::Syntax, Some(self.place()), message)
    }
}

/// The beginning of a text that may be long, for messages.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(20) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
