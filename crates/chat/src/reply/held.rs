//! Characters that wait, and which markers they may become.
// Lists of ranges, some of one range.
#![allow(clippy::single_range_in_vec_init)]

use std::ops::Range;

use super::grammar::Grammar;

/// Characters that may begin a marker, and which of them are a control token's.
#[derive(Debug, Default)]
pub(super) struct Held {
    text: String,
    /// For each byte, whether a control token brought it.
    control: Vec<bool>,
    /// Where what is still held begins: dropping from the front does not move the rest each time.
    at: usize,
}

impl Held {
    pub(super) fn push(&mut self, c: char, control: bool) {
        self.text.push(c);
        self.control.resize(self.text.len(), control);
    }

    pub(super) fn text(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.text.len() - self.at
    }

    /// The first character, and whether a control token brought it.
    pub(super) fn first(&self) -> Option<(char, bool)> {
        let c = self.text().chars().next()?;
        Some((c, self.control.get(self.at).copied().unwrap_or_default()))
    }

    /// Forgets the first `bytes` bytes.
    pub(super) fn drop_front(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.text.len());
        if self.at * 2 >= self.text.len() {
            self.text.drain(..self.at);
            self.control.drain(..self.at);
            self.at = 0;
        }
    }

    /// Puts other characters before those that are held.
    pub(super) fn put_back(&mut self, mut before: Held) {
        before.text.push_str(self.text());
        before.control.extend_from_slice(self.control.get(self.at..).unwrap_or_default());
        *self = before;
    }

    /// Whether `marker` begins with what is held or the other way round, control tokens with control tokens.
    pub(super) fn meets(&self, marker: &str, tokens: &[Range<usize>]) -> bool {
        let text = self.text();
        if !text.starts_with(marker) && !marker.starts_with(text) {
            return false;
        }
        let control = self.control.get(self.at..).unwrap_or_default();
        let held =
            |range: &Range<usize>| control.iter().take(range.end).skip(range.start).all(|token| *token);
        tokens.iter().all(held)
    }
}

/// Which parts of a format's markers are control tokens of the vocabulary: there only the token counts, and the same
/// characters as ordinary text are text.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokens(Vec<(&'static str, Vec<Range<usize>>)>);

impl Tokens {
    pub(super) fn new(grammar: &'static Grammar, is_token: &dyn Fn(&str) -> bool) -> Self {
        let parts = |marker: &'static str| (marker, token_parts(marker, is_token));
        Tokens(grammar.markers().map(parts).filter(|(_, parts)| !parts.is_empty()).collect())
    }

    /// The parts of a marker that are tokens.
    pub(super) fn of(&self, marker: &str) -> &[Range<usize>] {
        self.0.iter().find(|(known, _)| *known == marker).map_or(&[], |(_, parts)| parts)
    }

    /// Whether a marker is one token or several, and nothing else.
    pub(super) fn is_whole(&self, marker: &str) -> bool {
        self.of(marker).iter().map(|part| part.len()).sum::<usize>() == marker.len()
    }
}

/// Where control tokens stand in a marker: the whole of it, or what is between brackets, as in `<|open|>think<|sep|>`.
pub(super) fn token_parts(marker: &str, is_token: &dyn Fn(&str) -> bool) -> Vec<Range<usize>> {
    if is_token(marker) {
        return vec![0..marker.len()];
    }
    let (mut parts, mut from) = (Vec::new(), 0);
    while let Some(rest) = marker.get(from..) {
        let Some(open) = rest.find(['<', '[']) else { break };
        let close = if rest[open..].starts_with('<') { '>' } else { ']' };
        let Some(end) = rest[open..].find(close).map(|end| open + end + 1) else { break };
        if is_token(&rest[open..end]) {
            parts.push(from + open..from + end);
        }
        from += end;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_markers_are_tokens() {
        let tokens = ["<|open|>", "<|sep|>", "[THINK]", "<｜DSML｜>"];
        let cases: [(&str, &[Range<usize>]); 5] = [
            ("<|open|>think<|sep|>", &[0..8, 13..20]),
            ("[THINK]", &[0..7]),
            ("<think>", &[]),
            ("\"<|sep|>", &[1..8]),
            ("<a", &[]),
        ];
        for (marker, parts) in cases {
            assert_eq!(token_parts(marker, &|text| tokens.contains(&text)), parts, "{marker}");
        }
    }

    #[test]
    fn dropping_and_putting_back_keep_the_order() {
        let mut held = Held::default();
        "ab<é".chars().for_each(|c| held.push(c, c == '<'));
        held.drop_front(1);
        let mut before = Held::default();
        before.push('x', true);
        held.put_back(before);
        assert_eq!((held.text(), held.len(), held.first()), ("xb<é", 5, Some(('x', true))));
        held.drop_front(2);
        assert_eq!((held.text(), held.first()), ("<é", Some(('<', true))));
        assert!(held.meets("<é", &[0..1]) && !held.meets("<é", &[0..3]) && held.meets("<éa", &[]));
    }
}
