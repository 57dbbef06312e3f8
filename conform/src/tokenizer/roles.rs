//! The size of a vocabulary, its tokens with roles, and what is added at the ends of a text.

use happy_tokenizer::{TokenId, Tokenizer};
use serde::Deserialize;

/// llama.cpp's view of a vocabulary. Ids of -1 are absent.
#[derive(Deserialize)]
pub(super) struct Info {
    n_tokens: usize,
    bos: i64,
    eos: i64,
    eot: i64,
    sep: i64,
    pad: i64,
    add_bos: bool,
    add_eos: bool,
    add_sep: bool,
}

impl Info {
    /// Compares with a tokenizer. If a vocabulary has several tokens for the end of a turn, llama.cpp takes whichever
    /// comes first in its hash map. Then it is enough that both end the generation.
    pub(super) fn compare(&self, tokenizer: &Tokenizer) -> Result<(), String> {
        let id = |id: i64| TokenId::try_from(id).ok();
        let expected = (
            [id(self.bos), id(self.eos), id(self.sep), id(self.pad)],
            self.n_tokens,
            [self.add_bos, self.add_eos, self.add_sep],
        );
        let ids = tokenizer.special_ids();
        let found = (
            [ids.bos, ids.eos, ids.sep, ids.pad],
            tokenizer.vocab_size(),
            [tokenizer.adds_bos(), tokenizer.adds_eos(), tokenizer.adds_sep()],
        );
        let ends = |id: Option<TokenId>| id.is_some_and(|id| tokenizer.is_eog(id));
        if ids.eot != id(self.eot) && !(ends(ids.eot) && ends(id(self.eot))) {
            return Err(format!("end of turn {:?}, expected {:?}", ids.eot, id(self.eot)));
        }
        if found == expected { Ok(()) } else { Err(format!("roles {found:?}, expected {expected:?}")) }
    }
}
