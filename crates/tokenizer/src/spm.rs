//! SentencePiece BPE: characters merge into tokens, the highest score first; what is no token becomes bytes.
//!
//! The merges know no words, but where no token holds a space behind some other character, no merge crosses that
//! border: the text is cut there, which leaves short pieces, most of them tokens as a whole.

use crate::TokenId;
use crate::merge::{MergeScratch, NO_SYMBOL, Node, Pairs};
use crate::spec::Scores;
use crate::vocab::Vocab;

/// What SentencePiece writes for a space.
pub(crate) const SPACE: &str = "\u{2581}";

/// The scores, and where a text may be cut.
#[derive(Debug)]
pub(crate) struct Spm {
    scores: Scores,
    unknown: Option<TokenId>,
    /// Last bytes of the characters that some token has before a [`SPACE`].
    joined: [bool; 256],
}

/// The rules: neighbours whose joined string is a token, by its score.
struct Rules<'a> {
    vocab: &'a Vocab,
    scores: &'a Scores,
}

/// Scores as ranks: the highest score has the lowest rank.
fn rank(score: f32) -> u32 {
    // Adding zero makes -0 and 0 one score; NaN, which no file should have, comes last.
    let bits = (score + 0.0).to_bits();
    let ascending = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    if score.is_nan() { u32::MAX - 1 } else { (!ascending).min(u32::MAX - 1) }
}

impl Pairs for Rules<'_> {
    #[inline]
    fn merge(&self, piece: &[u8], left: &Node, right: &Node) -> Option<(u32, u32)> {
        let id = self.vocab.find(piece.get(left.start as usize..(right.start + right.len) as usize)?)?;
        Some((rank(self.scores.get(id as usize)), id))
    }
}

/// The bytes before each [`SPACE`] that does not follow another one.
fn borders(text: &[u8]) -> impl Iterator<Item = (usize, u8)> + '_ {
    let space = SPACE.as_bytes();
    let starts = text.iter().enumerate().skip(1).filter(move |&(at, b)| {
        space.first() == Some(b) && text.get(at..).is_some_and(|rest| rest.starts_with(space))
    });
    starts.filter_map(move |(at, _)| {
        let before = text.get(..at)?;
        if before.ends_with(space) { None } else { Some((at, *before.last()?)) }
    })
}

impl Spm {
    pub(crate) fn new(vocab: &Vocab, scores: Scores) -> Self {
        let mut joined = [false; 256];
        for id in 0..vocab.len() {
            for (_, before) in borders(vocab.text(id as TokenId)) {
                if let Some(slot) = joined.get_mut(usize::from(before)) {
                    *slot = true;
                }
            }
        }
        Spm { scores, unknown: None, joined }
    }

    /// The token that stands for a character without token or bytes.
    pub(crate) fn set_unknown(&mut self, unknown: Option<TokenId>) {
        self.unknown = unknown;
    }

    /// Appends the ids of a stretch of text whose spaces are written as [`SPACE`].
    pub(crate) fn encode(
        &self,
        vocab: &Vocab,
        text: &str,
        scratch: &mut MergeScratch,
        out: &mut Vec<TokenId>,
    ) {
        let mut start = 0;
        for (at, before) in borders(text.as_bytes()) {
            if !self.joined.get(usize::from(before)).copied().unwrap_or(true) {
                self.encode_piece(vocab, text.get(start..at).unwrap_or(""), scratch, out);
                start = at;
            }
        }
        self.encode_piece(vocab, text.get(start..).unwrap_or(""), scratch, out);
    }

    fn encode_piece(&self, vocab: &Vocab, text: &str, scratch: &mut MergeScratch, out: &mut Vec<TokenId>) {
        let token = vocab.find(text.as_bytes());
        let whole = token.and_then(|id| vocab.whole(id));
        if let (Some(id), Some(true)) = (token, whole) {
            out.push(id);
            return;
        }
        scratch.nodes.clear();
        scratch.nodes.extend(text.char_indices().map(|(at, c)| {
            let length = c.len_utf8();
            let id = text.as_bytes().get(at..at + length).and_then(|bytes| vocab.find(bytes));
            Node::new(id.unwrap_or(NO_SYMBOL), at, length)
        }));
        scratch.run(text.as_bytes(), &Rules { vocab, scores: &self.scores });
        if let (Some(id), None) = (token, whole) {
            vocab.set_whole(id, matches!(scratch.nodes.as_slice(), [node] if node.symbol == id));
        }
        for node in &scratch.nodes {
            if node.symbol != NO_SYMBOL {
                out.push(node.symbol);
                continue;
            }
            let bytes = text.as_bytes().get(node.start as usize..(node.start + node.len) as usize);
            let fallback = |b: &u8| vocab.byte_token(*b).or(self.unknown);
            out.extend(bytes.unwrap_or(&[]).iter().filter_map(fallback));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{borders, rank};

    #[test]
    fn higher_scores_rank_lower() {
        let scores = [f32::INFINITY, 3.0, 0.5, 0.0, -1e-30, -1.0, -1000.0, f32::NEG_INFINITY, f32::NAN];
        assert!(scores.windows(2).all(|w| rank(w[0]) < rank(w[1])));
        assert_eq!(rank(-0.0), rank(0.0));
    }

    #[test]
    fn borders_are_before_the_first_of_some_spaces() {
        let cases: &[(&str, &[(usize, u8)])] =
            &[("", &[]), ("▁a", &[]), ("▁a▁▁b>▁", &[(4, b'a'), (12, b'>')]), ("é▁", &[(2, 0xA9)])];
        for (text, expected) in cases {
            assert_eq!(borders(text.as_bytes()).collect::<Vec<_>>(), *expected, "{text}");
        }
    }
}
