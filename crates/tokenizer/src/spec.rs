//! The plain description of a tokenizer: what a model file says, and nothing of the file's format.

use crate::bytes::equal;
use crate::reserve::{Reserve, exactly};
use crate::{CharsMap, TokenId, TokenizerError};
use std::sync::Arc;

/// Bytes that several parts of a program share and that stay where they are: a mapped file, a vector.
pub type SharedBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A list of byte strings inside shared bytes. Consecutive strings have the same number of bytes between them:
/// none when packed, eight in a GGUF file (each string's length). Costs 4 bytes a string beside the storage.
#[derive(Clone)]
pub struct Strings {
    storage: SharedBytes,
    base: usize,
    gap: u32,
    /// Start of each string from `base`, and behind the last where a next one would start.
    offsets: Vec<u32>,
}

impl std::fmt::Debug for Strings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Strings").field("len", &self.len()).field("base", &self.base).finish_non_exhaustive()
    }
}

impl Strings {
    /// Positions of strings that lie in `storage` from `base` on, `gap` bytes between two of them.
    ///
    /// # Errors
    /// `TooLarge` when they reach further than 4 GiB, `OutOfStorage` when they reach behind the storage's end.
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
        // They ascend: when the last fits, all do.
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

    /// Positions of `count` strings from `base` on, each behind its length in eight bytes (little-endian), as GGUF files
    /// have them.
    ///
    /// # Errors
    /// As [`Strings::in_storage`].
    #[cfg(feature = "gguf")]
    pub(crate) fn behind_lengths(
        storage: SharedBytes,
        base: usize,
        count: usize,
    ) -> Result<Self, TokenizerError> {
        const LENGTH: usize = 8;
        let bytes = (*storage).as_ref().get(base..).unwrap_or(&[]);
        let mut at = 0usize;
        // A length that is not there is one that leads out of the storage.
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
    /// `TooLarge` when they have more than 4 GiB together.
    pub fn from_list<S: AsRef<[u8]>>(strings: impl IntoIterator<Item = S>) -> Result<Self, TokenizerError> {
        let mut bytes = Vec::new();
        let mut lengths = Vec::new();
        for string in strings {
            bytes.add_all(string.as_ref())?;
            lengths.add(string.as_ref().len())?;
        }
        Self::in_storage(Arc::new(bytes), 0, 0, lengths.into_iter())
    }

    /// The strings, leaving none.
    pub(crate) fn take(&mut self) -> Self {
        let (offsets, storage) = (std::mem::take(&mut self.offsets), self.storage.clone());
        Strings { storage, base: self.base, gap: self.gap, offsets }
    }

    /// How many strings there are.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `i`-th string; empty where there is none.
    #[inline]
    pub fn get(&self, i: usize) -> &[u8] {
        let (start, len) = self.place(i);
        self.storage().get(start..start + len).unwrap_or(&[])
    }

    /// All strings, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let bytes = self.storage();
        self.places().map(move |(start, len)| bytes.get(start..start + len).unwrap_or(&[]))
    }

    /// What the strings lie in.
    #[inline]
    pub(crate) fn storage(&self) -> &[u8] {
        (*self.storage).as_ref()
    }

    /// Where in [`Strings::storage`] string `i` begins, and its length; an empty one where there is none.
    #[inline]
    pub(crate) fn place(&self, i: usize) -> (usize, usize) {
        match self.offsets.get(i..).unwrap_or(&[]) {
            [start, next, ..] => self.between(*start, *next),
            _ => (0, 0),
        }
    }

    /// [`Strings::place`] of all strings.
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

    /// Whether string `i` is the `len` bytes at `start` of `bytes`.
    #[inline]
    pub(crate) fn is(&self, i: usize, bytes: &[u8], start: usize, len: usize) -> bool {
        let (own_start, own_len) = self.place(i);
        own_len == len && equal(self.storage(), own_start, bytes, start, len)
    }

