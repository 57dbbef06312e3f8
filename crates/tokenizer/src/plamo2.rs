//! PLaMo 2: of all ways to cut a text into tokens, the one with the lowest cost, found from the end.
//!
//! ```text
//! cost[n] = 0
//! for each character at i, from the last:   cost[i] = min over tokens t = text[i..j], the longest first, of
//!                                                      cost[j] - round(10000 * score(t))
//!     the character alone, as its bytes, at 10,000,000
//! ```
//!
//! Costs are integers, so there is no rounding. Among equal costs the longer token wins.

use crate::job::Job;
use crate::reserve::Reserve;
use crate::sink::Sink;
use crate::spec::{Scores, TokenType};
use crate::trie::Trie;
use crate::vocab::Vocab;
use crate::watch::Watch;
use crate::{TokenId, TokenizerError};

/// The score of a character without a token.
const UNKNOWN: i32 = -10_000_000;
/// Tokens with this score or a lower one do not count.
const INVALID: i32 = -20_000_000;
const UNREACHED: i64 = 1 << 60;

#[derive(Debug)]
pub(crate) struct Plamo2 {
    trie: Trie,
    scores: Option<Scores>,
    /// The token of each byte.
    bytes: Vec<Option<TokenId>>,
}

/// The best way from a position to the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    cost: i64,
    end: u32,
    /// `TokenId::MAX` stands for the character's bytes.
    token: TokenId,
}

impl Plamo2 {
    pub(crate) fn new(
        vocab: &Vocab,
        types: &[TokenType],
        scores: Option<Scores>,
        watch: &Watch<'_>,
    ) -> Result<Self, TokenizerError> {
        let is_byte = |id: TokenId| types.get(id as usize) == Some(&TokenType::Byte);
        let mut bytes = vec![None; 256];
        for id in (0..vocab.len() as TokenId).filter(|id| is_byte(*id)) {
            if let Some(slot) = vocab.byte_value(id).and_then(|byte| bytes.get_mut(usize::from(byte))) {
                *slot = Some(id);
            }
        }
        if bytes.contains(&None) {
            let (key, why) = ("tokenizer.ggml.tokens", "PLaMo 2 needs a token `<0x..>` for each byte");
            return Err(TokenizerError::Missing { key, why });
        }
        let ids = (0..vocab.len() as TokenId).filter(|id| !is_byte(*id));
        Ok(Self { trie: Trie::new(ids, vocab.len(), |id| vocab.text(id), watch)?, scores, bytes })
    }

    fn score(&self, id: TokenId) -> i32 {
        let score = self.scores.as_ref().map_or(0.0, |scores| scores.get(id as usize));
        if score.is_finite() { (score * 1e4).round() as i32 } else { INVALID }
    }

    /// Appends the tokens of a stretch of text. A byte order mark at its beginning is left out.
    pub(crate) fn encode<K: Sink>(
        &self,
        job: &Job<'_>,
        text: &str,
        steps: &mut Vec<Step>,
        out: &mut K,
    ) -> Result<(), TokenizerError> {
        let skipped = if text.starts_with('\u{FEFF}') { 3 } else { 0 };
        let text = text.get(skipped..).unwrap_or("");
        let unreached = Step { cost: UNREACHED, end: 0, token: TokenId::MAX };
        steps.clear();
        steps.fill_to(text.len() + 1, unreached)?;
        if let Some(last) = steps.last_mut() {
            last.cost = 0;
        }
        let mut found: Vec<(usize, TokenId)> = Vec::new();
        for (at, c) in text.char_indices().rev() {
            found.clear();
            let rest = text.as_bytes().get(at..).unwrap_or(&[]);
            let mut full = Ok(());
            let looked = self.trie.prefixes(
                rest,
                |id| job.vocab.text(id),
                |length, id| {
                    if full.is_ok() && job.allows(id) {
                        full = found.add((length, id));
                    }
                },
            );
            full?;
            job.work(looked)?;
            let mut best = unreached;
            let tokens = found.iter().rev().map(|&(length, id)| (length, id, self.score(id)));
            for (length, token, score) in tokens.chain([(c.len_utf8(), TokenId::MAX, UNKNOWN)]) {
                let after = steps.get(at + length).map_or(UNREACHED, |step| step.cost);
                let cost = after.saturating_sub(i64::from(score));
                if score > INVALID && after < UNREACHED && cost < best.cost {
                    best = Step { cost, end: (at + length) as u32, token };
                }
                // In the original's table, a row with this score ends the list.
                if score == UNKNOWN {
                    break;
                }
            }
            if let Some(step) = steps.get_mut(at) {
                *step = best;
            }
        }
        let mut at = 0;
        while let Some(step) = steps.get(at).filter(|step| step.end as usize > at) {
            let end = step.end as usize;
            job.work(1)?;
            if step.token != TokenId::MAX {
                out.push(step.token, skipped + at, skipped + end)?;
            } else {
                for (i, byte) in text.as_bytes().get(at..end).unwrap_or(&[]).iter().enumerate() {
                    if let Some(id) = self.bytes.get(usize::from(*byte)).copied().flatten() {
                        out.push(id, skipped + at + i, skipped + at + i + 1)?;
                    }
                }
            }
            at = end;
        }
        Ok(())
    }

    pub(crate) fn owned_bytes(&self) -> usize {
        self.trie.owned_bytes() + self.bytes.capacity() * size_of::<Option<TokenId>>()
    }
}
