//! Shares of probability, taken from the row: no list of all tokens is made, and none is sorted.
//!
//! ```text
//! one pass:     sum += exp(logit - max), ids ascending;  mass[(max - logit) * 8] += the same
//! top-p:        bar = the logit at which the greatest masses reach the share;  list and sort the candidates at or above it,
//!               and add up exactly;  in the rare case that rounding leaves this short, repeat with a lower bar
//! ```
//!
//! The candidates that are kept, and the bits of their probabilities, are those that a softmax and a sort of everything
//! would give.

use super::Candidates;
use crate::math;

/// What a softmax needs to know about all candidates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Total {
    /// The greatest logit, which is finite.
    max: f64,
    /// Sum of `exp(logit - max)`, in the current order.
    sum: f64,
    ln_sum: f64,
    /// Sum of `exp(logit - max) * (logit - max)`.
    moment: f64,
}

impl Total {
    /// The probability of a candidate, with the same bits as [`Candidates::softmax`].
    #[inline]
    pub(crate) fn p(&self, logit: f32) -> f32 {
        let weight = math::exp(f64::from(logit) - self.max) as f32;
        (f64::from(weight) / self.sum) as f32
    }

    /// The surprise of a candidate, `-ln(p)`; infinite for an excluded one.
    #[inline]
    pub(crate) fn surprise(&self, logit: f32) -> f64 {
        self.ln_sum - (f64::from(logit) - self.max)
    }

    /// The mean surprise.
    pub(crate) fn entropy(&self) -> f64 {
        self.ln_sum - self.moment / self.sum
    }

    /// A logit slightly below that of a candidate with probability `p`, and at most the greatest.
    pub(crate) fn logit_below(&self, p: f64) -> f32 {
        ((self.max + math::ln(p * self.sum).min(0.0) - 1e-3) as f32).next_down()
    }
}

/// Buckets of [`Candidates::keep_mass`], and how many there are per unit of the logits. A logit below the last bucket
/// has less than `e^-63` of the best one's probability.
const BUCKETS: usize = 512;
const BUCKETS_PER_UNIT: f64 = 8.0;

impl Candidates {
    /// The total of all candidates; `None` if all are excluded.
    pub(crate) fn total(&self) -> Option<Total> {
        self.total_with(|_, _| {})
    }

    /// Like [`total`](Self::total), and calls `each` with `max - logit` and `exp(logit - max)` of every candidate that
    /// has a weight.
    fn total_with(&self, mut each: impl FnMut(f64, f64)) -> Option<Total> {
        let max = f64::from(self.max_logit());
        if max == f64::NEG_INFINITY {
            return None;
        }
        let (mut sum, mut moment) = (0.0, 0.0);
        for (_, logit) in self.iter() {
            let below = f64::from(logit) - max;
            let weight = math::exp(below);
            sum += weight;
            if weight > 0.0 {
                moment += weight * below;
                each(-below, weight);
            }
        }
        Some(Total { max, sum, ln_sum: math::ln(sum), moment })
    }

    /// Sets the probability of every candidate in the list, as a share of `total`.
    pub(crate) fn set_probabilities(&mut self, total: &Total) {
        self.make_list();
        self.list.iter_mut().for_each(|c| c.p = total.p(c.logit));
    }

    /// Keeps the shortest head of the sorted order whose probabilities add up to at least `share`, and at least
    /// `min_keep` candidates; all if no head does. The result is sorted and has its probabilities.
    pub(crate) fn keep_mass(&mut self, share: f32, min_keep: usize) {
        if !self.is_list && self.keep_mass_of_row(share, min_keep) {
            return;
        }
        self.softmax();
        self.sort();
        if let Some(n) = self.head(share, min_keep) {
            self.list.truncate(n);
        }
    }

