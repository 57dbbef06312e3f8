//! Text between the decoder and the caller: held back while it may be part of a stop string, handed on in pieces.

use crate::EngineError;
use crate::piece::TextPiece;
use crate::reserve::reserve_text;

/// What memory is for here.
const STOPS: &str = "text before a stop string";

/// Text between the decoder and the caller.
///
/// ```text
/// generated:  ...already handed on | free | held: may begin a stop string |
/// ```
#[derive(Debug, Default)]
pub(crate) struct StopBuffer {
    stops: Vec<String>,
    text: String,
    /// Bytes at the front of `text` that belong to no stop string.
    free: usize,
    /// The stop string that was found.
    found: Option<usize>,
}

impl StopBuffer {
    /// A buffer that ends the text before the first of `stops`; empty ones are ignored.
    pub(crate) fn new(mut stops: Vec<String>) -> Result<Self, EngineError> {
        stops.retain(|stop| !stop.is_empty());
        let longest = stops.iter().map(String::len).max().unwrap_or(0);
        let mut text = String::new();
        // Tokens are rarely longer than 1,024 bytes; were one to be, the buffer grows once.
        reserve_text(&mut text, longest + 1024, STOPS)?;
        Ok(Self { text, stops, free: 0, found: None })
    }

    /// Adds text; nothing more is taken once a stop string was found.
    pub(crate) fn push(&mut self, text: &str) -> Result<(), EngineError> {
        if self.found.is_some() || text.is_empty() {
            return Ok(());
        }
        reserve_text(&mut self.text, text.len(), STOPS)?;
        self.text.push_str(text);
        let held = &self.text[self.free..];
        let first =
            self.stops.iter().enumerate().filter_map(|(i, stop)| Some((held.find(stop.as_str())?, i))).min();
        if let Some((at, stop)) = first {
            self.found = Some(stop);
            self.text.truncate(self.free + at);
            self.free = self.text.len();
        } else {
            self.free = self.text.len() - self.longest_held();
        }
        Ok(())
    }

    /// Length of the longest end of the text that a stop string begins with.
    fn longest_held(&self) -> usize {
        let held = |stop: &String| {
            let most = stop.len().saturating_sub(1).min(self.text.len());
            (1..=most).rev().find(|&n| stop.is_char_boundary(n) && self.text.ends_with(&stop[..n]))
        };
        self.stops.iter().filter_map(held).max().unwrap_or(0)
    }

    /// No more text will come: what was held back is free.
    pub(crate) fn finish(&mut self) {
        self.free = self.text.len();
    }

    /// The next piece that may be handed on.
    pub(crate) fn pop(&mut self) -> Option<TextPiece> {
        let piece = TextPiece::first_of(&self.text[..self.free])?;
        self.text.drain(..piece.len());
        self.free -= piece.len();
        Some(piece)
    }

    /// The stop string that ended the text.
    pub(crate) fn found(&self) -> Option<&str> {
        self.found.map(|i| self.stops[i].as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `parts` and returns what came out after each, and the stop string.
    fn run(stops: &[&str], parts: &[&str]) -> (Vec<String>, Option<String>) {
        let stops: Vec<String> = stops.iter().map(|s| (*s).to_owned()).collect();
        let mut buffer = StopBuffer::new(stops).expect("a short text");
        let mut out = Vec::new();
        for part in parts {
            buffer.push(part).expect("a short text");
            out.push(std::iter::from_fn(|| buffer.pop()).map(|p| p.to_string()).collect());
        }
        buffer.finish();
        out.push(std::iter::from_fn(|| buffer.pop()).map(|p| p.to_string()).collect());
        (out, buffer.found().map(str::to_owned))
    }

    #[test]
    fn stop_strings_across_parts() {
        let cases: &[(&[&str], &[&str], &[&str], Option<&str>)] = &[
            (&[], &["ab", "c"], &["ab", "c", ""], None),
            (&["\n\n"], &["a\n", "b\n", "\nc"], &["a", "\nb", "", ""], Some("\n\n")),
            (&["</s>"], &["x<", "/", "s", "> y"], &["x", "", "", "", ""], Some("</s>")),
            (&["</s>"], &["x<", "/", "b"], &["x", "", "</b", ""], None),
            (&["</s>"], &["x</s"], &["x", "</s"], None),
            (&["bc", "abcd"], &["a", "b", "c", "d"], &["", "", "a", "", ""], Some("bc")),
            (&["aab"], &["aa", "a", "b"], &["", "a", "", ""], Some("aab")),
            (&["é!"], &["é", "é", "!"], &["", "é", "", ""], Some("é!")),
            (&["stop"], &["nonstop talk"], &["non", ""], Some("stop")),
            (&[""], &["a"], &["a", ""], None),
        ];
        for (stops, parts, expected, found) in cases {
            let (out, stop) = run(stops, parts);
            assert_eq!(
                (out, stop.as_deref()),
                (expected.iter().map(|s| (*s).to_owned()).collect(), *found),
                "{parts:?}"
            );
        }
    }
}
