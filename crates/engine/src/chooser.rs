//! The choice of the next token: the sampler's among those that the constraint allows, or the end of thinking.

use crate::constraint::Constraint;
use crate::{Engine, EngineError};
use happy_grammar::TokenSet;
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

    /// Returns what does not follow from the tokens so far.
    fn state(&self) -> [u64; 2] {
        [self.budget as u64, self.forced.map_or(0, |at| at as u64 + 1)]
    }

    /// Takes over a [`state`](Self::state).
    fn set_state(&mut self, [budget, forced]: [u64; 2]) {
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        (self.budget, self.forced) = (size(budget), size(forced).checked_sub(1));
    }

    /// Returns the next token, if the model may not choose it. The mark does not begin where it is not `allowed`: in the middle of a
    /// character whose bytes are several tokens.
    fn next(&mut self, logits: &[f32], allowed: &TokenSet) -> Option<TokenId> {
        let at = match self.forced {
            Some(at) => at,
            None if !self.now => return None,
            None => {
                self.budget = self.budget.saturating_sub(1);
                let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
                let ends = best
                    .zip(self.engine.tokenizer())
                    .is_some_and(|((id, _), tokenizer)| tokenizer.is_eog(id as TokenId));
                let may_begin = self.close.first().is_none_or(|token| allowed.contains(*token));
                if (self.budget > 0 && !ends) || !may_begin {
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
    /// Returns the numbers that, with the tokens so far, decide the next: those of [`Thinking`], then the sampler's.
    pub(crate) fn state(&self) -> Result<Vec<u64>, EngineError> {
        let thinking = self.thinking.as_ref().map_or([0; 2], Thinking::state);
        let mut numbers = self.sampler.state()?;
        crate::reserve::reserve(&mut numbers, thinking.len(), "the state of an answer")?;
        numbers.extend(thinking);
        numbers.rotate_right(thinking.len());
        Ok(numbers)
    }

    /// Takes over a [`state`](Self::state); the sampler has accepted the tokens. Returns false if it is that of another sampler.
    pub(crate) fn set_state(&mut self, numbers: &[u64]) -> bool {
        let Some((own, sampler)) = numbers.split_first_chunk() else { return false };
        if let Some(thinking) = &mut self.thinking {
            thinking.set_state(*own);
        }
        self.sampler.set_state(sampler)
    }

    /// Goes on by a token that was chosen before.
    pub(crate) fn repeat(&mut self, token: TokenId) -> Result<(), EngineError> {
        match &mut self.constraint {
            Some(constraint) => Ok(constraint.accept(token)?),
            None => Ok(()),
        }
    }

    /// Chooses the next token and advances the constraint. Returns `None` if the constraint allows no token.
    pub(crate) fn choose(&mut self, logits: &[f32]) -> Result<Option<TokenId>, EngineError> {
        let Some(constraint) = &mut self.constraint else { return Ok(Some(self.sampler.sample(logits)?)) };
        let Some(allowed) = constraint.allowed()? else { return Ok(None) };
        let forced = self.thinking.as_mut().and_then(|thinking| thinking.next(logits, allowed));
        let token = match forced {
            Some(token) => {
                self.sampler.accept(token);
                token
            }
            None => self.sampler.sample_among(logits, |token| allowed.contains(token))?,
        };
        constraint.accept(token)?;
        Ok(Some(token))
    }
}
