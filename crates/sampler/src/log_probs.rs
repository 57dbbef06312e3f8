//! Log-probabilities of a row of logits.
//!
//! ```text
//! log p[t] = logit[t] - (max + ln(sum over ids ascending of exp(logit - max)))      f64
//! ```

use crate::{Candidates, SamplerError, TokenId, math};

/// A token and the natural logarithm of its probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogProb {
    /// The token.
    pub id: TokenId,
    /// ln(p): at most 0, and -inf for an excluded token.
    pub ln_p: f32,
}

/// Computes log-probabilities, with buffers that are reused between rows.
///
/// ```
/// use happy_sampler::LogProbs;
///
/// let mut log_probs = LogProbs::new();
/// let best = log_probs.best(&[0.0, 2.0, 1.0], 2)?; // the model's own, before any step
/// assert_eq!(best.iter().map(|b| b.id).collect::<Vec<_>>(), [1, 2]);
/// assert!((best[0].ln_p.exp() - 0.665).abs() < 1e-3);
/// # Ok::<(), happy_sampler::SamplerError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct LogProbs {
    candidates: Candidates,
    best: Vec<LogProb>,
}

impl LogProbs {
    /// Makes an instance without buffers; the first row allocates them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the `n` most probable tokens of a row of logits (index = token id), best first, ties to the lower id; all tokens
    /// if there are fewer. For the candidates that a chain of steps leaves, use [`best_of`](Self::best_of) with the
    /// result of [`Sampler::apply`](crate::Sampler::apply).
    ///
    /// # Errors
    /// An empty row, NaN, +inf, memory that is refused, or a row in which every token is excluded.
    pub fn best(&mut self, logits: &[f32], n: usize) -> Result<&[LogProb], SamplerError> {
        self.candidates.fill(logits)?;
        let mut candidates = std::mem::take(&mut self.candidates);
        let found = self.collect(&mut candidates, n);
        self.candidates = candidates;
        found?;
        Ok(&self.best)
    }

    /// Like [`best`](Self::best), for candidates. Removes all but the best `n` of them.
    ///
    /// # Errors
    /// Memory that is refused, or no candidate with a finite logit.
    pub fn best_of(&mut self, candidates: &mut Candidates, n: usize) -> Result<&[LogProb], SamplerError> {
        self.collect(candidates, n)?;
        Ok(&self.best)
    }

    fn collect(&mut self, c: &mut Candidates, n: usize) -> Result<(), SamplerError> {
        self.best.clear();
        let sum = c.log_sum_exp();
        if !sum.is_finite() {
            return Err(SamplerError::NoCandidate { steps: 0 });
        }
        c.keep_best(n);
        if self.best.try_reserve_exact(c.len()).is_err() {
            return Err(SamplerError::OutOfMemory { entries: c.len() });
        }
        self.best.extend(c.iter().map(|(id, logit)| LogProb { id, ln_p: (f64::from(logit) - sum) as f32 }));
        Ok(())
    }
}

impl Candidates {
    /// Returns `ln(sum of exp(logit))` of the candidates in f64, summed in the current order (ascending ids unless something
    /// sorted them). Subtract it from a logit to get the token's log-probability. -inf if all candidates are excluded.
    pub fn log_sum_exp(&self) -> f64 {
        let max = f64::from(self.max_logit());
        if max == f64::NEG_INFINITY {
            return max;
        }
        max + math::ln(self.iter().map(|(_, l)| math::exp(f64::from(l) - max)).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sampler;

    #[test]
    fn equals_the_softmax() {
        let mut rng = crate::Rng::new(6);
        let mut log_probs = LogProbs::new();
        for n in [1usize, 2, 63, 64, 1000, 20_000] {
            let mut logits: Vec<f32> = (0..n).map(|_| (rng.next_f64() * 30.0 - 15.0) as f32).collect();
            logits[n / 3] = 15.5;
            let mut c = Candidates::new();
            c.fill(&logits).unwrap();
            c.sort();
            c.softmax();
            for wanted in [0, 1, 5, n, n + 1] {
                let best = log_probs.best(&logits, wanted).unwrap();
                assert_eq!(best.len(), wanted.min(n));
                for (b, x) in best.iter().zip(c.as_slice()) {
                    let near = (f64::from(b.ln_p) - math::ln(f64::from(x.p))).abs() <= 1e-5;
                    assert!(b.id == x.id && near, "n {n}: {b:?} {x:?}");
                }
            }
        }
    }

    #[test]
    fn after_steps_and_without_candidates() {
        let mut sampler = Sampler::builder().top_k(2).build().unwrap();
        let mut log_probs = LogProbs::new();
        let left = sampler.apply(&[0.0, 0.0, -1.0]).unwrap();
        let best = log_probs.best_of(left, 5).unwrap();
        let half = (0.5f64.ln()) as f32;
        assert_eq!(best, [LogProb { id: 0, ln_p: half }, LogProb { id: 1, ln_p: half }]);
        let excluded = [f32::NEG_INFINITY; 3];
        assert_eq!(log_probs.best(&excluded, 1), Err(SamplerError::NoCandidate { steps: 0 }));
        assert_eq!(log_probs.best(&[], 1), Err(SamplerError::Empty));
        let best = log_probs.best(&[0.0, f32::NEG_INFINITY], 2).unwrap();
        assert_eq!(best[1], LogProb { id: 1, ln_p: f32::NEG_INFINITY });
    }
}
