//! A vocabulary, prepared for masks: built once, shared by all grammars.
//!
//! Tokens stand in tries, in depth-first order, so that a mask is one pass that jumps over what the grammar excludes. Tokens
//! made of plain characters only (no quote, backslash or control character, nothing half) stand apart, by their number of
//! characters: inside a string a grammar takes them all, which is seen without looking at any (`machine::free_characters`).

mod trie;

use crate::halt::{Halt, Meter, filled, push};
use std::collections::HashMap;
use std::sync::Arc;
pub(crate) use trie::Trie;

/// A token's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text: the bytes that the token stands for, which may be a part of a character. A grammar takes it by these bytes.
    Text(&'a [u8]),
    /// Not text, only a name (`<|im_start|>`): a grammar takes it by `<name>` or `<[id]>`, never as text.
    Special(&'a [u8]),
}

/// A vocabulary that cannot be prepared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VocabularyError {
    /// Too many tokens, or too many bytes of text.
    #[error("the vocabulary has {found} {what}, expected at most {limit}")]
    TooLarge {
        /// Tokens, or bytes.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// An end-of-generation token that is not in the vocabulary.
    #[error("the end-of-generation token {token} is not in the vocabulary of {vocabulary} tokens")]
    UnknownToken {
        /// The token.
        token: u32,
        /// How many tokens there are.
        vocabulary: usize,
    },
    /// The caller cancelled the work.
    #[error("{}", Halt::CANCELLED)]
    Cancelled,
    /// There is not enough memory.
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

/// The tokens of a model. A clone is another handle on the same one.
#[derive(Debug, Clone)]
pub struct Vocabulary(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Ends of the tokens' bytes in `bytes`; special ones have none.
    ends: Vec<u32>,
    bytes: Vec<u8>,
    /// Names of special tokens.
    special: HashMap<Vec<u8>, u32>,
    end_of_generation: Vec<u32>,
    slices: Vec<Slice>,
}

/// Tokens that are looked at together.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) trie: Trie,
    /// The most characters that one of the tokens has, where all of them are plain.
    pub(crate) plain: Option<u16>,
    /// All of the tokens, a bit each.
    pub(crate) all: Vec<u64>,
}

/// Numbers of characters that are looked at together.
const LENGTHS: [u16; 10] = [1, 2, 3, 4, 5, 6, 8, 11, 16, u16::MAX];

/// Beyond this many tokens ids mean something else in a program.
const MAX_TOKENS: usize = 1 << 30;

impl Vocabulary {
    /// Prepares the tokens with ids 0, 1, ..; `end_of_generation` are those that end a text, which a mask offers where the
    /// grammar's text may end, and nowhere else.
    ///
    /// # Errors
    ///
    /// More than 2^30 tokens or 2^31 bytes; an end-of-generation id that is not among the tokens.
    pub fn new<'a>(
        pieces: impl IntoIterator<Item = Piece<'a>>,
        end_of_generation: &[u32],
    ) -> Result<Self, VocabularyError> {
        Self::new_cancellable(pieces, end_of_generation, &|| false)
    }

    /// The same for callers that may cancel it: `cancelled` is asked about once per millisecond of work.
    ///
    /// # Errors
    ///
    /// More than 2^30 tokens or 2^31 bytes; an end-of-generation id that is not among the tokens; no memory; cancelled.
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
        // Held as long as the model is, so without room to grow.
        let (ends, bytes) = (exact(&ends)?, exact(&bytes)?);
        let end_of_generation = exact(end_of_generation)?;
        let mut inner = Inner { ends, bytes, special, end_of_generation, slices: Vec::new() };
        inner.slices = slices(&inner, &meter)?;
        Ok(Self(Arc::new(inner)))
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.0.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.ends.is_empty()
    }

    /// A token's bytes; empty for special tokens and ids beyond the vocabulary.
    pub fn piece(&self, token: u32) -> &[u8] {
        self.0.piece(token)
    }

    /// Whether a token ends a text.
    pub fn is_end_of_generation(&self, token: u32) -> bool {
        self.0.end_of_generation.contains(&token)
    }

    /// The bytes of memory that the vocabulary takes, about.
    pub fn memory(&self) -> usize {
        let slices = self.slices().iter().map(|slice| slice.trie.memory() + slice.all.len() * 8);
        slices.sum::<usize>() + self.0.bytes.len() + self.0.ends.len() * 4
    }

    /// The token that is called so: a special one, else one with this text.
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

/// A copy without room to grow.
fn exact<T: Copy>(all: &[T]) -> Result<Vec<T>, Halt> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(all.len())?;
    copy.extend_from_slice(all);
    Ok(copy)
}

/// How many characters a piece has, when all of them are plain.
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
        // Longer pieces than a trie counts are never offered; no vocabulary has them.
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
