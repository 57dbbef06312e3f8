//! The steps, each as a struct of its parameters. Building one makes a [`Step`], which changes [`Candidates`] in place
//! and tracks the accepted tokens if it needs them.

mod breakers;
mod dry;
mod infill;
mod logit_bias;
mod penalties;
mod temperature;
mod truncate;
mod typical;
mod xtc;

pub use breakers::breaker_sequences;
pub use dry::Dry;
pub use infill::Infill;
pub use logit_bias::LogitBias;
pub use penalties::Penalties;
pub use temperature::Temperature;
pub use truncate::*;
pub use typical::Typical;
pub use xtc::Xtc;

use crate::{Candidates, SamplerError, SavedState, TokenId};

/// A sampling step. To add a custom step to a chain, implement `apply` and derive `Clone`.
pub trait Step: CloneStep + Send {
    /// Changes the candidates of one position.
    fn apply(&mut self, c: &mut Candidates);
    /// Observes a token that was picked, or read from the prompt.
    fn accept(&mut self, _t: TokenId) {}
    /// Discards all accepted tokens and returns to the state after construction.
    fn reset(&mut self) {}
    /// Sets the seed and returns to the state after construction. Does nothing for steps without randomness.
    fn seed(&mut self, _seed: u64) {}
    /// Passes on the numbers of its state that the accepted tokens do not determine. None by default.
    fn state(&self, _add: &mut dyn FnMut(u64)) {}
    /// Takes over a state that [`state`](Self::state) passed on; `None` if it is not one.
    fn set_state(&mut self, _saved: &mut SavedState<'_>) -> Option<()> {
        Some(())
    }
}

/// Cloning of boxed steps; every `Step + Clone` implements it.
pub trait CloneStep {
    /// A boxed clone, with its state.
    fn clone_step(&self) -> Box<dyn Step>;
}

impl<T: Step + Clone + 'static> CloneStep for T {
    fn clone_step(&self) -> Box<dyn Step> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Step> {
    fn clone(&self) -> Self {
        (**self).clone_step()
    }
}

/// The parameters of a step, and what the table of steps needs to know about it. [`Sampler::fingerprint`](crate::Sampler::fingerprint)
/// tells parameters apart by how they format.
pub trait StepParams: std::fmt::Debug {
    /// Returns whether the step changes nothing, so that a chain can leave it out.
    fn is_neutral(&self) -> bool {
        false
    }

    /// Returns whether the best candidate always stays the best, so that greedy sampling can leave the step out.
    fn keeps_best(&self) -> bool {
        false
    }

    /// Raises the step's `min_keep` to at least `n`, if it has one.
    fn keep_at_least(&mut self, _n: usize) {}

    /// Makes the step, with its buffers.
    ///
    /// # Errors
    /// A parameter outside its range, or memory for the step's history that is refused.
    fn build(&self) -> Result<Box<dyn Step>, SamplerError>;
}

/// Checked parameters, for steps that need nothing else.
#[derive(Clone)]
struct Checked<P>(P);

fn boxed(step: impl Step + 'static) -> Result<Box<dyn Step>, SamplerError> {
    Ok(Box::new(step))
}

/// The maximum number of tokens that penalties and DRY may look back on. Their buffers are allocated at construction.
pub(crate) const MAX_LAST_N: usize = 1 << 20;
