//! Finds the strings of special tokens in a text, before anything else is done with it.
//!
//! ```text
//! candidates = for each position, the longest special string that ends there                one pass
//! take them by priority: longer strings first, then lower ids, then from the left
//!     if it is free: cut it out
//!     if its beginning is covered: the longest string that begins after the cover becomes the candidate
//! ```
//!
//! The order is llama.cpp's: a longer string wins over a shorter one that begins before it. What was cut earlier is at
//! least as long as a candidate, so it can overlap a candidate only at its first or its last byte. When a candidate is
//! shortened, the room at its place is more than halved, so that happens only a logarithmic number of times. Time and
//! memory grow linearly with the text, whatever the strings are.

mod automaton;
mod bits;
mod chain;

use crate::job::Barred;
use crate::reserve::{Reserve, reserve_one};
use crate::sort::sort;
use crate::spec::TokenType;
use crate::vocab::{Vocab, attr};
use crate::watch::Watch;
use crate::{TokenId, TokenizerError};
use automaton::{Automaton, NONE, StringId};
use bits::Bits;
use chain::Chain;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

/// The kind of a stretch of the text.
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

/// A fragment, and its bytes in the text.
pub(crate) type Part = (Range<usize>, Fragment);

/// An occurrence of a special token.
#[derive(Debug, Clone, Copy)]
struct Cut {
    start: u32,
    end: u32,
    /// How many bytes of white space it absorbs on its left and on its right.
    spaces: (u32, u32),
    id: TokenId,
}

/// The strings of tokens that are searched for in the text.
#[derive(Debug, Default)]
pub(crate) struct SpecialStrings {
    strings: Automaton,
    /// All of them.
    all: Chain,
    /// The user-defined ones, which are found in plain text too.
    user_defined: Chain,
    /// Those that are found in a plain range: the user-defined ones that neither the file nor a role makes a control
    /// token.
    plain: Chain,
    /// The user-defined tokens that are not in `plain`, ascending.
    kept_out: Vec<TokenId>,
}

/// Which strings to search for, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'r> {
    /// All special tokens.
    All,
    /// Only user-defined tokens.
    UserDefined,
    /// All special tokens, except that those which overlap one of the ranges must be allowed in plain text.
    Outside(&'r [Range<usize>]),
}

/// White space as defined by C's `isspace`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The tokens to search for. Vocabulary strings may be incomplete characters; such a string is never found. Of equal
/// strings the last one counts.
fn specials(vocab: &Vocab) -> impl Iterator<Item = TokenId> + '_ {
    vocab.with_attrs(attr::IN_TEXT).filter(|id| {
        let text = vocab.text(*id);
        !text.is_empty() && std::str::from_utf8(text).is_ok() && vocab.find(text) == Some(*id)
    })
}

/// The maximum heap size of building for `n` special tokens of `bytes` bytes together, in bytes.
#[cfg(feature = "gguf")]
pub(crate) fn planned_bytes(n: u64, bytes: u64) -> u64 {
    // The tokens that are kept out of plain text: a list that grows.
    automaton::planned_bytes(n, bytes) + 3 * chain::planned_bytes(n) + 12 * n
}

impl SpecialStrings {
    /// `types` are the types of the tokens by the file; empty if it gives none.
    pub(crate) fn new(vocab: &Vocab, types: &[TokenType], watch: &Watch<'_>) -> Result<Self, TokenizerError> {
        let mut n = 0;
        for _ in specials(vocab) {
            watch.work(1)?;
            n += 1;
        }
        let strings = Automaton::new(vocab, specials(vocab), n, watch)?;
        let user_defined = |id: TokenId| {
            let attrs = vocab.attrs(id);
            attrs & attr::USER_DEFINED != 0 && attrs & (attr::CONTROL | attr::UNKNOWN) == 0
        };
        let plain = |id: TokenId| {
            let declared = types.get(id as usize).is_none_or(|t| *t == TokenType::UserDefined);
            user_defined(id) && declared && vocab.attrs(id) & attr::EOG == 0
        };
        let mut kept_out = Vec::new();
        for id in vocab.with_attrs(attr::USER_DEFINED).filter(|id| !plain(*id)) {
            kept_out.add(id)?;
        }
        Ok(Self {
            all: Chain::new(&strings, |_| true, watch)?,
            user_defined: Chain::new(&strings, user_defined, watch)?,
            plain: Chain::new(&strings, plain, watch)?,
            strings,
            kept_out,
        })
    }

