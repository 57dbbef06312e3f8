//! The steps, each as a struct of its parameters. Building one makes a [`Step`], which changes [`Candidates`] in place and
//! keeps the accepted tokens if it needs them.

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

use crate::{Candidates, SamplerError, TokenId};

/// A sampling step. Implement `apply` (and derive `Clone`) to add one of your own to a chain.
pub trait Step: CloneStep + Send {
    /// Changes the candidates of one position.
    fn apply(&mut self, c: &mut Candidates);
    /// Takes notice of a token that was chosen (or read from the prompt).
    fn accept(&mut self, _t: TokenId) {}
    /// Forgets all accepted tokens and returns to the state after construction.
    fn reset(&mut self) {}
    /// Sets the seed and returns to the state after construction; nothing for steps without chance.
    fn seed(&mut self, _seed: u64) {}
}

/// Cloning of boxed steps; every `Step + Clone` has it.
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

/// The parameters of a step: what the table of steps has to know of it.
pub trait StepParams {
    /// Returns whether the step would change nothing, so that a chain can leave it out.
    fn is_neutral(&self) -> bool {
        false
    }

    /// Returns whether the best candidate before the step is always the best after it, so that greedy sampling can leave it out.
    fn keeps_best(&self) -> bool {
        false
    }

    /// Keeps at least `n` tokens, if the step has a number of tokens to keep.
    fn keep_at_least(&mut self, _n: usize) {}

    /// Makes the step, with its buffers.
    ///
    /// # Errors
    /// A parameter outside its range, or no memory for the step's history.
    fn build(&self) -> Result<Box<dyn Step>, SamplerError>;
}

/// Parameters that were checked, for steps that need nothing else.
#[derive(Clone)]
struct Checked<P>(P);

fn boxed(step: impl Step + 'static) -> Result<Box<dyn Step>, SamplerError> {
    Ok(Box::new(step))
}

/// Most tokens that penalties and DRY may look back on; their buffers are allocated at construction.
pub(crate) const MAX_LAST_N: usize = 1 << 20;
