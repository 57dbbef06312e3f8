//! Where a value ends, found while its characters come.

use super::MAX_DEPTH;
use super::grammar::Notation;

/// What a character means for the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// The value goes on behind it.
    Inside,
    /// The value ends with it.
    Last,
    /// The value ended before it.
    Behind,
}

/// A value that is being read: brackets are counted and strings skipped. Whether it is a value at all is found out
/// by whoever takes its text.
#[derive(Debug)]
pub(super) struct Scan {
    notation: Notation,
    text: String,
    depth: usize,
    /// The quote of the string that is open, and where its inside begins.
    string: Option<(&'static str, usize)>,
    escaped: bool,
    over: bool,
}

impl Scan {
    pub(super) fn new(notation: Notation) -> Self {
        Scan { notation, text: String::new(), depth: 0, string: None, escaped: false, over: false }
    }

    /// The characters that were taken.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the value is known to be complete.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Ends the value before what comes next.
    pub(super) fn end(&mut self) {
        self.over = true;
    }

    /// Takes a character, but not one that is [`Extent::Behind`] the value.
    ///
    /// A value of brackets ends with the last of them, one that is a string with its quote where nothing else can
    /// follow, others before a bracket, comma or white space.
    pub(super) fn feed(&mut self, c: char) -> Result<Extent, String> {
        if let Some((quote, start)) = self.string {
            self.text.push(c);
            if self.escaped {
                self.escaped = false;
            } else if self.notation.escapes && c == '\\' {
                self.escaped = true;
            } else if self.text.len() >= start + quote.len() && self.text.ends_with(quote) {
                self.string = None;
                self.over = self.depth == 0;
                return Ok(if self.over { Extent::Last } else { Extent::Inside });
            }
            return Ok(Extent::Inside);
        }
        let closing = matches!(c, '}' | ']' | ')');
        if self.depth == 0 && (closing || c == ',' || c.is_whitespace()) {
            return Ok(Extent::Behind);
        }
        self.text.push(c);
        if let Some(quote) = self.notation.quotes.iter().find(|quote| self.text.ends_with(**quote)) {
            self.string = Some((quote, self.text.len()));
        } else if matches!(c, '{' | '[' | '(') {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(format!("the arguments are nested more than {MAX_DEPTH} deep"));
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_end_where_they_end() {
        let gemma = Notation { quotes: &["<|\"|>"], escapes: false, key_end: ':', close: '}' };
        let cases = [
            (Notation::JSON, r#"{"a": "}"} x"#, r#"{"a": "}"}"#),
            (Notation::JSON, r#""\"]", 1"#, r#""\"]""#),
            (Notation::JSON, "12.5,", "12.5"),
            (Notation::JSON, "true}", "true"),
            (Notation::JSON, "[[]]]", "[[]]"),
            (Notation::PYTHON, r#"'it"s', b"#, r#"'it"s'"#),
            (Notation::PYTHON, r"'\'' )", r"'\''"),
            (Notation::PYTHON, "{'a': (1, 2)})", "{'a': (1, 2)}"),
            (gemma, "<|\"|>a,<|\"}\"|<|\"|>}", "<|\"|>a,<|\"}\"|<|\"|>"),
            (gemma, "<|\"|><|\"|>,", "<|\"|><|\"|>"),
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