    /// The tokens that untrusted text must not become: control and unknown tokens, and user-defined tokens that end the
    /// generation or have another type in the file.
    pub(crate) fn barred(&self) -> Barred<'_> {
        Barred { attrs: attr::CONTROL | attr::UNKNOWN, ids: &self.kept_out }
    }

    pub(crate) fn owned_bytes(&self) -> usize {
        let chains = [&self.all, &self.user_defined, &self.plain];
        self.kept_out.capacity() * 4
            + self.strings.owned_bytes()
            + chains.iter().map(|chain| chain.owned_bytes()).sum::<usize>()
    }

    /// Splits `text` at special tokens.
    pub(crate) fn partition(
        &self,
        vocab: &Vocab,
        text: &str,
        wanted: Wanted<'_>,
        watch: &Watch<'_>,
    ) -> Result<Vec<Part>, TokenizerError> {
        let mut cuts = self.cuts(vocab, text, wanted, watch)?;
        sort(&mut cuts, &|a, b| a.start.cmp(&b.start), watch)?;
        let mut parts = Vec::new();
        let mut at = 0;
        for Cut { start, end, spaces: (left, right), id } in cuts {
            watch.work(1)?;
            let before = (start - left) as usize;
            if at < before {
                parts.add((at..before, Fragment::Text))?;
            }
            at = (end + right) as usize;
            parts.add((start as usize..end as usize, Fragment::Token(id)))?;
        }
        if at < text.len() {
            parts.add((at..text.len(), Fragment::Text))?;
        }
        Ok(parts)
    }

    /// Where to cut, in no particular order.
    fn cuts(
        &self,
        vocab: &Vocab,
        text: &str,
        wanted: Wanted<'_>,
        watch: &Watch<'_>,
    ) -> Result<Vec<Cut>, TokenizerError> {
        if self.strings.len() <= 1 {
            return Ok(Vec::new());
        }
        let search = Search::new(self, text, wanted, watch)?;
        let mut candidates = search.candidates()?;
        let mut cuts = Vec::new();
        if candidates.is_empty() {
            return Ok(cuts);
        }
        let mut taken = Bits::new(text.len())?;
        while let Some((string, Reverse(first), last)) = candidates.pop() {
            let (length, id) = (self.strings.length(string), self.strings.id(string));
            let mut at = first as usize;
            while at < last as usize {
                watch.work(1)?;
                let end = at + length;
                if taken.get(end - 1) {
                    at += 1;
                    continue;
                }
                if taken.get(at) {
                    watch.work(length / 64)?;
                    let room = taken.last_in(at..end).map_or(0, |cover| end - cover - 1);
                    let shorter = search.longest(self.strings.shorter(string), end, room)?;
                    if shorter != NONE {
                        let start = (end - self.strings.length(shorter)) as u32;
                        reserve_one(&mut candidates)?;
                        candidates.push((shorter, Reverse(start), start + 1));
                    }
                    at += 1;
                    continue;
                }
                // Handles consecutive repetitions at once: the positions between them are covered, and need no other
                // string.
                loop {
                    let cut = cut_at(text, at..at + length, id, &taken, vocab);
                    let whole = cut.start as usize - cut.spaces.0 as usize..(cut.end + cut.spaces.1) as usize;
                    let next = whole.end;
                    watch.work(1 + whole.len() / 64)?;
                    taken.set(whole);
                    cuts.add(cut)?;
                    if next >= last as usize || taken.get(next) || taken.get(next + length - 1) {
                        break;
                    }
                    at = next;
                }
                at += 1;
            }
        }
        Ok(cuts)
    }
}

/// The occurrence of a token, including the white space beside it that it absorbs.
fn cut_at(text: &str, token: Range<usize>, id: TokenId, taken: &Bits, vocab: &Vocab) -> Cut {
    let attrs = vocab.attrs(id);
    let space = |at: usize| text.as_bytes().get(at).copied().is_some_and(is_space) && !taken.get(at);
    let (mut left, mut right) = (0, 0);
    while attrs & attr::LSTRIP != 0 && token.start > left && space(token.start - left - 1) {
        left += 1;
    }
    while attrs & attr::RSTRIP != 0 && space(token.end + right) {
        right += 1;
    }
    Cut { start: token.start as u32, end: token.end as u32, spaces: (left as u32, right as u32), id }
}

/// A string, and the first position and the end of a run of positions where it begins. The largest is taken first.
type Candidate = (StringId, Reverse<u32>, u32);

/// A text, and what is searched for in it.
struct Search<'s> {
    specials: &'s SpecialStrings,
    text: &'s [u8],
    chain: &'s Chain,
    /// The bytes of plain ranges.
    plain: Option<Bits>,
    watch: &'s Watch<'s>,
}

