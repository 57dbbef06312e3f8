//! A vocabulary prepared for masks: built once, shared by all grammars.
//!
//! Tokens are stored in tries, in depth-first order, so that a mask is one pass that jumps over what the grammar
//! excludes. Tokens of plain characters only (no quote, backslash or control character, and no incomplete character)
//! are stored separately, by their number of characters: inside a string a grammar allows all of them, which is known
//! without examining any (`machine::free_characters`).

mod trie;

use crate::halt::{Halt, Meter, filled, push};
use std::collections::HashMap;
use std::sync::Arc;
pub(crate) use trie::Trie;

/// The bytes of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text: the bytes of the token, which may end inside a character. A grammar matches the token by these bytes.
    Text(&'a [u8]),
    /// Not text but a name (`<|im_start|>`). A grammar matches the token by `<name>` or `<[id]>`, never as text.
    Special(&'a [u8]),
}

/// Why a vocabulary cannot be prepared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VocabularyError {
    /// The vocabulary has too many tokens, or too many bytes of text.
    #[error("the vocabulary has {found} {what}, expected at most {limit}")]
    TooLarge {
        /// What there is too much of: tokens, or bytes.
        what: &'static str,
        /// The number found.
        found: usize,
        /// The maximum.
        limit: usize,
    },
    /// An end-of-generation token is not in the vocabulary.
    #[error("the end-of-generation token {token} is not in the vocabulary of {vocabulary} tokens")]
    UnknownToken {
        /// The token.
        token: u32,
        /// The number of tokens in the vocabulary.
        vocabulary: usize,
    },
    /// The caller cancelled the work.
    #[error("{}", Halt::CANCELLED)]
    Cancelled,
    /// Memory was refused.
    #[error("{}", Halt::OUT_OF_MEMORY)]
    OutOfMemory,
}

impl From<Halt> for VocabularyError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Cancelled => Self::Cancelled,
            Halt::OutOfMemory => Self::OutOfMemory,
        }
    }
}

/// The tokens of a model. A clone is another handle to the same vocabulary.
#[derive(Debug, Clone)]
pub struct Vocabulary(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Where the bytes of each token end in `bytes`; special tokens have none.
    ends: Vec<u32>,
    bytes: Vec<u8>,
    /// The names of special tokens.
    special: HashMap<Vec<u8>, u32>,
    end_of_generation: Vec<u32>,
    slices: Vec<Slice>,
}

/// Tokens that are examined together.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) trie: Trie,
    /// The largest number of characters in one of the tokens, if all of them are plain.
    pub(crate) plain: Option<u16>,
    /// The set of all these tokens, one bit each.
    pub(crate) all: Vec<u64>,
}

/// Bounds of the groups of tokens by number of characters.
const LENGTHS: [u16; 10] = [1, 2, 3, 4, 5, 6, 8, 11, 16, u16::MAX];

/// The maximum number of tokens: in a program, larger ids have another meaning.
const MAX_TOKENS: usize = 1 << 30;

