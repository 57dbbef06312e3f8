//! SentencePiece BPE: characters merge into tokens, the highest score first. What is not a token becomes bytes.

use crate::borders::Borders;
use crate::job::Job;
use crate::merge::{MergeScratch, Node, Pairs};
use crate::reserve::Reserve;
use crate::sink::Sink;
use crate::spec::Scores;
use crate::vocab::Vocab;
use crate::{TokenId, TokenizerError};

/// The scores, and where a text may be cut.
#[derive(Debug)]
pub(crate) struct Spm {
    scores: Scores,
    unknown: Option<TokenId>,
    borders: Borders,
}

/// The rules: adjacent symbols whose joined string is a token, ranked by its score.
struct Rules<'a> {
    job: &'a Job<'a>,
    scores: &'a Scores,
}

/// Converts scores to ranks: the highest score has the lowest rank.
fn rank(score: f32) -> u32 {
    // Adding zero maps -0 and 0 to the same score. NaN, which no file should contain, comes last.
    let bits = (score + 0.0).to_bits();
    let ascending = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    if score.is_nan() { u32::MAX - 1 } else { (!ascending).min(u32::MAX - 1) }
}

impl Pairs for Rules<'_> {
    #[inline]
    fn rank(&self, piece: &[u8], left: &Node, right: &Node) -> Option<u32> {
        let id = self.job.find_in(piece, left.start as usize, (left.len + right.len) as usize)?;
        Some(rank(self.scores.get(id as usize)))
    }
}

impl Spm {
    pub(crate) fn new(vocab: &Vocab, scores: Scores) -> Self {
        Spm { scores, unknown: None, borders: Borders::new(vocab) }
    }

    /// Sets the token for a character that has neither a token nor byte tokens.
    pub(crate) fn set_unknown(&mut self, unknown: Option<TokenId>) {
        self.unknown = unknown;
    }

    /// Appends the tokens of a stretch of text whose spaces are spelled U+2581.
    pub(crate) fn encode<S: Sink>(
        &self,
        job: &Job<'_>,
        text: &str,
        scratch: &mut MergeScratch,
        out: &mut S,
    ) -> Result<(), TokenizerError> {
        self.borders.pieces(text, |start, piece| {
            job.work(piece.len())?;
            let rest = text.as_bytes().get(start..).unwrap_or(&[]);
            self.encode_piece(job, start, piece, rest, scratch, out)
        })
    }

    /// Appends the tokens of a piece that begins at `base`; `rest` is the text from there on.
    fn encode_piece<S: Sink>(
        &self,
        job: &Job<'_>,
        base: usize,
        text: &str,
        rest: &[u8],
        scratch: &mut MergeScratch,
        out: &mut S,
    ) -> Result<(), TokenizerError> {
        let vocab = job.vocab;
        let token = job.find_in(rest, 0, text.len());
        let whole = token.and_then(|id| vocab.whole(id));
        if let (Some(id), Some(true)) = (token, whole) {
            return out.push(id, base, base + text.len());
        }
        scratch.nodes.clear();
        for (at, c) in text.char_indices() {
            job.work(1)?;
            scratch.nodes.add(Node::new(0, at, c.len_utf8()))?;
        }
        scratch.run(rest, &Rules { job, scores: &self.scores }, job.watch)?;
        if let (Some(id), None) = (token, whole) {
            vocab.set_whole(id, scratch.nodes.len() == 1);
        }
        for node in &scratch.nodes {
            job.work(1)?;
            let (start, end) = (node.start as usize, (node.start + node.len) as usize);
            if let Some(id) = job.find_in(rest, start, end - start) {
                out.push(id, base + start, base + end)?;
                continue;
            }
            for (at, byte) in text.as_bytes().get(start..end).unwrap_or(&[]).iter().enumerate() {
                if let Some(id) = vocab.byte_token(*byte).or(self.unknown) {
                    out.push(id, base + start + at, base + start + at + 1)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::rank;

    #[test]
    fn higher_scores_rank_lower() {
        let scores = [f32::INFINITY, 3.0, 0.5, 0.0, -1e-30, -1.0, -1000.0, f32::NEG_INFINITY, f32::NAN];
        assert!(scores.windows(2).all(|w| rank(w[0]) < rank(w[1])));
        assert_eq!(rank(-0.0), rank(0.0));
    }
}
