//! Locally typical sampling.

use super::{Step, StepParams, boxed};
use crate::candidates::best_first;
use crate::error::check;
use crate::parameters::parameters;
use crate::{Candidate, Candidates, SamplerError};

parameters! {
    /// Keeps the candidates whose surprise `-ln(p)` is nearest to the entropy, until their probabilities exceed `p`,
    /// and at least `min_keep` candidates (Meister et al. 2022, <https://arxiv.org/abs/2202.00666>). The list is left
    /// in order of that distance; equal distances are ordered by logit descending, then id ascending.
    pub struct Typical {
        /// Keep the tokens whose surprise is nearest to the entropy, until their probabilities add up to this. From 0 to 1; 1
        /// keeps all. Default: 1.
        pub p: f32 = 1.0,
        /// Minimum number of tokens to keep. 0 counts as 1. Default: 1.
        pub min_keep: usize = 1 => serde(default),
    }
}

impl From<f32> for Typical {
    fn from(p: f32) -> Self {
        Typical { p, ..Typical::default() }
    }
}

impl StepParams for Typical {
    fn is_neutral(&self) -> bool {
        self.p == 1.0
    }

    fn keeps_best(&self) -> bool {
        self.p == 1.0
    }

    fn keep_at_least(&mut self, n: usize) {
        self.min_keep = self.min_keep.max(n);
    }

    fn build(&self) -> Result<Box<dyn Step>, SamplerError> {
        check((0.0..=1.0).contains(&self.p), "typical", "p", "in 0..=1", self.p)?;
        boxed(KeepTypical { p: self.p, min_keep: self.min_keep, scored: Vec::new() })
    }
}

/// The step, with its buffer.
#[derive(Clone)]
struct KeepTypical {
    p: f32,
    min_keep: usize,
    // (distance, candidate), reused.
    scored: Vec<(f32, Candidate)>,
}

impl Step for KeepTypical {
    fn apply(&mut self, c: &mut Candidates) {
        if self.p >= 1.0 || c.is_empty() {
            return;
        }
        let Some(total) = c.total() else { return c.sort() };
        let entropy = total.entropy();
        self.scored.clear();
        self.scored.extend(c.iter().map(|(id, logit)| {
            let distance = (total.surprise(logit) - entropy).abs() as f32;
            (distance, Candidate { id, logit, p: 0.0 })
        }));
        let order = |a: &(f32, Candidate), b: &(f32, Candidate)| {
            a.0.total_cmp(&b.0).then_with(|| best_first(&a.1, &b.1))
        };
        // A long list is sorted only as far as the sum needs: 256 candidates first, then eight times as many, and so
        // on.
        let (mut sum, mut sorted, mut chunk) = (0.0f32, 0, 256);
        let keep = 'kept: loop {
            let rest = self.scored.get_mut(sorted..).unwrap_or_default();
            let n = chunk.min(rest.len());
            if n == 0 {
                break sorted;
            }
            if n < rest.len() {
                rest.select_nth_unstable_by(n - 1, order);
            }
            let (head, _) = rest.split_at_mut(n);
            head.sort_unstable_by(order);
            for (_, x) in head {
                x.p = total.p(x.logit);
                sum += x.p;
                sorted += 1;
                if sum > self.p && sorted >= self.min_keep {
                    break 'kept sorted;
                }
            }
            chunk *= 8;
        };
        c.replace(self.scored.iter().take(keep).map(|s| s.1));
    }
}
