//! Mirostat: cuts and draws so that the surprise of the text stays near a target.
//!
//! ```text
//! mu = 2 tau
//! each token:  version 1:  s  = sum(t b) / sum(t t) over the best 100,  t = ln((i + 2) / (i + 1)),  b = ln(p[i] / p[i + 1])
//!                          k  = ((s - 1) 2^mu / (1 - N^(1 - s)))^(1 / s);  keep the best max(k, 1);  N = vocabulary
//!              version 2:  keep the tokens with -log2(p) <= mu, or the best one
//!              draw from the softmax of what is left;  mu -= eta (-log2(p of the token) - tau)
//! ```
//! Source: Basu, Ramachandran, Keskar and Varshney 2021, "Mirostat" (<https://arxiv.org/abs/2007.14966>); llama.cpp
//! `llama_sampler_mirostat_apply` and `llama_sampler_mirostat_v2_apply`. This differs from them by computing in f64,
//! and where those formulas divide by 0 (see `rank_limit`).

use super::{Pick, draw};
use crate::error::check;
use crate::parameters::parameters;
use crate::{Candidates, Rng, SamplerError, SavedState, TokenId, math};

/// The number of candidates from which version 1 estimates the slope.
const HEAD: usize = 100;

/// The version of [`Mirostat`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub enum MirostatVersion {
    /// An ordinary draw.
    #[default]
    Off,
    /// Version 1, which estimates how many tokens to keep.
    V1,
    /// Version 2, which cuts by surprise.
    V2,
}

parameters! {
    /// Mirostat. It replaces top-k and other cuts, so give it all candidates.
    pub struct Mirostat {
        /// Version of Mirostat, which replaces all steps but temperature and logit bias: 1 or 2. 0 turns it off. Default: 0.
        pub version: MirostatVersion = MirostatVersion::Off,
        /// Target surprise of Mirostat in bits (tau). At least 0. Default: 5.
        pub tau: f32 = 5.0,
        /// Learning rate of Mirostat (eta). At least 0. Default: 0.1.
        pub eta: f32 = 0.1,
    }
}

impl Mirostat {
    /// Makes the pick, with seed 0; `None` if the version is `Off`.
    ///
    /// # Errors
    /// `tau` and `eta` must be finite and at least 0.
    pub fn build(&self) -> Result<Option<Box<dyn Pick>>, SamplerError> {
        Ok(match self.version {
            MirostatVersion::Off => None,
            MirostatVersion::V1 => Some(Box::new(V1(Control::new("mirostat", self)?))),
            MirostatVersion::V2 => Some(Box::new(V2(Control::new("mirostat_v2", self)?))),
        })
    }
}

/// The part that both versions share: the draw after the cut.
#[derive(Debug, Clone)]
struct Control {
    tau: f64,
    eta: f64,
    mu: f64,
    seed: u64,
    rng: Rng,
}

impl Control {
    fn new(step: &'static str, params: &Mirostat) -> Result<Self, SamplerError> {
        for (name, x) in [("tau", params.tau), ("eta", params.eta)] {
            check(x.is_finite() && x >= 0.0, step, name, "finite and at least 0", x)?;
        }
        let (tau, eta) = (f64::from(params.tau), f64::from(params.eta));
        Ok(Control { tau, eta, mu: 2.0 * tau, seed: 0, rng: Rng::new(0) })
    }

    fn reset(&mut self) {
        (self.mu, self.rng) = (2.0 * self.tau, Rng::new(self.seed));
    }

    /// Draws, and moves mu towards the target.
    fn draw(&mut self, c: &mut Candidates) -> Option<TokenId> {
        c.sort();
        c.softmax();
        let drawn = draw(c.as_slice(), &mut self.rng, |x| f64::from(x.p))?;
        let surprise = -math::log2(f64::from(drawn.p));
        self.mu -= self.eta * (surprise - self.tau);
        Some(drawn.id)
    }

    fn state(&self, add: &mut dyn FnMut(u64)) {
        [self.mu.to_bits()].into_iter().chain(self.rng.state()).for_each(add);
    }

    fn set_state(&mut self, saved: &mut SavedState<'_>) -> Option<()> {
        (self.mu, self.rng) = (saved.float()?, saved.rng()?);
        Some(())
    }
}

/// Version 1.
#[derive(Debug, Clone)]
struct V1(Control);

impl V1 {
    /// How many candidates to keep.
    fn rank_limit(&self, c: &mut Candidates) -> usize {
        let n = c.vocab_size() as f64;
        let (tb, tt) = c.with_best(HEAD, |head| {
            let (mut tb, mut tt) = (0.0, 0.0);
            for (i, pair) in head.windows(2).enumerate() {
                let [a, b] = pair else { break };
                // ln(p / 0): excluded candidates say nothing about the slope.
                if b.logit == f32::NEG_INFINITY {
                    break;
                }
                let t = math::ln((i + 2) as f64 / (i + 1) as f64);
                tb += t * (f64::from(a.logit) - f64::from(b.logit));
                tt += t * t;
            }
            (tb, tt)
        });
        if tt == 0.0 {
            return 1;
        }
        let s = tb / tt;
        let power = math::pow(2.0, self.0.mu);
        // At s = 1 numerator and denominator are both 0; this is the limit. At s = 0 the exponent is infinite, and so
        // is the result unless the base is below 1.
        let base =
            if s == 1.0 { power / math::ln(n) } else { (s - 1.0) * power / (1.0 - math::pow(n, 1.0 - s)) };
        // The cast saturates, and turns NaN into 0.
        (math::pow(base, 1.0 / s) as usize).max(1)
    }
}

