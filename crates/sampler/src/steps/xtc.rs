//! XTC: exclude top choices.

use super::{Step, StepParams, boxed};
use crate::error::check;
use crate::parameters::parameters;
use crate::{Candidates, Rng, SamplerError, SavedState};

parameters! {
    /// With chance `probability`, removes every candidate with `p >= threshold` except the least probable of them (XTC;
    /// llama.cpp `llama_sampler_init_xtc`). Does so only if at least `min_keep` candidates remain.
    pub struct Xtc {
        /// Probability that all top choices except for the least probable one are excluded (XTC). From 0 to 1; 0 turns
        /// XTC off. Default: 0.
        pub probability: f32 = 0.0,
        /// Minimum probability of a top choice. Tokens at or above it are candidates for exclusion; values above 0.5 turn XTC
        /// off. From 0 to 1. Default: 0.1.
        pub threshold: f32 = 0.1,
        /// Minimum number of tokens to keep. 0 counts as 1. Default: 1.
        pub min_keep: usize = 1 => serde(default),
        /// Seed of the step's random numbers. A sampler replaces it with its own seed. Default: 0.
        pub seed: u64 = 0 => serde(default),
    }
}

// Separates the random numbers of this step from those of the draw, which has the same seed.
const STREAM: u64 = 0x5854_4300_0000_0000;

impl StepParams for Xtc {
    fn is_neutral(&self) -> bool {
        self.probability == 0.0
    }

    fn keeps_best(&self) -> bool {
        self.probability == 0.0
    }

    fn keep_at_least(&mut self, n: usize) {
        self.min_keep = self.min_keep.max(n);
    }

    fn build(&self) -> Result<Box<dyn Step>, SamplerError> {
        for (name, x) in [("probability", self.probability), ("threshold", self.threshold)] {
            check((0.0..=1.0).contains(&x), "xtc", name, "in 0..=1", x)?;
        }
        boxed(Exclude { rng: Rng::new(self.seed ^ STREAM), params: self.clone() })
    }
}

/// The step, with its random numbers.
#[derive(Clone)]
struct Exclude {
    params: Xtc,
    rng: Rng,
}

impl Step for Exclude {
    fn apply(&mut self, c: &mut Candidates) {
        if self.params.probability <= 0.0 || self.params.threshold > 0.5 || c.len() < 2 {
            return;
        }
        if self.rng.next_f64() > f64::from(self.params.probability) {
            return;
        }
        c.sort();
        c.softmax();
        let above = c.as_slice().iter().take_while(|x| x.p >= self.params.threshold).count();
        let drop = above.saturating_sub(1);
        if drop > 0 && c.len() - drop >= self.params.min_keep {
            c.drop_first(drop);
        }
    }

    fn reset(&mut self) {
        self.rng = Rng::new(self.params.seed ^ STREAM);
    }

    fn seed(&mut self, seed: u64) {
        self.params.seed = seed;
        self.reset();
    }

    fn state(&self, add: &mut dyn FnMut(u64)) {
        self.rng.state().into_iter().for_each(add);
    }

    fn set_state(&mut self, saved: &mut SavedState<'_>) -> Option<()> {
        self.rng = saved.rng()?;
        Some(())
    }
}
