//! A chain of steps and a pick, and its builder.

use crate::candidates::argmax;
use crate::steps::{
    Dry, DynamicTemperature, LogitBias, MinP, Penalties, Step, Temperature, TopK, TopNSigma, TopP, Typical,
    Xtc,
};
use crate::{AdaptiveP, Candidates, Dist, Greedy, Mirostat, MirostatV2, Params, Pick, SamplerError, TokenId};

/// A chain of steps and a pick, with the buffers they work in. A clone has the same state and draws the same tokens.
pub struct Sampler {
    steps: Vec<Box<dyn Step>>,
    pick: Box<dyn Pick>,
    // No steps and `Greedy`: one pass over the logits, no buffers.
    only_greedy: bool,
    candidates: Candidates,
}

impl Sampler {
    /// A builder; its steps run in the order of the calls.
    pub fn builder() -> SamplerBuilder {
        SamplerBuilder { steps: Vec::new(), pick: None, greedy: false, seed: 0, error: None }
    }

    /// The highest logit, always.
    pub fn greedy() -> Self {
        Sampler {
            steps: Vec::new(),
            pick: Box::new(Greedy),
            only_greedy: true,
            candidates: Candidates::new(),
        }
    }

    /// Picks the next token from one row of logits (index = token id) and accepts it.
    ///
    /// # Errors
    /// An empty row, NaN or +inf, or steps that left nothing to pick from. A failed call accepts nothing, but may have
    /// drawn random numbers.
    pub fn sample(&mut self, logits: &[f32]) -> Result<TokenId, SamplerError> {
        let t = self.pick(logits)?;
        self.accept(t);
        Ok(t)
    }

    /// [`sample`](Self::sample) without accepting the token.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn pick(&mut self, logits: &[f32]) -> Result<TokenId, SamplerError> {
        let picked = if self.only_greedy {
            argmax(logits)?
        } else {
            self.apply(logits)?;
            self.pick.pick(&mut self.candidates)
        };
        picked.ok_or(SamplerError::NoCandidate { steps: self.steps.len() })
    }

    /// [`sample`](Self::sample) among the tokens that `allowed` holds for: the logits of all others are -inf before the
    /// first step.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn sample_among(
        &mut self,
        logits: &[f32],
        allowed: impl Fn(TokenId) -> bool,
    ) -> Result<TokenId, SamplerError> {
        self.candidates.fill(logits)?;
        self.candidates.map_logits(|t, logit| if allowed(t) { logit } else { f32::NEG_INFINITY });
        self.steps.iter_mut().for_each(|step| step.apply(&mut self.candidates));
        let picked = self.pick.pick(&mut self.candidates);
        let token = picked.ok_or(SamplerError::NoCandidate { steps: self.steps.len() })?;
        self.accept(token);
        Ok(token)
    }

    /// Runs the steps only, and returns what they leave.
    ///
    /// # Errors
    /// An empty row, NaN or +inf.
    pub fn apply(&mut self, logits: &[f32]) -> Result<&mut Candidates, SamplerError> {
        self.candidates.fill(logits)?;
        for step in &mut self.steps {
            step.apply(&mut self.candidates);
        }
        Ok(&mut self.candidates)
    }

    /// Tells the steps and the pick about a token that did not come from [`sample`](Self::sample): the prompt's, or one that
    /// was forced.
    pub fn accept(&mut self, t: TokenId) {
        self.steps.iter_mut().for_each(|s| s.accept(t));
        self.pick.accept(t);
    }

    /// Returns to the state after [`SamplerBuilder::build`]: no accepted tokens, random numbers from the start.
    pub fn reset(&mut self) {
        self.steps.iter_mut().for_each(|s| s.reset());
        self.pick.reset();
    }

    /// Sets the seed of the pick and of all steps, which start their random numbers over.
    pub fn seed(&mut self, seed: u64) {
        self.steps.iter_mut().for_each(|s| s.seed(seed));
        self.pick.seed(seed);
    }
}

impl Clone for Sampler {
    fn clone(&self) -> Self {
        Sampler {
            steps: self.steps.clone(),
            pick: self.pick.clone(),
            only_greedy: self.only_greedy,
            // Scratch only: the clone grows its own.
            candidates: Candidates::new(),
        }
    }
}

impl std::fmt::Debug for Sampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sampler")
            .field("steps", &self.steps.len())
            .field("only_greedy", &self.only_greedy)
            .finish()
    }
}

/// Builds a [`Sampler`]. Steps run in the order of the calls; the first wrong parameter is reported by
/// [`build`](Self::build). Without a pick, tokens are drawn by [`Dist`].
pub struct SamplerBuilder {
    steps: Vec<Box<dyn Step>>,
    pick: Option<Box<dyn Pick>>,
    greedy: bool,
    seed: u64,
    error: Option<SamplerError>,
}

impl SamplerBuilder {
    /// Appends a step of your own.
    pub fn step(mut self, step: impl Step + 'static) -> Self {
        self.steps.push(Box::new(step));
        self
    }

