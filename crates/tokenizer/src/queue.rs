//! The pairs of a long piece in the order in which they merge: by rank, and from the left.
//!
//! ```text
//! buckets   the positions of each rank above the open one, in the order in which they were found: mostly ascending
//! open      the positions of one rank, ascending, taken one after the other
//! late      a heap of pairs that were found when their rank was open or past
//! ```
//!
//! In a trained vocabulary a merge makes pairs of higher ranks only, so that the heap stays empty, and a pair costs one
//! append and one read in order. Whatever the ranks are, it costs no more than a heap of all pairs: O(log n).

use crate::hash::hash_pair;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// Pairs by rank, then by position.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    buckets: HashMap<u32, Vec<u32>, BuildHasherDefault<RankHasher>>,
    /// The ranks that have a bucket.
    ranks: BinaryHeap<Reverse<u32>>,
    open: Open,
    late: BinaryHeap<Reverse<(u32, u32)>>,
    /// Empty vectors to be used again.
    spare: Vec<Vec<u32>>,
}

#[derive(Debug, Default)]
struct Open {
    /// `None` before the first bucket.
    rank: Option<u32>,
    positions: Vec<u32>,
    next: usize,
}

/// Ranks are numbers, not chosen by an attacker who would gain anything: one multiplication.
#[derive(Debug, Default)]
struct RankHasher(u64);

impl Hasher for RankHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = hash_pair(self.0, u64::from(*byte)));
    }

    fn write_u32(&mut self, rank: u32) {
        self.0 = hash_pair(self.0, u64::from(rank));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Queue {
    /// Forgets all pairs.
    pub(crate) fn clear(&mut self) {
        self.spare.extend(self.buckets.drain().map(|(_, mut positions)| {
            positions.clear();
            positions
        }));
        self.ranks.clear();
        self.late.clear();
        self.open.rank = None;
        self.open.positions.clear();
    }

    /// Adds a pair.
    #[inline]
    pub(crate) fn push(&mut self, rank: u32, position: u32) {
        if self.open.rank.is_some_and(|open| rank <= open) {
            self.late.push(Reverse((rank, position)));
            return;
        }
        let bucket = self.buckets.entry(rank).or_insert_with(|| {
            self.ranks.push(Reverse(rank));
            self.spare.pop().unwrap_or_default()
        });
        bucket.push(position);
    }

    /// Takes the pair of lowest rank, the leftmost of equals.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(u32, u32)> {
        loop {
            let front = match (self.open.rank, self.open.positions.get(self.open.next)) {
                (Some(rank), Some(position)) => Some((rank, *position)),
                _ => None,
            };
            if let Some(&Reverse(late)) = self.late.peek()
                && front.is_none_or(|front| late < front)
            {
                self.late.pop();
                return Some(late);
            }
            if front.is_some() {
                self.open.next += 1;
                return front;
            }
            let Reverse(rank) = self.ranks.pop()?;
            let positions = self.buckets.remove(&rank).unwrap_or_default();
            let mut last = std::mem::replace(&mut self.open.positions, positions);
            last.clear();
            self.spare.push(last);
            if !self.open.positions.is_sorted() {
                self.open.positions.sort_unstable();
            }
            (self.open.rank, self.open.next) = (Some(rank), 0);
        }
    }

    /// Gives back what one extraordinarily long piece needed.
    pub(crate) fn shrink(&mut self) {
        const KEEP: usize = 1 << 10;
        self.clear();
        self.buckets.shrink_to(KEEP);
        self.ranks.shrink_to(KEEP);
        self.late.shrink_to(KEEP);
        self.spare.truncate(64);
        self.spare
            .iter_mut()
            .chain([&mut self.open.positions])
            .for_each(|positions| positions.shrink_to(KEEP));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pairs_come_in_the_order_of_a_heap(
            steps in prop::collection::vec(prop::option::weighted(0.6, (0u32..8, 0u32..20)), 0..200),
        ) {
            let (mut queue, mut heap) = (Queue::default(), BinaryHeap::new());
            for round in 0..2 {
                for step in &steps {
                    match step {
                        Some((rank, position)) => {
                            queue.push(*rank, *position);
                            heap.push(Reverse((*rank, *position)));
                        }
                        None => prop_assert_eq!(queue.pop(), heap.pop().map(|Reverse(pair)| pair), "round {}", round),
                    }
                }
                queue.clear();
                heap.clear();
            }
        }
    }
}
