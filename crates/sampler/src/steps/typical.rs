//! Locally typical sampling.

use super::Step;
use crate::error::check;
use crate::{Candidate, Candidates, SamplerError, math};

/// Keeps the candidates whose surprise `-ln(p)` is nearest to the entropy, until their probabilities exceed `p`, and at
/// least `min_keep` (Meister et al. 2022, <https://arxiv.org/abs/2202.00666>). The list is left in that order; equal
/// distances stay in the order logit descending, id ascending.
#[derive(Debug, Clone)]
pub struct Typical {
    p: f32,
    min_keep: usize,
    // (distance, rank by logit, candidate); reused.
    scored: Vec<(f32, usize, Candidate)>,
}

impl Typical {
    /// `p = 1` turns the step off.
    ///
    /// # Errors
    /// `p` must be in 0..=1.
    pub fn new(p: f32, min_keep: usize) -> Result<Self, SamplerError> {
        check((0.0..=1.0).contains(&p), "typical", "p", "in 0..=1", p)?;
        Ok(Typical { p, min_keep, scored: Vec::new() })
    }
}

impl Step for Typical {
    fn apply(&mut self, c: &mut Candidates) {
        if self.p >= 1.0 || c.is_empty() {
            return;
        }
        c.sort();
        c.softmax();
        let items = c.as_slice();
        // p ln(p) goes to 0 with p: candidates without probability add nothing.
        let plogp = |p: f64| if p > 0.0 { p * math::ln(p) } else { 0.0 };
        let entropy = -items.iter().map(|x| plogp(f64::from(x.p))).sum::<f64>();
        self.scored.clear();
        self.scored.extend(items.iter().enumerate().map(|(rank, x)| {
            let distance =
                if x.p > 0.0 { (-math::ln(f64::from(x.p)) - entropy).abs() } else { f64::INFINITY };
            (distance as f32, rank, *x)
        }));
        self.scored.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut sum = 0.0f32;
        let mut keep = self.scored.len();
        for (i, (_, _, x)) in self.scored.iter().enumerate() {
            sum += x.p;
            if sum > self.p && i + 1 >= self.min_keep {
                keep = i + 1;
                break;
            }
        }
        c.replace(self.scored.iter().take(keep).map(|s| s.2));
    }
}
