//! The tokens still in the race.
//!
//! ```text
//! dense:  logits[id]                      after fill(); candidate i is token i
//! list:   (id, logit, p), any order       after the first step that removes or reorders
//! ```
//!
//! Both live in buffers that are reused from token to token. Order: logit descending, ties to the lower id.

use std::cmp::Ordering;

use crate::{SamplerError, TokenId, math};

/// One candidate of the list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The token.
    pub id: TokenId,
    /// Its logit as the steps so far left it; -inf excludes it.
    pub logit: f32,
    /// Its probability at the last [`Candidates::softmax`], 0 before the first.
    pub p: f32,
}

/// Logit descending, ties to the lower id; NaN (which only a step of the caller can bring in) goes last.
/// A total order, as sorting requires.
#[inline]
pub(crate) fn best_first(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit
        .partial_cmp(&a.logit)
        .unwrap_or_else(|| a.logit.is_nan().cmp(&b.logit.is_nan()))
        .then(a.id.cmp(&b.id))
}

/// The candidates of one token position. See the module's text for the two forms.
///
/// Methods that only read or that change logits in place work on both forms; methods that remove, reorder or need
/// probabilities turn the dense form into a list first.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    logits: Vec<f32>,
    list: Vec<Candidate>,
    is_list: bool,
    sorted: bool,
}

/// How many logits are checked at a time; small enough to stay in the first-level cache between check and copy.
const CHUNK: usize = 1024;

/// Whether every value is finite or -inf.
#[inline]
fn all_usable(x: &[f32]) -> bool {
    x.iter().fold(true, |ok, &v| ok & (v < f32::INFINITY))
}

/// The error for the first unusable value of `logits` at or after `from`.
#[cold]
fn non_finite(logits: &[f32], from: usize) -> SamplerError {
    match logits.iter().enumerate().skip(from).find(|(_, v)| v.is_nan() || **v == f32::INFINITY) {
        Some((i, &value)) => SamplerError::NonFinite { id: i as TokenId, value },
        None => SamplerError::NonFinite { id: from as TokenId, value: f32::NAN },
    }
}

fn check_len(logits: &[f32]) -> Result<(), SamplerError> {
    if logits.is_empty() {
        return Err(SamplerError::Empty);
    }
    if TokenId::try_from(logits.len()).is_err() {
        return Err(SamplerError::TooMany(logits.len()));
    }
    Ok(())
}

/// The token with the highest logit, ties to the lower id, in one pass without any buffer; `None` if all are -inf.
/// Fails on NaN, +inf and an empty row.
pub(crate) fn argmax(logits: &[f32]) -> Result<Option<TokenId>, SamplerError> {
    check_len(logits)?;
    let (mut best, mut best_chunk) = (f32::NEG_INFINITY, None);
    for (i, chunk) in logits.chunks(CHUNK).enumerate() {
        let mut usable = true;
        let mut lanes = [f32::NEG_INFINITY; 16];
        let (blocks, rest) = chunk.as_chunks::<16>();
        for block in blocks {
            for (m, &v) in lanes.iter_mut().zip(block) {
                usable &= v < f32::INFINITY;
                *m = if v > *m { v } else { *m };
            }
        }
        for (m, &v) in lanes.iter_mut().zip(rest) {
            usable &= v < f32::INFINITY;
            *m = if v > *m { v } else { *m };
        }
        if !usable {
            return Err(non_finite(logits, i * CHUNK));
        }
        let top = lanes.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
        if top > best {
            (best, best_chunk) = (top, Some(i));
        }
    }
    let Some(i) = best_chunk else { return Ok(None) };
    let at = logits.iter().skip(i * CHUNK).position(|&v| v == best);
    Ok(at.map(|j| (i * CHUNK + j) as TokenId))
}

impl Candidates {
    /// No candidates; buffers grow at the first [`fill`](Self::fill).
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts over with all tokens of `logits` (index = token id). The logits are copied, 4 bytes a token.
    ///
    /// # Errors
    /// An empty row, NaN, +inf, or no memory for the buffer.
    pub fn fill(&mut self, logits: &[f32]) -> Result<(), SamplerError> {
        check_len(logits)?;
        self.list.clear();
        self.logits.clear();
        self.is_list = false;
        self.sorted = false;
        if self.logits.try_reserve(logits.len()).is_err() {
            return Err(SamplerError::OutOfMemory { entries: logits.len() });
        }
        for (i, chunk) in logits.chunks(CHUNK).enumerate() {
            if !all_usable(chunk) {
                self.logits.clear();
                return Err(non_finite(logits, i * CHUNK));
            }
            self.logits.extend_from_slice(chunk);
        }
        Ok(())
    }

