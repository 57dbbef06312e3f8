//! The vocabulary that grammars need: whether it fits the model, its memory, and building it.

use crate::EngineError;
use happy_gguf::{Array, Metadata, ValueType};
use happy_grammar::{Piece, Vocabulary, VocabularyError};
use happy_tokenizer::{TokenId, Tokenizer};

fn array<'a>(metadata: &Metadata<'a>, key: &str) -> Option<Array<'a>> {
    metadata.optional::<Array<'_>>(key).ok().flatten()
}

/// The tokens' texts.
fn tokens<'a>(metadata: &Metadata<'a>) -> Option<Array<'a>> {
    array(metadata, "tokenizer.ggml.tokens").filter(|tokens| tokens.element_type() == ValueType::String)
}

/// The ids that text becomes must be rows of the embedding, and a row that is chosen must be a token.
///
/// # Errors
/// If the file has a tokenizer with another number of tokens than the embedding has rows.
pub(crate) fn check_size(metadata: &Metadata<'_>, rows: usize, path: &str) -> Result<(), EngineError> {
    match tokens(metadata).map(|tokens| tokens.len()) {
        Some(tokens) if tokens != rows => {
            Err(EngineError::VocabularySize { path: path.to_owned(), tokens, rows })
        }
        _ => Ok(()),
    }
}

/// Most bytes that [`build`] takes for a file's tokens, also in between: told by the number of tokens, the bytes of their texts,
/// and how many are special.
///
/// ```text
/// of a byte of text   12 a node of a trie, 1 here, 1 in the vocabulary, 3 while that grows
/// of a token          72 in lists that grow, 24 to sort, 24 its place here, there, in tries and slices
/// of a special token  120 in a table of names that grows
/// ```
pub(crate) fn planned_bytes(metadata: &Metadata<'_>) -> u64 {
    const BYTE: u64 = 17;
    const TOKEN: u64 = 120;
    const SPECIAL: u64 = 120;
    /// Tokens that are special by their well-known strings, and small lists.
    const FIXED: u64 = 128 * SPECIAL + (16 << 10);
    /// Types of tokens that are text: normal, byte.
    const TEXT: [Option<i128>; 2] = [Some(1), Some(6)];
    let Some(tokens) = tokens(metadata) else { return 0 };
    let n = tokens.len() as u64;
    let bytes = (tokens.raw().len() as u64).saturating_sub(8 * n);
    let types = array(metadata, "tokenizer.ggml.token_type");
    let special = types
        .map_or(0, |types| types.iter().filter(|kind| !TEXT.contains(&kind.as_integer())).count() as u64);
    [n.saturating_mul(TOKEN), bytes.saturating_mul(BYTE), special.min(n) * SPECIAL, FIXED]
        .into_iter()
        .fold(0, u64::saturating_add)
}

/// The tokens as grammars see them. Control tokens are no text, and neither are tokens that stand for no bytes: a grammar can
/// only name them.
///
/// # Errors
/// If the vocabulary is damaged or too large, memory cannot be had, or `cancelled` returns true.
pub(crate) fn build(tokenizer: &Tokenizer, cancelled: &dyn Fn() -> bool) -> Result<Vocabulary, EngineError> {
    let no_memory = |_| EngineError::from(VocabularyError::OutOfMemory);
    let n = tokenizer.vocab_size();
    let ids = || 0..n as TokenId;
    // All texts in one piece of memory, and where each ends.
    let (mut texts, mut ends, mut eog) = (Vec::new(), Vec::new(), Vec::new());
    ends.try_reserve_exact(n).map_err(no_memory)?;
    for id in ids() {
        if id % 1024 == 0 && cancelled() {
            return Err(EngineError::Cancelled);
        }
        let text = tokenizer.piece(id)?;
        texts.try_reserve(text.len()).map_err(no_memory)?;
        texts.extend_from_slice(&text);
        ends.push(texts.len());
        if tokenizer.is_eog(id) {
            eog.try_reserve(1).map_err(no_memory)?;
            eog.push(id);
        }
    }
    let mut start = 0;
    let pieces = ids().zip(&ends).map(|(id, end)| {
        let text = texts.get(std::mem::replace(&mut start, *end)..*end).unwrap_or(&[]);
        let special = text.is_empty() || tokenizer.is_control(id) || tokenizer.is_eog(id);
        if special { Piece::Special(tokenizer.token_text(id).unwrap_or(&[])) } else { Piece::Text(text) }
    });
    Ok(Vocabulary::new_cancellable(pieces, &eog, cancelled)?)
}
