//! Splits the template into tokens, as Jinja2's lexer does with `trim_blocks` and `lstrip_blocks`.

use super::TemplateError;

/// Size of the largest template, in bytes. The largest known templates have 25 KB.
const MAX_BYTES: usize = 512 * 1024;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tok<'s> {
    /// Text between the tags.
    Data(&'s str),
    BlockBegin,
    BlockEnd,
    OutputBegin,
    OutputEnd,
    Name(&'s str),
    Str(String),
    Int(i128),
    Float(f64),
    Op(&'static str),
    End,
}

impl std::fmt::Display for Tok<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Tok::Data(_) => f.write_str("text"),
            Tok::BlockBegin => f.write_str("`{%`"),
            Tok::BlockEnd => f.write_str("`%}`"),
            Tok::OutputBegin => f.write_str("`{{`"),
            Tok::OutputEnd => f.write_str("`}}`"),
            Tok::Name(name) => write!(f, "`{}`", name.chars().take(40).collect::<String>()),
            Tok::Str(_) => f.write_str("a string"),
            Tok::Int(_) | Tok::Float(_) => f.write_str("a number"),
            Tok::Op(op) => write!(f, "`{op}`"),
            Tok::End => f.write_str("the end of the template"),
        }
    }
}

pub(super) struct Token<'s> {
    pub(super) tok: Tok<'s>,
    pub(super) line: u32,
}

/// Longest first.
const OPERATORS: [&str; 25] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<",
    "=", ".", ":", "|", ",",
];

/// Normalizes the source as Jinja2 does: line ends become line feeds, and one at the very end is dropped.
///
/// # Errors
/// If the template is too large.
pub(super) fn normalized(source: &str) -> Result<String, TemplateError> {
    if source.len() > MAX_BYTES {
        let message = format!("the template has {} bytes, at most {MAX_BYTES} are allowed", source.len());
        return Err(TemplateError::Syntax { line: 1, message });
    }
    let mut text = String::new();
    text.try_reserve_exact(source.len()).map_err(|_| TemplateError::OutOfMemory { line: 1 })?;
    for (i, line) in source.split('\r').enumerate() {
        // A line feed after a carriage return belongs to it.
        let line = if i == 0 { line } else { line.strip_prefix('\n').unwrap_or(line) };
        text.push_str(if i == 0 { "" } else { "\n" });
        text.push_str(line);
    }
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

/// Returns whether `str.strip()` of Python treats a character as white space: Unicode's, and the four information separators.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

pub(super) struct Lexer<'s> {
    source: &'s str,
    at: usize,
    line: u32,
    out: Vec<Token<'s>>,
    /// Whether memory was refused, so that tokens are missing.
    out_of_memory: bool,
}

impl<'s> Lexer<'s> {
    /// Splits a normalized source into tokens.
    pub(super) fn tokens(source: &'s str) -> Result<Vec<Token<'s>>, TemplateError> {
        let mut lexer = Lexer { source, at: 0, line: 1, out: Vec::new(), out_of_memory: false };
        while !lexer.out_of_memory && lexer.text_and_tag()? {}
        lexer.push(Tok::End);
        match lexer.out_of_memory {
            true => Err(TemplateError::OutOfMemory { line: lexer.line as usize }),
            false => Ok(lexer.out),
        }
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, tok: Tok<'s>) {
        match self.out.try_reserve(1) {
            Ok(()) => self.out.push(Token { tok, line: self.line }),
            Err(_) => self.out_of_memory = true,
        }
    }

    fn skip(&mut self, bytes: usize) {
        let skipped = self.rest().get(..bytes).unwrap_or_default();
        self.line += skipped.bytes().filter(|b| *b == b'\n').count() as u32;
        self.at += bytes;
    }

    fn skip_spaces(&mut self) {
        self.skip(self.rest().len() - self.rest().trim_start_matches(is_space).len());
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError::Syntax { line: self.line as usize, message: message.into() })
    }