impl<'s> Search<'s> {
    fn new(
        specials: &'s SpecialStrings,
        text: &'s str,
        wanted: Wanted<'_>,
        watch: &'s Watch<'_>,
    ) -> Result<Self, TokenizerError> {
        let mut plain = None;
        if let Wanted::Outside(ranges) = wanted
            && !ranges.is_empty()
        {
            let mut bits = Bits::new(text.len())?;
            for range in ranges {
                watch.work(1 + range.len() / 64)?;
                bits.set(range.clone());
            }
            plain = Some(bits);
        }
        let chain = match wanted {
            Wanted::UserDefined => &specials.user_defined,
            Wanted::All | Wanted::Outside(_) => &specials.all,
        };
        Ok(Search { specials, text: text.as_bytes(), chain, plain, watch })
    }

    /// Among `string` and the shorter ones that end at the same position, before byte `end`: the longest that is
    /// searched for there and has at most `most` bytes.
    #[inline]
    fn longest(&self, string: StringId, end: usize, most: usize) -> Result<StringId, TokenizerError> {
        let SpecialStrings { strings, plain: plain_chain, .. } = self.specials;
        let found = self.chain.longest(strings, string, most, self.watch)?;
        let Some(plain) = &self.plain else { return Ok(found) };
        let length = strings.length(found);
        self.watch.work(length / 64)?;
        let Some(border) = plain.last_in(end - length..end) else { return Ok(found) };
        let after = self.chain.longest(strings, string, most.min(end - border - 1), self.watch)?;
        let inside = plain_chain.longest(strings, string, most, self.watch)?;
        Ok(if strings.length(inside) > strings.length(after) { inside } else { after })
    }

    /// The longest string that ends at each position.
    fn candidates(&self) -> Result<BinaryHeap<Candidate>, TokenizerError> {
        let strings = &self.specials.strings;
        let mut heap = BinaryHeap::new();
        let mut add = |run: Candidate| {
            if run.0 == NONE {
                return Ok(());
            }
            reserve_one(&mut heap)?;
            heap.push(run);
            Ok(())
        };
        let (mut node, mut run) = (0, (NONE, Reverse(0), 0));
        for (at, byte) in self.text.iter().enumerate() {
            self.watch.work(1)?;
            node = strings.step(node, *byte, self.watch)?;
            let mut found = strings.found(node);
            if found == NONE && run.0 == NONE {
                continue;
            }
            if found != NONE {
                found = self.longest(found, at + 1, usize::MAX)?;
            }
            if found != run.0 {
                add(run)?;
                let start = (at + 1 - strings.length(found)) as u32;
                run = (found, Reverse(start), start);
            }
            run.2 += 1;
        }
        add(run)?;
        Ok(heap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Strings, TokenType};
    use proptest::prelude::*;

    fn cut(specials: &SpecialStrings, vocab: &Vocab, text: &str, wanted: Wanted<'_>) -> Vec<Part> {
        specials.partition(vocab, text, wanted, &Watch::new(&|| false)).unwrap()
    }

    /// Searches for one token after the other through the whole text, as llama.cpp does.
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
            strings in prop_oneof![
                prop::collection::vec("[ab\n é]{1,4}", 1..12),
                prop::collection::vec("a{1,7}|[ab]{1,7}", 1..12),
            ],
            strips in prop::collection::vec(0u8..4, 12),
            text in "[ab\n é]{0,60}|[ab]{0,60}|a{0,60}",
        ) {
            let types = vec![TokenType::UserDefined; strings.len()];
            let mut vocab = Vocab::new(Strings::from_list(&strings).unwrap(), &types, &Watch::new(&|| false)).unwrap();
            for (id, strip) in strips.iter().enumerate().take(strings.len()) {
                vocab.add_attrs(id as TokenId, [0, attr::LSTRIP, attr::RSTRIP, attr::LSTRIP | attr::RSTRIP][*strip as usize]);
            }
            let specials = SpecialStrings::new(&vocab, &types, &Watch::new(&|| false)).unwrap();
            prop_assert_eq!(cut(&specials, &vocab, &text, Wanted::UserDefined), plainly(&vocab, &text));
            prop_assert_eq!(cut(&specials, &vocab, &text, Wanted::All), plainly(&vocab, &text));
        }
    }

    #[test]
    fn many_different_tokens_are_found() {
        let strings: Vec<String> = (0..20_000).map(|i| format!("<{i}>")).collect();
        let vocab = Vocab::new(
            Strings::from_list(&strings).unwrap(),
            &[TokenType::UserDefined; 20_000],
            &Watch::new(&|| false),
        );
        let vocab = vocab.unwrap();
        let text = strings.concat().repeat(4);
        let specials = SpecialStrings::new(&vocab, &[], &Watch::new(&|| false)).unwrap();
        let parts = cut(&specials, &vocab, &text, Wanted::UserDefined);
        assert_eq!(parts.len(), 80_000);
    }
}
