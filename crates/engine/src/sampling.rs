//! Steps of samplers that need a vocabulary.

use crate::EngineError;
use crate::reserve::reserve;
use happy_sampler::steps::{Infill, breaker_sequences};
use happy_tokenizer::{EncodeOptions, TokenId, Tokenizer};

/// What the memory is for, in errors.
const BREAKERS: &str = "the token sequences that end a repetition";
const PIECES: &str = "a copy of the vocabulary's texts";

/// The texts that end a repetition for DRY by default.
pub const DRY_BREAKERS: [&str; 4] = ["\n", ":", "\"", "*"];

/// Returns the token sequences that spell the texts which end a repetition
/// ([`Dry::breakers`](happy_sampler::steps::Dry::breakers)). Looks at every token of the vocabulary.
///
/// # Errors
/// If the vocabulary is damaged.
pub fn dry_breakers<T: AsRef<[u8]>>(
    tokenizer: &Tokenizer,
    texts: impl IntoIterator<Item = T>,
) -> Result<Vec<Vec<TokenId>>, EngineError> {
    let pieces = pieces(tokenizer)?;
    let options = EncodeOptions { add_special: false, parse_special: false };
    // A rest that begins inside a character has no tokens of its own.
    let encode = |rest: &[u8]| tokenizer.encode(std::str::from_utf8(rest).ok()?, options).ok();
    let mut sequences = Vec::new();
    for text in texts {
        let mut more = breaker_sequences(&pieces, text.as_ref(), encode)?;
        reserve(&mut sequences, more.len(), BREAKERS)?;
        sequences.append(&mut more);
    }
    Ok(sequences)
}

/// Returns the infill step of a vocabulary ([`Params::infill`](happy_sampler::Params::infill)); `None` if no token ends a turn
/// or a text.
///
/// # Errors
/// If the vocabulary is damaged.
pub fn infill(tokenizer: &Tokenizer) -> Result<Option<Infill>, EngineError> {
    let mut pieces = pieces(tokenizer)?;
    let mut ends = Vec::new();
    for (id, piece) in (0..).zip(&mut pieces) {
        if tokenizer.is_eog(id) {
            reserve(&mut ends, 1, PIECES)?;
            ends.push(id);
        }
        if tokenizer.is_control(id) {
            piece.clear();
        }
    }
    let special = tokenizer.special_ids();
    Ok(special.eot.or(special.eos).map(|fallback| Infill::new(pieces, ends, fallback)).transpose()?)
}

/// The bytes of all tokens, also of special ones.
fn pieces(tokenizer: &Tokenizer) -> Result<Vec<Vec<u8>>, EngineError> {
    let n = tokenizer.vocab_size();
    let mut pieces = Vec::new();
    reserve(&mut pieces, n, PIECES)?;
    for id in 0..TokenId::try_from(n).unwrap_or(TokenId::MAX) {
        pieces.push(tokenizer.piece(id)?);
    }
    Ok(pieces)
}
