//! Finds all strings that end at each position of a text, in time linear in the text (Aho and Corasick, 1975).
//!
//! ```text
//! a trie of the strings: nodes in breadth-first order, children of node i: first[i] .. first[i + 1]
//! fail[i]    the longest proper suffix of node i's string that is also a node
//! found[i]   the longest string that ends at node i, or at a node that `fail` leads to
//! shorter[s] the next shorter string that ends where string s does
//! ```
//!
//! Strings are numbered by priority, where higher numbers have higher priority and 0 stands for no string. A longer
//! string has priority over a shorter one, and among equally long ones the lower token id comes first, as in llama.cpp.

use crate::reserve::{exactly, filled};
use crate::sort::sort;
use crate::vocab::Vocab;
use crate::watch::Watch;
use crate::{TokenId, TokenizerError};

/// The number of a string, by priority.
pub(super) type StringId = u32;

/// No string.
pub(super) const NONE: StringId = 0;

#[derive(Debug, Default)]
pub(super) struct Automaton {
    /// The first child of each node, with one more entry for the end.
    first: Vec<u32>,
    /// The byte that leads to each node.
    labels: Vec<u8>,
    fail: Vec<u32>,
    found: Vec<StringId>,
    /// The root's children by byte; 0 for a byte without a child.
    roots: Vec<u32>,
    /// The token of each string.
    ids: Vec<TokenId>,
    /// The length of each string in bytes.
    lengths: Vec<u32>,
    shorter: Vec<StringId>,
}

/// The maximum heap size of building, including the result, for `n` strings of `bytes` bytes together.
#[cfg(feature = "gguf")]
pub(super) fn planned_bytes(n: u64, bytes: u64) -> u64 {
    let nodes = bytes + 1;
    let node = 4 + 1 + 4 + 4;
    // Ids, lengths, `shorter`; the order, its sorting, and the ranges of two levels.
    let string = 3 * 4 + 4 + 4 + 2 * 12;
    nodes * node + 4 + (n + 1) * string + 256 * 4
}

/// Counts the nodes of the trie of sorted strings: for each string, those that the one before does not have.
fn count_nodes<'a>(
    strings: impl Iterator<Item = &'a [u8]>,
    watch: &Watch<'_>,
) -> Result<usize, TokenizerError> {
    let (mut nodes, mut before) = (1, &b""[..]);
    for string in strings {
        let common = string.iter().zip(before).take_while(|(a, b)| a == b).count();
        watch.work(1 + common)?;
        nodes += string.len() - common;
        before = string;
    }
    Ok(nodes)
}

/// The strings `low..high` of the sorted list, all below one node.
type Stretch = (u32, u32, u32);

impl Automaton {
    /// Makes an automaton for `n` tokens. No string may be empty, and no two may be equal.
    pub(super) fn new(
        vocab: &Vocab,
        tokens: impl Iterator<Item = TokenId>,
        n: usize,
        watch: &Watch<'_>,
    ) -> Result<Self, TokenizerError> {
        let mut ids: Vec<TokenId> = exactly(n + 1)?;
        ids.push(0);
        for id in tokens.take(n) {
            ids.push(id);
        }
        watch.work(n)?;
        let priority = |id: &TokenId| (vocab.text(*id).len(), std::cmp::Reverse(*id));
        sort(ids.get_mut(1..).unwrap_or(&mut []), &|a, b| priority(a).cmp(&priority(b)), watch)?;
        let mut lengths = exactly(n + 1)?;
        lengths.push(0);
        lengths.extend(ids.iter().skip(1).map(|id| vocab.text(*id).len() as u32));
        let mut order: Vec<StringId> = exactly(n + 1)?;
        order.extend(1..ids.len() as StringId);
        let text = |string: &StringId| vocab.text(ids.get(*string as usize).copied().unwrap_or(0));
        sort(&mut order, &|a, b| text(a).cmp(text(b)), watch)?;
        let nodes = count_nodes(order.iter().map(text), watch)?;
        let mut automaton = Automaton {
            first: exactly(nodes + 1)?,
            labels: exactly(nodes)?,
            found: exactly(nodes)?,
            shorter: filled(ids.len(), NONE)?,
            roots: filled(256, 0)?,
            fail: Vec::new(),
            ids,
            lengths,
        };
        automaton.add_nodes(vocab, &order, watch)?;
        automaton.add_links(watch)?;
        Ok(automaton)
    }

