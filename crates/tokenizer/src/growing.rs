//! The tokens of a text that grows at its end, such as a chat, without encoding all of it again.
//!
//! ```text
//! cut the new text at special tokens                                  one cheap pass
//! fragments that are equal, and end before the texts differ: their tokens stay
//! the first fragment that differs, and all after it: encoded
//! ```
//!
//! The tokens of a fragment depend only on its bytes, so the result is the same as encoding the whole text.

use crate::encode::{EncodeOptions, EncodeScratch, check_length};
use crate::job::{Barred, Job};
use crate::reserve::{Reserve, copy, exactly};
use crate::special::Part;
use crate::watch::Watch;
use crate::{TokenId, Tokenizer, TokenizerError};

/// A text and its tokens, to be replaced by a longer text.
#[derive(Debug)]
pub struct GrowingText<'t> {
    tokenizer: &'t Tokenizer,
    options: EncodeOptions,
    text: String,
    ids: Vec<TokenId>,
    /// The fragments, and the number of tokens up to the end of each.
    parts: Vec<(Part, usize)>,
    scratch: EncodeScratch,
}

impl<'t> GrowingText<'t> {
    /// Makes an empty text.
    pub fn new(tokenizer: &'t Tokenizer, options: EncodeOptions) -> Self {
        let (text, ids, parts, scratch) = Default::default();
        Self { tokenizer, options, text, ids, parts, scratch }
    }

    /// Returns the tokens of the current text.
    pub fn ids(&self) -> &[TokenId] {
        &self.ids
    }

    /// Returns the current text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Replaces the text, which may begin like the previous one. Returns how many tokens at the beginning stayed the
    /// same: the part that a cache of the model's state can keep.
    ///
    /// # Errors
    /// The same as [`Tokenizer::encode`]; the previous text is then kept.
    pub fn update(&mut self, text: &str) -> Result<usize, TokenizerError> {
        self.update_with(text, &|| false)
    }

    /// Like [`GrowingText::update`], but can be cancelled: `cancelled` is called about once per millisecond.
    ///
    /// # Errors
    /// The same as [`Tokenizer::encode_with`]; the previous text is then kept.
    pub fn update_with(&mut self, text: &str, cancelled: &dyn Fn() -> bool) -> Result<usize, TokenizerError> {
        let watch = &Watch::new(cancelled);
        check_length(text)?;
        let tokenizer = self.tokenizer;
        let common = self.text.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
        let parts = tokenizer.specials.partition(&tokenizer.vocab, text, self.options.wanted(), watch)?;
        let same = |((old, _), new): &(&(Part, usize), &Part)| old == *new && new.0.end <= common;
        let kept = self.parts.iter().zip(&parts).take_while(same).count();

        watch.work(1 + common / 16)?;
        let job = &Job::new(&tokenizer.vocab, watch, Barred::default());
        let mut ids = Vec::new();
        let mut ends = exactly(parts.len())?;
        match kept.checked_sub(1).and_then(|last| self.parts.get(last)) {
            Some((_, end)) => ids.add_all(self.ids.get(..*end).unwrap_or(&[]))?,
            None if self.options.add_special => tokenizer.begin(&mut ids)?,
            None => {}
        }
        ends.extend(self.parts.iter().take(kept).cloned());
        let mut after_special = match ends.last() {
            Some(((_, fragment), _)) => fragment.is_token(),
            None => true,
        };
        for part in parts.into_iter().skip(kept) {
            let scratch = &mut self.scratch;
            tokenizer.encode_fragment(job, text, part.clone(), &mut after_special, scratch, &mut ids)?;
            ends.push((part, ids.len()));
        }
        if self.options.add_special {
            tokenizer.end(text.len(), &mut ids)?;
        }
        self.scratch.kind.shrink();
        let stayed = self.ids.iter().zip(&ids).take_while(|(a, b)| a == b).count();
        // The last step that may fail: until here, the previous text is intact.
        let text = copy(text)?;
        (self.ids, self.parts, self.text) = (ids, ends, text);
        Ok(stayed)
    }
}
