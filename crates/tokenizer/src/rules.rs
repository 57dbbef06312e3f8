//! The merge rules of byte-pair encoding: which two strings become one, and with what priority.
//!
//! The rules stay in the file as strings `left right`. A table finds them by the hashes of the two parts. Loading them
//! does not look up anything in the vocabulary, and a rule costs ten bytes.

use crate::TokenizerError;
use crate::bytes;
use crate::hash::{SlotTable, hash_in, hash_pair};
use crate::merge::{Node, Pairs};
use crate::spec::Strings;
use crate::vocab::{MAX_ENTRIES, MAX_TOKEN_BYTES};
use crate::watch::Watch;
use std::ops::Range;

/// The rules, ordered by rank.
#[derive(Debug)]
pub(crate) struct Rules {
    merges: Option<Strings>,
    table: SlotTable,
}

/// The left and right part of the rule of `len` bytes at `start`. They are separated by the first space that is not the
/// first byte.
#[inline]
fn parts(storage: &[u8], start: usize, len: usize) -> Option<(Range<usize>, Range<usize>)> {
    let end = start + len;
    let space = bytes::find(storage, start + 1, end, b' ')?;
    Some((start..space, space + 1..end))
}

impl Rules {
    pub(crate) fn new(merges: Option<Strings>, watch: &Watch<'_>) -> Result<Self, TokenizerError> {
        let n = merges.as_ref().map_or(0, Strings::len);
        if n > MAX_ENTRIES {
            return Err(TokenizerError::TooLarge { what: "number of merges", found: n, limit: MAX_ENTRIES });
        }
        let mut table = SlotTable::new(n)?;
        if let Some(merges) = &merges {
            let storage = merges.storage();
            // A rule that does not have two parts, or is too long for a token, never applies, but keeps its number.
            let hash_of = |i| {
                let (start, len) = merges.place(i);
                if len > MAX_TOKEN_BYTES + 1 {
                    return None;
                }
                let (left, right) = parts(storage, start, len)?;
                let hash = |part: Range<usize>| hash_in(storage, part.start, part.len());
                Some(hash_pair(hash(left), hash(right)))
            };
            // Of two equal rules the first one counts.
            table.fill(n, hash_of, false, |a, b| merges.get(a as usize) == merges.get(b as usize), watch)?;
        }
        Ok(Self { merges, table })
    }

    pub(crate) fn owned_bytes(&self) -> usize {
        self.merges.as_ref().map_or(0, Strings::owned_bytes) + self.table.owned_bytes()
    }
}

impl Pairs for Rules {
    #[inline]
    fn hash(&self, piece: &[u8], start: u32, len: u32) -> u64 {
        hash_in(piece, start as usize, len as usize)
    }

    #[inline]
    fn expect(&self, left: &Node, right: &Node) {
        self.table.touch(hash_pair(left.hash, right.hash));
    }

    #[inline]
    fn rank(&self, piece: &[u8], left: &Node, right: &Node) -> Option<u32> {
        let merges = self.merges.as_ref()?;
        let storage = merges.storage();
        let [left_start, left_len, right_start, right_len] =
            [left.start, left.len, right.start, right.len].map(|n| n as usize);
        self.table.find(hash_pair(left.hash, right.hash), |i| {
            let (start, len) = merges.place(i as usize);
            let space = start + left_len;
            len == left_len + 1 + right_len
                && storage.get(space) == Some(&b' ')
                && bytes::equal(storage, start, piece, left_start, left_len)
                && bytes::equal(storage, space + 1, piece, right_start, right_len)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn rules_have_two_parts() {
        let cases: &[(&str, Option<(&str, &str)>)] = &[
            ("", None),
            (" ", None),
            ("a", None),
            ("a ", Some(("a", ""))),
            ("a b", Some(("a", "b"))),
            ("  a", Some((" ", "a"))),
            ("a b c", Some(("a", "b c"))),
            ("long-left-part right", Some(("long-left-part", "right"))),
        ];
        for (rule, expected) in cases {
            for after in ["", " x y z ..........."] {
                let all = format!(" {rule}{after}");
                let found = parts(all.as_bytes(), 1, rule.len());
                let found = found.map(|(left, right)| (&all[left], &all[right]));
                assert_eq!(found, *expected, "{rule:?} before {after:?}");
            }
        }
    }
}
