//! A plain description of a tokenizer: the contents of a model file, independent of the file's format.

use crate::bytes::equal;
use crate::reserve::{Reserve, exactly};
use crate::{CharsMap, TokenId, TokenizerError};
use std::sync::Arc;

/// Bytes shared by several owners that never move: a mapped file, a vector.
pub type SharedBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A list of byte strings inside shared bytes. Consecutive strings have a fixed gap between them: none if packed, eight
/// bytes in a GGUF file (each string's length). Costs 4 bytes per string in addition to the storage.
#[derive(Clone)]
pub struct Strings {
    storage: SharedBytes,
    base: usize,
    gap: u32,
    /// The start of each string relative to `base`, and after the last string the start of a next one.
    offsets: Vec<u32>,
}

impl std::fmt::Debug for Strings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Strings").field("len", &self.len()).field("base", &self.base).finish_non_exhaustive()
    }
}

impl Strings {
    /// Makes strings in `storage` that begin at `base`, with `gap` bytes between two of them.
    ///
    /// # Errors
    /// `TooLarge` if they extend past 4 GiB, `OutOfStorage` if they extend past the end of the storage.
    pub fn in_storage(
        storage: SharedBytes,
        base: usize,
        gap: u32,
        lengths: impl Iterator<Item = usize>,
    ) -> Result<Self, TokenizerError> {
        let mut offsets = exactly(lengths.size_hint().0.saturating_add(1))?;
        let mut at = 0usize;
        offsets.push(0);
        for length in lengths {
            at = at.saturating_add(length).saturating_add(gap as usize);
            offsets.add(at as u32)?;
        }
        // The offsets ascend, so if the last one fits, all do.
        if u32::try_from(at).is_err() {
            let (what, limit) = ("bytes of a string array", u32::MAX as usize);
            return Err(TokenizerError::TooLarge { what, found: at, limit });
        }
        let end = if offsets.len() > 1 { base.saturating_add(at - gap as usize) } else { base };
        let len = (*storage).as_ref().len();
        if end > len {
            return Err(TokenizerError::OutOfStorage { what: "string array", start: base, end, len });
        }
        Ok(Strings { storage, base, gap, offsets })
    }

    /// `count` strings from `base`, each after its length in eight bytes (little-endian), as in GGUF files.
    ///
    /// # Errors
    /// The same as [`Strings::in_storage`].
    #[cfg(feature = "gguf")]
    pub(crate) fn behind_lengths(
        storage: SharedBytes,
        base: usize,
        count: usize,
    ) -> Result<Self, TokenizerError> {
        const LENGTH: usize = 8;
        let bytes = (*storage).as_ref().get(base..).unwrap_or(&[]);
        let mut at = 0usize;
        // A length that is missing counts as one that leads out of the storage.
        let lengths = (0..count).map(|_| {
            let length =
                bytes.get(at..at.saturating_add(LENGTH)).and_then(|b| <[u8; LENGTH]>::try_from(b).ok());
            let length =
                length.map_or(usize::MAX, |b| usize::try_from(u64::from_le_bytes(b)).unwrap_or(usize::MAX));
            at = at.saturating_add(LENGTH).saturating_add(length);
            length
        });
        Self::in_storage(storage.clone(), base.saturating_add(LENGTH), LENGTH as u32, lengths)
    }

    /// Copies strings into storage of their own.
    ///
    /// # Errors
    /// `TooLarge` if they have more than 4 GiB together.
    pub fn from_list<S: AsRef<[u8]>>(strings: impl IntoIterator<Item = S>) -> Result<Self, TokenizerError> {
        let mut bytes = Vec::new();
        let mut lengths = Vec::new();
        for string in strings {
            bytes.add_all(string.as_ref())?;
            lengths.add(string.as_ref().len())?;
        }
        Self::in_storage(Arc::new(bytes), 0, 0, lengths.into_iter())
    }

    /// Takes the strings, leaving an empty list.
    pub(crate) fn take(&mut self) -> Self {
        let (offsets, storage) = (std::mem::take(&mut self.offsets), self.storage.clone());
        Strings { storage, base: self.base, gap: self.gap, offsets }
    }

    /// Returns the number of strings.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Returns whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns string `i`; empty if `i` is out of range.
    #[inline]
    pub fn get(&self, i: usize) -> &[u8] {
        let (start, len) = self.place(i);
        self.storage().get(start..start + len).unwrap_or(&[])
    }

