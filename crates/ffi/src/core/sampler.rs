//! How tokens are chosen: settings, checked once, that become a sampler for the model of a turn.

use crate::failure::{Failure, Outcome};
use happy_engine::{DRY_BREAKERS, Engine, EngineError, dry_breakers, infill};
use happy_sampler::steps::Infill;
use happy_sampler::{Params, StepKind};
use std::time::{SystemTime, UNIX_EPOCH};

/// Settings of a sampler.
#[derive(Clone, Debug, Default)]
pub struct SamplerSettings {
    /// Everything but what needs a model, and the seed.
    pub params: Params,
    /// The seed; `None`: a new random one for each turn.
    pub seed: Option<u64>,
    /// Texts that end a repetition for DRY; `None`: line end, `:`, `"` and `*`.
    pub dry_breakers: Option<Vec<String>>,
}

/// A sampler for any model.
#[derive(Clone, Debug)]
pub struct Sampler(SamplerSettings);

impl Sampler {
    /// Checks the settings.
    ///
    /// # Errors
    /// If one is out of its range.
    pub fn new(settings: SamplerSettings) -> Outcome<Self> {
        let mut params = settings.params.clone();
        if params.order.contains(&StepKind::Infill) {
            // In the place of the one that knows the vocabulary.
            params.infill = Some(Infill::new([""], [], 0).map_err(EngineError::from)?);
        }
        build(&params)?;
        Ok(Self(settings))
    }

    /// The sampler for a model.
    ///
    /// # Errors
    /// If the model lacks what a step needs.
    pub(super) fn for_model(&self, engine: &Engine) -> Outcome<happy_sampler::Sampler> {
        let SamplerSettings { params, seed, dry_breakers: breakers } = &self.0;
        let mut params = params.clone();
        params.seed = seed.unwrap_or_else(clock_seed);
        if params.dry.multiplier != 0.0 && params.order.contains(&StepKind::Dry) {
            let tokenizer = engine.require_tokenizer()?;
            params.dry.breakers = match breakers {
                None => dry_breakers(tokenizer, DRY_BREAKERS)?,
                Some(texts) => dry_breakers(tokenizer, texts)?,
            };
        }
        if params.order.contains(&StepKind::Infill) {
            params.infill = infill(engine.require_tokenizer()?)?;
            if params.infill.is_none() {
                return Err(Failure::argument(
                    "the sampler's order names infill, which needs a model with an end-of-turn or end-of-text token",
                ));
            }
        }
        build(&params)
    }
}

fn build(params: &Params) -> Outcome<happy_sampler::Sampler> {
    params.build().map_err(|e| Failure::argument(e.to_string()))
}

/// A seed that differs from turn to turn.
fn clock_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |d| d.as_nanos() as u64) ^ u64::from(std::process::id()).rotate_left(32)
}