    /// Appends a step unless its parameters were wrong, which is noted.
    pub(crate) fn checked(self, step: Result<impl Step + 'static, SamplerError>) -> Self {
        match step {
            Ok(step) => self.step(step),
            Err(e) => self.failed(e),
        }
    }

    /// Appends [`Temperature`]: `t` finite and at least 0; 0 leaves only the best token.
    pub fn temperature(self, t: f32) -> Self {
        self.checked(Temperature::new(t))
    }

    /// Appends [`DynamicTemperature`].
    pub fn dynamic_temperature(self, t: f32, delta: f32, exponent: f32) -> Self {
        self.checked(DynamicTemperature::new(t, delta, exponent))
    }

    /// Appends [`TopK`]; 0 keeps all.
    pub fn top_k(self, k: usize) -> Self {
        self.step(TopK::new(k))
    }

    /// Appends [`TopP`] with at least one token kept: `p` in 0..=1.
    pub fn top_p(self, p: f32) -> Self {
        self.checked(TopP::new(p, 1))
    }

    /// Appends [`MinP`] with at least one token kept: `p` in 0..=1.
    pub fn min_p(self, p: f32) -> Self {
        self.checked(MinP::new(p, 1))
    }

    /// Appends [`Typical`] with at least one token kept: `p` in 0..=1.
    pub fn typical(self, p: f32) -> Self {
        self.checked(Typical::new(p, 1))
    }

    /// Appends [`TopNSigma`].
    pub fn top_n_sigma(self, n: f32) -> Self {
        self.checked(TopNSigma::new(n))
    }

    /// Appends [`Xtc`] with the sampler's seed.
    pub fn xtc(self, probability: f32, threshold: f32) -> Self {
        self.checked(Xtc::new(probability, threshold, 1, 0))
    }

    /// Appends [`Penalties`] over the last `last_n` accepted tokens.
    pub fn penalties(self, last_n: usize, repeat: f32, freq: f32, present: f32) -> Self {
        self.checked(Penalties::new(last_n, repeat, freq, present))
    }

    /// Appends [`Dry`].
    pub fn dry(
        self,
        multiplier: f32,
        base: f32,
        allowed_length: usize,
        last_n: usize,
        breakers: impl IntoIterator<Item = Vec<TokenId>>,
    ) -> Self {
        self.checked(Dry::new(multiplier, base, allowed_length, last_n, breakers))
    }

    /// Appends [`LogitBias`].
    pub fn logit_bias(self, bias: impl IntoIterator<Item = (TokenId, f32)>) -> Self {
        self.checked(LogitBias::new(bias))
    }

    /// Appends all steps of `params`, and takes its pick and its seed.
    pub fn params(self, params: &Params) -> Self {
        params.add_to(self)
    }

    /// Takes the token by [`Mirostat`], version 1, with the sampler's seed.
    pub fn mirostat(self, tau: f32, eta: f32) -> Self {
        self.checked_pick(Mirostat::new(tau, eta, 0))
    }

    /// Takes the token by [`MirostatV2`] with the sampler's seed.
    pub fn mirostat_v2(self, tau: f32, eta: f32) -> Self {
        self.checked_pick(MirostatV2::new(tau, eta, 0))
    }

    /// Takes the token by [`AdaptiveP`] with the sampler's seed.
    pub fn adaptive_p(self, target: f32, decay: f32) -> Self {
        self.checked_pick(AdaptiveP::new(target, decay, 0))
    }

    fn checked_pick(self, pick: Result<impl Pick + 'static, SamplerError>) -> Self {
        match pick {
            Ok(pick) => self.pick(pick),
            Err(e) => self.failed(e),
        }
    }

    /// Notes what is wrong; the first error is the one that is reported.
    pub(crate) fn failed(mut self, e: SamplerError) -> Self {
        self.error.get_or_insert(e);
        self
    }

    /// Takes the best token instead of drawing one.
    pub fn greedy(mut self) -> Self {
        self.greedy = true;
        self.pick = None;
        self
    }

    /// Takes the token by a pick of your own.
    pub fn pick(mut self, pick: impl Pick + 'static) -> Self {
        self.greedy = false;
        self.pick = Some(Box::new(pick));
        self
    }

    /// The seed of every step and pick that draws (0 unless set).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The sampler, or the first wrong parameter.
    ///
    /// # Errors
    /// [`SamplerError::Parameter`], or no memory for a step's history.
    pub fn build(self) -> Result<Sampler, SamplerError> {
        if let Some(e) = self.error {
            return Err(e);
        }
        let pick = match self.pick {
            Some(pick) => pick,
            None if self.greedy => Box::new(Greedy) as Box<dyn Pick>,
            None => Box::new(Dist::new(self.seed)),
        };
        let only_greedy = self.greedy && self.steps.is_empty();
        let mut sampler = Sampler { steps: self.steps, pick, only_greedy, candidates: Candidates::new() };
        sampler.seed(self.seed);
        Ok(sampler)
    }
}
