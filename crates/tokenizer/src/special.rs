//! Finding the strings of special tokens in a text, before anything else is done with it.
//!
//! ```text
//! candidates = special tokens whose string occurs in the text           one pass, by first byte and length
//! for each candidate, the longest string first:
//!     cut every stretch of text at its occurrences, from the left
//! ```
//!
//! The order is llama.cpp's: a longer string wins over a shorter one that begins before it.

use crate::TokenId;
use crate::vocab::{Vocab, attr};
use std::ops::Range;

/// A stretch of the text, or a token found in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fragment {
    Text(Range<usize>),
    Token(TokenId),
}

/// The strings of tokens that are found in the text.
#[derive(Debug)]
pub(crate) struct SpecialStrings {
    /// Lengths of the strings by their first byte, ascending.
    lengths: Vec<Vec<u16>>,
}

/// White space as C's `isspace` has it.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

impl SpecialStrings {
    pub(crate) fn new(vocab: &Vocab) -> Self {
        let mut lengths = vec![Vec::new(); 256];
        for id in vocab.with_attrs(attr::IN_TEXT) {
            let text = vocab.text(id);
            let length = u16::try_from(text.len());
            if let (Some(first), Ok(length)) = (text.first(), length)
                && let Some(list) = lengths.get_mut(usize::from(*first))
                && let Err(at) = list.binary_search(&length)
            {
                list.insert(at, length);
            }
        }
        Self { lengths }
    }

    /// The tokens whose strings occur, the longest first.
    fn candidates(&self, vocab: &Vocab, text: &[u8], wanted: u8) -> Vec<TokenId> {
        let mut found: Vec<TokenId> = Vec::new();
        for (at, first) in text.iter().enumerate() {
            let Some(lengths) = self.lengths.get(usize::from(*first)).filter(|l| !l.is_empty()) else {
                continue;
            };
            for length in lengths {
                let Some(string) = text.get(at..at + usize::from(*length)) else { break };
                if let Some(id) = vocab.find(string)
                    && vocab.attrs(id) & wanted != 0
                    && !found.contains(&id)
                {
                    found.push(id);
                }
            }
        }
        found.sort_by_key(|id| (std::cmp::Reverse(vocab.text(*id).len()), *id));
        found
    }

    /// Cuts `text` at special tokens; control and unknown tokens count only where `parse_special` says so.
    pub(crate) fn partition(&self, vocab: &Vocab, text: &str, parse_special: bool) -> Vec<Fragment> {
        let wanted = if parse_special { attr::IN_TEXT } else { attr::USER_DEFINED };
        let skipped = if parse_special { 0 } else { attr::CONTROL | attr::UNKNOWN };
        let mut fragments = Vec::new();
        if !text.is_empty() {
            fragments.push(Fragment::Text(0..text.len()));
        }
        for id in self.candidates(vocab, text.as_bytes(), wanted) {
            if vocab.attrs(id) & skipped == 0 {
                fragments = cut_all(vocab, text, id, fragments);
            }
        }
        fragments
    }
}

/// Cuts the stretches of text among `fragments` at a token's string.
fn cut_all(vocab: &Vocab, text: &str, id: TokenId, fragments: Vec<Fragment>) -> Vec<Fragment> {
    let attrs = vocab.attrs(id);
    // Vocabulary strings may be cut characters; such a string is found by bytes, never by characters.
    let Ok(string) = std::str::from_utf8(vocab.text(id)) else { return fragments };
    let mut out = Vec::with_capacity(fragments.len() + 2);
    for fragment in fragments {
        let Fragment::Text(mut range) = fragment else {
            out.push(fragment);
            continue;
        };
        while let Some(at) = text.get(range.clone()).and_then(|stretch| stretch.find(string)) {
            let found = range.start + at;
            let mut left = range.start..found;
            let bytes = text.as_bytes();
            if attrs & attr::LSTRIP != 0 {
                while left.end > left.start && bytes.get(left.end - 1).copied().is_some_and(is_space) {
                    left.end -= 1;
                }
            }
            if !left.is_empty() {
                out.push(Fragment::Text(left));
            }
            out.push(Fragment::Token(id));
            range.start = found + string.len();
            if attrs & attr::RSTRIP != 0 {
                while range.start < range.end && bytes.get(range.start).copied().is_some_and(is_space) {
                    range.start += 1;
                }
            }
        }
        if !range.is_empty() {
            out.push(Fragment::Text(range));
        }
    }
    out
}
