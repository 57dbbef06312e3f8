//! Finding the strings of special tokens in a text, before anything else is done with it.
//!
//! ```text
//! lengths = of the special strings that occur in the text               one pass, by first bytes and length
//! for each length, the longest first:
//!     cut at the occurrences that touch nothing cut before: by token, from the left
//! ```
//!
//! The order is llama.cpp's: a longer string wins over a shorter one that begins before it. What was cut before is at
//! least as long, so that it touches an occurrence only where it covers its first or its last byte. Time is the text's
//! length times the number of different lengths, memory the text's length.

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    first: u8,
    length: usize,
}

/// An occurrence of a special token.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cut {
    /// With the white space that it swallows.
    taken: Range<usize>,
    token: Range<usize>,
    id: TokenId,
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
        keys.dedup();
        let groups: Vec<Group> = keys.into_iter().map(|(first, length)| Group { first, length }).collect();
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

    /// The token at `at` of `length` bytes, if it is one that is looked for.
    #[inline]
    fn token_at(
        &self,
        vocab: &Vocab,
        text: &str,
        at: usize,
        length: usize,
        wanted: Wanted,
    ) -> Option<TokenId> {
        let string = text.as_bytes().get(at..at.checked_add(length)?)?;
        if let [first, second, ..] = string
            && !self.may_begin(*first, *second)
        {
            return None;
        }
        let id = vocab.find(string)?;
        let attrs = vocab.attrs(id);
        // Vocabulary strings may be cut characters; such a string is never found.
        let whole = text.is_char_boundary(at) && text.is_char_boundary(at + length);
        (attrs & wanted.any != 0 && attrs & wanted.none == 0 && whole).then_some(id)
    }

    /// The groups of which some string occurs, the longest first.
    fn occurring(&self, vocab: &Vocab, text: &str, wanted: Wanted) -> Vec<Group> {
        let mut found: Vec<Group> = Vec::new();
        let mut seen: Vec<bool> = Vec::new();
        let bytes = text.as_bytes();
        for (at, first) in bytes.iter().enumerate() {
            let groups = self.groups_of(*first);
            if groups.is_empty() {
                continue;
            }
            let longer = bytes.get(at + 1).is_some_and(|second| self.may_begin(*first, *second));
            for g in groups {
                // Ascending by length: what does not fit, or has no second byte, ends the list.
                let fits = |group: &&Group| (longer || group.length == 1) && group.length <= bytes.len() - at;
                let Some(group) = self.groups.get(g).filter(fits) else { break };
                if seen.get(g) == Some(&true)
                    || self.token_at(vocab, text, at, group.length, wanted).is_none()
                {
                    continue;
                }
                seen.resize(self.groups.len(), false);
                if let Some(seen) = seen.get_mut(g) {
                    *seen = true;
                }
                found.push(*group);
            }
        }
        found.sort_by_key(|group| (std::cmp::Reverse(group.length), group.first));
        found
    }

    pub(crate) fn owned_bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Group>()
            + self.starts.capacity() * 4
            + self.seconds.capacity() * 32
    }

    /// Cuts `text` at special tokens; control and unknown tokens count only where `parse_special` says so.
    pub(crate) fn partition(&self, vocab: &Vocab, text: &str, parse_special: bool) -> Vec<Part> {
        let wanted = match parse_special {
            true => Wanted { any: attr::IN_TEXT, none: 0 },
            false => Wanted { any: attr::USER_DEFINED, none: attr::CONTROL | attr::UNKNOWN },
        };
        let mut cuts = self.cuts(vocab, text, wanted);
        cuts.sort_unstable_by_key(|cut| cut.token.start);
        let mut parts = Vec::with_capacity(2 * cuts.len() + 1);
        let mut at = 0;
        for cut in cuts {
            if at < cut.taken.start {
                parts.push((at..cut.taken.start, Fragment::Text));
            }
            at = cut.taken.end;
            parts.push((cut.token, Fragment::Token(cut.id)));
        }
        if at < text.len() {
            parts.push((at..text.len(), Fragment::Text));
        }
        parts
    }

    /// Where to cut, in no order.
    fn cuts(&self, vocab: &Vocab, text: &str, wanted: Wanted) -> Vec<Cut> {
        let groups = self.occurring(vocab, text, wanted);
        let mut cuts = Vec::new();
        if groups.is_empty() {
            return cuts;
        }
        let bytes = text.as_bytes();
        let mut taken = vec![false; bytes.len()];
        let mut found: Vec<(TokenId, usize)> = Vec::new();
        for same_length in groups.chunk_by(|a, b| a.length == b.length) {
            let Some(length) = same_length.first().map(|group| group.length) else { continue };
            let mut begins = [false; 256];
            for group in same_length {
                if let Some(begins) = begins.get_mut(usize::from(group.first)) {
                    *begins = true;
                }
            }
            let free = |taken: &[bool], at: usize| {
                taken.get(at) == Some(&false) && taken.get(at + length - 1) == Some(&false)
            };
            found.clear();
            for (at, first) in bytes.iter().enumerate() {
                if begins.get(usize::from(*first)) == Some(&true) && free(&taken, at) {
                    found.extend(self.token_at(vocab, text, at, length, wanted).map(|id| (id, at)));
                }
            }
            found.sort_unstable();
            for &(id, at) in &found {
                if !free(&taken, at) {
                    continue;
                }
                let (token, attrs) = (at..at + length, vocab.attrs(id));
                let space =
                    |at: usize| bytes.get(at).copied().is_some_and(is_space) && taken.get(at) == Some(&false);
                let mut whole = token.clone();
                while attrs & attr::LSTRIP != 0 && whole.start > 0 && space(whole.start - 1) {
                    whole.start -= 1;
                }
                while attrs & attr::RSTRIP != 0 && space(whole.end) {
                    whole.end += 1;
                }
                if let Some(taken) = taken.get_mut(whole.clone()) {
                    taken.fill(true);
                }
                cuts.push(Cut { taken: whole, token, id });
            }
        }
        cuts
    }
}

