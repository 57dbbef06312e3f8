//! Guesses from the text itself: the tokens that followed an earlier occurrence of its last tokens.
//!
//! ```text
//! text     kept tokens | history | token
//! find     the place before which the most tokens agree with the end of the text; among equals the latest
//! near     a place near the one that the previous copy has reached counts NEAR tokens more: an edit changes a word, and copying goes on
//! guesses  the tokens that follow that place
//! ```
//!
//! A search reads the text once, 4 bytes for each token, without an index. For 4,096 tokens this takes about a thousandth of a pass.

use super::Guesses;
use crate::EngineError;
use crate::reserve::reserve;
use happy_tokenizer::TokenId;

/// Maximum number of tokens that are compared. Longer matches count the same.
const LONGEST: usize = 16;
/// How many matching tokens it is worth to be near the place of the previous copy.
const NEAR: usize = 4;
/// Maximum distance from that place, since an edit may insert or drop tokens.
const SHIFT: usize = 8;
/// Maximum number of tokens of a history that are searched, from its end.
const SPAN: usize = 1 << 16;
/// Minimum number of tokens that are worth keeping.
const SHORTEST: usize = 8;

/// Number of kinds of guesses: five classes by the length of the match, each anywhere or near the previous copy.
pub(super) const KINDS: usize = 10;

fn kind(len: usize, near: bool) -> u8 {
    let class = match len {
        0..=1 => 0,
        2 => 1,
        3..=4 => 2,
        5..=8 => 3,
        _ => 4,
    };
    class * 2 + u8::from(near)
}

/// Searches texts for the tokens that may follow.
pub(super) struct Lookup {
    /// Tokens that left the sequences, the latest last. It never grows beyond its capacity.
    kept: Vec<TokenId>,
    /// The place that the current copy has reached, as an index into the kept tokens followed by the history.
    place: usize,
}

impl Lookup {
    /// Makes a search that keeps up to `n` tokens of earlier texts.
    pub(super) fn new(n: usize) -> Result<Self, EngineError> {
        let mut kept = Vec::new();
        reserve(&mut kept, n, "tokens of earlier texts")?;
        Ok(Self { kept, place: 0 })
    }

    /// Moves the copy on by one token, as the text grows by one.
    pub(super) fn advance(&mut self) {
        self.place = self.place.saturating_add(1);
    }

    /// Proposes up to `most` tokens that may follow `history` and `token`.
    pub(super) fn propose(&mut self, history: &[TokenId], token: TokenId, most: usize, out: &mut Guesses) {
        let skipped = history.len().saturating_sub(SPAN);
        let mut best = (0, 0, false, 0);
        for (first, text) in [(self.kept.len() + skipped, history.get(skipped..)), (0, Some(&*self.kept))] {
            let text = text.unwrap_or_default();
            for (i, _) in text.iter().enumerate().rev().filter(|(_, other)| **other == token) {
                let before = text.get(..i).unwrap_or_default().iter().rev();
                let len = 1 + before
                    .zip(history.iter().rev())
                    .take(LONGEST - 1)
                    .take_while(|(a, b)| a == b)
                    .count();
                let near = (first + i).abs_diff(self.place) <= SHIFT;
                let worth = len + if near { NEAR } else { 0 };
                if worth > best.0 {
                    best = (worth, len, near, first + i);
                }
            }
        }
        let (worth, len, near, place) = best;
        if worth == 0 {
            return;
        }
        self.place = place;
        for i in 0..most {
            let at = place + 1 + i;
            let next = match at.checked_sub(self.kept.len()) {
                None => self.kept.get(at),
                // A kept text ends where it was cut.
                Some(_) if place < self.kept.len() => None,
                Some(at) if at < history.len() => history.get(at),
                Some(at) if at == history.len() => Some(&token),
                // In a repetition, the copy reaches the guesses themselves.
                Some(at) => out.tokens().get(at - history.len() - 1),
            };
            let Some(next) = next.copied() else { return };
            out.push(next, kind(len + i, near));
        }
    }

