//! SentencePiece BPE: characters merge into tokens, the highest score first; what is no token becomes bytes.

use crate::TokenId;
use crate::merge::{MergeScratch, NO_SYMBOL, Node, Pairs};
use crate::spec::Scores;
use crate::vocab::Vocab;

/// What SentencePiece writes for a space.
pub(crate) const SPACE: &str = "\u{2581}";

/// The rules: neighbours whose joined string is a token, by its score.
pub(crate) struct Spm<'a> {
    pub(crate) vocab: &'a Vocab,
    pub(crate) scores: &'a Scores,
    pub(crate) unknown: Option<TokenId>,
}

/// Scores as ranks: the highest score has the lowest rank.
fn rank(score: f32) -> u32 {
    // Adding zero makes -0 and 0 one score; NaN, which no file should have, comes last.
    let bits = (score + 0.0).to_bits();
    let ascending = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    if score.is_nan() { u32::MAX - 1 } else { (!ascending).min(u32::MAX - 1) }
}

impl Pairs for Spm<'_> {
    #[inline]
    fn merge(&self, piece: &[u8], left: &Node, right: &Node) -> Option<(u32, u32)> {
        let id = self.vocab.find(piece.get(left.start as usize..(right.start + right.len) as usize)?)?;
        Some((rank(self.scores.get(id as usize)), id))
    }
}

impl Spm<'_> {
    /// Appends the ids of a stretch of text whose spaces are written as [`SPACE`].
    pub(crate) fn encode(&self, text: &str, scratch: &mut MergeScratch, out: &mut Vec<TokenId>) {
        scratch.nodes.clear();
        scratch.nodes.extend(text.char_indices().map(|(at, c)| {
            let length = c.len_utf8();
            let id = text.as_bytes().get(at..at + length).and_then(|bytes| self.vocab.find(bytes));
            Node::new(id.unwrap_or(NO_SYMBOL), at, length)
        }));
        scratch.run(text.as_bytes(), self);
        for node in &scratch.nodes {
            if node.symbol != NO_SYMBOL {
                out.push(node.symbol);
                continue;
            }
            let bytes = text.as_bytes().get(node.start as usize..(node.start + node.len) as usize);
            let fallback = |b: &u8| self.vocab.byte_token(*b).or(self.unknown);
            out.extend(bytes.unwrap_or(&[]).iter().filter_map(fallback));
        }
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
