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

/// What a stretch of the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fragment {
    Text,
    Token(TokenId),
}

impl Fragment {
    pub(crate) fn is_token(self) -> bool {
        self != Fragment::Text
    }
}

/// A fragment and the bytes that it has.
pub(crate) type Part = (Range<usize>, Fragment);

/// Tokens whose strings begin with the same byte and are equally long.
#[derive(Debug, Clone, Copy)]
struct Group {
    first: u8,
    length: usize,
    tokens: u32,
}

/// The strings of tokens that are found in the text.
#[derive(Debug)]
pub(crate) struct SpecialStrings {
    /// By first byte, then by length.
    groups: Vec<Group>,
    /// Where the groups of each first byte begin in `groups`; one entry more for the end.
    starts: Vec<u32>,
    /// By first byte: the second bytes that occur, as bits. Most places of a text are dismissed by them.
    seconds: Vec<[u64; 4]>,
}

fn word_and_bit(byte: u8) -> (usize, u64) {
    (usize::from(byte >> 6), 1 << (byte & 63))
}

/// White space as C's `isspace` has it.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

impl SpecialStrings {
    pub(crate) fn new(vocab: &Vocab) -> Self {
        let keys = vocab.with_attrs(attr::IN_TEXT).filter_map(|id| {
            let text = vocab.text(id);
            Some((*text.first()?, text.len()))
        });
        let mut keys: Vec<(u8, usize)> = keys.collect();
        keys.sort_unstable();
        let mut seconds = vec![[0u64; 4]; 256];
        for id in vocab.with_attrs(attr::IN_TEXT) {
            let &[first, second, ..] = vocab.text(id) else { continue };
            let (word, bit) = word_and_bit(second);
            if let Some(bits) = seconds.get_mut(usize::from(first)).and_then(|words| words.get_mut(word)) {
                *bits |= bit;
            }
        }
        let same = keys.chunk_by(|a, b| a == b);
        let group = |keys: &[(u8, usize)]| {
            let &(first, length) = keys.first()?;
            Some(Group { first, length, tokens: keys.len() as u32 })
        };
        let groups: Vec<Group> = same.filter_map(group).collect();
        let starts = (0..=256u32).map(|byte| groups.partition_point(|g| u32::from(g.first) < byte) as u32);
        Self { starts: starts.collect(), groups, seconds }
    }

    /// The groups of a first byte, as a range of `groups`.
    #[inline]
    fn groups_of(&self, first: u8) -> Range<usize> {
        let start = |i: usize| self.starts.get(i).copied().unwrap_or(0) as usize;
        start(usize::from(first))..start(usize::from(first) + 1)
    }

    /// Whether some string of at least two bytes begins with these.
    #[inline]
    fn may_begin(&self, first: u8, second: u8) -> bool {
        let (word, bit) = word_and_bit(second);
        self.seconds
            .get(usize::from(first))
            .and_then(|words| words.get(word))
            .is_some_and(|bits| bits & bit != 0)
    }

    /// The tokens whose strings occur, the longest first.
    fn candidates(&self, vocab: &Vocab, text: &[u8], wanted: u8) -> Vec<TokenId> {
        let mut found: Vec<TokenId> = Vec::new();
        // How many tokens of each group are not found yet: a run of line ends asks for each length once.
        let mut missing: Vec<u32> = Vec::new();
        for (at, first) in text.iter().enumerate() {
            let groups = self.groups_of(*first);
            if groups.is_empty() {
                continue;
            }
            let longer = text.get(at + 1).is_some_and(|second| self.may_begin(*first, *second));
            for g in groups {
                let Some(group) = self.groups.get(g).filter(|group| longer || group.length == 1) else {
                    break;
                };
                if missing.get(g) == Some(&0) {
                    continue;
                }
                let Some(string) = text.get(at..at.saturating_add(group.length)) else { break };
                let Some(id) = vocab.find(string) else { continue };
                if vocab.attrs(id) & wanted == 0 || found.contains(&id) {
                    continue;
                }
                found.push(id);
                if missing.is_empty() {
                    missing = self.groups.iter().map(|g| g.tokens).collect();
                }
                if let Some(missing) = missing.get_mut(g) {
                    *missing = missing.saturating_sub(1);
                }
            }
        }
        found.sort_by_key(|id| (std::cmp::Reverse(vocab.text(*id).len()), *id));
        found
    }

    pub(crate) fn owned_bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Group>()
            + self.starts.capacity() * 4
            + self.seconds.capacity() * 32
    }

    /// Cuts `text` at special tokens; control and unknown tokens count only where `parse_special` says so.
    pub(crate) fn partition(&self, vocab: &Vocab, text: &str, parse_special: bool) -> Vec<Part> {
        let wanted = if parse_special { attr::IN_TEXT } else { attr::USER_DEFINED };
        let skipped = if parse_special { 0 } else { attr::CONTROL | attr::UNKNOWN };
        let mut fragments = Vec::new();
        if !text.is_empty() {
            fragments.push((0..text.len(), Fragment::Text));
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
fn cut_all(vocab: &Vocab, text: &str, id: TokenId, fragments: Vec<Part>) -> Vec<Part> {
    let attrs = vocab.attrs(id);
    // Vocabulary strings may be cut characters; such a string is found by bytes, never by characters.
    let Ok(string) = std::str::from_utf8(vocab.text(id)) else { return fragments };
    let mut out = Vec::with_capacity(fragments.len() + 2);
    for (mut range, fragment) in fragments {
        if fragment != Fragment::Text {
            out.push((range, fragment));
            continue;
        }
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
                out.push((left, Fragment::Text));
            }
            range.start = found + string.len();
            out.push((found..range.start, Fragment::Token(id)));
            if attrs & attr::RSTRIP != 0 {
                while range.start < range.end && bytes.get(range.start).copied().is_some_and(is_space) {
                    range.start += 1;
                }
            }
        }
        if !range.is_empty() {
            out.push((range, Fragment::Text));
        }
    }
    out
}
