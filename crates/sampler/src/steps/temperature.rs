//! Temperature, fixed or dependent on the entropy.

use super::{Checked, Step, StepParams, boxed};
use crate::error::check;
use crate::parameters::parameters;
use crate::{Candidates, SamplerError, math};

/// Divides the logits by `t`. If `t` is 0, or so small that the best logit would overflow, all but the best candidate
/// are excluded: their logits become -inf, and they stay in the list.
pub(crate) fn divide(c: &mut Candidates, t: f32) {
    let divides = t > 0.0 && {
        let best = c.max_logit();
        best == f32::NEG_INFINITY || (best / t).is_finite()
    };
    if divides {
        c.map_monotone(|_, l| l / t);
    } else {
        c.mask_all_but_best();
    }
}

parameters! {
    /// Divides the logits by a fixed temperature or one that depends on the entropy (llama.cpp: `temp`, `temp_ext`,
    /// "dynatemp"). With `H` the entropy of the softmax divided by its maximum `ln(n)`, the dynamic temperature is `lo
    /// + (hi - lo) * H^exponent`, where `lo = max(0, t - delta)` and `hi = t + delta`.
    pub struct Temperature {
        /// Divide the logits by this. At least 0; 0 always takes the best token, 1 changes nothing. Default: 0.8.
        pub t: f32 = 0.8 => serde(deserialize_with = "crate::parameters::json::at_least_0"),
        /// Let the temperature follow the entropy, between the temperature minus and plus this. At least 0; 0 keeps it fixed.
        /// Default: 0.
        pub delta: f32 = 0.0 => serde(default, deserialize_with = "crate::parameters::json::at_least_0"),
        /// Exponent of the entropy for the dynamic temperature. At least 0. Default: 1.
        pub exponent: f32 = 1.0 => serde(default = "crate::parameters::json::one"),
    }
}

impl From<f32> for Temperature {
    fn from(t: f32) -> Self {
        Temperature { t, ..Temperature::default() }
    }
}

impl StepParams for Temperature {
    fn keeps_best(&self) -> bool {
        true
    }

    fn build(&self) -> Result<Box<dyn Step>, SamplerError> {
        for (name, x) in [("t", self.t), ("delta", self.delta), ("exponent", self.exponent)] {
            check(x.is_finite() && x >= 0.0, "temperature", name, "finite and at least 0", x)?;
        }
        boxed(Checked(self.clone()))
    }
}

impl Step for Checked<Temperature> {
    fn apply(&mut self, c: &mut Candidates) {
        if self.0.delta <= 0.0 {
            return divide(c, self.0.t);
        }
        let n = c.len();
        if n <= 1 {
            return;
        }
        let lo = f64::from((self.0.t - self.0.delta).max(0.0));
        let hi = f64::from(self.0.t + self.0.delta);
        c.sort();
        c.softmax();
        let plogp = |p: f64| if p > 0.0 { p * math::ln(p) } else { 0.0 };
        let entropy = -c.as_slice().iter().map(|x| plogp(f64::from(x.p))).sum::<f64>();
        let normalized = (entropy / math::ln(n as f64)).max(0.0);
        let t = lo + (hi - lo) * math::pow(normalized, f64::from(self.0.exponent));
        divide(c, t as f32);
        c.softmax();
    }
}