    /// Does this for the row if the head is short. Otherwise returns false and leaves the candidates unchanged.
    fn keep_mass_of_row(&mut self, share: f32, min_keep: usize) -> bool {
        let mut masses = [0.0f64; BUCKETS];
        let total = self.total_with(|below, weight| {
            // The cast saturates. A value without a bucket has negligible mass.
            if let Some(mass) = masses.get_mut((below * BUCKETS_PER_UNIT) as usize) {
                *mass += weight;
            }
        });
        let Some(total) = total else { return false };
        self.refresh_maxima();
        let (mut reached, wanted) = (0.0, f64::from(share) * total.sum);
        let enough = masses.iter().position(|mass| {
            reached += mass;
            reached >= wanted
        });
        // Starts at the end of that bucket and goes lower if rounding or `min_keep` requires it.
        let mut end = enough.map_or(BUCKETS, |bucket| bucket + 1);
        while end < BUCKETS {
            let bar = (total.max - end as f64 / BUCKETS_PER_UNIT) as f32;
            self.list_blocks(bar, |logit| logit >= bar);
            self.set_probabilities(&total);
            self.sort();
            if let Some(n) = self.head(share, min_keep) {
                self.list.truncate(n);
                return true;
            }
            end *= 2;
        }
        self.is_list = false;
        self.sorted = false;
        false
    }

    /// The length of the head of the sorted list whose probabilities add up to `share`; `None` if no head does.
    fn head(&self, share: f32, min_keep: usize) -> Option<usize> {
        // Summed in f32 like the probabilities themselves: 0.4 + 0.3 has to reach 0.7.
        let mut sum = 0.0f32;
        let enough = self.list.iter().enumerate().position(|(i, c)| {
            sum += c.p;
            sum >= share && i + 1 >= min_keep
        });
        enough.map(|last| last + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Candidate, Rng};

    /// The definition: a softmax and a sort of everything, then a running sum.
    fn by_definition(logits: &[f32], share: f32, min_keep: usize) -> Vec<Candidate> {
        let mut c = Candidates::new();
        c.fill(logits).unwrap();
        c.softmax();
        c.sort();
        let mut sum = 0.0f32;
        let mut left = Vec::new();
        for x in c.as_slice() {
            if sum >= share && left.len() >= min_keep.max(1) {
                break;
            }
            sum += x.p;
            left.push(*x);
        }
        left
    }

    #[test]
    fn keep_mass_equals_a_softmax_and_a_sort() {
        let mut rng = Rng::new(12);
        let mut wrong = Vec::new();
        // The range of the logits, and how many of them are excluded.
        for (n, range, excluded) in [
            (1, 1.0, 0.0),
            (2, 0.0, 0.0),
            (100, 1e30, 0.0),
            (1200, 0.0, 0.1),
            (1200, 0.01, 0.0),
            (1200, 20.0, 0.5),
            (1200, 200.0, 0.0),
            (5000, 3.0, 0.0),
            (5000, 12.0, 0.9),
            (100, 5.0, 1.0),
        ] {
            let logits: Vec<f32> = (0..n)
                .map(|_| {
                    let x = (rng.next_f64() * range - range / 2.0) as f32;
                    if rng.next_f64() < excluded { f32::NEG_INFINITY } else { x }
                })
                .collect();
            for share in [0.0, 0.1, 0.5, 0.9, 0.95, 0.999, 0.999_999_9] {
                for min_keep in [0, 1, 7, n + 1] {
                    for as_list in [false, true] {
                        let mut c = Candidates::new();
                        c.fill(&logits).unwrap();
                        if as_list {
                            c.as_slice();
                        }
                        c.keep_mass(share, min_keep);
                        if !c.is_sorted() || c.as_slice() != by_definition(&logits, share, min_keep) {
                            wrong.push(format!(
                                "{n} in {range}, {excluded} excluded, share {share}, keep {min_keep}, list {as_list}"
                            ));
                        }
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn totals() {
        let mut c = Candidates::new();
        let probabilities = [0.5f64, 0.25, 0.125, 0.125];
        c.fill(&probabilities.map(|p| (math::ln(p) + 3.0) as f32)).unwrap();
        let total = c.total().unwrap();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(near(total.entropy(), 1.75 * math::ln(2.0)), "{total:?}");
        for ((_, logit), p) in c.iter().zip(probabilities) {
            assert!(near(f64::from(total.p(logit)), p) && near(total.surprise(logit), -math::ln(p)));
            assert!(total.logit_below(p) < logit && total.logit_below(p) > logit - 0.01);
        }
        assert_eq!(total.surprise(f32::NEG_INFINITY), f64::INFINITY);
        c.fill(&[f32::NEG_INFINITY; 3]).unwrap();
        assert!(c.total().is_none());
    }
}
