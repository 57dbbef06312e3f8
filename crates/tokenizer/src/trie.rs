//! A trie over the strings of a vocabulary: finds the tokens that a text begins with.
//!
//! ```text
//! nodes in breadth-first order; children of node i: first[i] .. first[i + 1], ascending by label
//! a node with only one string below it has no children: the rest of the string is compared
//! ```
//!
//! Nine bytes per node, and about one and a half nodes per token. The strings stay in place.

use crate::job::Job;
use crate::reserve::exactly;
use crate::sort::sort;
use crate::watch::Watch;
use crate::{TokenId, TokenizerError};

const NO_TOKEN: TokenId = TokenId::MAX;
const MAX_NODES: usize = u32::MAX as usize - 1;

#[derive(Debug, Default)]
pub(crate) struct Trie {
    /// The first child of each node, with one more entry for the end.
    first: Vec<u32>,
    /// The byte that leads to each node.
    labels: Vec<u8>,
    /// The token that ends at each node. For a node without children: the token whose string continues from here.
    tokens: Vec<TokenId>,
}

/// A token's string, with its first bytes as a number that sorts like them; shorter strings are padded with zeros.
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

    /// The byte at `depth`, read from the key if it is there, otherwise from the string.
    #[inline]
    fn byte<'a>(&self, depth: usize, text: impl Fn(TokenId) -> &'a [u8]) -> u8 {
        match KEY_BYTES.checked_sub(depth + 1) {
            Some(after) => (self.bytes >> (8 * after)) as u8,
            None => text(self.id).get(depth).copied().unwrap_or(0),
        }
    }
}

/// The maximum heap size of building, including the result, for `n` strings of `bytes` bytes together. A node at which
/// no string ends has at least two strings below it.
#[cfg(feature = "gguf")]
pub(crate) fn planned_bytes(n: u64, bytes: u64) -> u64 {
    let nodes = 1 + n + bytes / 2;
    nodes * 9 + 4 + n * size_of::<Key>() as u64 + crate::sort::planned_bytes::<Key>(n) + (n + 1) * 16
}

/// The strings in ascending order, without duplicates.
fn sorted_keys<'a>(
    ids: impl Iterator<Item = TokenId>,
    n: usize,
    text: impl Fn(TokenId) -> &'a [u8],
    watch: &Watch<'_>,
) -> Result<Vec<Key>, TokenizerError> {
    let mut sorted: Vec<Key> = exactly(n)?;
    for key in ids.take(n).map(|id| Key::new(id, text(id))).filter(|key| key.length > 0) {
        watch.work(1)?;
        sorted.push(key);
    }
    let long = |key: &Key| if key.length as usize > KEY_BYTES { text(key.id) } else { &[] };
    let rest = |a: &Key, b: &Key| long(a).cmp(long(b)).then(a.length.cmp(&b.length));
    let order =
        |a: &Key, b: &Key| a.bytes.cmp(&b.bytes).then_with(|| rest(a, b)).then_with(|| b.id.cmp(&a.id));
    sort(&mut sorted, &order, watch)?;
    // Among equal strings, the later token comes first and stays.
    sorted.dedup_by(|b, a| a.bytes == b.bytes && rest(a, b).is_eq());
    Ok(sorted)
}

/// Counts the nodes of the trie: for each string, those that no string before it has, down to where it is the only one.
fn count_nodes<'a>(
    sorted: &[Key],
    text: impl Fn(TokenId) -> &'a [u8],
    watch: &Watch<'_>,
) -> Result<usize, TokenizerError> {
    let (mut nodes, mut before) = (1, 0);
    for (i, key) in sorted.iter().enumerate() {
        let own = text(key.id);
        let next = sorted.get(i + 1).map_or(&b""[..], |next| text(next.id));
        let after = own.iter().zip(next).take_while(|(a, b)| a == b).count();
        watch.work(1 + after)?;
        nodes += own.len().min(before.max(after) + 1) - before;
        before = after;
    }
    Ok(nodes)
}

impl Trie {
    /// Makes a trie of at most `n` tokens. Of two equal strings the later token counts, and empty strings are left out.
    ///
    /// # Errors
    /// `TooLarge` if the trie would have more than 4 G nodes.
    pub(crate) fn new<'a>(
        ids: impl Iterator<Item = TokenId>,
        n: usize,
        text: impl Fn(TokenId) -> &'a [u8],
        watch: &Watch<'_>,
    ) -> Result<Self, TokenizerError> {
        let sorted = sorted_keys(ids, n, &text, watch)?;
        let nodes = count_nodes(&sorted, &text, watch)?;
        if nodes > MAX_NODES {
            let what = "nodes of the vocabulary's trie";
            return Err(TokenizerError::TooLarge { what, found: nodes, limit: MAX_NODES });
        }
        let mut trie = Trie { first: exactly(nodes + 1)?, labels: exactly(nodes)?, tokens: exactly(nodes)? };
        trie.labels.push(0);
        trie.tokens.push(NO_TOKEN);
        // The ranges of `sorted` below the nodes of one depth, and of the next.
        let (mut level, mut below): (Vec<(u32, u32)>, Vec<(u32, u32)>) = (exactly(n + 1)?, exactly(n + 1)?);
        level.push((0, sorted.len() as u32));
        let mut depth = 0;
        while !level.is_empty() {
            for &(low, high) in &level {
                watch.work((high - low) as usize + 1)?;
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
            }
            std::mem::swap(&mut level, &mut below);
            below.clear();
            depth += 1;
        }
        trie.first.push(trie.labels.len() as u32);
        Ok(trie)
    }

    #[inline]
    fn children(&self, node: usize) -> (usize, &[u8]) {
        let start = self.first.get(node).copied().unwrap_or(0) as usize;
        let end = self.first.get(node + 1).copied().unwrap_or(0) as usize;
        (start, self.labels.get(start..end).unwrap_or(&[]))
    }

    /// Passes the tokens that `input` begins with to `each`, with their lengths, shortest first. Returns how many bytes
    /// were examined.
    #[inline]
    pub(crate) fn prefixes<'a>(
        &self,
        input: &[u8],
        text: impl Fn(TokenId) -> &'a [u8],
        mut each: impl FnMut(usize, TokenId),
    ) -> usize {
        let mut node = 0;
        for (depth, byte) in input.iter().enumerate() {
            let (start, labels) = self.children(node);
            let found = if labels.len() <= 8 {
                labels.iter().position(|label| label == byte)
            } else {
                labels.binary_search(byte).ok()
            };
            let Some(at) = found else { return depth + 1 };
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
            return whole.len();
        }
        input.len()
    }

    /// The longest token that `input` begins with, among those that a piece of text may become.
    #[inline]
    pub(crate) fn longest<'a>(
        &self,
        job: &Job<'_>,
        input: &[u8],
        text: impl Fn(TokenId) -> &'a [u8],
    ) -> Result<Option<(usize, TokenId)>, TokenizerError> {
        let mut longest = None;
        let steps = self.prefixes(input, text, |length, token| {
            if job.allows(token) {
                longest = Some((length, token));
            }
        });
        job.work(steps)?;
        Ok(longest)
    }

    /// The size on the heap in bytes.
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
            let trie = Trie::new(0..strings.len() as TokenId, strings.len(), text, &Watch::new(&|| false)).unwrap();
            prop_assert_eq!((trie.labels.len(), trie.first.len()), (trie.labels.capacity(), trie.first.capacity()));
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