impl Pick for V1 {
    fn pick(&mut self, c: &mut Candidates) -> Option<TokenId> {
        let k = self.rank_limit(c);
        c.keep_best(k);
        self.0.draw(c)
    }

    fn reset(&mut self) {
        self.0.reset();
    }

    fn seed(&mut self, seed: u64) {
        self.0.seed = seed;
        self.0.reset();
    }

    fn state(&self, add: &mut dyn FnMut(u64)) {
        self.0.state(add);
    }

    fn set_state(&mut self, saved: &mut SavedState<'_>) -> Option<()> {
        self.0.set_state(saved)
    }
}

/// Version 2.
#[derive(Debug, Clone)]
struct V2(Control);

impl Pick for V2 {
    fn pick(&mut self, c: &mut Candidates) -> Option<TokenId> {
        let total = c.total()?;
        let (best, _) = c.best()?;
        // The same as -log2(p) <= mu, without a logarithm per candidate, and without probabilities for those far from
        // it.
        let least = math::pow(2.0, -self.0.mu);
        c.keep_from(total.logit_below(least), 1);
        c.set_probabilities(&total);
        c.retain(|x| f64::from(x.p) >= least || x.id == best);
        self.0.draw(c)
    }

    fn reset(&mut self) {
        self.0.reset();
    }

    fn seed(&mut self, seed: u64) {
        self.0.seed = seed;
        self.0.reset();
    }

    fn state(&self, add: &mut dyn FnMut(u64)) {
        self.0.state(add);
    }

    fn set_state(&mut self, saved: &mut SavedState<'_>) -> Option<()> {
        self.0.set_state(saved)
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

    fn control(tau: f32, eta: f32, seed: u64) -> Control {
        let mut control = Control::new("mirostat", &Mirostat { tau, eta, ..Mirostat::default() }).unwrap();
        control.seed = seed;
        control.reset();
        control
    }

    /// Zipf's law with exponent s gives exactly the slope s, for which the formula's k is known in closed form.
    #[test]
    fn version_1_keeps_as_many_as_the_formula_says() {
        let n = 5000;
        let mut wrong = Vec::new();
        for (s, tau, expect) in [
            // k = ((s - 1) 2^(2 tau) / (1 - 5000^(1 - s)))^(1 / s), computed separately.
            (1.5f64, 1.0f32, 1),
            (1.5, 3.0, 10),
            (1.5, 5.0, 64),
            (0.5, 3.0, 1),
            (0.5, 6.0, 863),
            (2.0, 4.0, 16),
            // The limit at s = 1: 2^(2 tau) / ln(5000).
            (1.0, 4.0, 30),
        ] {
            let logits: Vec<f32> = (1..=n).map(|r| (-s * math::ln(f64::from(r))) as f32).collect();
            let k = V1(control(tau, 0.1, 0)).rank_limit(&mut fill(&logits));
            if k != expect {
                wrong.push(format!("s {s} tau {tau}: {k}, expected {expect}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn version_2_cuts_by_surprise_and_learns() {
        // Surprises of 1, 2, 3 and 3 bits; mu = 4, 2, 1: all, two, one candidate.
        let logits: Vec<f32> = [0.5f64, 0.25, 0.125, 0.125].map(|p| math::ln(p) as f32).to_vec();
        for (tau, left, p) in [(2.0, 4, 0.5), (1.0, 2, 2.0 / 3.0), (0.5, 1, 1.0f32), (0.0, 1, 1.0)] {
            let mut pick = V2(control(tau, 0.25, 7));
            let mut c = fill(&logits);
            let token = pick.pick(&mut c).unwrap();
            assert_eq!(c.len(), left, "tau {tau}");
            assert!((c.as_slice()[0].p - p).abs() < 1e-6, "tau {tau}");
            let p = c.as_slice().iter().find(|x| x.id == token).unwrap().p;
            let expect = 2.0 * tau - 0.25 * (-p.log2() - tau);
            assert!((pick.0.mu - f64::from(expect)).abs() < 1e-6, "tau {tau}: mu {}", pick.0.mu);
            pick.reset();
            assert_eq!(pick.0.mu, f64::from(2.0 * tau));
        }
    }

    /// The purpose of the algorithm.
    #[test]
    fn the_mean_surprise_is_near_the_target() {
        let logits: Vec<f32> = (1..=1000).map(|r| (-1.1 * math::ln(f64::from(r))) as f32).collect();
        for tau in [2.0f32, 3.0, 4.0] {
            let picks: [Box<dyn Pick>; 2] =
                [Box::new(V1(control(tau, 0.1, 3))), Box::new(V2(control(tau, 0.1, 3)))];
            for (version, mut pick) in (1..).zip(picks) {
                let mut sum = 0.0;
                for _ in 0..400 {
                    let mut c = fill(&logits);
                    let token = pick.pick(&mut c).unwrap();
                    let p = c.as_slice().iter().find(|x| x.id == token).unwrap().p;
                    sum -= f64::from(p.log2());
                }
                let mean = sum / 400.0;
                assert!((mean - f64::from(tau)).abs() < 0.3, "version {version} tau {tau}: {mean}");
            }
        }
    }
}
