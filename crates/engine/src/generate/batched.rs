//! Generations that share forward passes.
//!
//! ```text
//! repeat:  rows of all generations' pending tokens --Context::forward--> logits
//!          each generation: computed(rows, logits)
//!          each generation: next() until it has no event
//! ```

use super::Prepared;
use crate::{Cancel, Context, EngineError, Event, FinishReason};
use happy_tokenizer::TokenId;
use std::time::Duration;

/// A generation whose tokens its owner computes, together with those of others. It yields the same events as a
/// [`Generation`](crate::Generation) that runs alone, whatever else is in the batch.
pub struct BatchedGeneration(Prepared);

impl Prepared {
    /// Runs it in passes that its owner makes, in the context in which it was prepared.
    ///
    /// # Errors
    /// As [`Context::invoke`] and [`Context::snapshot`].
    pub fn batched(self, context: &mut Context, cancel: &Cancel) -> Result<BatchedGeneration, EngineError> {
        if let Some(prompt) = self.steps.untouched() {
            context.invoke(self.steps.sequence(), prompt, cancel)?;
            if prompt.len() == 1 {
                // No row ends before the only one, so no pass can take the snapshot.
                context.snapshot(self.steps.sequence())?;
            }
        }
        Ok(BatchedGeneration(self))
    }
}

impl BatchedGeneration {
    /// Returns its sequence in the context.
    pub fn sequence(&self) -> u32 {
        self.0.steps.sequence()
    }

    /// Returns the tokens that must be computed at the sequence's next positions before it goes on: a part of the
    /// prompt, or the token that was chosen last. Empty while there are events, and at the end.
    pub fn pending(&self) -> &[TokenId] {
        if self.0.ready.is_empty() && !self.0.over { self.0.steps.pending() } else { &[] }
    }

    /// Returns the number of prompt tokens that the sequence held already.
    pub fn reused(&self) -> usize {
        self.0.steps.reused()
    }

    /// The part of the prompt that the sequence did not hold, as long as some of it is still to be computed: the tokens from position
    /// [`reused`](Self::reused) on. Empty after that.
    pub fn prefilling(&self) -> &[TokenId] {
        match self.0.steps.prompt() {
            (prompt, true) => prompt,
            (_, false) => &[],
        }
    }

    /// The position before the prompt's last token, as long as the prompt is not computed: the pass that gets there should take a
    /// snapshot ([`Batch::set_snapshot`](happy_model::Batch::set_snapshot)), so that the same prompt can be answered again.
    pub fn snapshot(&self) -> Option<u32> {
        let rest = self.prefilling().len().checked_sub(1)?;
        u32::try_from(self.reused() + rest).ok()
    }

    /// The token that was chosen last, if its event is still to come: for its probability among the logits.
    pub fn chosen(&self) -> Option<TokenId> {
        self.0.steps.chosen()
    }

    /// Reports that the first `count` of the pending tokens were computed, in `time`. If these were all, `logits` must
    /// be those that follow the last of them.
    ///
    /// # Errors
    /// If logits are missing or not finite, or the grammar exceeds a limit. The generation cannot go on then.
    pub fn computed(
        &mut self,
        count: usize,
        logits: Option<&[f32]>,
        time: Duration,
    ) -> Result<(), EngineError> {
        match self.0.steps.computed(count, logits, time)? {
            Some(event) => self.0.say(event),
            None => Ok(()),
        }
    }

    /// Computes the token that was chosen last in a pass of its own, with guesses of what follows it if the context speculates
    /// ([`Context::set_speculation`]): for a generation that has no neighbors at the moment, in place of a pass of its owner's. Does
    /// nothing while the prompt is not computed. What came of it, also a failure, [`next`](Self::next) tells.
    pub fn advance(&mut self, context: &mut Context) {
        if self.prefilling().is_empty() && !self.pending().is_empty() {
            self.0.try_step(context);
        }
    }

    /// The next event. `None`: there are [`pending`](Self::pending) tokens, or it is [over](Self::is_over).
    ///
    /// # Errors
    /// The errors that a [`Generation`](crate::Generation) yields; the generation is over then.
    pub fn next(&mut self, context: &mut Context) -> Result<Option<Event>, EngineError> {
        let run = &mut self.0;
        loop {
            if let Some(event) = run.tell_next()? {
                return Ok(Some(event));
            }
            if run.over || !run.steps.pending().is_empty() {
                return Ok(None);
            }
            run.try_step(context);
        }
    }

    /// Returns whether nothing more is yielded.
    pub fn is_over(&self) -> bool {
        self.0.over && self.0.ready.is_empty() && self.0.failed.is_none()
    }

    /// Ends the text here: text that was held back is yielded, then the last events.
    pub fn stop(&mut self) {
        if !self.0.over && self.0.steps.ending().is_none() {
            self.0.steps.end(FinishReason::Cancelled);
        }
    }
}
