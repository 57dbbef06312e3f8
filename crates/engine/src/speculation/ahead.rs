//! Passes that compute guesses, and checking which guesses are right.
//!
//! While guesses wait for their turn, the KV cache is longer than the history of the sequence: the history holds the chosen tokens, the
//! cache also the guesses. Every operation but [`Context::advance`] settles that first: it takes back the rows of the remaining guesses.

use super::draft::Asked;
use super::{MAX_DRAFT, Speculator};
use crate::context::logits;
use crate::{Cancel, Context, EngineError, TrimLevel};
use happy_kernels::Ctx;
use happy_model::{Batch, KvError, NoHook, Output, Want};
use happy_tokenizer::TokenId;
use std::sync::atomic::AtomicBool;

/// Guesses of the tokens that follow the last token of a sequence.
#[derive(Clone, Copy, Default)]
pub(crate) struct Guesses {
    pub(super) sequence: u32,
    pub(super) tokens: [TokenId; MAX_DRAFT],
    /// The kind of each guess. Kinds have their own rates of success: see [`super::pace`].
    pub(super) kinds: [u8; MAX_DRAFT],
    /// How many were proposed. A guess that was not computed is still compared with the chosen token, to learn whether it was right.
    pub(super) proposed: usize,
    /// How many of them the last pass computed.
    computed: usize,
    /// How many of them were right so far.
    taken: usize,
}

impl Guesses {
    /// Returns an empty list of guesses for a sequence.
    pub(super) fn of(sequence: u32) -> Self {
        Self { sequence, ..Self::default() }
    }

    pub(super) fn push(&mut self, token: TokenId, kind: u8) {
        if let (Some(to), Some(of)) = (self.tokens.get_mut(self.proposed), self.kinds.get_mut(self.proposed))
        {
            (*to, *of) = (token, kind);
            self.proposed += 1;
        }
    }

    pub(super) fn tokens(&self) -> &[TokenId] {
        self.tokens.get(..self.proposed).unwrap_or_default()
    }

    pub(super) fn kinds(&self) -> &[u8] {
        self.kinds.get(..self.proposed).unwrap_or_default()
    }

    /// Returns the number of rows in the cache that belong to guesses that still wait for their turn.
    pub(crate) fn waiting(&self, sequence: u32) -> usize {
        if self.sequence == sequence { self.computed - self.taken } else { 0 }
    }
}

impl Context {
    /// Adds a chosen token to a sequence, and returns the logits after it. If the last pass guessed the token, they are already computed.
    /// Otherwise a new pass computes them, with up to `most` guesses.
    pub(crate) fn advance(
        &mut self,
        sequence: u32,
        token: TokenId,
        most: usize,
        cancel: &Cancel,
    ) -> Result<&[f32], EngineError> {
        if self.speculator.is_none() {
            return logits(&self.decode_until(&[(sequence, token)], cancel)?, 0);
        }
        if cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        if let Some(row) = self.guessed(sequence, token) {
            return logits(&self.scratch.output(), row);
        }
        self.settle()?;
        let guesses = self.guess(sequence, token, most, cancel)?;
        if guesses.computed > 0 {
            match self.timed_pass(token, guesses, cancel) {
                Ok(()) => return logits(&self.scratch.output(), 0),
                Err(EngineError::Cancelled) => return Err(EngineError::Cancelled),
                // A wrong guess may be at fault, for instance if its logits are not finite. Compute the token alone.
                Err(_) => {}
            }
        }
        self.timed_pass(token, Guesses { computed: 0, ..guesses }, cancel)?;
        logits(&self.scratch.output(), 0)
    }

    /// Takes back the rows of guesses that are still waiting.
    pub(crate) fn settle(&mut self) -> Result<(), EngineError> {
        let guesses = std::mem::take(&mut self.guesses);
        if guesses.waiting(guesses.sequence) == 0 {
            return Ok(());
        }
        let (sequence, len) = (guesses.sequence, self.tokens(guesses.sequence).len());
        let left = self.kv.truncate(sequence, len)?;
        if left < len {
            // This can't happen within the plan, which allows to take every guess back.
            self.forget_after(sequence, left);
            return Err(KvError::Truncate { sequence, len: left, to: len }.into());
        }
        Ok(())
    }

