//! What a copy changes: tokens that were written in the place of others, and will be again, as when a variable is renamed.
//!
//! ```text
//! copied text   .. let mut total = 0.0 ..        the copy leaves it at `total`, and is back at `= 0.0`
//! new text      .. let mut sum = 0.0 ..          edit: `total` became `sum`
//! guesses       from the copied text, with `sum` for each further `total`
//! ```
//! An edit is forgotten once it is wrong: when the copied token comes after all, or a third one.

use happy_tokenizer::TokenId;

/// The most tokens on either side of an edit: names and numbers have few.
const LONGEST: usize = 4;
/// Tokens after an edit that must agree before the copy counts as being back.
const BACK: usize = 2;
/// Edits that are known at a time; the oldest goes.
const EDITS: usize = 8;

/// A few tokens.
#[derive(Clone, Copy, Default, PartialEq)]
struct Few {
    tokens: [TokenId; LONGEST],
    len: usize,
}

impl Few {
    /// Some of these tokens; `None` if there are no tokens or too many.
    fn of(tokens: impl Iterator<Item = TokenId>) -> Option<Self> {
        let mut few = Self::default();
        for token in tokens {
            *few.tokens.get_mut(few.len)? = token;
            few.len += 1;
        }
        (few.len > 0).then_some(few)
    }

    fn get(&self) -> &[TokenId] {
        self.tokens.get(..self.len).unwrap_or_default()
    }
}

/// Tokens that were copied as others.
#[derive(Clone, Copy, Default)]
struct Edit {
    old: Few,
    new: Few,
}

/// Where a copy left its text.
#[derive(Clone, Copy)]
pub(super) struct Left {
    /// The place of the first token that was not copied.
    pub(super) from: usize,
    /// The length of the history then.
    since: usize,
}

/// The edits of a text, as far as they are known.
#[derive(Default)]
pub(super) struct Edits {
    all: [Edit; EDITS],
    next: usize,
    left: Option<Left>,
}

impl Edits {
    /// Where the copy left its text, if it is not back yet.
    pub(super) fn left(&self) -> Option<Left> {
        self.left
    }

    /// The copy leaves its text at this place: after `history` comes another token than the text has there.
    pub(super) fn leave(&mut self, from: usize, history: &[TokenId]) {
        self.left = Some(Left { from, since: history.len() });
    }

    /// Sees whether the copy came back since it left: what was written meanwhile is an edit then. Returns the place of `token`, which
    /// comes after `history`, if the copy goes on from there. `at` gives the copied text.
    pub(super) fn back(
        &mut self,
        history: &[TokenId],
        token: TokenId,
        at: impl Fn(usize) -> Option<TokenId>,
    ) -> Option<usize> {
        let Left { from, since } = self.left?;
        let Some(before) = history.get(since..) else {
            // The text was shortened, so the copy is another one.
            self.left = None;
            return None;
        };
        let written = |i: usize| before.get(i).copied().or((i == before.len()).then_some(token));
        for new in (1..=LONGEST).take_while(|new| new + BACK <= before.len() + 1) {
            for end in from + 1..=from + LONGEST {
                let agrees = (0..BACK).all(|i| written(new + i) == at(end + i));
                let old = Few::of((from..end).map_while(&at)).filter(|_| agrees);
                if let (Some(old), Some(new_tokens)) = (old, Few::of((0..new).map_while(written))) {
                    self.left = None;
                    self.learn(old, new_tokens);
                    return Some(end + before.len() - new);
                }
            }
        }
        if before.len() + 1 >= LONGEST + BACK {
            self.left = None;
        }
        None
    }

    fn learn(&mut self, old: Few, new: Few) {
        self.forget_of(&old);
        if let Some(edit) = self.all.get_mut(self.next) {
            *edit = Edit { old, new };
            self.next = (self.next + 1) % EDITS;
        }
    }

    fn forget_of(&mut self, old: &Few) {
        self.all.iter_mut().filter(|edit| edit.old == *old).for_each(|edit| *edit = Edit::default());
    }

    /// The edit of the text at a place: the tokens to write there, and how many they stand for.
    pub(super) fn of(
        &self,
        place: usize,
        at: impl Fn(usize) -> Option<TokenId>,
    ) -> Option<(&[TokenId], usize)> {
        let fits = |edit: &&Edit| {
            let old = edit.old.get().iter().enumerate();
            edit.old.len > 0 && old.into_iter().all(|(i, token)| at(place + i) == Some(*token))
        };
        let found = self.all.iter().filter(fits).max_by_key(|edit| edit.old.len)?;
        Some((found.new.get(), found.old.len))
    }

    /// Forgets the edit of the text at a place if this token, which came there, is not of it.
    pub(super) fn check(&mut self, place: usize, token: TokenId, at: impl Fn(usize) -> Option<TokenId>) {
        let wrong = self.of(place, &at).filter(|(new, _)| !new.contains(&token));
        if let Some(old) = wrong.and_then(|(_, n)| Few::of((place..place + n).map_while(&at))) {
            self.forget_of(&old);
        }
    }

    /// Another text is copied.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
