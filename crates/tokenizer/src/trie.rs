//! A trie over the strings of a vocabulary: which tokens begin a text.
//!
//! ```text
//! nodes in breadth-first order; children of node i: first[i] .. first[i + 1], ascending by label
//! a node under which only one string is left has no children: the rest of the string is compared
//! ```
//!
//! Nine bytes a node, about one node and a half a token; the strings stay where they are.

use crate::{TokenId, TokenizerError};

const NO_TOKEN: TokenId = TokenId::MAX;
const MAX_NODES: usize = u32::MAX as usize - 1;

#[derive(Debug, Default)]
pub(crate) struct Trie {
    /// First child of each node; one entry more for the end.
    first: Vec<u32>,
    /// The byte that leads to each node.
    labels: Vec<u8>,
    /// The token that ends at each node; of a node without children: the token whose string goes on from here.
    tokens: Vec<TokenId>,
}

/// A token's string: its first bytes as a number that sorts as they do, with zeros behind a shorter string.
#[derive(Debug, Clone, Copy)]
struct Key {
    bytes: u128,
    id: TokenId,
    length: u32,
}

const KEY_BYTES: usize = size_of::<u128>();

impl Key {
    fn new(id: TokenId, text: &[u8]) -> Self {
        let mut bytes = [0; KEY_BYTES];
        for (to, from) in bytes.iter_mut().zip(text) {
            *to = *from;
        }
        Key { bytes: u128::from_be_bytes(bytes), id, length: text.len() as u32 }
    }

    /// The byte at `depth`, without a look at the string where the key has it.
    #[inline]
    fn byte<'a>(&self, depth: usize, text: impl Fn(TokenId) -> &'a [u8]) -> u8 {
        match KEY_BYTES.checked_sub(depth + 1) {
            Some(behind) => (self.bytes >> (8 * behind)) as u8,
            None => text(self.id).get(depth).copied().unwrap_or(0),
        }
    }
}

impl Trie {
    /// A trie of some tokens; of two equal strings the later counts, and empty strings are left out.
    ///
    /// # Errors
    /// `TooLarge` when the strings have more than 4 G bytes in common.
    pub(crate) fn new<'a>(
        ids: impl Iterator<Item = TokenId>,
        text: impl Fn(TokenId) -> &'a [u8],
    ) -> Result<Self, TokenizerError> {
        let mut sorted: Vec<Key> = ids.map(|id| Key::new(id, text(id))).filter(|k| k.length > 0).collect();
        let long = |key: &Key| if key.length as usize > KEY_BYTES { text(key.id) } else { &[] };
        let rest = |a: &Key, b: &Key| long(a).cmp(long(b)).then(a.length.cmp(&b.length));
        sorted.sort_unstable_by(|a, b| {
            a.bytes.cmp(&b.bytes).then_with(|| rest(a, b)).then_with(|| b.id.cmp(&a.id))
        });
        // The later of equal strings comes first and stays.
        sorted.dedup_by(|b, a| a.bytes == b.bytes && rest(a, b).is_eq());
        let mut trie = Trie { first: Vec::new(), labels: vec![0], tokens: vec![NO_TOKEN] };
        // The stretches of `sorted` below the nodes of one depth.
        let mut level: Vec<(u32, u32)> = vec![(0, sorted.len() as u32)];
        let mut depth = 0;
        while !level.is_empty() {
            let mut below = Vec::new();
            for (low, high) in level {
                trie.first.push(trie.labels.len() as u32);
                let mut strings = sorted.get(low as usize..high as usize).unwrap_or(&[]);
                let node = trie.first.len() - 1;
                let Some(&Key { id, length, .. }) = strings.first() else { continue };
                let ends = length as usize == depth;
                if ends || (strings.len() == 1 && depth > 0) {
                    if let Some(token) = trie.tokens.get_mut(node) {
                        *token = id;
                    }
                    strings = if strings.len() == 1 { &[] } else { strings.get(1..).unwrap_or(&[]) };
                }
                let mut at = high - strings.len() as u32;
                let label = |key: &Key| key.byte(depth, &text);
                for group in strings.chunk_by(|a, b| label(a) == label(b)) {
                    trie.labels.push(group.first().map_or(0, label));
                    trie.tokens.push(NO_TOKEN);
                    below.push((at, at + group.len() as u32));
                    at += group.len() as u32;
                }
                if trie.labels.len() > MAX_NODES {
                    let (what, found) = ("nodes of the vocabulary's trie", trie.labels.len());
                    return Err(TokenizerError::TooLarge { what, found, limit: MAX_NODES });
                }
            }
            level = below;
            depth += 1;
        }
        trie.first.push(trie.labels.len() as u32);
        trie.first.shrink_to_fit();
        trie.labels.shrink_to_fit();
        trie.tokens.shrink_to_fit();
        Ok(trie)
    }

    #[inline]
    fn children(&self, node: usize) -> (usize, &[u8]) {
        let start = self.first.get(node).copied().unwrap_or(0) as usize;
        let end = self.first.get(node + 1).copied().unwrap_or(0) as usize;
        (start, self.labels.get(start..end).unwrap_or(&[]))
    }

    /// Hands the tokens that begin `input` to `each`, with their lengths, the shortest first.
    #[inline]
    pub(crate) fn prefixes<'a>(
        &self,
        input: &[u8],
        text: impl Fn(TokenId) -> &'a [u8],
        mut each: impl FnMut(usize, TokenId),
    ) {
        let mut node = 0;
        for (depth, byte) in input.iter().enumerate() {
            let (start, labels) = self.children(node);
            let found = if labels.len() <= 8 {
                labels.iter().position(|label| label == byte)
            } else {
                labels.binary_search(byte).ok()
            };
            let Some(at) = found else { return };
            node = start + at;
            let length = depth + 1;
            let token = self.tokens.get(node).copied().unwrap_or(NO_TOKEN);
            if token == NO_TOKEN {
                continue;
            }
            let (_, below) = self.children(node);
            if !below.is_empty() {
                each(length, token);
                continue;
            }
            let whole = text(token);
            let rest = whole.get(length..).unwrap_or(&[]);
            if input.get(length..).is_some_and(|input| input.starts_with(rest)) {
                each(whole.len(), token);
            }
            return;
        }
    }

    /// The longest token that begins `input`.
    #[inline]
    pub(crate) fn longest<'a>(
        &self,
        input: &[u8],
        text: impl Fn(TokenId) -> &'a [u8],
    ) -> Option<(usize, TokenId)> {
        let mut longest = None;
        self.prefixes(input, text, |length, token| longest = Some((length, token)));
        longest
    }

    /// Bytes on the heap.
    pub(crate) fn owned_bytes(&self) -> usize {
        self.first.capacity() * 4 + self.labels.capacity() + self.tokens.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_a_plain_search_finds(
            strings in prop::collection::vec("[ab\0]{0,12}", 0..60),
            input in "[ab\0]{0,20}",
        ) {
            let text = |id: TokenId| strings.get(id as usize).map_or(&b""[..], |s| s.as_bytes());
            let trie = Trie::new(0..strings.len() as TokenId, text).unwrap();
            let mut found = Vec::new();
            trie.prefixes(input.as_bytes(), text, |length, token| found.push((length, token)));
            let mut expected = Vec::new();
            for length in 1..=input.len() {
                let last = strings.iter().rposition(|s| s.as_bytes() == &input.as_bytes()[..length]);
                expected.extend(last.map(|id| (length, id as TokenId)));
            }
            prop_assert_eq!(found, expected);
        }
    }
}
