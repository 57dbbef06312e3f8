//! Byte-level BPE: bytes are written as printable characters, and pairs of tokens merge by rank.

use crate::hash::{SlotTable, hash_pair};
use crate::merge::{MergeScratch, NO_SYMBOL, Node, Pairs};
use crate::pre::PreTokenizer;
use crate::spec::Strings;
use crate::split;
use crate::vocab::{MAX_ENTRIES, Vocab};
use crate::{TokenId, TokenizerError, byte_level};

/// A rule: these two tokens become that one. Its rank is its number.
#[derive(Debug, Clone, Copy)]
struct Rule {
    left: TokenId,
    right: TokenId,
    merged: TokenId,
}

/// The merge rules and the cut.
#[derive(Debug)]
pub(crate) struct Bpe {
    pub(crate) pre: PreTokenizer,
    rules: Vec<Rule>,
    table: SlotTable,
    /// The token of each byte's stand-in.
    bytes: Vec<TokenId>,
}

/// Left and right of a rule: the first space that does not begin the string separates them.
fn parts(rule: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = 1 + rule.get(1..)?.iter().position(|b| *b == b' ')?;
    Some((rule.get(..at)?, rule.get(at + 1..)?))
}

impl Bpe {
    pub(crate) fn new(vocab: &Vocab, merges: &Strings, pre: PreTokenizer) -> Result<Self, TokenizerError> {
        let n = merges.len();
        if n > MAX_ENTRIES {
            return Err(TokenizerError::TooLarge { what: "number of merges", found: n, limit: MAX_ENTRIES });
        }
        let mut rules = Vec::with_capacity(n);
        let mut joined = Vec::new();
        // Results mostly follow one another in the vocabulary: the next one is tried before it is searched for.
        let mut expected: TokenId = 0;
        for i in 0..n {
            // A rule of strings that are no tokens can never apply; it keeps its number.
            let rule = parts(merges.get(i)).and_then(|(left, right)| {
                let next = vocab.text(expected).strip_prefix(left) == Some(right);
                let merged = if next {
                    expected
                } else {
                    joined.clear();
                    joined.extend_from_slice(left);
                    joined.extend_from_slice(right);
                    vocab.find(&joined)?
                };
                expected = merged + 1;
                Some(Rule { left: vocab.find(left)?, right: vocab.find(right)?, merged })
            });
            rules.push(rule.unwrap_or(Rule { left: NO_SYMBOL, right: NO_SYMBOL, merged: NO_SYMBOL }));
        }
        let mut table = SlotTable::new(n);
        for (i, rule) in rules.iter().enumerate().filter(|(_, r)| r.merged != NO_SYMBOL) {
            let same =
                |j: u32| rules.get(j as usize).is_some_and(|r| (r.left, r.right) == (rule.left, rule.right));
            // Of two equal rules the first counts.
            table.insert(hash_pair(rule.left, rule.right), i as u32, false, same);
        }
        let bytes = (0..=255u8).map(|byte| {
            let mut buffer = [0; 4];
            vocab.find(byte_level::char_of(byte).encode_utf8(&mut buffer).as_bytes()).unwrap_or(NO_SYMBOL)
        });
        Ok(Self { pre, rules, table, bytes: bytes.collect() })
    }

    /// Appends the ids of a stretch of text without special tokens.
    pub(crate) fn encode(
        &self,
        vocab: &Vocab,
        text: &str,
        scratch: &mut MergeScratch,
        word: &mut Vec<u8>,
        out: &mut Vec<TokenId>,
    ) {
        split::split(self.pre.stages, text, &mut |piece| {
            // Most pieces are a token; whether the merges find it is learnt once.
            word.clear();
            byte_level::encode_into(piece.as_bytes(), word);
            let token = vocab.find(word);
            let whole =
                token.and_then(|id| if self.pre.ignore_merges { Some(true) } else { vocab.whole(id) });
            if let (Some(id), Some(true)) = (token, whole) {
                out.push(id);
                return;
            }
            scratch.nodes.clear();
            let symbol = |b: &u8| self.bytes.get(usize::from(*b)).copied().unwrap_or(NO_SYMBOL);
            scratch
                .nodes
                .extend(piece.as_bytes().iter().enumerate().map(|(i, b)| Node::new(symbol(b), i, 1)));
            scratch.run(piece.as_bytes(), self);
            if let (Some(id), None) = (token, whole) {
                vocab.set_whole(id, matches!(scratch.nodes.as_slice(), [node] if node.symbol == id));
            }
            // A byte that has no token is left out, as in llama.cpp.
            out.extend(scratch.nodes.iter().map(|n| n.symbol).filter(|s| *s != NO_SYMBOL));
        });
    }

    pub(crate) fn owned_bytes(&self) -> usize {
        self.rules.capacity() * size_of::<Rule>() + self.table.owned_bytes() + self.bytes.capacity() * 4
    }
}

impl Pairs for Bpe {
    #[inline]
    fn merge(&self, _piece: &[u8], left: &Node, right: &Node) -> Option<(u32, u32)> {
        if left.symbol == NO_SYMBOL || right.symbol == NO_SYMBOL {
            return None;
        }
        let pair = (left.symbol, right.symbol);
        let same = |i: u32| self.rules.get(i as usize).is_some_and(|r| (r.left, r.right) == pair);
        let rank = self.table.find(hash_pair(pair.0, pair.1), same)?;
        Some((rank, self.rules.get(rank as usize)?.merged))
    }
}
