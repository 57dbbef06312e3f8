//! What every kind's encoder needs besides the text: the vocabulary, and whether to go on.

use crate::vocab::{Vocab, attr};
use crate::watch::Watch;
use crate::{TokenId, TokenizerError};

/// One encoding.
#[derive(Clone, Copy)]
pub(crate) struct Job<'j> {
    pub(crate) vocab: &'j Vocab,
    pub(crate) watch: &'j Watch<'j>,
    /// Attributes of tokens that no piece of text may become.
    pub(crate) barred: u8,
}

impl<'j> Job<'j> {
    /// `guarded`: pieces of text never become control tokens, not even where their merges would lead there.
    pub(crate) fn new(vocab: &'j Vocab, watch: &'j Watch<'j>, guarded: bool) -> Self {
        Job { vocab, watch, barred: if guarded { attr::CONTROL | attr::UNKNOWN } else { 0 } }
    }

    /// Whether a piece of text may become this token.
    #[inline]
    pub(crate) fn allows(&self, id: TokenId) -> bool {
        self.barred == 0 || self.vocab.attrs(id) & self.barred == 0
    }

    /// The token whose string is the `len` bytes at `start`, if a piece of text may become it.
    #[inline]
    pub(crate) fn find_in(&self, bytes: &[u8], start: usize, len: usize) -> Option<TokenId> {
        self.vocab.find_in(bytes, start, len).filter(|id| self.allows(*id))
    }

    /// See [`Watch::work`].
    #[inline]
    pub(crate) fn work(&self, units: usize) -> Result<(), TokenizerError> {
        self.watch.work(units)
    }
}
