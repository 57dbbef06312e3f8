//! The vocabulary: strings that stay in shared storage, a hash table over them, and one byte of attributes per token.

use crate::hash::{SlotTable, hash_in};
use crate::reserve::{exactly, filled};
use crate::spec::{Strings, TokenType};
use crate::watch::Watch;
use crate::{TokenId, TokenizerError};
use std::sync::atomic::{AtomicU8, Ordering};

/// Attributes of a token, one bit each.
pub(crate) mod attr {
    pub(crate) const NORMAL: u8 = 1;
    pub(crate) const UNKNOWN: u8 = 2;
    pub(crate) const CONTROL: u8 = 4;
    pub(crate) const USER_DEFINED: u8 = 8;
    pub(crate) const BYTE: u8 = 16;
    /// The token absorbs the white space before its string.
    pub(crate) const LSTRIP: u8 = 32;
    /// The token absorbs the white space after its string.
    pub(crate) const RSTRIP: u8 = 64;
    /// Ends the generation.
    pub(crate) const EOG: u8 = 128;
    /// Its string is searched for in the text before anything else.
    pub(crate) const IN_TEXT: u8 = UNKNOWN | CONTROL | USER_DEFINED;
}

const UNTRIED: u8 = 0;
const WHOLE: u8 = 1;
const IN_PARTS: u8 = 2;

/// The maximum number of tokens, and of merges.
pub(crate) const MAX_ENTRIES: usize = 1 << 30;

/// The maximum length of a token's text in bytes. In the vocabularies of the corpus it stays below 600. A generated
/// token of a megabyte would exhaust the memory of programs that keep the text.
pub(crate) const MAX_TOKEN_BYTES: usize = 4096;

/// The heap size of a vocabulary of `n` tokens in bytes, without its strings.
#[cfg(feature = "gguf")]
pub(crate) fn planned_bytes(n: u64) -> u64 {
    crate::hash::planned_bytes(n) + 2 * n
}

#[derive(Debug)]
pub(crate) struct Vocab {
    strings: Strings,
    table: SlotTable,
    attrs: Vec<u8>,
    /// For each token, whether a piece of text with its string becomes that token alone; see [`Vocab::whole`].
    whole: Vec<AtomicU8>,
    /// The length of the longest token in bytes.
    max_len: usize,
}

impl Vocab {
    pub(crate) fn new(
        strings: Strings,
        types: &[TokenType],
        watch: &Watch<'_>,
    ) -> Result<Self, TokenizerError> {
        let n = strings.len();
        if n == 0 {
            return Err(TokenizerError::Missing { key: "tokenizer.ggml.tokens", why: "it holds no token" });
        }
        if n > MAX_ENTRIES {
            let what = "number of tokens";
            return Err(TokenizerError::TooLarge { what, found: n, limit: MAX_ENTRIES });
        }
        if !types.is_empty() && types.len() < n {
            let (key, found) = ("tokenizer.ggml.token_type", types.len());
            return Err(TokenizerError::WrongLength { key, expected: n, found });
        }
        let attr_of = |t: TokenType| match t {
            TokenType::Normal => attr::NORMAL,
            TokenType::Unknown => attr::UNKNOWN,
            TokenType::Control => attr::CONTROL,
            TokenType::UserDefined => attr::USER_DEFINED,
            TokenType::Byte => attr::BYTE,
            TokenType::Unused | TokenType::Undefined => 0,
        };
        let mut max_len = 0;
        for (id, (_, length)) in strings.places().enumerate() {
            if length > MAX_TOKEN_BYTES {
                return Err(TokenizerError::TokenTooLong {
                    id: id as TokenId,
                    length,
                    limit: MAX_TOKEN_BYTES,
                });
            }
            max_len = max_len.max(length);
        }
        let mut attrs = filled(n, attr::NORMAL)?;
        for (attr, t) in attrs.iter_mut().zip(types) {
            *attr = attr_of(*t);
        }
        let mut table = SlotTable::new(n)?;
        let storage = strings.storage();
        let hash_of = |id| match strings.place(id) {
            (_, 0) => None,
            (start, len) => Some(hash_in(storage, start, len)),
        };
        // Of two equal strings the later one wins, as in the dictionaries of the original tokenizers.
        table.fill(n, hash_of, true, |a, b| strings.get(a as usize) == strings.get(b as usize), watch)?;
        let mut whole = exactly(n)?;
        whole.resize_with(n, || AtomicU8::new(UNTRIED));
        Ok(Vocab { strings, table, attrs, whole, max_len })
    }