    /// How many candidates are left.
    pub fn len(&self) -> usize {
        if self.is_list { self.list.len() } else { self.logits.len() }
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the candidates are known to be in descending order.
    pub fn is_sorted(&self) -> bool {
        self.sorted
    }

    /// All candidates as (token, logit), in the current order (ascending ids before anything was sorted).
    pub fn iter(&self) -> impl Iterator<Item = (TokenId, f32)> + '_ {
        let dense: &[f32] = if self.is_list { &[] } else { &self.logits };
        let list: &[Candidate] = if self.is_list { &self.list } else { &[] };
        let dense = dense.iter().enumerate().map(|(i, &l)| (i as TokenId, l));
        dense.chain(list.iter().map(|c| (c.id, c.logit)))
    }

    /// Runs `f` over the candidates in blocks of at most `size`, in the current order, each as a slice of logits.
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

    /// The best candidate (ties to the lower id); `None` if there is none or all are excluded.
    pub fn best(&self) -> Option<(TokenId, f32)> {
        let mut best: Option<(TokenId, f32)> = None;
        for (id, logit) in self.iter() {
            let better = match best {
                None => logit > f32::NEG_INFINITY,
                Some((b, l)) => logit > l || (logit == l && id < b),
            };
            if better {
                best = Some((id, logit));
            }
        }
        best
    }

    /// The highest logit, -inf if there is none.
    pub fn max_logit(&self) -> f32 {
        let max = |a: f32, b: f32| if b > a { b } else { a };
        if self.is_list {
            self.list.iter().map(|c| c.logit).fold(f32::NEG_INFINITY, max)
        } else {
            self.logits.iter().copied().fold(f32::NEG_INFINITY, max)
        }
    }

    /// Replaces each logit by `f(token, logit)`; the order is no longer known.
    pub fn map_logits(&mut self, mut f: impl FnMut(TokenId, f32) -> f32) {
        self.map_monotone(&mut f);
        self.sorted = false;
    }

    /// [`map_logits`](Self::map_logits) for an `f` that keeps the order of any two candidates: a sorted list stays so.
    pub fn map_monotone(&mut self, mut f: impl FnMut(TokenId, f32) -> f32) {
        if self.is_list {
            self.list.iter_mut().for_each(|c| c.logit = f(c.id, c.logit));
        } else {
            self.logits.iter_mut().enumerate().for_each(|(i, l)| *l = f(i as TokenId, *l));
        }
    }

    /// Replaces the logits of the tokens in `edits`, which must be ascending by token, by `f(logit, value)`; others stay.
    /// Costs one look-up an edit in the dense form and one binary search a candidate in the list form.
    pub fn edit<T>(&mut self, edits: &[(TokenId, T)], mut f: impl FnMut(f32, &T) -> f32) {
        if edits.is_empty() {
            return;
        }
        if self.is_list {
            for c in &mut self.list {
                if let Ok(i) = edits.binary_search_by_key(&c.id, |e| e.0)
                    && let Some((_, value)) = edits.get(i)
                {
                    c.logit = f(c.logit, value);
                }
            }
        } else {
            for (id, value) in edits {
                if let Some(l) = self.logits.get_mut(*id as usize) {
                    *l = f(*l, value);
                }
            }
        }
        self.sorted = false;
    }

    /// Excludes all but the best candidate by setting the other logits to -inf (temperature 0).
    pub fn mask_all_but_best(&mut self) {
        let Some((best, _)) = self.best() else { return };
        self.map_monotone(|id, l| if id == best { l } else { f32::NEG_INFINITY });
    }

    /// The candidates as a list, in the current order.
    pub fn as_slice(&mut self) -> &[Candidate] {
        self.make_list();
        &self.list
    }

    /// The candidates as a list that may be changed and reordered; the order is no longer known.
    pub fn as_mut_slice(&mut self) -> &mut [Candidate] {
        self.make_list();
        self.sorted = false;
        &mut self.list
    }

