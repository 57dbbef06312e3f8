//! What the encoder of every kind needs besides the text: the vocabulary, and whether to go on.

use crate::vocab::{Vocab, attr};
use crate::watch::Watch;
use crate::{TokenId, TokenizerError};

/// One encoding.
#[derive(Clone, Copy)]
pub(crate) struct Job<'j> {
    pub(crate) vocab: &'j Vocab,
    pub(crate) watch: &'j Watch<'j>,
    /// Tokens that no piece of text may become.
    barred: Barred<'j>,
}

/// Tokens that a text must not become.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Barred<'b> {
    /// Tokens with one of these attributes.
    pub(crate) attrs: u8,
    /// These user-defined tokens as well, ascending.
    pub(crate) ids: &'b [TokenId],
}

impl<'j> Job<'j> {
    pub(crate) fn new(vocab: &'j Vocab, watch: &'j Watch<'j>, barred: Barred<'j>) -> Self {
        Job { vocab, watch, barred }
    }

    /// Whether a piece of text may become this token.
    #[inline]
    pub(crate) fn allows(&self, id: TokenId) -> bool {
        let Barred { attrs: barred, ids } = self.barred;
        if barred == 0 {
            return true;
        }
        let attrs = self.vocab.attrs(id);
        attrs & barred == 0 && (attrs & attr::USER_DEFINED == 0 || ids.binary_search(&id).is_err())
    }

    /// The token whose string is the `len` bytes at `start`, unless pieces of text may not become it.
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
