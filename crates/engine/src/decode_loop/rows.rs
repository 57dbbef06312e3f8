//! The decode loop for an owner that computes the tokens of several loops in one pass.

use super::{DecodeLoop, State};
use crate::{EngineError, Event};
use happy_tokenizer::TokenId;
use std::slice;
use std::time::Duration;

impl DecodeLoop {
    /// Returns the sequence that it continues.
    pub(crate) fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Returns the tokens to compute next: what is left of the prompt, or the token that was chosen last. Empty if a
    /// step comes first.
    pub(crate) fn pending(&self) -> &[TokenId] {
        match &self.state {
            _ if self.ending.is_some() => &[],
            State::Prefill(done) => self.prompt.get(*done..).unwrap_or_default(),
            State::Compute(token) => slice::from_ref(token),
            State::Repeat(_) | State::Chosen(_) | State::Ended => &[],
        }
    }

    /// Returns the token that was chosen but not reported yet.
    pub(crate) fn chosen(&self) -> Option<TokenId> {
        match self.state {
            State::Chosen(token) => Some(token),
            _ => None,
        }
    }

    /// Returns the whole prompt, if nothing of it was computed yet.
    pub(crate) fn untouched(&self) -> Option<&[TokenId]> {
        matches!(self.state, State::Repeat(_) | State::Prefill(0)).then_some(self.prompt.as_slice())
    }

    /// The part of the prompt that the sequence did not hold, and whether some of it is still to be computed.
    pub(crate) fn prompt(&self) -> (&[TokenId], bool) {
        (&self.prompt, self.ending.is_none() && matches!(self.state, State::Repeat(_) | State::Prefill(_)))
    }

    /// Reports that the first `count` of the pending tokens were computed, in `time`. If these were all, `logits` must
    /// follow the last.
    pub(crate) fn computed(
        &mut self,
        count: usize,
        logits: Option<&[f32]>,
        time: Duration,
    ) -> Result<Option<Event>, EngineError> {
        let prefilled = match self.state {
            State::Prefill(done) => {
                self.prefilled = self.prompt.len().min(done + count);
                self.prefill_time += time;
                Some(Event::Prefill { done: self.prefilled, total: self.prompt.len() })
            }
            _ => {
                self.decode_time += time;
                self.decoded += 1;
                None
            }
        };
        if prefilled.is_some() && self.prefilled < self.prompt.len() {
            self.state = State::Prefill(self.prefilled);
        } else {
            self.pending = None;
            let chosen = self.chooser.choose(logits.ok_or(EngineError::NoLogits { row: count })?)?;
            self.go_on(chosen);
        }
        Ok(prefilled)
    }
}
