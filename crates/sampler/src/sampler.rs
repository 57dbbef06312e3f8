//! A chain of steps and a pick, and its builder.

use crate::candidates::argmax;
use crate::steps::{LogitBias, Step, StepParams};
use crate::{AdaptiveP, Candidates, Dist, Greedy, Mirostat, Params, Pick, SamplerError, StepSpec, TokenId};

/// A chain of steps and a pick, with the buffers they work in. A clone has the same state and draws the same tokens.
pub struct Sampler {
    steps: Vec<Box<dyn Step>>,
    pick: Box<dyn Pick>,
    // No steps and `Greedy`: one pass over the logits, no buffers.
    only_greedy: bool,
    candidates: Candidates,
}

/// [`Sampler::greedy`].
impl Default for Sampler {
    fn default() -> Self {
        Self::greedy()
    }
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

    /// Appends a step that was read from somewhere.
    pub fn spec(self, step: &StepSpec) -> Self {
        self.built(step.build())
    }

    /// Appends a step of these parameters.
    pub(crate) fn params_of_step(self, params: &impl StepParams) -> Self {
        self.built(params.build())
    }

    /// Appends a step unless its parameters were wrong, which is noted.
    fn built(mut self, step: Result<Box<dyn Step>, SamplerError>) -> Self {
        match step {
            Ok(step) => {
                self.steps.push(step);
                self
            }
            Err(e) => self.failed(e),
        }
    }

    /// Appends [`LogitBias`].
    pub fn logit_bias(self, bias: impl IntoIterator<Item = (TokenId, f32)>) -> Self {
        self.params_of_step(&LogitBias { bias: bias.into_iter().collect() })
    }

    /// Appends all steps of `params`, and takes its pick and its seed.
    pub fn params(self, params: &Params) -> Self {
        params.add_to(self)
    }

    /// Takes the token by [`Mirostat`] with the sampler's seed; an ordinary draw if its version is
    /// [`Off`](crate::MirostatVersion::Off).
    pub fn mirostat(self, mirostat: Mirostat) -> Self {
        self.built_pick(mirostat.build())
    }

    /// Takes the token by [`AdaptiveP`] with the sampler's seed; an ordinary draw without a target.
    pub fn adaptive_p(self, adaptive_p: AdaptiveP) -> Self {
        self.built_pick(adaptive_p.build())
    }

    fn built_pick(self, pick: Result<Option<Box<dyn Pick>>, SamplerError>) -> Self {
        match pick {
            Ok(Some(pick)) => SamplerBuilder { greedy: false, pick: Some(pick), ..self },
            Ok(None) => self,
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
