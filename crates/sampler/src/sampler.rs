//! A chain of steps and a pick, and its builder.

use crate::candidates::argmax;
use crate::reserve::{collected, push};
use crate::state::Fingerprint;
use crate::steps::{LogitBias, Step, StepParams};
use crate::{
    AdaptiveP, Candidates, Dist, Greedy, Mirostat, Params, Pick, SamplerError, SavedState, StepSpec, TokenId,
};

/// A chain of steps and a pick, with its working buffers. A clone has the same state and draws the same tokens.
pub struct Sampler {
    steps: Vec<Box<dyn Step>>,
    pick: Box<dyn Pick>,
    // With no steps and [`Greedy`], sampling is one pass over the logits without buffers.
    only_greedy: bool,
    candidates: Candidates,
    fingerprint: u64,
}

/// The same as [`Sampler::greedy`].
impl Default for Sampler {
    fn default() -> Self {
        Self::greedy()
    }
}

impl Sampler {
    /// Starts a builder. Steps run in the order of the builder's calls.
    pub fn builder() -> SamplerBuilder {
        SamplerBuilder {
            steps: Vec::new(),
            pick: None,
            greedy: false,
            seed: 0,
            error: None,
            fingerprint: Fingerprint::EMPTY,
        }
    }

    /// Makes a sampler that always picks the highest logit.
    pub fn greedy() -> Self {
        Sampler {
            steps: Vec::new(),
            pick: Box::new(Greedy),
            only_greedy: true,
            candidates: Candidates::new(),
            fingerprint: Fingerprint::EMPTY.greedy().0,
        }
    }

    /// Picks the next token from one row of logits (index = token id) and accepts it.
    ///
    /// # Errors
    /// An empty row, NaN or +inf, or no candidates left after the steps. A failed call accepts no token, but may have
    /// drawn random numbers.
    pub fn sample(&mut self, logits: &[f32]) -> Result<TokenId, SamplerError> {
        let t = self.pick(logits)?;
        self.accept(t);
        Ok(t)
    }

    /// Like [`sample`](Self::sample), without accepting the token.
    ///
    /// # Errors
    /// The same as [`sample`](Self::sample).
    pub fn pick(&mut self, logits: &[f32]) -> Result<TokenId, SamplerError> {
        let picked = if self.only_greedy {
            argmax(logits)?
        } else {
            self.apply(logits)?;
            self.pick.pick(&mut self.candidates)
        };
        picked.ok_or(SamplerError::NoCandidate { steps: self.steps.len() })
    }

    /// Like [`sample`](Self::sample), but only among the tokens for which `allowed` returns true: all other logits
    /// become -inf before the first step.
    ///
    /// # Errors
    /// The same as [`sample`](Self::sample).
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

    /// Runs the steps without a pick, and returns the candidates that are left.
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

    /// Tells the steps and the pick about a token that did not come from [`sample`](Self::sample): a prompt token, or
    /// one that was forced.
    pub fn accept(&mut self, t: TokenId) {
        self.steps.iter_mut().for_each(|s| s.accept(t));
        self.pick.accept(t);
    }

    /// Returns to the state after [`SamplerBuilder::build`]: no accepted tokens, and random numbers from the start.
    pub fn reset(&mut self) {
        self.steps.iter_mut().for_each(|s| s.reset());
        self.pick.reset();
    }

    /// Sets the seed of the pick and of all steps, and restarts their random numbers.
    pub fn seed(&mut self, seed: u64) {
        self.steps.iter_mut().for_each(|s| s.seed(seed));
        self.pick.seed(seed);
    }

    /// Returns a hash of the steps, their parameters and the pick: two samplers with the same one choose alike, given the same
    /// tokens and the same [`state`](Self::state). Seeds of steps count, the sampler's seed does not. A custom step or pick counts by
    /// the name of its type. Other versions of this crate may return other numbers.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Returns the part of the state that the accepted tokens do not determine: random numbers, and what mirostat or adaptive-p
    /// adapted. Some numbers, at most a dozen for the steps and picks of this crate.
    ///
    /// ```
    /// # use happy_sampler::{Params, SavedState};
    /// # let logits = [0.5, 0.25, 0.5, 1.0];
    /// # let mut params = Params::default();
    /// # params.seed = 7;
    /// let (mut first, mut tokens) = (params.build()?, vec![]);
    /// for _ in 0..3 {
    ///     tokens.push(first.sample(&logits)?);
    /// }
    /// let state = first.state()?;
    ///
    /// // later, in another process
    /// let mut second = params.build()?;
    /// tokens.iter().for_each(|t| second.accept(*t));
    /// assert!(second.set_state(&state));
    /// assert_eq!(first.sample(&logits)?, second.sample(&logits)?);
    /// # Ok::<(), happy_sampler::SamplerError>(())
    /// ```
    ///
    /// # Errors
    /// [`SamplerError::OutOfMemory`].
    pub fn state(&self) -> Result<Vec<u64>, SamplerError> {
        let (mut numbers, mut refused) = (Vec::new(), Ok(()));
        let mut add = |number| {
            if let Err(error) = push(&mut numbers, number) {
                refused = Err(error);
            }
        };
        self.steps.iter().for_each(|step| step.state(&mut add));
        self.pick.state(&mut add);
        refused.map(|()| numbers)
    }