    /// Returns all strings, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let bytes = self.storage();
        self.places().map(move |(start, len)| bytes.get(start..start + len).unwrap_or(&[]))
    }

    /// The bytes that contain the strings.
    #[inline]
    pub(crate) fn storage(&self) -> &[u8] {
        (*self.storage).as_ref()
    }

    /// The start of string `i` in [`Strings::storage`], and its length; an empty place if `i` is out of range.
    #[inline]
    pub(crate) fn place(&self, i: usize) -> (usize, usize) {
        match self.offsets.get(i..).unwrap_or(&[]) {
            [start, next, ..] => self.between(*start, *next),
            _ => (0, 0),
        }
    }

    /// [`Strings::place`] for all strings.
    #[inline]
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.offsets.windows(2).map(|pair| match pair {
            [start, next] => self.between(*start, *next),
            _ => (0, 0),
        })
    }

    #[inline]
    fn between(&self, start: u32, next: u32) -> (usize, usize) {
        (self.base + start as usize, next.saturating_sub(start).saturating_sub(self.gap) as usize)
    }

    /// Whether string `i` equals the `len` bytes at `start` of `bytes`.
    #[inline]
    pub(crate) fn is(&self, i: usize, bytes: &[u8], start: usize, len: usize) -> bool {
        let (own_start, own_len) = self.place(i);
        own_len == len && equal(self.storage(), own_start, bytes, start, len)
    }

    /// Returns the size on the heap in bytes, without the storage.
    pub fn owned_bytes(&self) -> usize {
        self.offsets.capacity() * size_of::<u32>()
    }
}

/// The scores of tokens, little-endian in shared bytes (the array in a GGUF file, read in place).
#[derive(Clone)]
pub struct Scores {
    storage: SharedBytes,
    start: usize,
    len: usize,
    integers: bool,
}

impl std::fmt::Debug for Scores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scores").field("len", &self.len).field("start", &self.start).finish_non_exhaustive()
    }
}

impl Scores {
    /// Makes scores from `len` values of four bytes each at `start`: f32, or i32 if `integers` is true.
    ///
    /// # Errors
    /// `OutOfStorage` if the values extend past the end of the storage.
    pub fn in_storage(
        storage: SharedBytes,
        start: usize,
        len: usize,
        integers: bool,
    ) -> Result<Self, TokenizerError> {
        let end = start.saturating_add(len.saturating_mul(4));
        let bytes = (*storage).as_ref().len();
        if end > bytes {
            return Err(TokenizerError::OutOfStorage { what: "token scores", start, end, len: bytes });
        }
        Ok(Scores { storage, start, len, integers })
    }

    /// Copies scores into storage of their own.
    pub fn from_list(scores: &[f32]) -> Self {
        let bytes: Vec<u8> = scores.iter().flat_map(|s| s.to_le_bytes()).collect();
        Scores { storage: Arc::new(bytes), start: 0, len: scores.len(), integers: false }
    }

    /// Returns the number of scores.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no scores.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns score `i`; 0 if `i` is out of range.
    #[inline]
    pub fn get(&self, i: usize) -> f32 {
        if i >= self.len {
            return 0.0;
        }
        let at = self.start + i * 4;
        let bytes = (*self.storage).as_ref().get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok());
        match bytes {
            Some(b) if self.integers => i32::from_le_bytes(b) as f32,
            Some(b) => f32::from_le_bytes(b),
            None => 0.0,
        }
    }
}

/// The type of a token, by GGUF's numbers (`tokenizer.ggml.token_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum TokenType {
    /// Not given, or an unknown number. Decodes to nothing.
    Undefined = 0,
    /// A piece of text.
    #[default]
    Normal = 1,
    /// The unknown token.
    Unknown = 2,
    /// A token with a special meaning (begin of text, turn markers). Decodes to text only on request.
    Control = 3,
    /// Added by the model's makers. Its string is searched for in the text before anything else.
    UserDefined = 4,
    /// Reserved. Decodes to nothing.
    Unused = 5,
    /// A single raw byte, spelled `<0x41>`.
    Byte = 6,
}

impl From<i64> for TokenType {
    fn from(number: i64) -> Self {
        match number {
            1 => TokenType::Normal,
            2 => TokenType::Unknown,
            3 => TokenType::Control,
            4 => TokenType::UserDefined,
            5 => TokenType::Unused,
            6 => TokenType::Byte,
            _ => TokenType::Undefined,
        }
    }
}

