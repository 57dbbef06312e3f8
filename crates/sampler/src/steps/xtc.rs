//! Exclude top choices.

use super::Step;
use crate::error::check;
use crate::{Candidates, Rng, SamplerError};

/// With chance `probability`, removes every candidate with `p >= threshold` but the last of them (XTC; llama.cpp
/// `llama_sampler_init_xtc`). Only if at least `min_keep` remain.
#[derive(Debug, Clone)]
pub struct Xtc {
    probability: f32,
    threshold: f32,
    min_keep: usize,
    seed: u64,
    rng: Rng,
}

// Keeps the chance of this step apart from the draw of the token, which has the same seed.
const STREAM: u64 = 0x5854_4300_0000_0000;

impl Xtc {
    /// `probability = 0` or a threshold over 0.5 turns the step off.
    ///
    /// # Errors
    /// `probability` and `threshold` must be in 0..=1.
    pub fn new(probability: f32, threshold: f32, min_keep: usize, seed: u64) -> Result<Self, SamplerError> {
        check((0.0..=1.0).contains(&probability), "xtc", "probability", "in 0..=1", probability)?;
        check((0.0..=1.0).contains(&threshold), "xtc", "threshold", "in 0..=1", threshold)?;
        Ok(Xtc { probability, threshold, min_keep, seed, rng: Rng::new(seed ^ STREAM) })
    }
}

impl Step for Xtc {
    fn apply(&mut self, c: &mut Candidates) {
        if self.probability <= 0.0 || self.threshold > 0.5 || c.len() < 2 {
            return;
        }
        if self.rng.next_f64() > f64::from(self.probability) {
            return;
        }
        c.sort();
        c.softmax();
        let above = c.as_slice().iter().take_while(|x| x.p >= self.threshold).count();
        let drop = above.saturating_sub(1);
        if drop > 0 && c.len() - drop >= self.min_keep {
            c.drop_first(drop);
        }
    }

    fn reset(&mut self) {
        self.rng = Rng::new(self.seed ^ STREAM);
    }

    fn seed(&mut self, seed: u64) {
        self.seed = seed;
        self.reset();
    }
}
