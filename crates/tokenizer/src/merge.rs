//! The merging loop of byte-pair encoding, shared by the byte-level and the SentencePiece kinds.
//!
//! ```text
//! symbols = the characters (or bytes) of a piece
//! while an adjacent pair has a rank:
//!     replace the pair of lowest rank, the leftmost of equals, by its merged symbol
//! ```
//!
//! Up to [`SMALL`] symbols, a plain search for the lowest rank is fastest. Longer pieces use a queue of `(rank,
//! position)`. Each symbol stores the rank of the pair that it begins, so an entry of the queue is stale exactly if its
//! symbol is gone or stores another rank. A merge adds at most two entries, which gives O(n log n) for n symbols.

use crate::TokenizerError;
use crate::queue::Queue;
use crate::reserve::Reserve;
use crate::watch::Watch;

/// The maximum number of symbols that are merged by plain search.
const SMALL: usize = 40;
const NO_RANK: u32 = u32::MAX;
const NO_NODE: u32 = u32::MAX;

/// One symbol of the piece, and the pair that it forms with the next one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    /// [`Pairs::hash`] of the symbol.
    pub(crate) hash: u64,
    /// Where it starts in the piece, in bytes.
    pub(crate) start: u32,
    /// Its length in bytes; 0 if it was merged into the one before.
    pub(crate) len: u32,
    rank: u32,
    prev: u32,
    next: u32,
}

impl Node {
    pub(crate) fn new(hash: u64, start: usize, len: usize) -> Self {
        let (start, len) = (start as u32, len as u32);
        Node { hash, start, len, rank: NO_RANK, prev: NO_NODE, next: NO_NODE }
    }

    /// The symbol's bytes.
    #[inline]
    pub(crate) fn text<'p>(&self, piece: &'p [u8]) -> &'p [u8] {
        let start = self.start as usize;
        piece.get(start..start + self.len as usize).unwrap_or(&[])
    }
}

/// The merge rules.
pub(crate) trait Pairs {
    /// The rank of merging two adjacent symbols: lower ranks merge first, and `None` never merges.
    fn rank(&self, piece: &[u8], left: &Node, right: &Node) -> Option<u32>;

    /// Announces a call of [`Pairs::rank`], so that it can prefetch.
    fn expect(&self, _left: &Node, _right: &Node) {}

    /// What [`Pairs::rank`] needs to know about the symbol of `_len` bytes at `_start`, besides its bytes.
    fn hash(&self, _piece: &[u8], _start: u32, _len: u32) -> u64 {
        0
    }
}

/// The buffers of the merging loop, kept between pieces.
#[derive(Debug, Default)]
pub(crate) struct MergeScratch {
    /// The symbols of the piece. The caller fills it; merging happens in place, and merged symbols are removed.
    pub(crate) nodes: Vec<Node>,
    queue: Queue,
}

impl MergeScratch {
    /// Merges `nodes`, whose symbols lie in `piece`, until no rule applies. `piece` may contain more bytes after the
    /// symbols.
    pub(crate) fn run(
        &mut self,
        piece: &[u8],
        pairs: &impl Pairs,
        watch: &Watch<'_>,
    ) -> Result<(), TokenizerError> {
        watch.work(self.nodes.len())?;
        if self.nodes.len() > SMALL {
            return self.run_long(piece, pairs, watch);
        }
        self.run_small(piece, pairs);
        Ok(())
    }

    /// Looks up the pair of the symbols at nodes `i` and `j`.
    #[inline]
    fn set_pair(&mut self, piece: &[u8], pairs: &impl Pairs, i: usize, j: usize) {
        let found = match (self.nodes.get(i), self.nodes.get(j)) {
            (Some(left), Some(right)) => pairs.rank(piece, left, right),
            _ => None,
        };
        if let Some(node) = self.nodes.get_mut(i) {
            node.rank = found.unwrap_or(NO_RANK);
        }
    }

    fn run_small(&mut self, piece: &[u8], pairs: &impl Pairs) {
        for (left, right) in self.nodes.iter().zip(self.nodes.iter().skip(1)) {
            pairs.expect(left, right);
        }
        for i in 0..self.nodes.len() {
            self.set_pair(piece, pairs, i, i + 1);
        }
        loop {
            let mut best = (NO_RANK, 0);
            for (i, node) in self.nodes.iter().enumerate() {
                if node.rank < best.0 {
                    best = (node.rank, i);
                }
            }
            let (rank, i) = best;
            if rank == NO_RANK || i + 1 >= self.nodes.len() {
                return;
            }
            let right = self.nodes.remove(i + 1);
            if let Some(left) = self.nodes.get_mut(i) {
                left.len += right.len;
                left.hash = pairs.hash(piece, left.start, left.len);
            }
            self.set_pair(piece, pairs, i, i + 1);
            if i > 0 {
                self.set_pair(piece, pairs, i - 1, i);
            }
        }
    }

