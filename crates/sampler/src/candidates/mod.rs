//! The tokens that can still be picked.
//!
//! ```text
//! dense:  logits[id]                      after fill(); candidate i is token i
//! list:   (id, logit, p), any order       after the first step that removes or reorders
//! ```
//!
//! Both forms live in buffers that are reused from token to token. [`Candidates::fill`] reserves all of them, so that
//! no step allocates (on systems with paging, memory that is reserved but never written costs nothing). Sorted order
//! means: logit descending, ties to the lower id.

mod mass;
mod row;
mod select;

pub(crate) use row::argmax;
pub(crate) use select::best_first;

use crate::{SamplerError, TokenId, math};

/// One candidate of the list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The token.
    pub id: TokenId,
    /// Its logit after the steps so far; -inf excludes the token.
    pub logit: f32,
    /// Its probability at the last [`Candidates::softmax`]; 0 before the first.
    pub p: f32,
}

/// The candidates for one token position, in one of two forms: a dense row of logits, or a list.
///
/// Methods that only read, or that change logits in place, work on both forms. Methods that remove, reorder or need
/// probabilities first turn the dense form into a list.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    logits: Vec<f32>,
    // The greatest logit of each block of `row::BLOCK`, unless `stale`.
    maxima: Vec<f32>,
    stale: bool,
    // Scratch space for partially sorted maxima.
    scratch: Vec<f32>,
    list: Vec<Candidate>,
    is_list: bool,
    sorted: bool,
}

impl Candidates {
    /// Makes an empty set of candidates; the first [`fill`](Self::fill) allocates the buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts over with all tokens of `logits` (index = token id). The logits are copied: 4 bytes per token, and 12
    /// more for steps that need a list.
    ///
    /// # Errors
    /// An empty row, NaN, +inf, or memory that is refused. There are no candidates then.
    pub fn fill(&mut self, logits: &[f32]) -> Result<(), SamplerError> {
        self.clear();
        // Exact, so that a vocabulary of 262,144 takes 3 MiB and not the 4 MiB of the next power of two.
        let reserved = self.list.try_reserve_exact(logits.len()).is_ok()
            && self.scratch.try_reserve_exact(logits.len().div_ceil(row::BLOCK)).is_ok();
        let copied = if reserved {
            row::copy(logits, &mut self.logits, &mut self.maxima)
        } else {
            Err(SamplerError::OutOfMemory { entries: logits.len() })
        };
        if copied.is_err() {
            self.clear();
        }
        copied
    }

    fn clear(&mut self) {
        self.logits.clear();
        self.maxima.clear();
        self.stale = false;
        self.scratch.clear();
        self.list.clear();
        self.is_list = false;
        self.sorted = false;
    }

    /// Returns the length of the row that the candidates come from. Every token id is below it.
    pub fn vocab_size(&self) -> usize {
        self.logits.len()
    }

    /// The logit that a token had before the first step that needed a list; `None` if there is no such token.
    pub(crate) fn row_logit(&self, id: TokenId) -> Option<f32> {
        self.logits.get(id as usize).copied()
    }

    /// Returns the number of candidates left.
    pub fn len(&self) -> usize {
        if self.is_list { self.list.len() } else { self.logits.len() }
    }

    /// Returns whether no candidates are left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the candidates are known to be in descending order.
    pub fn is_sorted(&self) -> bool {
        self.sorted
    }