    /// If the token is the next guess, adds it to the history and returns its row in the last pass. Records whether the guess was right.
    fn guessed(&mut self, sequence: u32, token: TokenId) -> Option<usize> {
        let speculator = self.speculator.as_mut()?;
        if let Some(lookup) = &mut speculator.lookup {
            lookup.advance();
        }
        let guesses = &mut self.guesses;
        if guesses.sequence != sequence || guesses.taken >= guesses.proposed {
            return None;
        }
        let next = guesses.taken;
        let (guess, kind) = (*guesses.tokens.get(next)?, *guesses.kinds.get(next)?);
        speculator.pace.learn(kind, guess == token);
        if guess != token || next >= guesses.computed {
            // The guesses after it are void.
            guesses.proposed = next;
            return None;
        }
        self.histories.get_mut(sequence as usize)?.push(token);
        guesses.taken += 1;
        speculator.stats.accepted += 1;
        Some(guesses.taken)
    }

    /// Chooses the guesses that a pass over `token` computes.
    fn guess(
        &mut self,
        sequence: u32,
        token: TokenId,
        most: usize,
        cancel: &Cancel,
    ) -> Result<Guesses, EngineError> {
        let mut guesses = Guesses::of(sequence);
        let Some(history) = self.histories.get(sequence as usize) else { return Ok(guesses) };
        let Some(speculator) = &mut self.speculator else { return Ok(guesses) };
        // Room for guesses: positions after the token, and rows in the batch.
        let capacity = self.engine.plan().context;
        let room = capacity.saturating_sub(history.len() + 1).min(self.batch.capacity() - 1);
        let mut room = room.min(most).min(speculator.most);
        while room > 0 && !self.kv.has_room(sequence, 1 + room) {
            room -= 1;
        }
        if room > 0 {
            let pool = self.guided.as_ref().map_or(&self.pool, |guided| guided.pool(&self.batch, &self.pool));
            let cx = Ctx::new(pool, &self.engine.0.kernels);
            speculator.propose(history, token, room, &mut guesses, (cx, cancel))?;
        }
        Ok(guesses)
    }

    /// Computes a token and the guesses after it, and records how long that took.
    fn timed_pass(&mut self, token: TokenId, guesses: Guesses, cancel: &Cancel) -> Result<(), EngineError> {
        let (sequence, first) = (guesses.sequence, self.tokens(guesses.sequence).len());
        self.batch.clear();
        self.push(token, first, sequence, Want::Logits)?;
        for (i, guess) in guesses.tokens.iter().take(guesses.computed).enumerate() {
            self.push(*guess, first + 1 + i, sequence, Want::Logits)?;
        }
        self.batch.set_speculative(guesses.computed > 0);
        self.engine.0.pause.wait(cancel.flag());
        let all = self.pool.threads();
        if let Some(guided) = &mut self.guided {
            guided.before(&self.batch, &self.histories, all, cancel.flag());
        }
        let pool = self.guided.as_ref().map_or(&self.pool, |guided| guided.pool(&self.batch, &self.pool));
        // The time of a pass doesn't include a pause before it.
        let Some(started) = self.speculator.as_mut().map(|speculator| (speculator.clock)()) else {
            return Ok(());
        };
        let cx = Ctx::new(pool, &self.engine.0.kernels);
        let [model] = &*self.engine.0.model;
        let output = model.forward_until(
            cx,
            &self.batch,
            &mut self.kv,
            &mut self.scratch,
            &mut NoHook,
            cancel.flag(),
        )?;
        if let Some(guided) = &mut self.guided {
            guided.after(&self.batch, all);
        }
        if let Some(history) = self.histories.get_mut(sequence as usize) {
            history.push(token);
        }
        self.guesses = guesses;
        if let Some(speculator) = &mut self.speculator {
            let time = (speculator.clock)().saturating_sub(started);
            speculator.passed(guesses.computed, time);
            let pool = self.guided.as_ref().map_or(&self.pool, |guided| guided.pool(&self.batch, &self.pool));
            let cx = Ctx::new(pool, &self.engine.0.kernels);
            speculator.saw(cx, &self.batch, &output, &self.histories, cancel.flag());
        }
        Ok(())
    }
}