    /// Takes over a [`state`](Self::state) of a sampler with the same steps and pick, after the same tokens were
    /// [accepted](Self::accept). Returns false if the numbers are not such a state; the sampler is [reset](Self::reset) then.
    pub fn set_state(&mut self, numbers: &[u64]) -> bool {
        let mut saved = SavedState::new(numbers);
        let mut steps = self.steps.iter_mut();
        let taken = steps.try_for_each(|step| step.set_state(&mut saved));
        let taken = taken.and_then(|()| self.pick.set_state(&mut saved));
        let whole = taken.is_some() && saved.is_empty();
        if !whole {
            self.reset();
        }
        whole
    }
}

impl Clone for Sampler {
    fn clone(&self) -> Self {
        Sampler {
            steps: self.steps.clone(),
            pick: self.pick.clone(),
            only_greedy: self.only_greedy,
            // Scratch space: the clone grows its own.
            candidates: Candidates::new(),
            fingerprint: self.fingerprint,
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

/// Builds a [`Sampler`]. Steps run in the order of the calls; [`build`](Self::build) reports the first invalid
/// parameter. The default pick is [`Dist`], a random draw.
pub struct SamplerBuilder {
    steps: Vec<Box<dyn Step>>,
    pick: Option<Box<dyn Pick>>,
    greedy: bool,
    seed: u64,
    error: Option<SamplerError>,
    fingerprint: Fingerprint,
}

impl SamplerBuilder {
    /// Appends a custom step.
    pub fn step(mut self, step: impl Step + 'static) -> Self {
        self.fingerprint.add(format_args!("{}", std::any::type_name_of_val(&step)));
        self.steps.push(Box::new(step));
        self
    }

    /// Appends a step given as a value, such as one read from JSON.
    pub fn spec(self, step: &StepSpec) -> Self {
        self.params_of_step(step.params())
    }

    /// Appends the step that `params` describes.
    pub(crate) fn params_of_step(mut self, params: &dyn StepParams) -> Self {
        match params.build() {
            Ok(step) => {
                self.fingerprint.add(format_args!("{params:?}"));
                self.steps.push(step);
                self
            }
            Err(e) => self.failed(e),
        }
    }

    /// Appends [`LogitBias`].
    pub fn logit_bias(self, bias: impl IntoIterator<Item = (TokenId, f32)>) -> Self {
        match collected(bias) {
            Ok(bias) => self.params_of_step(&LogitBias { bias }),
            Err(e) => self.failed(e),
        }
    }

    /// Appends all steps of `params`, and sets its pick and seed.
    pub fn params(self, params: &Params) -> Self {
        params.add_to(self)
    }

    /// Sets the pick to [`Mirostat`] with the sampler's seed; to an ordinary draw if the version is
    /// [`Off`](crate::MirostatVersion::Off).
    pub fn mirostat(mut self, mirostat: Mirostat) -> Self {
        self.fingerprint.add(format_args!("{mirostat:?}"));
        self.built_pick(mirostat.build())
    }

    /// Sets the pick to [`AdaptiveP`] with the sampler's seed; to an ordinary draw if there is no target.
    pub fn adaptive_p(mut self, adaptive_p: AdaptiveP) -> Self {
        self.fingerprint.add(format_args!("{adaptive_p:?}"));
        self.built_pick(adaptive_p.build())
    }

    fn built_pick(self, pick: Result<Option<Box<dyn Pick>>, SamplerError>) -> Self {
        match pick {
            Ok(Some(pick)) => SamplerBuilder { greedy: false, pick: Some(pick), ..self },
            Ok(None) => self,
            Err(e) => self.failed(e),
        }
    }

    /// Records an error; only the first one is reported.
    pub(crate) fn failed(mut self, e: SamplerError) -> Self {
        self.error.get_or_insert(e);
        self
    }

    /// Sets the pick to the best token.
    pub fn greedy(mut self) -> Self {
        self.fingerprint = self.fingerprint.greedy();
        self.greedy = true;
        self.pick = None;
        self
    }

    /// Sets a custom pick.
    pub fn pick(mut self, pick: impl Pick + 'static) -> Self {
        self.fingerprint.add(format_args!("{}", std::any::type_name_of_val(&pick)));
        self.greedy = false;
        self.pick = Some(Box::new(pick));
        self
    }

    /// Sets the seed of every step and pick that draws random numbers (default 0).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Makes the sampler.
    ///
    /// # Errors
    /// [`SamplerError::Parameter`] or [`SamplerError::Missing`] for the first invalid step,
    /// [`SamplerError::OutOfMemory`] if memory for a step's history is refused.
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
        let mut sampler = Sampler {
            steps: self.steps,
            pick,
            only_greedy,
            candidates: Candidates::new(),
            fingerprint: self.fingerprint.0,
        };
        sampler.seed(self.seed);
        Ok(sampler)
    }
}