    /// Returns all candidates as (token, logit) in the current order, which is ascending by id until something sorts.
    pub fn iter(&self) -> impl Iterator<Item = (TokenId, f32)> + '_ {
        let dense: &[f32] = if self.is_list { &[] } else { &self.logits };
        let list: &[Candidate] = if self.is_list { &self.list } else { &[] };
        let dense = dense.iter().enumerate().map(|(i, &l)| (i as TokenId, l));
        dense.chain(list.iter().map(|c| (c.id, c.logit)))
    }

    /// Calls `f` with blocks of at most `size` candidates in the current order, each as a slice of logits.
    pub(crate) fn for_blocks(
        &self,
        size: usize,
        mut f: impl FnMut(&mut dyn Iterator<Item = (TokenId, f32)>),
    ) {
        if self.is_list {
            self.list.chunks(size).for_each(|b| f(&mut b.iter().map(|c| (c.id, c.logit))));
        } else {
            let mut first = 0;
            for b in self.logits.chunks(size) {
                f(&mut b.iter().enumerate().map(|(i, &l)| ((first + i) as TokenId, l)));
                first += b.len();
            }
        }
    }

    /// Returns the best candidate, ties to the lower id; `None` if there are no candidates or all are excluded.
    pub fn best(&self) -> Option<(TokenId, f32)> {
        if !self.is_list {
            let max = self.max_logit();
            // The first block with the greatest value holds the lowest id. If the maxima are stale, all blocks are
            // searched.
            let block = if self.stale { 0 } else { self.maxima.iter().position(|m| *m == max)? };
            let first = block * row::BLOCK;
            let at = self.logits.get(first..)?.iter().position(|l| *l == max)?;
            return (max > f32::NEG_INFINITY).then_some(((first + at) as TokenId, max));
        }
        let mut best: Option<(TokenId, f32)> = None;
        for c in &self.list {
            let better = match best {
                None => c.logit > f32::NEG_INFINITY,
                Some((b, l)) => c.logit > l || (c.logit == l && c.id < b),
            };
            if better {
                best = Some((c.id, c.logit));
            }
        }
        best
    }

    /// Returns the highest logit, or -inf if there are no candidates.
    pub fn max_logit(&self) -> f32 {
        let max = |a: f32, b: f32| if b > a { b } else { a };
        if self.is_list {
            self.list.iter().map(|c| c.logit).fold(f32::NEG_INFINITY, max)
        } else if self.stale {
            row::max(&self.logits)
        } else {
            row::max(&self.maxima)
        }
    }

    /// Replaces each logit by `f(token, logit)`. A result of +inf becomes the greatest finite number and NaN becomes
    /// -inf, so that probabilities can always be computed. The candidates no longer count as sorted.
    pub fn map_logits(&mut self, mut f: impl FnMut(TokenId, f32) -> f32) {
        self.map_monotone(&mut f);
        self.sorted = false;
    }

    /// Like [`map_logits`](Self::map_logits), for a function that preserves the order of any two candidates: a sorted
    /// list stays sorted.
    pub fn map_monotone(&mut self, mut f: impl FnMut(TokenId, f32) -> f32) {
        if self.is_list {
            self.list.iter_mut().for_each(|c| c.logit = bounded(f(c.id, c.logit)));
        } else {
            self.logits.iter_mut().enumerate().for_each(|(i, l)| *l = bounded(f(i as TokenId, *l)));
            self.stale = true;
        }
    }

    /// Replaces the logits of the tokens in `edits` by `f(logit, value)`. `edits` must be ascending by token. Costs one
    /// lookup per edit in the dense form, and one binary search per candidate in the list form.
    pub fn edit<T>(&mut self, edits: &[(TokenId, T)], mut f: impl FnMut(f32, &T) -> f32) {
        if edits.is_empty() {
            return;
        }
        if self.is_list {
            for c in &mut self.list {
                if let Ok(i) = edits.binary_search_by_key(&c.id, |e| e.0)
                    && let Some((_, value)) = edits.get(i)
                {
                    c.logit = bounded(f(c.logit, value));
                }
            }
        } else {
            let inside = edits.partition_point(|(id, _)| (*id as usize) < self.logits.len());
            let mut edits = edits.iter().take(inside).peekable();
            while let Some((id, value)) = edits.next() {
                if let Some(l) = self.logits.get_mut(*id as usize) {
                    *l = bounded(f(*l, value));
                }
                let block = *id as usize / row::BLOCK;
                // Once per block, after its last edit.
                if edits.peek().is_none_or(|(next, _)| *next as usize / row::BLOCK != block) {
                    self.refresh_block(block);
                }
            }
        }
        self.sorted = false;
    }

    /// Recomputes the maximum of a block.
    fn refresh_block(&mut self, block: usize) {
        let first = block * row::BLOCK;
        let end = (first + row::BLOCK).min(self.logits.len());
        if let (Some(max), Some(logits)) = (self.maxima.get_mut(block), self.logits.get(first..end)) {
            *max = row::max(logits);
        }
    }

    /// Recomputes the maxima if a step has changed all logits.
    fn refresh_maxima(&mut self) {
        if self.stale {
            self.maxima.clear();
            self.maxima.extend(self.logits.chunks(row::BLOCK).map(row::max));
            self.stale = false;
        }
    }

    /// Excludes all but the best candidate by setting the other logits to -inf (temperature 0).
    pub fn mask_all_but_best(&mut self) {
        let Some((best, _)) = self.best() else { return };
        self.map_monotone(|id, l| if id == best { l } else { f32::NEG_INFINITY });
    }

    /// Returns the candidates as a list, in the current order.
    pub fn as_slice(&mut self) -> &[Candidate] {
        self.make_list();
        &self.list
    }

    /// Returns the candidates as a list that may be changed and reordered. They no longer count as sorted.
    pub fn as_mut_slice(&mut self) -> &mut [Candidate] {
        self.make_list();
        self.sorted = false;
        &mut self.list
    }

    /// Keeps the candidates for which `f` returns true, in their order.
    pub fn retain(&mut self, f: impl FnMut(&Candidate) -> bool) {
        self.make_list();
        self.list.retain(f);
    }

    /// Keeps the first `n` candidates of the current order.
    pub fn truncate(&mut self, n: usize) {
        self.make_list();
        self.list.truncate(n);
    }

    /// Drops the first `n` candidates of the current order.
    pub fn drop_first(&mut self, n: usize) {
        self.make_list();
        let n = n.min(self.list.len());
        self.list.drain(..n);
    }

    /// Replaces the list by `items` in the given order, which counts as unsorted.
    pub fn replace(&mut self, items: impl IntoIterator<Item = Candidate>) {
        self.is_list = true;
        self.sorted = false;
        self.list.clear();
        self.list.extend(items);
    }

    /// Sets every candidate's `p = exp(logit - max) / sum`, with exp and sum in f64, summed in the current order. If
    /// all logits are -inf, every `p` is 0.
    pub fn softmax(&mut self) {
        self.make_list();
        let max = match self.list.first() {
            Some(c) if self.sorted => c.logit,
            _ => self.max_logit(),
        };
        if max == f32::NEG_INFINITY {
            self.list.iter_mut().for_each(|c| c.p = 0.0);
            return;
        }
        let mut sum = 0.0f64;
        for c in &mut self.list {
            let p = math::exp(f64::from(c.logit) - f64::from(max));
            c.p = p as f32;
            sum += p;
        }
        for c in &mut self.list {
            c.p = (f64::from(c.p) / sum) as f32;
        }
    }

    fn make_list(&mut self) {
        if self.is_list {
            return;
        }
        self.is_list = true;
        self.list.clear();
        let items = self.logits.iter().enumerate();
        self.list.extend(items.map(|(i, &logit)| Candidate { id: i as TokenId, logit, p: 0.0 }));
    }
}