    fn run_long(
        &mut self,
        piece: &[u8],
        pairs: &impl Pairs,
        watch: &Watch<'_>,
    ) -> Result<(), TokenizerError> {
        let n = self.nodes.len();
        self.queue.clear();
        for i in 0..n {
            watch.work(1)?;
            self.set_pair(piece, pairs, i, i + 1);
            if let Some(node) = self.nodes.get_mut(i) {
                node.prev = i.checked_sub(1).map_or(NO_NODE, |p| p as u32);
                node.next = if i + 1 < n { i as u32 + 1 } else { NO_NODE };
                if node.rank != NO_RANK {
                    self.queue.push(node.rank, i as u32)?;
                }
            }
        }
        while let Some((rank, i)) = self.queue.pop() {
            let Some(&left) = self.nodes.get(i as usize) else { continue };
            // Symbols are hashed and compared in steps of 16 bytes.
            watch.work(1 + left.len as usize / 16)?;
            if left.len == 0 || left.rank != rank {
                continue;
            }
            let Some(right) = self.nodes.get_mut(left.next as usize) else { continue };
            let (right_len, after) = (right.len, right.next);
            right.len = 0;
            if let Some(node) = self.nodes.get_mut(i as usize) {
                node.len += right_len;
                node.hash = pairs.hash(piece, node.start, node.len);
                node.next = after;
            }
            if let Some(node) = self.nodes.get_mut(after as usize) {
                node.prev = i;
            }
            for (first, second) in [(left.prev, i), (i, after)] {
                if first == NO_NODE {
                    continue;
                }
                self.set_pair(piece, pairs, first as usize, second as usize);
                if let Some(node) = self.nodes.get(first as usize)
                    && node.rank != NO_RANK
                {
                    self.queue.push(node.rank, first)?;
                }
            }
        }
        self.nodes.retain(|node| node.len > 0);
        Ok(())
    }

    /// Releases the memory that one extraordinarily long piece needed.
    pub(crate) fn shrink(&mut self) {
        const KEEP: usize = 1 << 14;
        self.nodes.keep(KEEP);
        self.queue.shrink();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules over bytes: a pair may merge if its text is in the list. The rank is the index in the list, divided so
    /// that ranks repeat.
    struct Rules(Vec<Vec<u8>>);

    impl Pairs for Rules {
        fn rank(&self, piece: &[u8], left: &Node, right: &Node) -> Option<u32> {
            let text = piece.get(left.start as usize..(right.start + right.len) as usize)?;
            let at = self.0.iter().position(|rule| rule == text)? as u32;
            Some(at / 2)
        }
    }

    #[test]
    fn queue_and_plain_search_agree() {
        let mut state = 1u64;
        let mut random = move |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        for round in 0..300 {
            let letters = |random: &mut dyn FnMut(u64) -> u64, n: u64| -> Vec<u8> {
                (0..n).map(|_| b'a' + random(3) as u8).collect()
            };
            let rules = Rules(
                (0..30)
                    .map(|_| {
                        let n = 2 + random(4);
                        letters(&mut random, n)
                    })
                    .collect(),
            );
            let n = random(60);
            let piece = letters(&mut random, n);
            let run = |small: bool| {
                let mut scratch = MergeScratch::default();
                scratch.nodes.extend((0..piece.len()).map(|i| Node::new(0, i, 1)));
                if small {
                    scratch.run_small(&piece, &rules)
                } else {
                    scratch.run_long(&piece, &rules, &Watch::new(&|| false)).unwrap()
                }
                scratch.nodes.iter().map(|n| (n.start, n.len)).collect::<Vec<_>>()
            };
            assert_eq!(run(true), run(false), "round {round}");
        }
    }

    /// Every pair merges, with few ranks or many: the number of pairs that are looked up grows linearly with the
    /// symbols.
    #[test]
    fn a_long_word_takes_linear_work() {
        struct Counted(std::cell::Cell<usize>, u32);
        impl Pairs for Counted {
            fn rank(&self, _piece: &[u8], left: &Node, right: &Node) -> Option<u32> {
                self.0.set(self.0.get() + 1);
                Some(left.len.wrapping_mul(7).wrapping_add(right.start) % self.1)
            }
        }
        for (n, ranks) in [(100_000usize, 1u32), (100_000, 1000), (1 << 20, 3), (1 << 20, u32::MAX)] {
            let mut scratch = MergeScratch::default();
            scratch.nodes.extend((0..n).map(|i| Node::new(0, i, 1)));
            let pairs = Counted(0.into(), ranks);
            scratch.run(&vec![b'a'; n], &pairs, &Watch::new(&|| false)).unwrap();
            assert_eq!(scratch.nodes.len(), 1);
            assert!(pairs.0.get() <= 3 * n, "{} pairs of {n} symbols", pairs.0.get());
        }
    }
}
