//! The choice of the next token: the sampler's among those that the constraint allows, or the end of thinking.

use crate::constraint::Constraint;
use crate::{Engine, EngineError};
use happy_sampler::Sampler;
use happy_tokenizer::TokenId;

/// Thinking that must leave room for what follows: a form, or a call that the caller requires.
///
/// If the model would end its text while thinking, or thinks for too long, the mark that ends thinking is inserted as
/// if the model had written it. So it goes on to its answer.
pub(crate) struct Thinking {
    /// The tokens of that mark.
    close: Vec<TokenId>,
    /// Number of tokens that thinking may still take.
    budget: usize,
    /// Number of tokens of the mark that were inserted, if any.
    forced: Option<usize>,
    /// Whether the model is thinking now.
    pub(crate) now: bool,
    engine: Engine,
}

impl Thinking {
    /// Makes thinking that may take half of `room`, the tokens that the reply has room for. `close` ends it.
    pub(crate) fn new(engine: Engine, close: Vec<TokenId>, room: usize, now: bool) -> Self {
        Self { close, budget: room / 2, forced: None, now, engine }
    }

    /// Returns the next token, if the model may not choose it.
    fn next(&mut self, logits: &[f32]) -> Option<TokenId> {
        let at = match self.forced {
            Some(at) => at,
            None if !self.now => return None,
            None => {
                self.budget = self.budget.saturating_sub(1);
                let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
                let ends = best
                    .zip(self.engine.tokenizer())
                    .is_some_and(|((id, _), tokenizer)| tokenizer.is_eog(id as TokenId));
                if self.budget > 0 && !ends {
                    return None;
                }
                0
            }
        };
        let token = self.close.get(at).copied();
        self.forced = (at + 1 < self.close.len()).then_some(at + 1);
        token
    }
}

/// Chooses tokens.
pub(crate) struct Chooser {
    pub(crate) sampler: Sampler,
    pub(crate) constraint: Option<Constraint>,
    /// How thinking is ended, if it must end.
    pub(crate) thinking: Option<Thinking>,
}

impl Chooser {
    /// Chooses the next token and advances the constraint. Returns `None` if the constraint allows no token.
    pub(crate) fn choose(&mut self, logits: &[f32]) -> Result<Option<TokenId>, EngineError> {
        let Some(constraint) = &mut self.constraint else { return Ok(Some(self.sampler.sample(logits)?)) };
        let forced = self.thinking.as_mut().and_then(|thinking| thinking.next(logits));
        let token = match forced {
            Some(token) => {
                self.sampler.accept(token);
                token
            }
            None => {
                let Some(allowed) = constraint.allowed()? else { return Ok(None) };
                self.sampler.sample_among(logits, |token| allowed.contains(token))?
            }
        };
        constraint.accept(token)?;
        Ok(Some(token))
    }
}
