//! The merge rules of byte-pair encoding: which two tokens become which, and how soon.

use crate::hash::{SlotTable, hash_pair};
use crate::merge::{NO_SYMBOL, Node, Pairs};
use crate::spec::Strings;
use crate::vocab::{MAX_ENTRIES, Vocab};
use crate::{TokenId, TokenizerError};

/// A rule packs three ids in 63 bits.
const ID_BITS: u32 = 21;
const ID_MASK: u64 = (1 << ID_BITS) - 1;
/// A rule that can never apply; it keeps its number.
const NO_RULE: u64 = u64::MAX;

/// The rules by rank: left, right and merged token of each, in [`ID_BITS`] bits each.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<u64>,
    table: SlotTable,
}

/// Left and right of a rule: the first space that does not begin the string separates them.
fn parts(rule: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = 1 + rule.get(1..)?.iter().position(|b| *b == b' ')?;
    Some((rule.get(..at)?, rule.get(at + 1..)?))
}

fn pair(left: TokenId, right: TokenId) -> u64 {
    u64::from(left) << (2 * ID_BITS) | u64::from(right) << ID_BITS
}

impl Rules {
    pub(crate) fn new(vocab: &Vocab, merges: Option<&Strings>) -> Result<Self, TokenizerError> {
        let n = merges.map_or(0, Strings::len);
        if n > MAX_ENTRIES {
            return Err(TokenizerError::TooLarge { what: "number of merges", found: n, limit: MAX_ENTRIES });
        }
        if vocab.len() > 1 << ID_BITS {
            let (what, found) = ("number of tokens of a vocabulary with merges", vocab.len());
            return Err(TokenizerError::TooLarge { what, found, limit: 1 << ID_BITS });
        }
        let mut rules = Vec::with_capacity(n);
        let mut joined = Vec::new();
        // Results mostly follow one another in the vocabulary: the next one is tried before it is searched for.
        let mut expected: TokenId = 0;
        for i in 0..n {
            // A rule of strings that are no tokens can never apply.
            let rule = merges.and_then(|merges| parts(merges.get(i))).and_then(|(left, right)| {
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
                Some(pair(vocab.find(left)?, vocab.find(right)?) | u64::from(merged))
            });
            rules.push(rule.unwrap_or(NO_RULE));
        }
        let mut table = SlotTable::new(n);
        for (i, rule) in rules.iter().enumerate().filter(|(_, rule)| **rule != NO_RULE) {
            let same = |j: u32| rules.get(j as usize).is_some_and(|r| r >> ID_BITS == rule >> ID_BITS);
            // Of two equal rules the first counts.
            table.insert(hash_pair(rule >> ID_BITS), i as u32, false, same);
        }
        Ok(Self { rules, table })
    }

    pub(crate) fn owned_bytes(&self) -> usize {
        self.rules.capacity() * size_of::<u64>() + self.table.owned_bytes()
    }
}

impl Pairs for Rules {
    #[inline]
    fn merge(&self, _piece: &[u8], left: &Node, right: &Node) -> Option<(u32, u32)> {
        if left.symbol == NO_SYMBOL || right.symbol == NO_SYMBOL {
            return None;
        }
        let pair = pair(left.symbol, right.symbol) >> ID_BITS;
        let mut merged = 0;
        let rank = self.table.find(hash_pair(pair), |i| {
            let Some(rule) = self.rules.get(i as usize).filter(|rule| **rule >> ID_BITS == pair) else {
                return false;
            };
            merged = (rule & ID_MASK) as u32;
            true
        })?;
        Some((rank, merged))
    }
}
