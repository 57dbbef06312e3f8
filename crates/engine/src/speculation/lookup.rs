//! Guesses from the text itself: the tokens that followed an earlier occurrence of its last tokens.
//!
//! ```text
//! text     kept tokens | history | token
//! find     the place before which the most tokens agree with the end of the text; among equals the latest
//! near     a place near the one that the previous copy has reached counts NEAR tokens more: an edit changes a word, and copying goes on
//! guesses  the tokens that follow that place, with the edits that the copy has made so far (see [`super::edits`])
//! ```
//!
//! A search reads the text once, 4 bytes for each token, without an index. For 4,096 tokens this takes about a thousandth of a pass.

use super::edits::Edits;
use super::{Guesses, MAX_DRAFT};
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
    /// How many tokens before that place agreed with the text.
    agreed: usize,
    /// The places of the guesses, and how many were asked for since they were made.
    path: [usize; MAX_DRAFT],
    step: usize,
    edits: Edits,
}

/// Tokens that must have agreed where a copy ends, so that what comes instead counts as an edit.
const COPIED: usize = 3;

impl Lookup {
    /// Makes a search that keeps up to `n` tokens of earlier texts.
    pub(super) fn new(n: usize) -> Result<Self, EngineError> {
        let mut kept = Vec::new();
        reserve(&mut kept, n, "tokens of earlier texts")?;
        let edits = Edits::default();
        Ok(Self { kept, place: 0, agreed: 0, path: [0; MAX_DRAFT], step: MAX_DRAFT, edits })
    }

    /// Moves the copy on by one token, as the text grows by one.
    pub(super) fn advance(&mut self) {
        self.place = self.path.get(self.step).copied().unwrap_or(self.place.saturating_add(1));
        self.step = self.step.saturating_add(1);
        self.agreed = self.agreed.saturating_add(1);
    }

    /// Compares what the copy would have had with the token that came, to learn what it changes. Returns whether the token is the end
    /// of a known edit, so that the copy goes on after it.
    fn compare(&mut self, history: &[TokenId], token: TokenId) -> bool {
        let Self { kept, edits, .. } = self;
        let at = |place| token_at(kept, history, token, place);
        if edits.left().is_some() {
            let Some(place) = edits.back(history, token, at) else { return false };
            (self.place, self.agreed) = (place, COPIED + 1);
        }
        let Some(copied) = at(self.place) else { return false };
        let copying = self.agreed > COPIED;
        if copied == token || copying {
            edits.check(self.place, token, at);
        }
        if copied == token || !copying {
            return false;
        }
        let edited = edits.of(self.place, at).is_some_and(|(new, n)| n == 1 && new.last() == Some(&token));
        if !edited {
            edits.leave(self.place, history);
        }
        edited
    }

    /// Proposes up to `most` tokens that may follow `history` and `token`.
    pub(super) fn propose(&mut self, history: &[TokenId], token: TokenId, most: usize, out: &mut Guesses) {
        let edited = self.compare(history, token);
        let left = self.edits.left().map(|left| left.from);
        let skipped = history.len().saturating_sub(SPAN);
        let agreed = self.agreed.min(LONGEST);
        let mut best = if edited { (agreed + NEAR, agreed, true, self.place) } else { (0, 0, false, 0) };
        for (first, text) in [(self.kept.len() + skipped, history.get(skipped..)), (0, Some(&*self.kept))] {
            let text = text.unwrap_or_default();
            for (i, _) in text.iter().enumerate().rev().filter(|(_, other)| **other == token) {
                let before = text.get(..i).unwrap_or_default().iter().rev();
                let len = 1 + before
                    .zip(history.iter().rev())
                    .take(LONGEST - 1)
                    .take_while(|(a, b)| a == b)
                    .count();
                let is_near = |place: usize| (first + i).abs_diff(place) <= SHIFT;
                let near = is_near(self.place) || left.is_some_and(is_near);
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
        (self.place, self.agreed, self.step) = (place, len, 0);
        let mut at = place + 1;
        loop {
            let made = out.tokens().len();
            // What comes after the guesses follows the last of them.
            let rest = self.path.get_mut(made..).unwrap_or_default();
            rest.iter_mut().zip(at..).for_each(|(path, at)| *path = at);
            let text = |at: usize| match at.checked_sub(self.kept.len() + history.len() + 1) {
                // A kept text ends where it was cut.
                _ if place < self.kept.len() && at >= self.kept.len() => None,
                None => token_at(&self.kept, history, token, at),
                // In a repetition, the copy reaches the guesses themselves.
                Some(guess) => out.tokens().get(guess).copied(),
            };
            let Some(next) = text(at) else { return };
            let (new, n) = self.edits.of(at, text).unwrap_or((std::slice::from_ref(&next), 1));
            if made + new.len() > most {
                return;
            }
            for (i, new) in new.iter().enumerate() {
                if let Some(path) = self.path.get_mut(made + i) {
                    *path = at + n - 1;
                }
                out.push(*new, kind(len + made + i, near));
            }
            at += n;
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
        self.edits.clear();
    }
}

/// The token at a place of the whole text.
fn token_at(kept: &[TokenId], history: &[TokenId], token: TokenId, place: usize) -> Option<TokenId> {
    match place.checked_sub(kept.len()) {
        None => kept.get(place).copied(),
        Some(at) if at == history.len() => Some(token),
        Some(at) => history.get(at).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name is changed: from its second place on, the guesses have the new one, of as many tokens or of others. Guesses that agree
    /// with what is written are not asked for again, as in a context.
    #[test]
    fn a_change_is_made_wherever_it_is_due() {
        for new in [&[50][..], &[50, 51], &[50, 51, 52, 53]] {
            // `7` twice in each of three parts.
            let part = |n: TokenId| {
                [0, 1, 2, 3, 7, 5, 6, 7, 8, 9, 10, 11].map(|i| if i == 7 { 7 } else { 100 + 20 * n + i })
            };
            let source: Vec<TokenId> = (0..3).flat_map(part).collect();
            let edited: Vec<TokenId> = source
                .iter()
                .flat_map(|token| if *token == 7 { new.to_vec() } else { vec![*token] })
                .collect();
            let (mut lookup, mut text) = (Lookup::new(0).unwrap(), [&source[..], &[1]].concat());
            let (mut passes, mut misses, mut expected) =
                (0, Vec::new(), edited.iter().enumerate().peekable());
            while let Some((_, token)) = expected.next() {
                lookup.advance();
                text.push(*token);
                let guesses = follows(&mut lookup, &text, 7);
                passes += 1;
                for guess in guesses {
                    match expected.peek() {
                        Some((_, next)) if **next == guess => {
                            lookup.advance();
                            text.push(guess);
                            expected.next();
                        }
                        Some((at, _)) => {
                            misses.push(*at);
                            break;
                        }
                        None => break,
                    }
                }
            }
            // What the first part changes is not foreseen; what follows it is, but for edits of several tokens that a pass cuts.
            let later = misses.iter().filter(|at| **at >= edited.len() / 3).count();
            let allowed = if new.len() == 1 { 0 } else { 2 };
            assert!(!misses.is_empty() && later <= allowed, "{new:?}: {misses:?}, {passes} passes");
        }
    }

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
