//! The pairs of a long piece in the order in which they merge: by rank, then from the left.
//!
//! ```text
//! buckets   the positions of each rank above the open one, in the order in which they were found: mostly ascending
//! open      the positions of one rank, ascending, taken one after the other
//! late      a heap of pairs that were found when their rank was open or past
//! ```
//!
//! In a trained vocabulary, a merge only makes pairs of higher ranks, so the heap stays empty, and a pair costs one
//! append and one read in order. For other ranks it costs no more than a heap of all pairs: O(log n).

use crate::TokenizerError;
use crate::hash::hash_pair;
use crate::reserve::{Reserve, out_of_memory, reserve_one};
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
    /// Empty vectors for reuse.
    spare: Vec<Vec<u32>>,
}

#[derive(Debug, Default)]
struct Open {
    /// `None` before the first bucket is opened.
    rank: Option<u32>,
    positions: Vec<u32>,
    next: usize,
}

/// No attacker gains anything by choosing ranks, so one multiplication is enough.
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

/// The maximum number of empty vectors to keep.
const SPARE: usize = 64;

impl Queue {
    /// Removes all pairs.
    pub(crate) fn clear(&mut self) {
        for (_, positions) in self.buckets.drain() {
            spare(&mut self.spare, positions);
        }
        self.ranks.clear();
        self.late.clear();
        self.open.rank = None;
        self.open.positions.clear();
    }

    /// Adds a pair.
    #[inline]
    pub(crate) fn push(&mut self, rank: u32, position: u32) -> Result<(), TokenizerError> {
        if self.open.rank.is_some_and(|open| rank <= open) {
            reserve_one(&mut self.late)?;
            self.late.push(Reverse((rank, position)));
            return Ok(());
        }
        let full = |_| out_of_memory::<(u32, Vec<u32>)>(self.ranks.len());
        self.buckets.try_reserve(1).map_err(full)?;
        reserve_one(&mut self.ranks)?;
        let bucket = self.buckets.entry(rank).or_insert_with(|| {
            self.ranks.push(Reverse(rank));
            self.spare.pop().unwrap_or_default()
        });
        bucket.add(position)
    }

    /// Removes and returns the pair with the lowest rank, the leftmost among equals.
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
            spare(&mut self.spare, std::mem::replace(&mut self.open.positions, positions));
            if !self.open.positions.is_sorted() {
                self.open.positions.sort_unstable();
            }
            (self.open.rank, self.open.next) = (Some(rank), 0);
        }
    }

    /// Releases the memory that one extraordinarily long piece needed.
    pub(crate) fn shrink(&mut self) {
        const KEEP: usize = 1 << 10;
        self.clear();
        let long =
            self.spare.iter().chain([&self.open.positions]).any(|positions| positions.capacity() > KEEP);
        if long || self.buckets.capacity().max(self.ranks.capacity()).max(self.late.capacity()) > KEEP {
            *self = Self::default();
        }
    }
}

/// Keeps an empty vector for reuse.
fn spare(list: &mut Vec<Vec<u32>>, mut positions: Vec<u32>) {
    positions.clear();
    if list.len() < SPARE {
        list.push(positions);
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
                            queue.push(*rank, *position).unwrap();
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
