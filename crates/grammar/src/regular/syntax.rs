//! Regular expressions of ECMA-262 as a tree: recursive descent with bounded depth.
//!
//! `\d`, `\w` and `\s` are those of ECMA-262: digits and word characters are ASCII. Not regular, or not supported:
//! `\b`, `\B`, backreferences, lookbehind, `\p{..}`.

use crate::charset::CharSet;
use core::fmt;

/// Why a pattern cannot become a term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PatternError {
    /// Whether the pattern is malformed, rather than unsupported.
    pub(crate) malformed: bool,
    /// The number of characters before the place of the error.
    pub(super) at: usize,
    pub(super) message: String,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {} of the pattern: {}", self.at + 1, self.message)
    }
}

/// A part of a pattern.
pub(super) enum Ast {
    Class(CharSet),
    Seq(Vec<Ast>),
    Alt(Vec<Ast>),
    Repeat(Box<Ast>, u32, Option<u32>),
    Start(usize),
    End,
    Look { body: Box<Ast>, negated: bool, at: usize },
}

/// Reads a pattern.
pub(super) fn parse(text: &str, nesting: usize, max_repetitions: u32) -> Result<Ast, PatternError> {
    let chars: Vec<char> = text.chars().collect();
    let mut parser = Parser { chars: &chars, at: 0, nesting, max_repetitions };
    let ast = parser.alternatives(0)?;
    if parser.at < chars.len() {
        return Err(parser.malformed("expected the end of the pattern, found ')' without '('"));
    }
    Ok(ast)
}