    /// Keeps tokens that leave a sequence. The oldest make room.
    pub(super) fn keep(&mut self, tokens: &[TokenId]) {
        let room = self.kept.capacity();
        if tokens.len() < SHORTEST || room == 0 {
            return;
        }
        let tokens = tokens.get(tokens.len().saturating_sub(room)..).unwrap_or_default();
        let over = (self.kept.len() + tokens.len()).saturating_sub(room);
        self.kept.drain(..over.min(self.kept.len()));
        self.kept.extend_from_slice(tokens);
    }

    pub(super) fn forget(&mut self) {
        self.kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follows(lookup: &mut Lookup, text: &[TokenId], most: usize) -> Vec<TokenId> {
        let (token, history) = text.split_last().unwrap();
        let mut out = Guesses::of(0);
        lookup.propose(history, *token, most, &mut out);
        out.tokens().to_vec()
    }

    #[test]
    fn the_longest_match_wins_then_the_latest() {
        let mut lookup = Lookup::new(0).unwrap();
        assert_eq!(follows(&mut lookup, &[1, 2, 3, 4], 7), [0; 0], "nothing stood before");
        // `2 3` stood before twice; `1 2 3` only at first.
        assert_eq!(follows(&mut lookup, &[1, 2, 3, 40, 2, 3, 50, 9, 9, 9, 9, 9, 9, 9, 9, 1, 2, 3], 1), [40]);
        let mut lookup = Lookup::new(0).unwrap();
        lookup.place = 1000;
        assert_eq!(follows(&mut lookup, &[7, 3, 40, 8, 3, 50, 9, 3], 2), [50, 9]);
    }

    #[test]
    fn a_repetition_runs_into_its_own_guesses() {
        let mut lookup = Lookup::new(0).unwrap();
        assert_eq!(follows(&mut lookup, &[5, 6, 5, 6, 5], 5), [6, 5, 6, 5, 6]);
        assert_eq!(follows(&mut lookup, &[8, 8], 3), [8, 8, 8]);
    }

    /// After a word was replaced, the copy goes on after it, though what was matched is only one token.
    #[test]
    fn a_copy_goes_on_after_an_edit() {
        let source: Vec<TokenId> =
            (100..130).chain([60, 61, 7, 62, 63]).chain((200..260).chain([50, 7, 51, 52])).collect();
        let mut lookup = Lookup::new(0).unwrap();
        let mut text = source.clone();
        text.extend([60, 61]);
        assert_eq!(follows(&mut lookup, &text, 2), [7, 62]);
        // `7` becomes `8`; then `62` comes: the copy has moved on by two.
        for token in [8, 62] {
            lookup.advance();
            text.push(token);
        }
        assert_eq!(follows(&mut lookup, &text, 1), [63]);
        // The word alone stood last elsewhere, but the copy is near the first place.
        let mut lookup = Lookup::new(0).unwrap();
        lookup.place = 32;
        assert_eq!(follows(&mut lookup, &[source, vec![7]].concat(), 1), [62]);
    }

    #[test]
    fn what_left_a_sequence_is_searched_too_and_the_oldest_goes() {
        let mut lookup = Lookup::new(20).unwrap();
        lookup.keep(&[1, 2, 3]);
        assert_eq!(follows(&mut lookup, &[9, 1, 2], 3), [0; 0], "too short to be kept");
        lookup.keep(&(10..22).collect::<Vec<_>>());
        assert_eq!(follows(&mut lookup, &[9, 13, 14], 3), [15, 16, 17]);
        assert_eq!(follows(&mut lookup, &[9, 20], 3), [21], "it ends where it was cut");
        lookup.keep(&(30..42).collect::<Vec<_>>());
        assert_eq!(follows(&mut lookup, &[9, 13], 1), [0; 0], "the oldest made room");
        assert_eq!(follows(&mut lookup, &[9, 40], 3), [41]);
        lookup.keep(&(50..90).collect::<Vec<_>>());
        assert_eq!(lookup.kept, (70..90).collect::<Vec<_>>());
        assert_eq!(lookup.kept.capacity(), 20);
        lookup.forget();
        assert_eq!(follows(&mut lookup, &[9, 80], 3), [0; 0]);
    }
}