impl Vocabulary {
    /// Prepares the tokens with ids 0, 1, .. in order. The `end_of_generation` tokens end a text: a mask allows them
    /// where the grammar's text may end, and nowhere else.
    ///
    /// # Errors
    ///
    /// More than 2^30 tokens or 2^31 bytes, or an end-of-generation id that is not in the vocabulary.
    pub fn new<'a>(
        pieces: impl IntoIterator<Item = Piece<'a>>,
        end_of_generation: &[u32],
    ) -> Result<Self, VocabularyError> {
        Self::new_cancellable(pieces, end_of_generation, &|| false)
    }

    /// Like [`Vocabulary::new`], but can be cancelled: `cancelled` is called about once per millisecond of work.
    ///
    /// # Errors
    ///
    /// More than 2^30 tokens or 2^31 bytes; an end-of-generation id that is not in the vocabulary; memory is refused;
    /// or the work is cancelled.
    pub fn new_cancellable<'a>(
        pieces: impl IntoIterator<Item = Piece<'a>>,
        end_of_generation: &[u32],
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, VocabularyError> {
        let meter = Meter::new(cancelled);
        let (mut ends, mut bytes, mut special) = (Vec::new(), Vec::new(), HashMap::new());
        for piece in pieces {
            match piece {
                Piece::Text(text) => {
                    meter.step(1 + text.len() / 64)?;
                    bytes.try_reserve(text.len()).map_err(Halt::from)?;
                    bytes.extend_from_slice(text);
                }
                Piece::Special(name) => {
                    meter.step(1 + name.len() / 64)?;
                    special.try_reserve(1).map_err(Halt::from)?;
                    special.entry(exact(name)?).or_insert(ends.len() as u32);
                }
            }
            push(&mut ends, bytes.len() as u32)?;
            for (what, found, limit) in [("tokens", ends.len(), MAX_TOKENS), ("bytes", bytes.len(), 1 << 31)]
            {
                if found > limit {
                    return Err(VocabularyError::TooLarge { what, found, limit });
                }
            }
        }
        let vocabulary = ends.len();
        if let Some(&token) = end_of_generation.iter().find(|token| **token as usize >= vocabulary) {
            return Err(VocabularyError::UnknownToken { token, vocabulary });
        }
        // Kept as long as the model, so without spare capacity.
        let (ends, bytes) = (exact(&ends)?, exact(&bytes)?);
        let end_of_generation = exact(end_of_generation)?;
        let mut inner = Inner { ends, bytes, special, end_of_generation, slices: Vec::new() };
        inner.slices = slices(&inner, &meter)?;
        Ok(Self(Arc::new(inner)))
    }

    /// Returns the number of tokens.
    pub fn len(&self) -> usize {
        self.0.ends.len()
    }

    /// Returns whether the vocabulary has no tokens.
    pub fn is_empty(&self) -> bool {
        self.0.ends.is_empty()
    }

    /// Returns the bytes of a token; empty for special tokens and for ids that are out of range.
    pub fn piece(&self, token: u32) -> &[u8] {
        self.0.piece(token)
    }

    /// Returns whether a token ends a text.
    pub fn is_end_of_generation(&self, token: u32) -> bool {
        self.0.end_of_generation.contains(&token)
    }

    /// Returns the approximate memory that the vocabulary takes, in bytes.
    pub fn memory(&self) -> usize {
        let slices = self.slices().iter().map(|slice| slice.trie.memory() + slice.all.len() * 8);
        slices.sum::<usize>() + self.0.bytes.len() + self.0.ends.len() * 4
    }

    /// The token with this name: a special token, otherwise one with this text.
    pub(crate) fn find(&self, name: &[u8]) -> Option<u32> {
        let text = || (0..self.len() as u32).find(|token| self.piece(*token) == name);
        self.0.special.get(name).copied().or_else(text)
    }

    pub(crate) fn end_of_generation(&self) -> &[u32] {
        &self.0.end_of_generation
    }

    pub(crate) fn slices(&self) -> &[Slice] {
        &self.0.slices
    }
}

impl Inner {
    fn piece(&self, token: u32) -> &[u8] {
        let token = token as usize;
        let start = if token == 0 { 0 } else { self.ends.get(token - 1).copied().unwrap_or(0) as usize };
        self.ends.get(token).map_or(&[], |&end| &self.bytes[start..end as usize])
    }
}

/// A copy without spare capacity.
fn exact<T: Copy>(all: &[T]) -> Result<Vec<T>, Halt> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(all.len())?;
    copy.extend_from_slice(all);
    Ok(copy)
}

/// The number of characters in a piece, if all of them are plain.
fn plain_characters(piece: &[u8]) -> Option<usize> {
    let text = core::str::from_utf8(piece).ok()?;
    let is_plain = |c: char| !c.is_ascii_control() && c != '"' && c != '\\';
    text.chars().all(is_plain).then(|| text.chars().count())
}

fn slices(vocabulary: &Inner, meter: &Meter<'_>) -> Result<Vec<Slice>, Halt> {
    let mut groups: [Vec<(&[u8], u32)>; LENGTHS.len() + 1] = Default::default();
    for token in 0..vocabulary.ends.len() as u32 {
        let piece = vocabulary.piece(token);
        meter.step(1 + piece.len() / 64)?;
        // A piece longer than a trie can count is never allowed; no real vocabulary has one.
        if piece.is_empty()
            || piece.len() > usize::from(u16::MAX)
            || vocabulary.end_of_generation.contains(&token)
        {
            continue;
        }
        let group = match plain_characters(piece) {
            Some(n) => LENGTHS.iter().position(|most| n <= usize::from(*most)).unwrap_or(LENGTHS.len()),
            None => LENGTHS.len(),
        };
        push(&mut groups[group], (piece, token))?;
    }
    let mut slices = Vec::new();
    for (i, tokens) in groups.into_iter().enumerate() {
        let mut all = filled(0u64, vocabulary.ends.len().div_ceil(64))?;
        tokens.iter().for_each(|(_, token)| all[*token as usize / 64] |= 1 << (token % 64));
        slices.push(Slice { trie: Trie::new(tokens, meter)?, plain: LENGTHS.get(i).copied(), all });
    }
    Ok(slices)
}
