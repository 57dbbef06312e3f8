//! Sorting and selecting: full and partial sorts, the best k, and all above a bar.
//!
//! ```text
//! best k of a row:   bar = k-th greatest of the blocks' maxima     # k values >= bar exist, so none below it is among the best
//!                    list = the logits >= bar of blocks whose maximum is >= bar;  sort its best k
//! ```
//!
//! At most `k` blocks have a maximum above the bar, and of the values equal to the bar the first `k` suffice. So the
//! list never exceeds `64 k + k` entries, in whatever order the logits come.

use std::cmp::Ordering;

use super::{Candidate, Candidates, row};
use crate::TokenId;

/// Logit descending, ties to the lower id; NaN, which only a custom step can introduce, goes last. A total order, as
/// sorting requires.
#[inline]
pub(crate) fn best_first(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit
        .partial_cmp(&a.logit)
        .unwrap_or_else(|| a.logit.is_nan().cmp(&b.logit.is_nan()))
        .then(a.id.cmp(&b.id))
}

impl Candidates {
    /// Sorts by logit descending, ties to the lower id.
    pub fn sort(&mut self) {
        self.make_list();
        if !self.sorted {
            self.list.sort_unstable_by(best_first);
            self.sorted = true;
        }
    }

    /// Moves the best `n` to the front, in order; the others follow in any order. The list counts as sorted only if all
    /// of it is.
    pub fn sort_first(&mut self, n: usize) {
        if n >= self.len() {
            return self.sort();
        }
        self.make_list();
        if self.sorted || n == 0 {
            return;
        }
        self.list.select_nth_unstable_by(n - 1, best_first);
        if let Some(head) = self.list.get_mut(..n) {
            head.sort_unstable_by(best_first);
        }
    }

    /// Keeps the best `k`, sorted. From the dense form, this makes no list of all tokens.
    pub fn keep_best(&mut self, k: usize) {
        if !self.is_list && k > 0 {
            self.refresh_maxima();
            // With fewer blocks than candidates to keep, there is no bar and little to gain.
            if k <= self.maxima.len() {
                self.list_best_blocks(k);
            }
        }
        self.sort_first(k.min(self.len()));
        self.list.truncate(k);
        self.sorted = true;
    }

    /// Calls `f` with the best `n` in order, or with all if there are fewer. A dense row stays dense.
    pub(crate) fn with_best<R>(&mut self, n: usize, f: impl FnOnce(&[Candidate]) -> R) -> R {
        let is_row = !self.is_list;
        if is_row {
            self.refresh_maxima();
            if (1..=self.maxima.len()).contains(&n) {
                self.list_best_blocks(n);
            }
        }
        self.sort_first(n);
        let result = f(self.list.get(..n).unwrap_or(&self.list));
        if is_row {
            self.is_list = false;
            self.sorted = false;
        }
        result
    }

    /// Lists the candidates that may be among the best `k`, which is between 1 and the number of blocks.
    fn list_best_blocks(&mut self, k: usize) {
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.maxima);
        let (_, bar, _) = self.scratch.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
        let bar = *bar;
        let mut ties_left = k;
        self.list_blocks(bar, |l| {
            if l == bar {
                let take = ties_left > 0;
                ties_left -= usize::from(take);
                return take;
            }
            l > bar
        });
    }

    /// Keeps the candidates whose logit is at least `bar`, in their order, if they are `min_keep` or more. Otherwise
    /// returns false and changes nothing.
    pub(crate) fn keep_from(&mut self, bar: f32, min_keep: usize) -> bool {
        if self.is_list {
            let kept = self.list.iter().filter(|c| c.logit >= bar).count();
            if kept >= min_keep {
                self.list.retain(|c| c.logit >= bar);
            }
            return kept >= min_keep;
        }
        self.refresh_maxima();
        let blocks = self.maxima.iter().zip(self.logits.chunks(row::BLOCK)).filter(|(max, _)| **max >= bar);
        let kept: usize = blocks.map(|(_, b)| b.iter().filter(|l| **l >= bar).count()).sum();
        if kept >= min_keep {
            self.list_blocks(bar, |l| l >= bar);
        }
        kept >= min_keep
    }

    /// Turns the row into a list of the candidates for which `take` returns true, from the blocks with a maximum of at
    /// least `bar`.
    pub(super) fn list_blocks(&mut self, bar: f32, mut take: impl FnMut(f32) -> bool) {
        self.is_list = true;
        self.sorted = false;
        self.list.clear();
        for (b, (max, block)) in self.maxima.iter().zip(self.logits.chunks(row::BLOCK)).enumerate() {
            if *max >= bar {
                let first = b * row::BLOCK;
                let taken = block.iter().enumerate().filter(|(_, l)| take(**l));
                self.list.extend(taken.map(|(i, &logit)| Candidate {
                    id: (first + i) as TokenId,
                    logit,
                    p: 0.0,
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_best_equals_a_full_sort() {
        let mut rng = crate::Rng::new(3);
        for (n, range) in
            [(1, 5), (2, 2), (31, 4), (33, 1000), (5000, 7), (5000, 100_000), (20_000, 1_000_000)]
        {
            let logits: Vec<f32> = (0..n).map(|_| (rng.next_u64() % range) as f32 - 3.0).collect();
            let mut all: Vec<Candidate> = logits
                .iter()
                .enumerate()
                .map(|(i, &logit)| Candidate { id: i as u32, logit, p: 0.0 })
                .collect();
            all.sort_by(best_first);
            for k in [1, 2, 3, 40, 78, 257, n, n + 1] {
                let mut c = Candidates::new();
                c.fill(&logits).unwrap();
                c.keep_best(k);
                assert_eq!(c.as_slice(), &all[..k.min(n)], "n {n} k {k}");
            }
            assert_eq!(crate::candidates::argmax(&logits).unwrap(), Some(all[0].id));
        }
    }

    #[test]
    fn keep_from_keeps_order_and_count() {
        let logits: Vec<f32> = (0..500).map(|i| ((i * 37) % 100) as f32).collect();
        for bar in [-1.0, 0.0, 50.0, 99.0, 100.0] {
            for min_keep in [0, 1, 5, 6, 600] {
                let kept: Vec<_> = (0..500u32).filter(|i| logits[*i as usize] >= bar).collect();
                for as_list in [false, true] {
                    let mut c = Candidates::new();
                    c.fill(&logits).unwrap();
                    if as_list {
                        c.as_slice();
                    }
                    let expect = kept.len() >= min_keep;
                    assert_eq!(c.keep_from(bar, min_keep), expect, "{bar} {min_keep} {as_list}");
                    let ids: Vec<_> = c.iter().map(|x| x.0).collect();
                    let all: Vec<_> = (0..500).collect();
                    assert_eq!(&ids, if expect { &kept } else { &all }, "{bar} {min_keep} {as_list}");
                }
            }
        }
    }
}