    /// Returns `text` without the white space that the following tag, which begins with `sign`, strips from it.
    fn stripped(&self, text: &'s str, sign: &str, is_output: bool) -> &'s str {
        if sign == "-" {
            return text.trim_end_matches(is_space);
        }
        if sign == "+" || is_output {
            return text;
        }
        let line = text.rfind('\n').map_or(0, |i| i + 1);
        let starts_line = line > 0 || self.at == 0 || self.source.as_bytes().get(self.at - 1) == Some(&b'\n');
        let blank = text.get(line..).is_some_and(|last| last.chars().all(is_space));
        if starts_line && blank { text.get(..line).unwrap_or_default() } else { text }
    }

    /// Reads text and the tag that follows it. Returns `false` at the end.
    fn text_and_tag(&mut self) -> Result<bool, TemplateError> {
        let rest = self.rest();
        let opens = |i: &usize| matches!(rest.as_bytes().get(i + 1), Some(b'%' | b'{' | b'#'));
        let Some(open) = rest.match_indices('{').map(|(i, _)| i).find(opens) else {
            if !rest.is_empty() {
                self.push(Tok::Data(rest));
                self.skip(rest.len());
            }
            return Ok(false);
        };
        let kind = rest.as_bytes().get(open + 1).copied().unwrap_or_default();
        let sign = rest.get(open + 2..open + 3).filter(|s| matches!(*s, "-" | "+")).unwrap_or_default();
        let text = self.stripped(rest.get(..open).unwrap_or_default(), sign, kind == b'{');
        if !text.is_empty() {
            self.push(Tok::Data(text));
        }
        self.skip(open + 2 + sign.len());
        match kind {
            b'#' => self.comment()?,
            b'{' => {
                self.push(Tok::OutputBegin);
                self.inside(true)?;
            }
            _ => match self.after_word("raw", false) {
                Some(body) => self.raw(body)?,
                None => {
                    self.push(Tok::BlockBegin);
                    self.inside(false)?;
                }
            },
        }
        Ok(true)
    }

    fn comment(&mut self) -> Result<(), TemplateError> {
        let rest = self.rest();
        let Some(close) = rest.find("#}") else {
            return self.error("expected the end `#}` of a comment, found the end of the template");
        };
        let sign = rest.get(..close).unwrap_or_default().as_bytes().last().copied();
        self.skip(close + 2);
        self.after_tag(sign);
        Ok(())
    }

    /// Skips the white space that the end of a tag with this sign strips.
    fn after_tag(&mut self, sign: Option<u8>) {
        match sign {
            Some(b'-') => self.skip_spaces(),
            Some(b'+') => {}
            _ if self.rest().starts_with('\n') => self.skip(1),
            _ => {}
        }
    }

    /// Returns the number of bytes up to the end of `word %}`, if that is next in the tag that has been opened.
    fn after_word(&self, word: &str, plus: bool) -> Option<usize> {
        let inside = self.rest().trim_start_matches(is_space);
        let close = inside.strip_prefix(word)?.trim_start_matches(is_space);
        let end = close.strip_prefix("%}").or_else(|| close.strip_prefix("-%}"));
        let end = end.or_else(|| close.strip_prefix("+%}").filter(|_| plus))?;
        Some(self.rest().len() - end.len())
    }

    fn raw(&mut self, body: usize) -> Result<(), TemplateError> {
        let minus = self.rest().get(..body).is_some_and(|tag| tag.ends_with("-%}"));
        self.skip(body);
        if minus {
            self.skip_spaces();
        }
        let rest = self.rest();
        for (open, _) in rest.match_indices("{%") {
            let tail = rest.get(open + 2..).unwrap_or_default();
            let sign = tail.get(..1).filter(|s| matches!(*s, "-" | "+")).unwrap_or_default();
            let here = Lexer {
                source: self.source,
                at: self.at + open + 2 + sign.len(),
                line: 0,
                out: Vec::new(),
                out_of_memory: false,
            };
            let Some(end) = here.after_word("endraw", true) else { continue };
            let text = self.stripped(rest.get(..open).unwrap_or_default(), sign, false);
            if !text.is_empty() {
                self.push(Tok::Data(text));
            }
            let tag = open + 2 + sign.len() + end;
            self.skip(tag);
            let sign = rest.as_bytes().get(tag.wrapping_sub(3)).copied();
            self.after_tag(sign);
            return Ok(());
        }
        self.error("expected `{% endraw %}`, found the end of the template")
    }

    /// Reads the tokens of a tag, up to its end.
    fn inside(&mut self, is_output: bool) -> Result<(), TemplateError> {
        let mut open: Vec<&'static str> = Vec::new();
        loop {
            self.skip_spaces();
            let rest = self.rest();
            let close = if is_output { "}}" } else { "%}" };
            if open.is_empty() {
                let sign =
                    rest.as_bytes().first().copied().filter(|b| *b == b'-' || (*b == b'+' && !is_output));
                let skipped = usize::from(sign.is_some());
                if rest.get(skipped..).is_some_and(|rest| rest.starts_with(close)) {
                    self.push(if is_output { Tok::OutputEnd } else { Tok::BlockEnd });
                    self.skip(skipped + 2);
                    match sign {
                        Some(b'-') => self.skip_spaces(),
                        _ if !is_output => self.after_tag(sign),
                        _ => {}
                    }
                    return Ok(());
                }
            }
            let Some(first) = rest.chars().next() else {
                return self.error(format!("unexpected end of the template, expected `{close}`"));
            };
            if first.is_ascii_digit() {
                self.number()?;
            } else if first.is_alphabetic() || first == '_' {
                let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                self.push(Tok::Name(rest.get(..len).unwrap_or_default()));
                self.skip(len);
            } else if first == '\'' || first == '"' {
                self.string(first)?;
            } else {
                let Some(op) = OPERATORS.iter().find(|op| rest.starts_with(**op)) else {
                    return self.error(format!("unexpected character {first:?}"));
                };
                match *op {
                    "(" => open.push(")"),
                    "[" => open.push("]"),
                    "{" => open.push("}"),
                    ")" | "]" | "}" => match open.pop() {
                        Some(expected) if expected == *op => {}
                        Some(expected) => {
                            return self.error(format!("unexpected `{op}`, expected `{expected}`"));
                        }
                        None => return self.error(format!("unexpected `{op}`")),
                    },
                    _ => {}
                }
                self.push(Tok::Op(op));
                self.skip(op.len());
            }
        }
    }

    fn number(&mut self) -> Result<(), TemplateError> {
        let rest = self.rest();
        let digits = |from: usize, radix: u32| -> usize {
            let text = rest.get(from..).unwrap_or_default();
            let len = text.find(|c: char| !c.is_digit(radix) && c != '_').unwrap_or(text.len());
            from + text.get(..len).unwrap_or_default().trim_end_matches('_').len()
        };
        let radix = match rest.get(..2).map(str::to_ascii_lowercase).as_deref() {
            Some("0x") => 16,
            Some("0o") => 8,
            Some("0b") => 2,
            _ => 10,
        };
        let start = if radix == 10 { 0 } else { 2 };
        let whole = digits(start, radix);
        let mut end = whole;
        let follows = |at: usize, set: &[u8]| rest.as_bytes().get(at).is_some_and(|b| set.contains(b));
        let digit = |at: usize| rest.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
        let after_dot = self.at > 0 && self.source.as_bytes().get(self.at - 1) == Some(&b'.');
        if radix == 10 && !after_dot {
            if follows(end, b".") && digit(end + 1) {
                end = digits(end + 1, 10);
            }
            let exponent = end + 1 + usize::from(follows(end + 1, b"+-"));
            if follows(end, b"eE") && digit(exponent) {
                end = digits(exponent, 10);
            }
        }
        let text: String = rest.get(start..end).unwrap_or_default().chars().filter(|c| *c != '_').collect();
        let tok = if end > whole {
            text.parse().ok().map(Tok::Float)
        } else {
            i128::from_str_radix(&text, radix).ok().map(Tok::Int)
        };
        let Some(tok) = tok else {
            return self.error(format!("not a number: {}", text.chars().take(40).collect::<String>()));
        };
        self.push(tok);
        self.skip(end);
        Ok(())
    }

    fn string(&mut self, quote: char) -> Result<(), TemplateError> {
        let rest = self.rest();
        let mut out = String::new();
        let mut chars = rest.char_indices().skip(1);
        while let Some((i, c)) = chars.next() {
            // No escape becomes more than one character.
            if out.try_reserve(16).is_err() {
                return Err(TemplateError::OutOfMemory { line: self.line as usize });
            }
            if c == quote {
                self.push(Tok::Str(out));
                self.skip(i + 1);
                return Ok(());
            }
            if c != '\\' {
                out.push(c);
                continue;
            }
            let Some((_, escape)) = chars.next() else { break };
            // Reads the digits of an escape, at most `most`.
            let code = |first: &str,
                        radix: u32,
                        most: usize,
                        chars: &mut std::iter::Skip<std::str::CharIndices<'_>>| {
                let mut digits = first.to_owned();
                let mut ahead = chars.clone();
                while digits.len() < most
                    && let Some((_, c)) = ahead.next()
                    && c.is_digit(radix)
                {
                    digits.push(c);
                    *chars = ahead.clone();
                }
                u32::from_str_radix(&digits, radix).ok().map(|n| (n, digits.len()))
            };
            let hex = match escape {
                'x' => Some(2),
                'u' => Some(4),
                'U' => Some(8),
                _ => None,
            };
            match (escape, hex) {
                (_, Some(most)) => match code("", 16, most, &mut chars) {
                    // UTF-8 cannot express a lone surrogate.
                    Some((n, len)) if len == most => out.push(char::from_u32(n).unwrap_or('\u{fffd}')),
                    _ => return self.error(format!("truncated \\{escape} escape in a string")),
                },
                ('0'..='7', _) => {
                    let n = code(&escape.to_string(), 8, 3, &mut chars).map_or(0, |(n, _)| n);
                    out.push(char::from_u32(n).unwrap_or('\u{fffd}'));
                }
                ('n', _) => out.push('\n'),
                ('t', _) => out.push('\t'),
                ('r', _) => out.push('\r'),
                ('a', _) => out.push('\u{7}'),
                ('b', _) => out.push('\u{8}'),
                ('f', _) => out.push('\u{c}'),
                ('v', _) => out.push('\u{b}'),
                ('\\' | '\'' | '"', _) => out.push(escape),
                ('\n', _) => {}
                _ => {
                    out.push('\\');
                    out.push(escape);
                }
            }
        }
        self.error("unexpected end of the template in a string")
    }
}
