//! [`Tokenizer`]: building one, and asking about its tokens.

use crate::kind::{Defaults, Kind, Writing};
use crate::spec::{SpecialIds, TokenizerSpec};
use crate::special::SpecialStrings;
use crate::vocab::{Vocab, attr};
use crate::watch::Watch;
use crate::{TokenId, TokenizerError, roles};

/// A tokenizer. Immutable, so that threads can share it.
#[derive(Debug)]
pub struct Tokenizer {
    pub(crate) vocab: Vocab,
    pub(crate) kind: Kind,
    pub(crate) specials: SpecialStrings,
    pub(crate) ids: SpecialIds,
    pub(crate) add_bos: bool,
    pub(crate) add_eos: bool,
    add_sep: bool,
    /// Only BERT's kind adds SEP by itself; other kinds leave it to the caller that joins texts.
    pub(crate) ends_with_sep: bool,
    pub(crate) add_space_prefix: bool,
    pub(crate) clean_spaces: bool,
    warnings: Vec<String>,
}

impl Tokenizer {
    /// Builds a tokenizer.
    ///
    /// # Errors
    /// If the kind or the pre-tokenizer is not implemented (the message contains `unsupported` and its name), or if a
    /// part is missing or too short.
    pub fn new(spec: TokenizerSpec) -> Result<Self, TokenizerError> {
        Self::new_with(spec, &|| false)
    }

    /// Like [`Tokenizer::new`], but can be cancelled: `cancelled` is called about once per millisecond.
    ///
    /// # Errors
    /// The same as [`Tokenizer::new`], and `Cancelled` soon after `cancelled` returns true.
    pub fn new_with(mut spec: TokenizerSpec, cancelled: &dyn Fn() -> bool) -> Result<Self, TokenizerError> {
        let watch = &Watch::new(cancelled);
        let mut vocab = Vocab::new(spec.tokens.take(), &spec.token_types, watch)?;
        let mut warnings = Vec::new();
        let defaults = Defaults::new(&mut spec, &vocab, &mut warnings, watch)?;
        let ids = roles::assign(&mut vocab, &spec, defaults.ids)?;
        let mut kind = defaults.kind;
        kind.set_unknown(ids.unk);
        let add_bos = spec.add_bos.unwrap_or(defaults.add_bos);
        if defaults.always_bos && !add_bos {
            warnings.push(
                "tokenizer.ggml.add_bos_token is not true: using true, which Gemma 4 requires".to_owned(),
            );
        }
        let wordpiece = matches!(kind, Kind::WordPiece(_));
        // RWKV and PLaMo add nothing, whatever the metadata says; BERT always adds both ends.
        let bare = matches!(kind, Kind::Rwkv(_) | Kind::Plamo2(_));
        Ok(Self {
            specials: SpecialStrings::new(&vocab, &spec.token_types, watch)?,
            vocab,
            ids,
            add_bos: (add_bos || defaults.always_bos || wordpiece) && !bare,
            add_eos: spec.add_eos.unwrap_or(defaults.add_eos) && !bare && !wordpiece,
            add_sep: spec.add_sep.unwrap_or(defaults.add_sep),
            ends_with_sep: wordpiece,
            add_space_prefix: spec.add_space_prefix.unwrap_or(defaults.space_prefix),
            clean_spaces: defaults.clean_spaces,
            warnings,
            kind,
        })
    }

    /// Returns the number of tokens in the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.vocab.len()
    }

    /// Returns the ids of tokens with a role.
    pub fn special_ids(&self) -> &SpecialIds {
        &self.ids
    }

    /// Returns the token that begins a text, if the model has one.
    pub fn bos(&self) -> Option<TokenId> {
        self.ids.bos
    }

    /// Returns the token that ends a text, if the model has one.
    pub fn eos(&self) -> Option<TokenId> {
        self.ids.eos
    }

    /// Returns whether encoding with [`EncodeOptions::add_special`] begins with BOS.
    ///
    /// [`EncodeOptions::add_special`]: crate::EncodeOptions::add_special
    pub fn adds_bos(&self) -> bool {
        self.add_bos && self.ids.bos.is_some()
    }

    /// Returns whether encoding with [`EncodeOptions::add_special`] ends with EOS.
    ///
    /// [`EncodeOptions::add_special`]: crate::EncodeOptions::add_special
    pub fn adds_eos(&self) -> bool {
        self.add_eos && self.ids.eos.is_some()
    }

    /// Returns whether the model expects SEP after a text, and between two texts that are compared. BERT's kind adds the one
    /// after the text by itself.
    pub fn adds_sep(&self) -> bool {
        self.add_sep && self.ids.sep.is_some()
    }

    /// Returns whether a token ends the generation; false for an id that is out of range.
    pub fn is_eog(&self, id: TokenId) -> bool {
        self.vocab.attrs(id) & attr::EOG != 0
    }

    /// Returns whether a token is a control token; false for an id that is out of range.
    pub fn is_control(&self, id: TokenId) -> bool {
        self.vocab.attrs(id) & attr::CONTROL != 0
    }

    /// Returns the token whose string in the vocabulary is exactly `text`.
    pub fn token(&self, text: &str) -> Option<TokenId> {
        self.vocab.find(text.as_bytes())
    }

    /// Returns the string of a token, as the vocabulary spells it.
    ///
    /// # Errors
    /// If the id is out of range.
    pub fn token_text(&self, id: TokenId) -> Result<&[u8], TokenizerError> {
        self.vocab.check(id)?;
        Ok(self.vocab.text(id))
    }

    pub(crate) fn writing(&self) -> Writing {
        self.kind.writing()
    }

    /// Returns what the file did not say, and what was assumed instead.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns the size of the tokenizer on the heap in bytes. Strings and scores in shared storage are not counted.
    pub fn heap_bytes(&self) -> usize {
        self.vocab.owned_bytes() + self.specials.owned_bytes() + self.kind.owned_bytes()
    }
}