struct Parser<'a> {
    chars: &'a [char],
    at: usize,
    nesting: usize,
    max_repetitions: u32,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn take(&mut self, text: &str) -> bool {
        let found = text.chars().enumerate().all(|(i, c)| self.chars.get(self.at + i) == Some(&c));
        if found {
            self.at += text.chars().count();
        }
        found
    }

    fn malformed(&self, message: impl Into<String>) -> PatternError {
        PatternError { malformed: true, at: self.at, message: message.into() }
    }

    fn unsupported(&self, message: impl Into<String>) -> PatternError {
        PatternError { malformed: false, at: self.at, message: message.into() }
    }

    fn alternatives(&mut self, depth: usize) -> Result<Ast, PatternError> {
        if depth > self.nesting {
            return Err(self.unsupported(format!(
                "groups are nested more than {} deep (Limits::nesting)",
                self.nesting
            )));
        }
        let mut alternatives = vec![self.sequence(depth)?];
        while self.take("|") {
            alternatives.push(self.sequence(depth)?);
        }
        Ok(if alternatives.len() == 1 { alternatives.remove(0) } else { Ast::Alt(alternatives) })
    }

    fn sequence(&mut self, depth: usize) -> Result<Ast, PatternError> {
        let mut parts = Vec::new();
        while let Some(c) = self.peek() {
            let start = self.at;
            let part = match c {
                '|' | ')' => break,
                '^' => {
                    self.at += 1;
                    Ast::Start(start)
                }
                '$' => {
                    self.at += 1;
                    Ast::End
                }
                '(' => self.group(depth)?,
                '[' => Ast::Class(self.class()?),
                '.' => {
                    self.at += 1;
                    Ast::Class(CharSet::of("\n\r\u{2028}\u{2029}").complement())
                }
                '*' | '+' | '?' | '{' => {
                    return Err(self.malformed(format!("expected something to repeat before '{c}'")));
                }
                '\\' => Ast::Class(self.escape(false)?),
                c => {
                    self.at += 1;
                    Ast::Class(CharSet::one(c))
                }
            };
            parts.push(self.quantified(part)?);
        }
        Ok(Ast::Seq(parts))
    }

    fn group(&mut self, depth: usize) -> Result<Ast, PatternError> {
        let at = self.at;
        self.at += 1;
        let mut look = None;
        if self.take("?=") {
            look = Some(false);
        } else if self.take("?!") {
            look = Some(true);
        } else if self.take("?<") {
            if matches!(self.peek(), Some('=' | '!')) {
                return Err(self.unsupported("lookbehind is not supported"));
            }
            while self.peek().is_some_and(|c| c != '>') {
                self.at += 1;
            }
            if !self.take(">") {
                return Err(self.malformed("expected '>' after the group's name, found the end"));
            }
        } else if !self.take("?:") && self.peek() == Some('?') {
            return Err(self.unsupported("this kind of group is not supported"));
        }
        let body = self.alternatives(depth + 1)?;
        if !self.take(")") {
            return Err(self.malformed("expected ')', found the end of the pattern"));
        }
        Ok(match look {
            Some(negated) => Ast::Look { body: Box::new(body), negated, at },
            None => body,
        })
    }

    /// Parses `*`, `+`, `?` or `{..}` after a part. Lazy forms match the same strings.
    fn quantified(&mut self, part: Ast) -> Result<Ast, PatternError> {
        let (min, max) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => self.bounds()?,
            _ => return Ok(part),
        };
        self.at += 1;
        self.take("?");
        Ok(Ast::Repeat(Box::new(part), min, max))
    }

    /// Parses `{m`, `{m,` or `{m,n`, up to the closing brace.
    fn bounds(&mut self) -> Result<(u32, Option<u32>), PatternError> {
        let number = |this: &mut Self| {
            let mut value: Option<u32> = None;
            while let Some(digit) = this.peek().and_then(|c| c.to_digit(10)) {
                value = Some(value.unwrap_or(0).saturating_mul(10).saturating_add(digit));
                this.at += 1;
            }
            value
        };
        self.at += 1;
        let Some(min) = number(self) else { return Err(self.malformed("expected a number after '{'")) };
        let max = if self.take(",") { number(self) } else { Some(min) };
        if self.peek() != Some('}') {
            return Err(self.malformed("expected '}' after the number of repetitions"));
        }
        if max.is_some_and(|max| max < min) {
            return Err(self.malformed("expected bounds of a repetition that ascend"));
        }
        if max.unwrap_or(min) > self.max_repetitions {
            return Err(self.unsupported(format!(
                "more than {} repetitions (Limits::max_repetitions)",
                self.max_repetitions
            )));
        }
        Ok((min, max))
    }

    fn class(&mut self) -> Result<CharSet, PatternError> {
        self.at += 1;
        let negated = self.take("^");
        let mut set = CharSet::default();
        while !self.take("]") {
            let low = self.class_atom()?;
            let is_range = self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|&c| c != ']');
            if !is_range {
                set = set.union(&low);
                continue;
            }
            self.at += 1;
            let high = self.class_atom()?;
            match (low.ranges(), high.ranges()) {
                (&[(low, last)], &[(high, end)]) if low == last && high == end && low <= high => {
                    set = set.union(&CharSet::new([(low, high)]));
                }
                _ => return Err(self.malformed("expected a range of two characters that ascend")),
            }
        }
        Ok(if negated { set.complement() } else { set })
    }

    fn class_atom(&mut self) -> Result<CharSet, PatternError> {
        match self.peek() {
            None => Err(self.malformed("expected ']', found the end of the pattern")),
            Some('\\') => self.escape(true),
            Some(c) => {
                self.at += 1;
                Ok(CharSet::one(c))
            }
        }
    }

    /// Parses what follows a `\`.
    fn escape(&mut self, in_class: bool) -> Result<CharSet, PatternError> {
        self.at += 1;
        let Some(c) = self.peek() else {
            return Err(self.malformed("expected a character after '\\', found the end of the pattern"));
        };
        self.at += 1;
        let digits = || CharSet::new([(0x30, 0x39)]);
        let word = || CharSet::new([(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]);
        let space = || {
            let chars = "\t\n\u{B}\u{C}\r \u{A0}\u{1680}\u{2028}\u{2029}\u{202F}\u{205F}\u{3000}\u{FEFF}";
            CharSet::of(chars).union(&CharSet::new([(0x2000, 0x200A)]))
        };
        let code = match c {
            'd' => return Ok(digits()),
            'D' => return Ok(digits().complement()),
            'w' => return Ok(word()),
            'W' => return Ok(word().complement()),
            's' => return Ok(space()),
            'S' => return Ok(space().complement()),
            't' => '\t' as u32,
            'n' => '\n' as u32,
            'r' => '\r' as u32,
            'f' => 0xC,
            'v' => 0xB,
            '0' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => 0,
            'b' if in_class => 8,
            'x' => self.hex(2)?,
            'u' => self.unicode()?,
            'c' => match self.peek() {
                Some(c) if c.is_ascii_alphabetic() => {
                    self.at += 1;
                    c as u32 & 31
                }
                _ => return Err(self.malformed("expected a letter after '\\c'")),
            },
            c if !c.is_alphanumeric() => c as u32,
            c => {
                self.at -= 1;
                return Err(self.unsupported(format!("'\\{c}' is not supported")));
            }
        };
        let set = CharSet::new([(code, code)]);
        if set.is_empty() { Err(self.unsupported("half a surrogate pair is not supported")) } else { Ok(set) }
    }

    fn hex(&mut self, digits: usize) -> Result<u32, PatternError> {
        let mut code = 0;
        for _ in 0..digits {
            let digit = self.peek().and_then(|c| c.to_digit(16));
            let Some(digit) = digit else {
                return Err(self.malformed(format!("expected {digits} hexadecimal digits")));
            };
            code = code << 4 | digit;
            self.at += 1;
        }
        Ok(code)
    }

    /// Parses `HHHH`, two of them that form a surrogate pair, or `{H..}`.
    fn unicode(&mut self) -> Result<u32, PatternError> {
        if self.take("{") {
            let mut code = 0u32;
            while let Some(digit) = self.peek().and_then(|c| c.to_digit(16)) {
                code = code.saturating_mul(16).saturating_add(digit);
                self.at += 1;
            }
            return if self.take("}") { Ok(code) } else { Err(self.malformed("expected '}' after '\\u{'")) };
        }
        let high = self.hex(4)?;
        if !(0xD800..0xDC00).contains(&high) || !self.take("\\u") {
            return Ok(high);
        }
        match self.hex(4)? {
            low @ 0xDC00..0xE000 => Ok(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)),
            _ => Err(self.unsupported("half a surrogate pair is not supported")),
        }
    }
}
