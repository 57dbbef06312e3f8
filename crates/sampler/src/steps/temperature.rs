//! Temperature, fixed and by entropy.

use super::Step;
use crate::error::check;
use crate::{Candidates, SamplerError, math};

/// Divides the logits by `t`. With `t = 0`, or so small that the best logit would overflow, all but the best candidate are
/// excluded (their logits become -inf; they stay in the list).
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

/// Divides all logits by the temperature; 0 leaves only the best candidate.
#[derive(Debug, Clone)]
pub struct Temperature {
    t: f32,
}

impl Temperature {
    /// # Errors
    /// `t` must be finite and at least 0.
    pub fn new(t: f32) -> Result<Self, SamplerError> {
        check(t.is_finite() && t >= 0.0, "temperature", "t", "finite and at least 0", t)?;
        Ok(Temperature { t })
    }
}

impl Step for Temperature {
    fn apply(&mut self, c: &mut Candidates) {
        divide(c, self.t);
    }
}

/// Entropy-dependent temperature (`temp_ext`, "dynatemp" in llama.cpp): with `H` the entropy of the softmax over its
/// maximum `ln(n)`, the temperature is `lo + (hi - lo) * H^exponent`, `lo = max(0, t - delta)`, `hi = t + delta`.
#[derive(Debug, Clone)]
pub struct DynamicTemperature {
    t: f32,
    delta: f32,
    exponent: f32,
}

impl DynamicTemperature {
    /// `delta = 0` is the fixed temperature.
    ///
    /// # Errors
    /// All must be finite and at least 0.
    pub fn new(t: f32, delta: f32, exponent: f32) -> Result<Self, SamplerError> {
        for (name, x) in [("t", t), ("delta", delta), ("exponent", exponent)] {
            check(x.is_finite() && x >= 0.0, "dynamic_temperature", name, "finite and at least 0", x)?;
        }
        Ok(DynamicTemperature { t, delta, exponent })
    }
}

impl Step for DynamicTemperature {
    fn apply(&mut self, c: &mut Candidates) {
        if self.delta <= 0.0 {
            return divide(c, self.t);
        }
        let n = c.len();
        if n <= 1 {
            return;
        }
        let lo = f64::from((self.t - self.delta).max(0.0));
        let hi = f64::from(self.t + self.delta);
        c.sort();
        c.softmax();
        let plogp = |p: f64| if p > 0.0 { p * math::ln(p) } else { 0.0 };
        let entropy = -c.as_slice().iter().map(|x| plogp(f64::from(x.p))).sum::<f64>();
        let normalized = (entropy / math::ln(n as f64)).max(0.0);
        let t = lo + (hi - lo) * math::pow(normalized, f64::from(self.exponent));
        divide(c, t as f32);
        c.softmax();
    }
}