/// The ids of tokens with a role. In a [`TokenizerSpec`], they are those that the file gives; in a
/// [`crate::Tokenizer`], they also include the defaults of the vocabulary's kind and tokens found by well-known
/// strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)] // the names are the field's
pub struct SpecialIds {
    pub bos: Option<TokenId>,
    pub eos: Option<TokenId>,
    /// End of turn.
    pub eot: Option<TokenId>,
    /// End of message.
    pub eom: Option<TokenId>,
    pub unk: Option<TokenId>,
    pub sep: Option<TokenId>,
    pub pad: Option<TokenId>,
    pub mask: Option<TokenId>,
    pub fim_prefix: Option<TokenId>,
    pub fim_suffix: Option<TokenId>,
    pub fim_middle: Option<TokenId>,
    pub fim_pad: Option<TokenId>,
    /// Repository name in fill-in-the-middle prompts.
    pub fim_repo: Option<TokenId>,
    /// File separator in fill-in-the-middle prompts.
    pub fim_separator: Option<TokenId>,
}

/// What WordPiece does to a text first. `None` means BERT's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Normalizer {
    /// Converts to lower case (default true).
    pub lowercase: Option<bool>,
    /// Removes accents from letters (default: the same as `lowercase`).
    pub strip_accents: Option<bool>,
}

/// Everything that [`crate::Tokenizer::new`] needs. A field left at its default means the same as a missing metadata
/// key in llama.cpp.
#[derive(Debug, Clone)]
pub struct TokenizerSpec {
    /// `tokenizer.ggml.model`: `gpt2` (BPE with merges), `llama` (SentencePiece BPE), `gemma4`, `bert` (WordPiece),
    /// `t5` (Unigram), `rwkv` or `plamo2`.
    pub model: String,
    /// `tokenizer.ggml.pre`, the pre-tokenizer of a byte-level BPE.
    pub pre: Option<String>,
    /// The tokens' strings, in id order.
    pub tokens: Strings,
    /// The tokens' types, in id order. Empty means that all tokens are normal.
    pub token_types: Vec<TokenType>,
    /// The tokens' scores, in id order (required by `llama` and `t5`).
    pub scores: Option<Scores>,
    /// The merge rules `left right`, highest priority first (required by `gpt2` and `gemma4`).
    pub merges: Option<Strings>,
    /// The ids that the file names.
    pub special: SpecialIds,
    /// `tokenizer.ggml.eos_token_ids`: ids that end the generation, in addition to `special.eos`. If `special.eos` is
    /// missing, the first of them takes its place. Ids that are out of range are ignored. Default: empty.
    pub eos_ids: Vec<TokenId>,
    /// Whether encoded text begins with `bos`.
    pub add_bos: Option<bool>,
    /// Whether encoded text ends with `eos`.
    pub add_eos: Option<bool>,
    /// Whether a space is added before the text (SentencePiece).
    pub add_space_prefix: Option<bool>,
    /// Whether the model expects `sep` between texts ([`crate::Tokenizer::adds_sep`]).
    pub add_sep: Option<bool>,
    /// Whether a run of spaces counts as one (Unigram).
    pub remove_extra_whitespaces: Option<bool>,
    /// Replacements made before anything else (Unigram).
    pub charsmap: Option<CharsMap>,
    /// What WordPiece does to a text first.
    pub normalizer: Normalizer,
    /// `general.architecture`. The mask token of some embedding models absorbs the white space before it.
    pub architecture: Option<String>,
    /// `general.name`. The special tokens of Phi-3 absorb the white space after them, and only the name identifies the
    /// model.
    pub model_name: Option<String>,
}

impl TokenizerSpec {
    /// Makes a description with only the kind and the tokens.
    pub fn new(model: impl Into<String>, tokens: Strings) -> Self {
        TokenizerSpec {
            model: model.into(),
            pre: None,
            tokens,
            token_types: Vec::new(),
            scores: None,
            merges: None,
            special: SpecialIds::default(),
            eos_ids: Vec::new(),
            add_bos: None,
            add_eos: None,
            add_space_prefix: None,
            add_sep: None,
            remove_extra_whitespaces: None,
            charsmap: None,
            normalizer: Normalizer::default(),
            architecture: None,
            model_name: None,
        }
    }
}