    /// Bytes on the heap, without the storage.
    pub fn owned_bytes(&self) -> usize {
        self.offsets.capacity() * size_of::<u32>()
    }
}

/// Scores of the tokens, little-endian in shared bytes (a GGUF file's array, read in place).
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
    /// `len` values of four bytes each at `start`: f32, or i32 where `integers` says so.
    ///
    /// # Errors
    /// `OutOfStorage`.
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

    /// How many scores there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The `i`-th score; 0 where there is none.
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

/// What a token is, by GGUF's numbers (`tokenizer.ggml.token_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum TokenType {
    /// Not said, or a number that is not known: decodes to nothing.
    Undefined = 0,
    /// A piece of text.
    #[default]
    Normal = 1,
    /// The unknown token.
    Unknown = 2,
    /// A token with a meaning of its own (begin of text, turn markers ...); no text unless asked for.
    Control = 3,
    /// Added by the model's makers: its string is found in the text before anything else.
    UserDefined = 4,
    /// Reserved: decodes to nothing.
    Unused = 5,
    /// One raw byte, written `<0x41>`.
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

/// Ids of tokens with a role. In a [`TokenizerSpec`]: what the file says; of a [`crate::Tokenizer`]: after the
/// defaults of the vocabulary's kind and the search by well-known strings.
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

/// What WordPiece does to a text first; what is not said has BERT's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Normalizer {
    /// Lower case (default: yes).
    pub lowercase: Option<bool>,
    /// Letters lose their accents (default: as `lowercase`).
    pub strip_accents: Option<bool>,
}

/// Everything that [`crate::Tokenizer::new`] needs. Fields left at their default take the meaning that a missing
/// metadata key has in llama.cpp.
#[derive(Debug, Clone)]
pub struct TokenizerSpec {
    /// `tokenizer.ggml.model`: `gpt2` (BPE with merges), `llama` (SentencePiece BPE), `gemma4`, `bert` (WordPiece),
    /// `t5` (Unigram), `rwkv` or `plamo2`.
    pub model: String,
    /// `tokenizer.ggml.pre`, the pre-tokenizer of a byte-level BPE.
    pub pre: Option<String>,
    /// The tokens' strings, by id.
    pub tokens: Strings,
    /// The tokens' types, by id; empty: all normal.
    pub token_types: Vec<TokenType>,
    /// The tokens' scores, by id (needed by `llama` and `t5`).
    pub scores: Option<Scores>,
    /// Merge rules `left right`, the most important first (needed by `gpt2` and `gemma4`).
    pub merges: Option<Strings>,
    /// Ids that the file names.
    pub special: SpecialIds,
    /// `tokenizer.ggml.eos_token_ids`: ids that end the generation, besides `special.eos`, whose place the first of them
    /// takes where it is missing. Ids that don't exist are ignored. Empty by default.
    pub eos_ids: Vec<TokenId>,
    /// Begin the encoded text with `bos`.
    pub add_bos: Option<bool>,
    /// End the encoded text with `eos`.
    pub add_eos: Option<bool>,
    /// Put a space before the text (SentencePiece).
    pub add_space_prefix: Option<bool>,
    /// A model that separates texts wants `sep` between them ([`crate::Tokenizer::adds_sep`]).
    pub add_sep: Option<bool>,
    /// Runs of spaces count as one (Unigram).
    pub remove_extra_whitespaces: Option<bool>,
    /// Replacements made before anything else (Unigram).
    pub charsmap: Option<CharsMap>,
    /// What WordPiece does to a text first.
    pub normalizer: Normalizer,
    /// `general.architecture`: the mask token of some embedding models swallows the white space before it.
    pub architecture: Option<String>,
    /// `general.name`: Phi-3's special tokens swallow the white space behind them, and only the name tells.
    pub model_name: Option<String>,
}

impl TokenizerSpec {
    /// A description with nothing but the kind and the tokens.
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
