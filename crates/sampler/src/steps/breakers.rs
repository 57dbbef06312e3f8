//! Turns a text that ends repetitions into the token sequences that spell it.
//!
//! ```text
//! for each token of the vocabulary, with its bytes:
//!     text inside the bytes              -> [token]
//!     bytes end with the text's start    -> [token, tokens of the rest of the text ...]
//! ```
//! Source: llama.cpp `get_overlapping_token_sequences`, after pi6am's implementation in koboldcpp.

use crate::reserve::{extend, push};
use crate::{SamplerError, TokenId};

/// How many bytes of the text are used.
const MAX_TEXT: usize = 40;

/// How many tokens of the remaining text are used.
const MAX_TAIL: usize = 20;

/// Returns the token sequences in which `text` occurs, for [`Dry::breakers`](super::Dry::breakers). `pieces` are the
/// bytes of all tokens, in id order. `encode` returns the tokens of the rest of a text, or `None` if it cannot encode
/// it (a rest may begin inside a character); that sequence is then left out. Uses at most 40 bytes of the text and 20
/// tokens of the rest.
///
/// ```
/// use happy_sampler::steps::breaker_sequences;
///
/// let vocabulary: [&[u8]; 4] = [b"a", b"-", b"->", b"x-"];
/// let sequences = breaker_sequences(vocabulary, b"->", |rest| (rest == b">").then(|| vec![9]))?;
/// assert_eq!(sequences, [vec![1, 9], vec![2], vec![3, 9]]);
/// # Ok::<(), happy_sampler::SamplerError>(())
/// ```
///
/// # Errors
/// [`SamplerError::OutOfMemory`] if memory for the sequences is refused.
pub fn breaker_sequences<P: AsRef<[u8]>>(
    pieces: impl IntoIterator<Item = P>,
    text: &[u8],
    mut encode: impl FnMut(&[u8]) -> Option<Vec<TokenId>>,
) -> Result<Vec<Vec<TokenId>>, SamplerError> {
    let text = text.get(..MAX_TEXT).unwrap_or(text);
    let mut sequences: Vec<Vec<TokenId>> = Vec::new();
    if text.is_empty() {
        return Ok(sequences);
    }
    // The tokens of text[n..], computed when they are first needed.
    let mut tails: [Option<Option<Vec<TokenId>>>; MAX_TEXT] = [const { None }; MAX_TEXT];
    for (id, piece) in (0 as TokenId..=TokenId::MAX).zip(pieces) {
        let piece = piece.as_ref();
        if piece.windows(text.len()).any(|w| w == text) {
            push(&mut sequences, one(id)?)?;
            continue;
        }
        let first_of_token = sequences.len();
        // Longest overlap first.
        for n in (1..text.len().min(piece.len() + 1)).rev() {
            let (Some((head, rest)), Some(tail)) = (text.split_at_checked(n), tails.get_mut(n)) else {
                continue;
            };
            if !piece.ends_with(head) {
                continue;
            }
            if let Some(tail) = tail.get_or_insert_with(|| encode(rest)) {
                let mut sequence = one(id)?;
                extend(&mut sequence, tail.get(..MAX_TAIL).unwrap_or(tail))?;
                if !sequences.iter().skip(first_of_token).any(|s| *s == sequence) {
                    push(&mut sequences, sequence)?;
                }
            }
        }
    }
    Ok(sequences)
}

fn one(id: TokenId) -> Result<Vec<TokenId>, SamplerError> {
    let mut sequence = Vec::new();
    push(&mut sequence, id)?;
    Ok(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps() {
        // Encodes a rest as one token per byte.
        let encode = |rest: &[u8]| Some(rest.iter().map(|b| 100 + TokenId::from(*b)).collect());
        let b = |c: u8| 100 + TokenId::from(c);
        struct Case<'a> {
            text: &'a [u8],
            pieces: &'a [&'a [u8]],
            expect: Vec<Vec<TokenId>>,
        }
        let cases = [
            Case { text: b"", pieces: &[b"", b"a"], expect: vec![] },
            Case { text: b":", pieces: &[b"", b"a", b":", b"a: b"], expect: vec![vec![2], vec![3]] },
            Case {
                text: b"\n\n",
                pieces: &[b"\n", b"\n\n", b"x\n"],
                expect: vec![vec![0, b(b'\n')], vec![1], vec![2, b(b'\n')]],
            },
            // Two overlaps with one token: "aa" and "a".
            Case {
                text: b"aab",
                pieces: &[b"aa", b"b"],
                expect: vec![vec![0, b(b'b')], vec![0, b(b'a'), b(b'b')]],
            },
        ];
        let wrong: Vec<String> = cases
            .iter()
            .map(|c| (c, breaker_sequences(c.pieces, c.text, encode).unwrap()))
            .filter(|(c, got)| *got != c.expect)
            .map(|(c, got)| format!("{:?}: {got:?}, expected {:?}", c.text, c.expect))
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn long_texts_are_cut_and_rests_may_fail() {
        let text = [b'x'; 100];
        let sequences = breaker_sequences([b"x"], &text, |rest| Some(vec![5; rest.len()])).unwrap();
        assert_eq!(sequences, [[&[0][..], &[5; MAX_TAIL]].concat()]);
        assert!(breaker_sequences([b"x"], b"xy", |_| None).unwrap().is_empty());
    }
}