/// Which tokens are looked for: those with one of the attributes `any`, and none of `none`.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    any: u8,
    none: u8,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Strings, TokenType};
    use proptest::prelude::*;

    /// One token after the other through the whole text, as llama.cpp does it.
    fn plainly(vocab: &Vocab, text: &str) -> Vec<Part> {
        let mut ids: Vec<TokenId> = vocab.with_attrs(attr::IN_TEXT).collect();
        ids.retain(|id| vocab.find(vocab.text(*id)) == Some(*id));
        ids.sort_by_key(|id| (std::cmp::Reverse(vocab.text(*id).len()), *id));
        let mut parts = if text.is_empty() { vec![] } else { vec![(0..text.len(), Fragment::Text)] };
        for id in ids {
            let (string, attrs) = (std::str::from_utf8(vocab.text(id)).unwrap(), vocab.attrs(id));
            let mut out = Vec::new();
            for (mut range, fragment) in parts {
                while let Some(at) = text[range.clone()].find(string).filter(|_| fragment == Fragment::Text) {
                    let found = range.start + at;
                    let mut left = range.start..found;
                    while attrs & attr::LSTRIP != 0 && text[left.clone()].ends_with([' ', '\n']) {
                        left.end -= 1;
                    }
                    if !left.is_empty() {
                        out.push((left, Fragment::Text));
                    }
                    out.push((found..found + string.len(), Fragment::Token(id)));
                    range.start = found + string.len();
                    while attrs & attr::RSTRIP != 0 && text[range.clone()].starts_with([' ', '\n']) {
                        range.start += 1;
                    }
                }
                if !range.is_empty() {
                    out.push((range, fragment));
                }
            }
            parts = out;
        }
        parts
    }

    proptest! {
        #[test]
        fn cuts_are_those_of_one_token_after_the_other(
            strings in prop::collection::vec("[ab\n é]{1,4}", 1..12),
            strips in prop::collection::vec(0u8..4, 12),
            text in "[ab\n é]{0,60}",
        ) {
            let types = vec![TokenType::UserDefined; strings.len()];
            let mut vocab = Vocab::new(Strings::from_list(&strings).unwrap(), &types).unwrap();
            for (id, strip) in strips.iter().enumerate().take(strings.len()) {
                vocab.add_attrs(id as TokenId, [0, attr::LSTRIP, attr::RSTRIP, attr::LSTRIP | attr::RSTRIP][*strip as usize]);
            }
            let specials = SpecialStrings::new(&vocab);
            prop_assert_eq!(specials.partition(&vocab, &text, false), plainly(&vocab, &text));
        }
    }

    #[test]
    fn many_different_tokens_are_found() {
        let strings: Vec<String> = (0..20_000).map(|i| format!("<{i}>")).collect();
        let vocab =
            Vocab::new(Strings::from_list(&strings).unwrap(), &[TokenType::UserDefined; 20_000]).unwrap();
        let text = strings.concat().repeat(4);
        let parts = SpecialStrings::new(&vocab).partition(&vocab, &text, false);
        assert_eq!(parts.len(), 80_000);
    }
}