/// Bounds a logit that a step has computed: parameters near the limits of a float may give +inf or NaN.
#[inline]
fn bounded(logit: f32) -> f32 {
    if logit < f32::INFINITY {
        logit
    } else if logit == f32::INFINITY {
        f32::MAX
    } else {
        f32::NEG_INFINITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excluded_everywhere() {
        let logits = [f32::NEG_INFINITY; 100];
        let mut c = Candidates::new();
        c.fill(&logits).unwrap();
        assert_eq!(c.best(), None);
        c.keep_best(3);
        c.softmax();
        assert_eq!(
            c.as_slice().iter().map(|c| (c.id, c.p)).collect::<Vec<_>>(),
            [(0, 0.0), (1, 0.0), (2, 0.0)]
        );
        assert_eq!(argmax(&logits), Ok(None));
    }

    /// The block maxima stay correct whatever changes the row.
    #[test]
    fn maxima_follow_edits() {
        let mut rng = crate::Rng::new(8);
        let logits: Vec<f32> = (0..1000).map(|_| (rng.next_f64() * 20.0 - 10.0) as f32).collect();
        let mut c = Candidates::new();
        for round in 0..200 {
            c.fill(&logits).unwrap();
            let mut edits: Vec<(TokenId, f32)> = (0..round % 20)
                .map(|_| ((rng.next_u64() % 1100) as TokenId, (rng.next_f64() * 40.0 - 20.0) as f32))
                .collect();
            edits.sort_by_key(|e| e.0);
            if round % 3 == 0 {
                c.map_logits(|id, l| if id % 7 == 0 { -l } else { l * 0.5 });
            }
            c.edit(&edits, |l, e| l + e);
            let greatest = c.iter().map(|(_, l)| l).fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(c.max_logit(), greatest, "round {round}");
            let first = c.iter().find(|(_, l)| *l == greatest);
            assert_eq!(c.best(), first, "round {round}");
            let heads: Vec<Vec<(TokenId, f32)>> = [0, 7, 70, 2000]
                .map(|n| c.with_best(n, |head| head.iter().map(|x| (x.id, x.logit)).collect()))
                .to_vec();
            let mut all: Vec<(TokenId, f32)> = c.iter().collect();
            all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            assert_eq!(heads.iter().map(Vec::len).collect::<Vec<_>>(), [0, 7, 70, 1000], "round {round}");
            assert!(heads.iter().all(|head| all.starts_with(head)), "round {round}");
            c.keep_best(5);
            assert!(c.iter().eq(all.iter().take(5).copied()), "round {round}");
        }
    }
}
