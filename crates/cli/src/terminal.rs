//! Text on a terminal: control characters are made visible, and words are not split at the edge.
//!
//! A model, a file or a template may contain escape sequences that change a window's title, move the cursor or
//! overwrite the screen. On a terminal they are shown as text (`\x1b`). In a pipe or a file, bytes are unchanged.

use crate::markdown::{Markdown, Style};
use std::borrow::Cow;
use std::io::{self, IsTerminal, Stdout, Write};
use unicode_width::UnicodeWidthChar;

/// Returns whether a character would move the cursor or control the terminal, instead of being shown.
fn is_control(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
}

/// Returns the text with control characters as text, except line feeds and tabs.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_control(c) {
            out.push_str(&in_writing(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn in_writing(c: char) -> String {
    format!("\\x{:02x}", u32::from(c))
}

/// Standard output for names and texts from files: on a terminal, control characters are shown as text.
pub(crate) fn stdout() -> Screen<Stdout> {
    let out = io::stdout();
    Screen { escapes: out.is_terminal(), lead: false, out }
}

/// A writer that shows control characters as text.
pub(crate) struct Screen<W> {
    out: W,
    escapes: bool,
    /// The first byte of a C1 control (U+0080 to U+009F) whose second byte has not arrived.
    lead: bool,
}

impl Screen<Stdout> {
    /// Ends the line of a text on a terminal, so that the shell's prompt does not stick to it.
    pub(crate) fn end_on_terminal(&mut self, text: &[u8]) -> io::Result<()> {
        if self.escapes && !text.ends_with(b"\n") { self.out.write_all(b"\n") } else { Ok(()) }
    }
}

/// First byte of the characters U+0080 to U+00BF.
const LEAD: u8 = 0xc2;

impl<W: Write> Write for Screen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.escapes {
            return self.out.write(bytes);
        }
        let mut shown = Vec::with_capacity(bytes.len() + 8);
        for &byte in bytes {
            match (std::mem::take(&mut self.lead), byte) {
                (true, 0x80..=0x9f) => shown.extend_from_slice(in_writing(char::from(byte)).as_bytes()),
                (true, _) => shown.extend([LEAD, byte]),
                (false, LEAD) => self.lead = true,
                (false, b'\n' | b'\t') => shown.push(byte),
                (false, 0..=0x1f | 0x7f) => shown.extend_from_slice(in_writing(char::from(byte)).as_bytes()),
                (false, _) => shown.push(byte),
            }
        }
        self.out.write_all(&shown)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Streams an answer: on a terminal through [`Markdown`] and [`Wrap`], elsewhere unchanged.
pub(crate) struct Page {
    out: Stdout,
    wrap: Option<Wrap>,
    /// `None` if the text has no styles, because the user wants none.
    markdown: Option<Markdown>,
    /// Characters with their styles on their way to the terminal.
    styled: Vec<(Style, char)>,
    /// Whether nothing was written.
    empty: bool,
    /// Whether the last line has an end.
    ended: bool,
}

impl Page {
    pub(crate) fn new() -> Self {
        let out = io::stdout();
        // One column stays free, so that the cursor never waits at the edge, where moving it back is unreliable.
        let width = || terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
        let wrap = out.is_terminal().then(|| Wrap::new(width().saturating_sub(1)));
        let colors = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let markdown = (wrap.is_some() && colors).then(Markdown::default);
        Self { out, wrap, markdown, styled: Vec::new(), empty: true, ended: true }
    }

    /// Writes a piece of the text at once.
    pub(crate) fn write(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.empty = false;
        self.ended = text.ends_with('\n');
        match (&mut self.wrap, &mut self.markdown) {
            (Some(wrap), Some(markdown)) => {
                markdown.push(&visible(text), &mut self.styled);
                let sent = wrap.push_styled(self.styled.drain(..));
                self.out.write_all(sent.as_bytes())?;
            }
            (Some(wrap), None) => self.out.write_all(wrap.push(&visible(text)).as_bytes())?,
            (None, _) => self.out.write_all(text.as_bytes())?,
        }
        self.out.flush()
    }

    /// Shows what was waiting for more text, and ends all styles.
    fn finish(&mut self) -> io::Result<()> {
        let (Some(wrap), Some(mut markdown)) = (&mut self.wrap, self.markdown.take()) else { return Ok(()) };
        markdown.finish(&mut self.styled);
        let mut sent = wrap.push_styled(self.styled.drain(..));
        wrap.set_style(Style::Plain, &mut sent);
        self.out.write_all(sent.as_bytes())
    }

    /// Ends the last line, if it has no end.
    pub(crate) fn end_line(&mut self) -> io::Result<()> {
        self.finish()?;
        if self.ended { Ok(()) } else { self.write("\n") }
    }

    /// Ends the text with a line end, even if there is no text.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.finish()?;
        if self.empty { self.write("\n") } else { self.end_line() }
    }
}

/// Breaks lines before a word that would cross the edge.
///
/// A word is shown while it comes. If it turns out to be too long for its line, it is erased and written again on the
/// next.
struct Wrap {
    width: usize,
    column: usize,
    /// The word at the end of the line, and its width.
    word: String,
    word_width: usize,
    style: Style,
    /// The style in which the word begins.
    word_style: Style,
}

/// Columns from one tab stop to the next.
const TAB: usize = 8;

impl Wrap {
    fn new(width: usize) -> Self {
        let (style, word_style) = (Style::Plain, Style::Plain);
        Self { width: width.max(1), column: 0, word: String::new(), word_width: 0, style, word_style }
    }

    /// Returns what to send for more of the text.
    fn push(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        text.chars().for_each(|c| self.put(c, &mut out));
        out
    }

    /// Does the same with a style for each character.
    fn push_styled(&mut self, text: impl Iterator<Item = (Style, char)>) -> String {
        let mut out = String::new();
        for (style, c) in text {
            self.set_style(style, &mut out);
            self.put(c, &mut out);
        }
        out
    }

    /// Switches to a style, which takes no columns.
    fn set_style(&mut self, style: Style, out: &mut String) {
        if style == self.style {
            return;
        }
        self.style = style;
        out.push_str(style.escape());
        if self.word.is_empty() {
            self.word_style = style;
        } else {
            self.word.push_str(style.escape());
        }
    }

    fn put(&mut self, c: char, out: &mut String) {
        match c {
            '\n' => self.line(out),
            // A space at the edge is the line's end.
            ' ' | '\t' if self.column >= self.width => self.line(out),
            '\t' => {
                out.push(c);
                self.column = (self.column / TAB + 1) * TAB;
                self.forget_word();
            }
            ' ' => {
                out.push(c);
                self.column += 1;
                self.forget_word();
            }
            _ => self.letter(c, out),
        }
    }

    fn letter(&mut self, c: char, out: &mut String) {
        let width = c.width().unwrap_or(0);
        if self.column + width > self.width {
            if self.word_width == self.column {
                // The word fills the line, so it is broken here.
                self.line(out);
            } else {
                let word = std::mem::take(&mut self.word);
                if self.word_width > 0 {
                    out.push_str(&format!("\x1b[{}D\x1b[K", self.word_width));
                }
                out.push('\n');
                if self.word_style != self.style || word.contains('\x1b') {
                    out.push_str(self.word_style.escape());
                }
                out.push_str(&word);
                (self.column, self.word) = (self.word_width, word);
            }
        }
        out.push(c);
        self.column += width;
        // Lines may be broken between any wide characters (Chinese, Japanese).
        if width > 1 {
            self.forget_word();
        } else {
            self.word.push(c);
            self.word_width += width;
        }
    }

    fn line(&mut self, out: &mut String) {
        out.push('\n');
        self.column = 0;
        self.forget_word();
    }

    fn forget_word(&mut self) {
        self.word.clear();
        self.word_width = 0;
        self.word_style = self.style;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_put_in_writing() {
        let cases = [
            ("plain é 🦀\n\tx", "plain é 🦀\n\tx"),
            ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
            ("a\rb\u{7f}\u{9b}31m\0", "a\\x0db\\x7f\\x9b31m\\x00"),
        ];
        for (text, expected) in cases {
            assert_eq!(visible(text), expected);
            // The writer does the same with bytes that come one at a time.
            let mut screen = Screen { out: Vec::new(), escapes: true, lead: false };
            for byte in text.bytes() {
                screen.write_all(&[byte]).expect("memory takes it");
            }
            assert_eq!(String::from_utf8_lossy(&screen.out), expected);
            let mut pipe = Screen { out: Vec::new(), escapes: false, lead: false };
            pipe.write_all(text.as_bytes()).expect("memory takes it");
            assert_eq!(pipe.out, text.as_bytes());
        }
    }

    /// Returns what a terminal of this width shows of the text, fed in pieces of any size.
    fn shown(text: &str, width: usize) -> Vec<String> {
        let screens = [1, 2, 5, 100].map(|piece| {
            let characters: Vec<char> = text.chars().collect();
            let mut wrap = Wrap::new(width);
            let sent: String =
                characters.chunks(piece).map(|part| wrap.push(&part.iter().collect::<String>())).collect();
            let (mut lines, mut rest) = (vec![String::new()], sent.as_str());
            while let Some(c) = rest.chars().next() {
                rest = &rest[c.len_utf8()..];
                let line = lines.last_mut().expect("one line at least");
                match c {
                    '\n' => lines.push(String::new()),
                    '\x1b' => {
                        let (n, after) = rest[1..].split_once("D\x1b[K").expect("moves back and erases");
                        (0..n.parse::<usize>().expect("a number")).for_each(|_| {
                            line.pop();
                        });
                        rest = after;
                    }
                    c => line.push(c),
                }
            }
            lines.iter().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>()
        });
        assert!(screens.iter().all(|screen| *screen == screens[0]), "{screens:?}");
        screens[0].clone()
    }

    #[test]
    fn words_stay_whole() {
        let cases: &[(&str, usize, &[&str])] = &[
            ("anything you're", 11, &["anything", "you're"]),
            ("one two three", 7, &["one two", "three"]),
            ("one two  three", 7, &["one two", " three"]),
            ("abcdefghij kl", 4, &["abcd", "efgh", "ij", "kl"]),
            ("a\n\nb", 4, &["a", "", "b"]),
            ("日本語日本語", 5, &["日本", "語日", "本語"]),
            ("", 4, &[""]),
        ];
        for (text, width, lines) in cases {
            assert_eq!(shown(text, *width), *lines, "{text:?} in {width}");
        }
    }

    #[test]
    fn a_word_that_moves_keeps_its_styles() {
        let mut wrap = Wrap::new(6);
        let styled = |text: &str, style| text.chars().map(move |c| (style, c)).collect::<Vec<_>>();
        let text =
            [styled("one tw", Style::Plain), styled("of", Style::Bold), styled(" x", Style::Plain)].concat();
        let sent = wrap.push_styled(text.into_iter());
        let (plain, bold) = (Style::Plain.escape(), Style::Bold.escape());
        assert_eq!(sent, format!("one tw{bold}\x1b[2D\x1b[K\n{plain}tw{bold}of{plain} x"));
    }
}
