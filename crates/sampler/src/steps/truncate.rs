//! Steps that cut the list by rank, by probability mass, or by distance from the best logit.

use super::{Checked, Step, StepParams, boxed};
use crate::error::check;
use crate::parameters::parameters;
use crate::{Candidates, SamplerError, math};

parameters! {
    /// Keeps the `k` best candidates, sorted.
    pub struct TopK {
        /// Keep this many of the most probable tokens. 0 keeps all. Default: 40.
        pub k: usize = 40 => serde(deserialize_with = "crate::parameters::json::count"),
    }
}

impl From<usize> for TopK {
    fn from(k: usize) -> Self {
        TopK { k }
    }
}

impl StepParams for TopK {
    fn is_neutral(&self) -> bool {
        self.k == 0
    }

    fn keeps_best(&self) -> bool {
        true
    }

    fn build(&self) -> Result<Box<dyn Step>, SamplerError> {
        boxed(Checked(self.clone()))
    }
}

impl Step for Checked<TopK> {
    fn apply(&mut self, c: &mut Candidates) {
        if self.0.k > 0 {
            c.keep_best(self.0.k);
        }
    }
}

parameters! {
    /// Keeps the shortest head of the sorted list whose probabilities add up to at least `p` (nucleus sampling, Holtzman et
    /// al. 2019, <https://arxiv.org/abs/1904.09751>), and at least `min_keep` candidates.
    pub struct TopP {
        /// Keep the most probable tokens until their probabilities add up to this. From 0 to 1; 1 keeps all. Default: 0.95.
        pub p: f32 = 0.95,
        /// Minimum number of tokens to keep. 0 counts as 1. Default: 1.
        pub min_keep: usize = 1 => serde(default),
    }
}

impl From<f32> for TopP {
    fn from(p: f32) -> Self {
        TopP { p, ..TopP::default() }
    }
}

impl StepParams for TopP {
    fn is_neutral(&self) -> bool {
        self.p == 1.0
    }

    fn keeps_best(&self) -> bool {
        true
    }

    fn keep_at_least(&mut self, n: usize) {
        self.min_keep = self.min_keep.max(n);
    }

    fn build(&self) -> Result<Box<dyn Step>, SamplerError> {
        check((0.0..=1.0).contains(&self.p), "top_p", "p", "in 0..=1", self.p)?;
        boxed(Checked(self.clone()))
    }
}

impl Step for Checked<TopP> {
    fn apply(&mut self, c: &mut Candidates) {
        if self.0.p >= 1.0 || c.is_empty() {
            return;
        }
        c.keep_mass(self.0.p, self.0.min_keep);
    }
}

parameters! {
    /// Keeps the candidates whose probability is at least `p` times the best one's, and at least `min_keep` candidates
    /// (<https://arxiv.org/abs/2407.01082>). Needs no softmax: `logit >= max + ln(p)`.
    pub struct MinP {
        /// Keep tokens whose probability is at least this share of the best one's. From 0 to 1; 0 keeps all. Default: 0.05.
        pub p: f32 = 0.05,
        /// Minimum number of tokens to keep. 0 counts as 1. Default: 1.
        pub min_keep: usize = 1 => serde(default),
    }
}

impl From<f32> for MinP {
    fn from(p: f32) -> Self {
        MinP { p, ..MinP::default() }
    }
}

impl StepParams for MinP {
    fn is_neutral(&self) -> bool {
        self.p == 0.0
    }

    fn keeps_best(&self) -> bool {
        true
    }

    fn keep_at_least(&mut self, n: usize) {
        self.min_keep = self.min_keep.max(n);
    }

    fn build(&self) -> Result<Box<dyn Step>, SamplerError> {
        let p = self.p;
        check((0.0..=1.0).contains(&p), "min_p", "p", "in 0..=1", p)?;
        let ln_p = if p > 0.0 { math::ln(f64::from(p)) as f32 } else { f32::NEG_INFINITY };
        boxed(KeepFrom { ln_p, min_keep: self.min_keep.max(1) })
    }
}

/// Min-p, with the logarithm of `p`.
#[derive(Clone)]
struct KeepFrom {
    ln_p: f32,
    min_keep: usize,
}

impl Step for KeepFrom {
    fn apply(&mut self, c: &mut Candidates) {
        if self.ln_p == f32::NEG_INFINITY || c.is_empty() {
            return;
        }
        let bar = c.max_logit() + self.ln_p;
        if !c.keep_from(bar, self.min_keep) {
            c.keep_best(self.min_keep);
        }
    }
}

parameters! {
    /// Excludes the logits below `max - n * sigma` by setting them to -inf, where sigma is the standard deviation of
    /// the logits that are not excluded yet (<https://arxiv.org/abs/2411.07641>).
    pub struct TopNSigma {
        /// Keep tokens whose logit is at most this many standard deviations below the best one. At least 0; 0 keeps all.
        /// Default: 0.
        pub n: f32 = 0.0 => serde(deserialize_with = "crate::parameters::json::at_least_0"),
    }
}

impl From<f32> for TopNSigma {
    fn from(n: f32) -> Self {
        TopNSigma { n }
    }
}

impl StepParams for TopNSigma {
    fn is_neutral(&self) -> bool {
        self.n == 0.0
    }

    fn keeps_best(&self) -> bool {
        true
    }

    fn build(&self) -> Result<Box<dyn Step>, SamplerError> {
        check(self.n.is_finite() && self.n >= 0.0, "top_n_sigma", "n", "finite and at least 0", self.n)?;
        boxed(Checked(self.clone()))
    }
}

impl Step for Checked<TopNSigma> {
    fn apply(&mut self, c: &mut Candidates) {
        if self.0.n <= 0.0 || c.len() <= 1 {
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
        let bar = (f64::from(c.max_logit()) - f64::from(self.0.n) * sigma) as f32;
        c.map_monotone(|_, l| if l < bar { f32::NEG_INFINITY } else { l });
    }
}
