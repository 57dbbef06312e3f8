//! Markdown on a terminal: bold text, headings and code are highlighted, and marks are dimmed. No character is changed
//! or left out, so text that is copied from the screen is what the model wrote.

/// The style of a character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Style {
    #[default]
    Plain,
    Bold,
    Code,
    /// A mark, like `**`.
    Mark,
}

impl Style {
    /// Returns the escape sequence that switches a terminal from any style to this one.
    pub(crate) fn escape(self) -> &'static str {
        match self {
            Style::Plain => "\x1b[0m",
            Style::Bold => "\x1b[0;1m",
            Style::Code => "\x1b[0;36m",
            Style::Mark => "\x1b[0;2m",
        }
    }
}

/// Gives each character of a text its style, as the text comes.
#[derive(Debug, Default)]
pub(crate) struct Markdown {
    /// Characters whose style depends on the next one: stars, or backticks and hashes at the start of a line.
    held: String,
    /// Whether the line has only spaces so far.
    at_start: bool,
    begun: bool,
    /// Backticks that opened the block of code.
    fence: usize,
    /// Whether the line is a fence, all of which is a mark.
    in_fence_line: bool,
    heading: bool,
    bold: bool,
    code: bool,
    last: char,
}

impl Markdown {
    /// Returns the characters that can be shown now.
    pub(crate) fn push(&mut self, text: &str, out: &mut Vec<(Style, char)>) {
        for c in text.chars() {
            if !std::mem::replace(&mut self.begun, true) {
                self.at_start = true;
            }
            let held = self.held.chars().next();
            if held == Some(c) {
                self.held.push(c);
                continue;
            }
            self.release(Some(c), out);
            let opens = match c {
                '*' => !self.code && self.fence == 0,
                '`' => self.at_start,
                '#' => self.at_start && self.fence == 0,
                _ => false,
            };
            if opens && !self.in_fence_line {
                self.held.push(c);
            } else {
                self.show(c, out);
            }
        }
    }

    /// Returns the characters that are held, at the end of the text.
    pub(crate) fn finish(&mut self, out: &mut Vec<(Style, char)>) {
        self.release(None, out);
    }

    /// Shows what is held, now that the character after it is known.
    fn release(&mut self, next: Option<char>, out: &mut Vec<(Style, char)>) {
        let held = std::mem::take(&mut self.held);
        let n = held.len();
        let Some(c) = held.chars().next() else { return };
        let space_follows = next.is_none_or(char::is_whitespace);
        match c {
            '`' if n >= 3 && (self.fence == 0 || n >= self.fence) => {
                self.fence = if self.fence == 0 { n } else { 0 };
                self.in_fence_line = true;
            }
            '`' => return held.chars().for_each(|c| self.show(c, out)),
            '#' if n <= 6 && space_follows => self.heading = true,
            // It closes an open style after a letter, and opens one before a letter.
            '*' if n == 2 && (if self.bold { !self.last.is_whitespace() } else { !space_follows }) => {
                self.bold = !self.bold;
            }
            c => {
                let style = self.style();
                return held.chars().for_each(|_| self.put(c, style, out));
            }
        }
        held.chars().for_each(|c| self.put(c, Style::Mark, out));
    }

    fn style(&self) -> Style {
        match self {
            _ if self.in_fence_line => Style::Mark,
            _ if self.fence > 0 || self.code => Style::Code,
            _ if self.bold || self.heading => Style::Bold,
            _ => Style::Plain,
        }
    }

    fn show(&mut self, c: char, out: &mut Vec<(Style, char)>) {
        if c == '`' && self.fence == 0 && !self.in_fence_line {
            self.code = !self.code;
            return self.put(c, Style::Mark, out);
        }
        let style = self.style();
        self.put(c, style, out);
    }

    fn put(&mut self, c: char, style: Style, out: &mut Vec<(Style, char)>) {
        if c == '\n' {
            // An empty line ends a paragraph, and bold text with it.
            if self.last == '\n' {
                self.bold = false;
            }
            (self.code, self.heading, self.in_fence_line) = (false, false, false);
        }
        self.at_start = c == '\n' || (self.at_start && c == ' ');
        self.last = c;
        out.push((style, c));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the text with a letter for the style of each character, fed in pieces of any size.
    fn styles(text: &str) -> String {
        let found = [1, 2, 3, 100].map(|piece| {
            let (mut markdown, mut out) = (Markdown::default(), Vec::new());
            let all: Vec<char> = text.chars().collect();
            for part in all.chunks(piece) {
                markdown.push(&part.iter().collect::<String>(), &mut out);
            }
            markdown.finish(&mut out);
            assert_eq!(out.iter().map(|(_, c)| *c).collect::<String>(), text, "no character is lost");
            let letter = |(style, c): &(Style, char)| match (style, c) {
                (_, '\n') => '\n',
                (Style::Plain, _) => '.',
                (Style::Bold, _) => 'b',
                (Style::Code, _) => 'c',
                (Style::Mark, _) => 'm',
            };
            out.iter().map(letter).collect::<String>()
        });
        assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
        found[0].clone()
    }

    #[test]
    fn marks_and_what_they_mark() {
        for (text, expected) in [
            ("a **b c** d", "..mmbbbmm.."),
            ("2 ** 3 * 4", ".........."),
            ("*a* ***b***", "..........."),
            ("x `a*b` y", "..mcccm.."),
            ("`a\nb", "mc\n."),
            ("## Head **x**\nb", "mmbbbbbbmmbmm\n."),
            ("#!/bin/sh", "........."),
            ("```rust\nfn `x`\n```\nz", "mmmmmmm\ncccccc\nmmm\n."),
            ("  ```\na\n  ```", "..mmm\nc\nccmmm"),
            ("````\n```\n````\n", "mmmm\nccc\nmmmm\n"),
            ("**a\n\nb", "mmb\n\n."),
            ("**", ".."),
            ("é **日本**", "..mmbbmm"),
        ] {
            assert_eq!(styles(text), expected, "{text:?}");
        }
    }
}
