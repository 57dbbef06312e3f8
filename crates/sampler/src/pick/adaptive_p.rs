//! Adaptive-p: prefers tokens whose probability is near a target, which adapts to earlier choices.
//!
//! ```text
//! target'   = clamp(2 target - weighted / total, 0, 1)       weighted, total: decaying sums of the chosen probabilities and of 1
//! d         = |p - target'| / 0.3
//! weight    = exp(-10 d d / (1 + d));  draw;  when the token is accepted:
//! weighted  = p + decay weighted;  total = 1 + decay total   p: its probability before weighting
//! ```
//! Both sums start where they would stand if the target had always been met. Source: llama.cpp
//! `llama_sampler_adaptive_p_apply` (pull request 17927), whose constants these are.

use super::{Pick, draw};
use crate::error::check;
use crate::parameters::parameters;
use crate::{Candidates, Rng, SamplerError, SavedState, TokenId, math};

/// Distance from the target that counts as one.
const WIDTH: f64 = 0.3;

/// How steeply far probabilities are suppressed.
const SHARPNESS: f64 = 10.0;

parameters! {
    /// Adaptive-p. It should follow a min-p or another cut, because it favors a token of either side of the target alike.
    ///
    /// In Rust an ordinary draw is a target of `None`, and `Some` takes 0 to 1 only. Command line, C, Java and Dart write `None` as
    /// -1.
    pub struct AdaptiveP {
        /// Prefer tokens whose probability is near this (adaptive-p). From 0 to 1; below 0 is an ordinary draw. Default: -1.
        pub target: Option<f32> = None,
        /// Weight of the past in adaptive-p's average of its choices: 0.9 averages over about 10 tokens, 0.99 over about
        /// 100. From 0 to 0.99. Default: 0.9.
        pub decay: f32 = 0.9,
    }
}

impl AdaptiveP {
    /// Makes the pick, with seed 0; `None` without a target.
    ///
    /// # Errors
    /// `target` must be in 0..=1, `decay` in 0..=0.99.
    pub fn build(&self) -> Result<Option<Box<dyn Pick>>, SamplerError> {
        let Some(target) = self.target else { return Ok(None) };
        Ok(Some(Box::new(NearTarget::new(target, self.decay)?)))
    }
}

/// The pick, with its record of past choices.
#[derive(Debug, Clone)]
struct NearTarget {
    target: f64,
    decay: f64,
    weighted: f64,
    total: f64,
    // The token that was drawn and not accepted yet, with its probability.
    pending: Option<(TokenId, f64)>,
    seed: u64,
    rng: Rng,
}

impl NearTarget {
    fn new(target: f32, decay: f32) -> Result<Self, SamplerError> {
        check((0.0..=1.0).contains(&target), "adaptive_p", "target", "in 0..=1", target)?;
        check((0.0..=0.99).contains(&decay), "adaptive_p", "decay", "in 0..=0.99", decay)?;
        let (target, decay, rng) = (f64::from(target), f64::from(decay), Rng::new(0));
        let mut pick = NearTarget { target, decay, weighted: 0.0, total: 0.0, pending: None, seed: 0, rng };
        pick.reset();
        Ok(pick)
    }

    fn adapted_target(&self) -> f64 {
        (2.0 * self.target - self.weighted / self.total).clamp(0.0, 1.0)
    }
}

impl Pick for NearTarget {
    fn pick(&mut self, c: &mut Candidates) -> Option<TokenId> {
        c.softmax();
        let target = self.adapted_target();
        let weight = |x: &crate::Candidate| {
            let d = (f64::from(x.p) - target).abs() / WIDTH;
            // NaN can only come from a custom step; such a candidate has no weight.
            if x.logit > f32::NEG_INFINITY { math::exp(-SHARPNESS * d * d / (1.0 + d)) } else { 0.0 }
        };
        let drawn = draw(c.as_slice(), &mut self.rng, weight).map(|x| (x.id, f64::from(x.p)));
        self.pending = drawn;
        drawn.map(|(id, _)| id)
    }

    fn accept(&mut self, t: TokenId) {
        // A token that was forced or read from the prompt says nothing about the choice.
        if let Some((id, p)) = self.pending.take()
            && id == t
        {
            self.weighted = p + self.decay * self.weighted;
            self.total = 1.0 + self.decay * self.total;
        }
    }

    fn reset(&mut self) {
        self.total = 1.0 / (1.0 - self.decay);
        self.weighted = self.target * self.total;
        self.pending = None;
        self.rng = Rng::new(self.seed);
    }

    fn seed(&mut self, seed: u64) {
        self.seed = seed;
        self.reset();
    }

    fn state(&self, add: &mut dyn FnMut(u64)) {
        let sums = [self.weighted.to_bits(), self.total.to_bits()];
        sums.into_iter().chain(self.rng.state()).for_each(add);
    }

    fn set_state(&mut self, saved: &mut SavedState<'_>) -> Option<()> {
        (self.weighted, self.total, self.rng) = (saved.float()?, saved.float()?, saved.rng()?);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(logits: &[f32]) -> Candidates {
        let mut c = Candidates::new();
        c.fill(logits).unwrap();
        c
    }

    #[test]
    fn prefers_the_target() {
        let logits: Vec<f32> = [0.6f64, 0.3, 0.1].map(|p| math::ln(p) as f32).to_vec();
        // Weights by hand, with the given target for the first choice: d = |p - target| / 0.3.
        let weight = |p: f64, target: f64| {
            let d = (p - target).abs() / 0.3;
            (-10.0 * d * d / (1.0 + d)).exp()
        };
        for target in [0.1f32, 0.3, 0.6, 1.0] {
            let mut counts = [0.0f64; 3];
            let mut pick = NearTarget::new(target, 0.9).unwrap();
            pick.seed(5);
            for _ in 0..4000 {
                // Nothing is accepted, so the target stays.
                counts[pick.pick(&mut fill(&logits)).unwrap() as usize] += 1.0 / 4000.0;
            }
            let weights = [0.6, 0.3, 0.1].map(|p| weight(p, f64::from(target)));
            let sum: f64 = weights.iter().sum();
            for (got, w) in counts.iter().zip(weights) {
                assert!((got - w / sum).abs() < 0.03, "target {target}: {counts:?}, weights {weights:?}");
            }
        }
    }

    #[test]
    fn the_target_follows_what_was_accepted() {
        let logits: Vec<f32> = [0.9f64, 0.1].map(|p| math::ln(p) as f32).to_vec();
        let mut pick = NearTarget::new(0.5, 0.5).unwrap();
        pick.seed(1);
        assert_eq!(pick.adapted_target(), 0.5);
        let token = pick.pick(&mut fill(&logits)).unwrap();
        // Accepting another token than the drawn one changes nothing, and discards the draw.
        pick.accept(token + 1);
        pick.accept(token);
        assert_eq!(pick.adapted_target(), 0.5);
        let token = pick.pick(&mut fill(&logits)).unwrap();
        pick.accept(token);
        let p = [0.9, 0.1][token as usize];
        // weighted = p + 0.5 * 1, total = 1 + 0.5 * 2.
        assert!((pick.adapted_target() - (1.0 - (p + 0.5) / 2.0)).abs() < 1e-6);
        pick.reset();
        assert_eq!(pick.adapted_target(), 0.5);
    }
}
