//! The merge rules of byte-pair encoding: which two strings become one, and how soon.
//!
//! The rules stay in the file, as strings `left right`; a table finds them by the hashes of the two parts. Nothing is
//! looked up in the vocabulary to load them, and a rule costs ten bytes.

use crate::TokenizerError;
use crate::hash::{SlotTable, hash_bytes, hash_pair};
use crate::merge::{Node, Pairs};
use crate::spec::Strings;
use crate::vocab::MAX_ENTRIES;

/// The rules by rank.
#[derive(Debug)]
pub(crate) struct Rules {
    merges: Option<Strings>,
    table: SlotTable,
}

/// Left and right of a rule: the first space that does not begin the string separates them.
fn parts(rule: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = 1 + rule.get(1..)?.iter().position(|b| *b == b' ')?;
    Some((rule.get(..at)?, rule.get(at + 1..)?))
}

impl Rules {
    pub(crate) fn new(merges: Option<Strings>) -> Result<Self, TokenizerError> {
        let n = merges.as_ref().map_or(0, Strings::len);
        if n > MAX_ENTRIES {
            return Err(TokenizerError::TooLarge { what: "number of merges", found: n, limit: MAX_ENTRIES });
        }
        let mut table = SlotTable::new(n);
        for (i, rule) in merges.iter().flat_map(Strings::iter).enumerate() {
            // A rule without two parts can never apply; it keeps its number.
            let Some((left, right)) = parts(rule) else { continue };
            let same = |j: u32| merges.as_ref().is_some_and(|merges| merges.get(j as usize) == rule);
            // Of two equal rules the first counts.
            table.insert(hash_pair(hash_bytes(left), hash_bytes(right)), i as u32, false, same);
        }
        Ok(Self { merges, table })
    }

    pub(crate) fn owned_bytes(&self) -> usize {
        self.merges.as_ref().map_or(0, Strings::owned_bytes) + self.table.owned_bytes()
    }
}

impl Pairs for Rules {
    #[inline]
    fn hash(&self, symbol: &[u8]) -> u64 {
        hash_bytes(symbol)
    }

    #[inline]
    fn rank(&self, piece: &[u8], left: &Node, right: &Node) -> Option<u32> {
        let merges = self.merges.as_ref()?;
        self.table.find(hash_pair(left.hash, right.hash), |i| {
            let Some((first, second)) = merges.get(i as usize).split_at_checked(left.len as usize) else {
                return false;
            };
            first == left.text(piece) && second.strip_prefix(b" ") == Some(right.text(piece))
        })
    }
}
