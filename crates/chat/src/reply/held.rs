//! Characters that are held back, and which markers they may become.
// Lists of ranges, some of one range.
#![allow(clippy::single_range_in_vec_init)]

use std::iter;
use std::ops::Range;

use super::grammar::Grammar;
use crate::memory::{R, Text, gathered, push};

/// Characters that may begin a marker, and which of them came as control tokens.
#[derive(Debug, Default)]
pub(super) struct Held {
    text: Text,
    /// For each byte, whether it came in a control token.
    control: Vec<bool>,
    /// Start of the bytes that are still held, so that dropping bytes from the front does not move the rest each time.
    at: usize,
}

impl Held {
    pub(super) fn push(&mut self, c: char, control: bool) -> R<()> {
        self.text.add_char(c)?;
        (0..c.len_utf8()).try_for_each(|_| push(&mut self.control, control))
    }

    pub(super) fn text(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.text.len() - self.at
    }

    /// Returns the first character, and whether it came in a control token.
    pub(super) fn first(&self) -> Option<(char, bool)> {
        let c = self.text().chars().next()?;
        Some((c, self.control.get(self.at).copied().unwrap_or_default()))
    }

    /// Drops the first `bytes` bytes.
    pub(super) fn drop_front(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.text.len());
        if self.at * 2 >= self.text.len() {
            self.text.0.drain(..self.at);
            self.control.drain(..self.at);
            self.at = 0;
        }
    }

    /// Puts other characters before those that are held.
    pub(super) fn put_back(&mut self, mut before: Held) -> R<()> {
        let control = self.control.get(self.at..).unwrap_or_default();
        before.control.try_reserve(control.len())?;
        before.control.extend_from_slice(control);
        before.text.add(self.text())?;
        *self = before;
        Ok(())
    }

    /// Returns whether `marker` begins with the held text, or the held text with `marker`. Control tokens match only control tokens.
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

/// The parts of a format's markers that are control tokens of the vocabulary. For these, only the token counts; the same
/// characters as ordinary text are text.
#[derive(Debug, Default)]
pub(super) struct Tokens(Vec<(&'static str, Vec<Range<usize>>)>);

impl Tokens {
    pub(super) fn new(grammar: &'static Grammar, is_token: &dyn Fn(&str) -> bool) -> R<Self> {
        let mut all = Vec::new();
        for marker in grammar.markers() {
            let parts = gathered(token_parts(marker, is_token))?;
            if !parts.is_empty() {
                push(&mut all, (marker, parts))?;
            }
        }
        Ok(Tokens(all))
    }

    /// Returns the parts of a marker that are tokens.
    pub(super) fn of(&self, marker: &str) -> &[Range<usize>] {
        self.0.iter().find(|(known, _)| *known == marker).map_or(&[], |(_, parts)| parts)
    }

    /// Returns whether a marker consists only of tokens.
    pub(super) fn is_whole(&self, marker: &str) -> bool {
        self.of(marker).iter().map(|part| part.len()).sum::<usize>() == marker.len()
    }
}

/// Finds the control tokens in a marker: the whole marker, or the parts in angle brackets, as in `<|open|>think<|sep|>`.
pub(super) fn token_parts(
    marker: &str,
    is_token: &dyn Fn(&str) -> bool,
) -> impl Iterator<Item = Range<usize>> {
    let mut whole = is_token(marker).then_some(0..marker.len());
    let mut from = if whole.is_some() { marker.len() } else { 0 };
    let mut next = move || {
        loop {
            let rest = marker.get(from..)?;
            let open = rest.find(['<', '['])?;
            let close = if rest[open..].starts_with('<') { '>' } else { ']' };
            let end = rest[open..].find(close).map(|end| open + end + 1)?;
            let part = from + open..from + end;
            from += end;
            if is_token(&rest[open..end]) {
                return Some(part);
            }
        }
    };
    iter::from_fn(move || whole.take().or_else(&mut next))
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
            let found: Vec<_> = token_parts(marker, &|text| tokens.contains(&text)).collect();
            assert_eq!(found, parts, "{marker}");
        }
    }

    #[test]
    fn dropping_and_putting_back_keep_the_order() {
        let mut held = Held::default();
        "ab<é".chars().for_each(|c| held.push(c, c == '<').unwrap());
        held.drop_front(1);
        let mut before = Held::default();
        before.push('x', true).unwrap();
        held.put_back(before).unwrap();
        assert_eq!((held.text(), held.len(), held.first()), ("xb<é", 5, Some(('x', true))));
        held.drop_front(2);
        assert_eq!((held.text(), held.first()), ("<é", Some(('<', true))));
        assert!(held.meets("<é", &[0..1]) && !held.meets("<é", &[0..3]) && held.meets("<éa", &[]));
    }
}