    /// Builds the trie level by level, from ranges of the sorted strings that share the next byte.
    fn add_nodes(
        &mut self,
        vocab: &Vocab,
        order: &[StringId],
        watch: &Watch<'_>,
    ) -> Result<(), TokenizerError> {
        let (mut level, mut below): (Vec<Stretch>, Vec<Stretch>) =
            (exactly(order.len() + 1)?, exactly(order.len() + 1)?);
        self.labels.push(0);
        self.found.push(NONE);
        level.push((0, order.len() as u32, 0));
        let mut depth = 0;
        while !level.is_empty() {
            for &(low, high, node) in &level {
                self.first.push(self.labels.len() as u32);
                let strings = order.get(low as usize..high as usize).unwrap_or(&[]);
                watch.work(strings.len() + 1)?;
                let ids = &self.ids;
                // A string that ends here sorts first.
                let next = |string: &StringId| {
                    vocab.text(ids.get(*string as usize).copied().unwrap_or(0)).get(depth).copied()
                };
                let mut at = low;
                for group in strings.chunk_by(|a, b| next(a) == next(b)) {
                    let end = at + group.len() as u32;
                    match (group.first(), group.first().and_then(next)) {
                        (_, Some(label)) => {
                            below.push((at, end, self.labels.len() as u32));
                            self.labels.push(label);
                            self.found.push(NONE);
                        }
                        (string, None) => {
                            if let (Some(slot), Some(string)) = (self.found.get_mut(node as usize), string) {
                                *slot = *string;
                            }
                        }
                    }
                    at = end;
                }
            }
            std::mem::swap(&mut level, &mut below);
            below.clear();
            depth += 1;
        }
        self.first.push(self.labels.len() as u32);
        Ok(())
    }

    /// Computes where to continue when no child fits, and which strings end at the same position.
    fn add_links(&mut self, watch: &Watch<'_>) -> Result<(), TokenizerError> {
        self.fail = filled(self.labels.len(), 0)?;
        let (start, end) = self.children(0);
        for child in start..end {
            let label = self.labels.get(child).copied().unwrap_or(0);
            if let Some(root) = self.roots.get_mut(usize::from(label)) {
                *root = child as u32;
            }
        }
        for node in 0..self.labels.len() {
            let (start, end) = self.children(node);
            watch.work(end - start + 1)?;
            for child in start..end {
                let label = self.labels.get(child).copied().unwrap_or(0);
                let from = self.fail.get(node).copied().unwrap_or(0);
                let to = if node == 0 { 0 } else { self.step(from, label, watch)? };
                let inherited = self.found.get(to as usize).copied().unwrap_or(NONE);
                if let Some(fail) = self.fail.get_mut(child) {
                    *fail = to;
                }
                match self.found.get_mut(child) {
                    Some(found) if *found == NONE => *found = inherited,
                    Some(found) => {
                        if let Some(shorter) = self.shorter.get_mut(*found as usize) {
                            *shorter = inherited;
                        }
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn children(&self, node: usize) -> (usize, usize) {
        let at = |i: usize| self.first.get(i).copied().unwrap_or(0) as usize;
        (at(node), at(node + 1))
    }

    /// The node after one more byte.
    #[inline]
    pub(super) fn step(&self, mut node: u32, byte: u8, watch: &Watch<'_>) -> Result<u32, TokenizerError> {
        while node != 0 {
            let (start, end) = self.children(node as usize);
            let labels = self.labels.get(start..end).unwrap_or(&[]);
            let found = if labels.len() <= 8 {
                labels.iter().position(|label| *label == byte)
            } else {
                labels.binary_search(&byte).ok()
            };
            if let Some(at) = found {
                return Ok((start + at) as u32);
            }
            watch.work(1)?;
            node = self.fail.get(node as usize).copied().unwrap_or(0);
        }
        Ok(self.roots.get(usize::from(byte)).copied().unwrap_or(0))
    }

    /// The longest string that ends with the byte that led to this node.
    #[inline]
    pub(super) fn found(&self, node: u32) -> StringId {
        self.found.get(node as usize).copied().unwrap_or(NONE)
    }

    /// The next shorter string that ends where this one does.
    #[inline]
    pub(super) fn shorter(&self, string: StringId) -> StringId {
        self.shorter.get(string as usize).copied().unwrap_or(NONE)
    }

    /// The token of a string.
    #[inline]
    pub(super) fn id(&self, string: StringId) -> TokenId {
        self.ids.get(string as usize).copied().unwrap_or(0)
    }

    /// The length of a string in bytes; 0 for no string.
    #[inline]
    pub(super) fn length(&self, string: StringId) -> usize {
        self.lengths.get(string as usize).copied().unwrap_or(0) as usize
    }

    /// The number of strings plus one.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn owned_bytes(&self) -> usize {
        let numbers =
            [&self.first, &self.fail, &self.found, &self.roots, &self.ids, &self.lengths, &self.shorter];
        numbers.iter().map(|numbers| numbers.capacity() * 4).sum::<usize>() + self.labels.capacity()
    }
}