    /// The number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.attrs.len()
    }

    /// The strings of all tokens.
    pub(crate) fn strings(&self) -> &Strings {
        &self.strings
    }

    /// The token's string as stored in the file; empty for an id that is out of range.
    #[inline]
    pub(crate) fn text(&self, id: TokenId) -> &[u8] {
        self.strings.get(id as usize)
    }

    /// The token whose string is exactly `text`.
    #[inline]
    pub(crate) fn find(&self, text: &[u8]) -> Option<TokenId> {
        self.find_in(text, 0, text.len())
    }

    /// The token whose string is the `len` bytes at `start`. Fastest if more bytes follow, whatever they are.
    #[inline]
    pub(crate) fn find_in(&self, bytes: &[u8], start: usize, len: usize) -> Option<TokenId> {
        if len > self.max_len {
            return None;
        }
        let hash = hash_in(bytes, start, len);
        self.table.find(hash, |id| self.strings.is(id as usize, bytes, start, len))
    }

    /// Whether the merges turn a piece of text with this token's string into this token; `None` if that has not been
    /// tried yet. The answer depends only on the vocabulary, so it does not matter which thread finds it first, and no
    /// locks are needed.
    #[inline]
    pub(crate) fn whole(&self, id: TokenId) -> Option<bool> {
        match self.whole.get(id as usize)?.load(Ordering::Relaxed) {
            WHOLE => Some(true),
            IN_PARTS => Some(false),
            _ => None,
        }
    }

    /// Sets the answer of [`Vocab::whole`].
    pub(crate) fn set_whole(&self, id: TokenId, whole: bool) {
        if let Some(slot) = self.whole.get(id as usize) {
            slot.store(if whole { WHOLE } else { IN_PARTS }, Ordering::Relaxed);
        }
    }

    /// The attribute bits; 0 for an id that is out of range.
    #[inline]
    pub(crate) fn attrs(&self, id: TokenId) -> u8 {
        self.attrs.get(id as usize).copied().unwrap_or(0)
    }

    pub(crate) fn set_attrs(&mut self, id: TokenId, attrs: u8) {
        if let Some(slot) = self.attrs.get_mut(id as usize) {
            *slot = attrs;
        }
    }

    pub(crate) fn add_attrs(&mut self, id: TokenId, attrs: u8) {
        self.set_attrs(id, self.attrs(id) | attrs);
    }

    /// The tokens that have at least one of the attributes.
    pub(crate) fn with_attrs(&self, attrs: u8) -> impl Iterator<Item = TokenId> + '_ {
        self.attrs.iter().enumerate().filter(move |&(_, &a)| a & attrs != 0).map(|(id, _)| id as TokenId)
    }

    pub(crate) fn check(&self, id: TokenId) -> Result<(), TokenizerError> {
        if (id as usize) < self.len() {
            Ok(())
        } else {
            Err(TokenizerError::TokenOutOfRange { id, vocab_size: self.len() })
        }
    }

    /// The byte that a token spelled `<0x41>` stands for.
    pub(crate) fn byte_value(&self, id: TokenId) -> Option<u8> {
        match self.text(id) {
            [b'<', b'0', b'x', high, low, b'>'] => {
                let digit = |c: &u8| char::from(*c).to_digit(16);
                Some((digit(high)? * 16 + digit(low)?) as u8)
            }
            _ => None,
        }
    }

    /// The token spelled `<0x41>` for a byte, otherwise the one whose string is that byte.
    pub(crate) fn byte_token(&self, byte: u8) -> Option<TokenId> {
        self.hex_token(byte).or_else(|| self.find(&[byte]))
    }

    /// The token spelled `<0x41>` for a byte.
    pub(crate) fn hex_token(&self, byte: u8) -> Option<TokenId> {
        const HEX: [u8; 16] = *b"0123456789ABCDEF";
        let digit = |n: u8| HEX.get(usize::from(n & 15)).copied().unwrap_or(b'0');
        let name = [b'<', b'0', b'x', digit(byte >> 4), digit(byte), b'>'];
        self.find(&name)
    }

    pub(crate) fn owned_bytes(&self) -> usize {
        self.strings.owned_bytes() + self.table.owned_bytes() + self.attrs.capacity() + self.whole.capacity()
    }
}