impl Speculator {
    /// Proposes guesses, and chooses how many of them to compute.
    fn propose(
        &mut self,
        history: &[TokenId],
        token: TokenId,
        room: usize,
        guesses: &mut Guesses,
        (cx, cancel): (Ctx<'_>, &Cancel),
    ) -> Result<(), EngineError> {
        if let Some(lookup) = &mut self.lookup {
            lookup.propose(history, token, room, guesses);
            guesses.computed = self.pace.depth(guesses.kinds(), 0.0);
        }
        let Some(draft) = self.draft.as_mut().filter(|_| guesses.computed == 0 && !self.pace.plain_is_due())
        else {
            return Ok(());
        };
        let started = (self.clock)();
        let mut drafted = Guesses::of(guesses.sequence);
        let (pace, clock) = (&self.pace, &mut self.clock);
        match draft.propose(Asked { history, token, most: room, pace, clock, cancel, cx }, &mut drafted) {
            Err(EngineError::Cancelled) => return Err(EngineError::Cancelled),
            // The draft can't guess any more. The text goes on without it.
            Err(_) => self.draft = None,
            Ok(()) => {}
        }
        let time = (self.clock)().saturating_sub(started);
        self.stats.drafted += drafted.proposed as u64;
        self.stats.draft_time += time;
        if drafted.proposed > 0 {
            // The time is spent, even if no guess is computed.
            let spent = self.pace.passes(time.as_secs_f64());
            drafted.computed = self.pace.depth(drafted.kinds(), spent);
            *guesses = drafted;
        }
        Ok(())
    }

    /// Records a pass.
    fn passed(&mut self, guessed: usize, time: std::time::Duration) {
        self.pace.passed(guessed + 1, time.as_secs_f64());
        if let (Some(passes), Some(total)) =
            (self.stats.passes.get_mut(guessed), self.stats.pass_time.get_mut(guessed))
        {
            *passes += 1;
            *total += time;
        }
        self.stats.guessed += guessed as u64;
    }

    /// Returns what a pass has to return for rows of which the caller wants nothing.
    pub(crate) fn wants(&self) -> Want {
        if self.draft.as_ref().is_some_and(|draft| draft.is_head()) { Want::Hidden } else { Want::Nothing }
    }

    /// Shows the draft head what a pass computed.
    pub(crate) fn saw(
        &mut self,
        cx: Ctx<'_>,
        batch: &Batch,
        output: &Output<'_>,
        histories: &[Vec<TokenId>],
        cancel: &AtomicBool,
    ) {
        let Some(head) = self.draft.as_mut().and_then(|draft| draft.as_head()) else { return };
        let sequence = batch.sequences().first().copied().unwrap_or(0);
        let text =
            histories.get(sequence as usize).filter(|_| batch.sequences().iter().all(|s| *s == sequence));
        let Some(text) = text else { return };
        let seen = head.saw(cx, batch, output, text, cancel);
        // If the head can't read these tokens, it starts anew. If that fails, too, the text goes on without it.
        if seen.is_err() && head.forget().is_err() {
            self.draft = None;
        }
    }

    /// Keeps tokens that leave a sequence, because later texts may repeat them.
    pub(crate) fn keep(&mut self, tokens: &[TokenId]) {
        if let Some(lookup) = &mut self.lookup {
            lookup.keep(tokens);
        }
    }

    /// Gives back memory of the draft model or head, as [`Context::trim`], and drops kept tokens with the sequences.
    pub(crate) fn trim(&mut self, level: TrimLevel) -> Result<(), EngineError> {
        if let Some(lookup) = self.lookup.as_mut().filter(|_| level == TrimLevel::Sequences) {
            lookup.forget();
        }
        self.draft.as_mut().map_or(Ok(()), |draft| draft.trim(level))
    }
}
