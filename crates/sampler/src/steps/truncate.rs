//! Steps that cut the list by rank, probability mass, or distance from the best logit.

use super::Step;
use crate::error::check;
use crate::{Candidates, SamplerError, math};

/// Keeps the `k` best candidates, sorted; 0 keeps all.
#[derive(Debug, Clone)]
pub struct TopK {
    k: usize,
}

impl TopK {
    /// Keeps `k`; 0 turns the step off.
    pub fn new(k: usize) -> Self {
        TopK { k }
    }
}

impl Step for TopK {
    fn apply(&mut self, c: &mut Candidates) {
        if self.k > 0 {
            c.keep_best(self.k);
        }
    }
}

/// Keeps the shortest head of the sorted list whose probabilities add up to at least `p` (nucleus sampling, Holtzman et
/// al. 2019, <https://arxiv.org/abs/1904.09751>), and at least `min_keep` candidates.
#[derive(Debug, Clone)]
pub struct TopP {
    p: f32,
    min_keep: usize,
}

impl TopP {
    /// `p = 1` turns the step off.
    ///
    /// # Errors
    /// `p` must be in 0..=1.
    pub fn new(p: f32, min_keep: usize) -> Result<Self, SamplerError> {
        check((0.0..=1.0).contains(&p), "top_p", "p", "in 0..=1", p)?;
        Ok(TopP { p, min_keep })
    }
}

impl Step for TopP {
    fn apply(&mut self, c: &mut Candidates) {
        if self.p >= 1.0 || c.is_empty() {
            return;
        }
        c.keep_mass(self.p, self.min_keep);
    }
}

/// Keeps the candidates whose probability is at least `p` times the best one's, and at least `min_keep`
/// (<https://arxiv.org/abs/2407.01082>). No softmax is needed: `logit >= max + ln(p)`.
#[derive(Debug, Clone)]
pub struct MinP {
    ln_p: f32,
    min_keep: usize,
}

impl MinP {
    /// `p = 0` turns the step off.
    ///
    /// # Errors
    /// `p` must be in 0..=1.
    pub fn new(p: f32, min_keep: usize) -> Result<Self, SamplerError> {
        check((0.0..=1.0).contains(&p), "min_p", "p", "in 0..=1", p)?;
        let ln_p = if p > 0.0 { math::ln(f64::from(p)) as f32 } else { f32::NEG_INFINITY };
        Ok(MinP { ln_p, min_keep })
    }
}

impl Step for MinP {
    fn apply(&mut self, c: &mut Candidates) {
        if self.ln_p == f32::NEG_INFINITY || c.is_empty() {
            return;
        }
        let bar = c.max_logit() + self.ln_p;
        if !c.keep_from(bar, self.min_keep.max(1)) {
            c.keep_best(self.min_keep.max(1));
        }
    }
}

/// Excludes (sets to -inf) the logits below `max - n * sigma`, sigma the standard deviation of the logits that are not
/// excluded yet (<https://arxiv.org/abs/2411.07641>).
#[derive(Debug, Clone)]
pub struct TopNSigma {
    n: f32,
}

impl TopNSigma {
    /// `n = 0` turns the step off.
    ///
    /// # Errors
    /// `n` must be finite and at least 0.
    pub fn new(n: f32) -> Result<Self, SamplerError> {
        check(n.is_finite() && n >= 0.0, "top_n_sigma", "n", "finite and at least 0", n)?;
        Ok(TopNSigma { n })
    }
}

impl Step for TopNSigma {
    fn apply(&mut self, c: &mut Candidates) {
        if self.n <= 0.0 || c.len() <= 1 {
            return;
        }
        let (mut sum, mut count) = (0.0f64, 0u64);
        for (_, l) in c.iter().filter(|(_, l)| *l > f32::NEG_INFINITY) {
            sum += f64::from(l);
            count += 1;
        }
        if count == 0 {
            return;
        }
        let mean = sum / count as f64;
        let squares = c.iter().filter(|(_, l)| *l > f32::NEG_INFINITY).map(|(_, l)| {
            let d = f64::from(l) - mean;
            d * d
        });
        let sigma = (squares.sum::<f64>() / count as f64).sqrt();
        let bar = (f64::from(c.max_logit()) - f64::from(self.n) * sigma) as f32;
        c.map_monotone(|_, l| if l < bar { f32::NEG_INFINITY } else { l });
    }
}