    /// Keeps the candidates for which `f` is true, in their order.
    pub fn retain(&mut self, f: impl FnMut(&Candidate) -> bool) {
        self.make_list();
        self.list.retain(f);
    }

    /// Keeps the first `n` of the current order.
    pub fn truncate(&mut self, n: usize) {
        self.make_list();
        self.list.truncate(n);
    }

    /// [`truncate`](Self::truncate) after [`sort_first`](Self::sort_first) of at least `n`: what is left is sorted.
    pub(crate) fn keep_sorted_head(&mut self, n: usize) {
        self.truncate(n);
        self.sorted = true;
    }

    /// Drops the first `n` of the current order.
    pub fn drop_first(&mut self, n: usize) {
        self.make_list();
        let n = n.min(self.list.len());
        self.list.drain(..n);
    }

    /// Replaces the list's content, in the given order, which counts as unsorted.
    pub fn replace(&mut self, items: impl IntoIterator<Item = Candidate>) {
        self.is_list = true;
        self.sorted = false;
        self.list.clear();
        self.list.extend(items);
    }

    /// Sorts: logit descending, ties to the lower id.
    pub fn sort(&mut self) {
        self.make_list();
        if !self.sorted {
            self.list.sort_unstable_by(best_first);
            self.sorted = true;
        }
    }

    /// Puts the best `n` first, in order; the others follow in any order (and the list does not count as sorted
    /// unless all of it is).
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

    /// Keeps the best `k`, sorted. From the dense form this is one pass over the logits.
    ///
    /// ```text
    /// buffer = []; bar = -inf            # bar: the k-th best so far
    /// for id ascending: if logit > bar or fewer than k seen: push; if buffer is full: keep its best k, raise bar
    /// ```
    /// `>` and not `>=`: an equal logit with a higher id would lose the tie.
    pub fn keep_best(&mut self, k: usize) {
        let n = self.len();
        if self.is_list || k == 0 || k >= n / 4 {
            self.sort_first(k.min(n));
            self.list.truncate(k);
            self.sorted = true;
            return;
        }
        const BLOCK: usize = 32;
        let full = (2 * k).max(k + 256);
        self.is_list = true;
        self.list.clear();
        self.list.reserve(full + BLOCK);
        let mut bar = f32::NEG_INFINITY;
        let mut first = 0;
        for block in self.logits.chunks(BLOCK) {
            let fewer = self.list.len() < k;
            if fewer || block.iter().fold(false, |any, &l| any | (l > bar)) {
                let picked = block.iter().enumerate().filter(|(_, l)| fewer || **l > bar);
                let picked =
                    picked.map(|(i, &logit)| Candidate { id: (first + i) as TokenId, logit, p: 0.0 });
                self.list.extend(picked);
                if self.list.len() >= full {
                    let (_, kth, _) = self.list.select_nth_unstable_by(k - 1, best_first);
                    bar = kth.logit;
                    self.list.truncate(k);
                }
            }
            first += block.len();
        }
        self.sort_first(k);
        self.list.truncate(k);
        self.sorted = true;
    }

    /// Computes every candidate's `p = exp(logit - max) / sum`; exp and sum in f64, added in the current order.
    /// With all logits -inf every `p` is 0.
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

    /// Makes room for the list form now, so that a later token does not have to.
    pub(crate) fn reserve_list(&mut self) {
        if !self.is_list {
            self.list.clear();
            // Exact, so that a vocabulary of 262,144 takes 3 MiB and not the 4 of the next power of two.
            self.list.reserve_exact(self.logits.len());
        }
    }

    fn make_list(&mut self) {
        if self.is_list {
            return;
        }
        self.reserve_list();
        self.is_list = true;
        let items = self.logits.iter().enumerate();
        self.list.extend(items.map(|(i, &logit)| Candidate { id: i as TokenId, logit, p: 0.0 }));
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
            for k in [1, 2, 3, 40, 257, n, n + 1] {
                let mut c = Candidates::new();
                c.fill(&logits).unwrap();
                c.keep_best(k);
                assert_eq!(c.as_slice(), &all[..k.min(n)], "n {n} k {k}");
            }
            assert_eq!(argmax(&logits).unwrap(), Some(all[0].id));
        }
    }

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
}
