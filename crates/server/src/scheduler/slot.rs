//! A sequence of the context and the generation that runs in it.

use super::Job;
use crate::delta::{Delta, Deltas, TokenLogProb, TokenText};
use crate::error::ApiError;
use crate::metrics::{Counted, Metrics};
use happy_engine::sampler::LogProbs;
use happy_engine::{BatchedGeneration, Cancel, Context, EngineError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// Maximum number of snapshots of a prompt that other prompts ask for.
const MOST_MARKS: usize = 16;

/// A sequence. It keeps its tokens after an answer, for the next prompt that begins alike.
pub(super) struct Slot {
    sequence: u32,
    last_used: u64,
    running: Option<Running>,
}

/// A generation and its client.
struct Running {
    generation: BatchedGeneration,
    events: Deltas,
    deltas: UnboundedSender<Delta>,
    left: Cancel,
    log_probs: Option<(usize, LogProbs)>,
    one_call: bool,
    /// Positions of the prompt at which it takes snapshots, because other prompts differ from there on.
    marks: Vec<usize>,
    _counted: Counted,
}

impl Slot {
    pub(super) fn new(sequence: u32) -> Self {
        Self { sequence, last_used: 0, running: None }
    }

    pub(super) fn sequence(&self) -> u32 {
        self.sequence
    }

    pub(super) fn last_used(&self) -> u64 {
        self.last_used
    }

    pub(super) fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    /// Begins a job.
    pub(super) fn begin(&mut self, job: Job, context: &mut Context, now: u64, metrics: &Arc<Metrics>) {
        let Job { composed, top_log_probs, one_call, deltas, left } = job;
        self.last_used = now;
        let prompt = composed.ids().len();
        let begun = composed
            .prepare(context, self.sequence)
            .and_then(|prepared| prepared.batched(context, &Cancel::new()));
        match begun {
            Ok(generation) => {
                let cached = generation.reused();
                metrics.begun(prompt, cached);
                // If the client has left, this is noticed before the next pass.
                let _ = deltas.send(Delta::Begun { prompt, cached });
                let log_probs = top_log_probs.map(|n| (n, LogProbs::new()));
                let counted = metrics.running();
                let events = Deltas::default();
                let marks = Vec::new();
                self.running = Some(Running {
                    generation,
                    events,
                    deltas,
                    left,
                    log_probs,
                    one_call,
                    marks,
                    _counted: counted,
                });
            }
            Err(error) => {
                let _ = deltas.send(Delta::Failed(error.into()));
            }
        }
    }

    /// Tells a job's client why the job can't begin.
    pub(super) fn refuse(&self, job: Job, error: EngineError) {
        let _ = job.deltas.send(Delta::Failed(error.into()));
    }

    /// Returns how many tokens of a prompt, but not all, the slot will hold when its own prompt is computed. 0 if it is not computing any
    /// of them.
    pub(super) fn coming(&self, context: &Context, prompt: &[u32]) -> usize {
        let Some(running) = &self.running else { return 0 };
        let (rest, known) = (running.generation.prefilling(), context.tokens(self.sequence));
        let all = known.iter().take(running.generation.reused()).chain(rest);
        let common = all.zip(prompt).take_while(|(a, b)| a == b).count().min(prompt.len().saturating_sub(1));
        if rest.is_empty() || common <= known.len() { 0 } else { common }
    }

    /// Makes it take a snapshot at this position of its prompt.
    pub(super) fn mark(&mut self, position: usize) {
        if let Some(running) = &mut self.running
            && running.marks.len() < MOST_MARKS
            && !running.marks.contains(&position)
        {
            running.marks.push(position);
        }
    }

    /// Returns the positions at which it takes snapshots, if a pass reaches them.
    pub(super) fn snapshots(&self) -> impl Iterator<Item = u32> + '_ {
        let prefilling = |running: &&Running| !running.generation.prefilling().is_empty();
        self.running.as_ref().filter(prefilling).into_iter().flat_map(|running| {
            let marks = running.marks.iter().filter_map(|mark| u32::try_from(*mark).ok());
            marks.chain(running.generation.snapshot())
        })
    }

    pub(super) fn set_last_used(&mut self, now: u64) {
        self.last_used = now;
    }

    /// Ends the generation. The sequence keeps its tokens, with a snapshot, so that all of them can be used again.
    pub(super) fn end(&mut self, context: &mut Context) {
        if self.running.take().is_some() {
            let _ = context.snapshot(self.sequence);
        }
    }

    /// Frees the slot if its client has left. The sequence keeps its tokens.
    pub(super) fn drop_if_gone(&mut self, context: &mut Context) {
        if self.running.as_ref().is_some_and(|running| running.left.is_cancelled()) {
            self.running = None;
            // Without a snapshot, fewer tokens can be used again.
            let _ = context.snapshot(self.sequence);
        }
    }

    /// Returns the flag that is raised when its client leaves.
    pub(super) fn left(&self) -> Option<Cancel> {
        self.running.as_ref().map(|running| running.left.clone())
    }

    /// Returns the tokens that it has to compute next.
    pub(super) fn pending(&self) -> &[u32] {
        self.running.as_ref().map_or(&[], |running| running.generation.pending())
    }

    /// Takes the results of a pass.
    pub(super) fn computed(
        &mut self,
        context_logits: Option<&[f32]>,
        count: usize,
        time: Duration,
        bytes_of: &dyn Fn(u32) -> Vec<u8>,
    ) {
        let Some(running) = &mut self.running else { return };
        let done = running.generation.computed(count, context_logits, time);
        let told = done.and_then(|()| running.log_probs_of(context_logits, bytes_of));
        if let Err(error) = told {
            self.fail(error);
        }
    }

    /// Computes its next token with guesses. Does nothing and returns false if it still computes its prompt, or if its logits
    /// are needed for probabilities.
    pub(super) fn advance(&mut self, context: &mut Context) -> bool {
        let Some(running) = &mut self.running else { return false };
        let may = running.log_probs.is_none() && running.generation.prefilling().is_empty();
        if may {
            running.generation.advance(context);
        }
        may
    }

    /// Ends the answer with an error.
    pub(super) fn fail(&mut self, error: EngineError) {
        if let Some(running) = self.running.take() {
            let _ = running.into_deltas().send(Delta::Failed(ApiError::from(error)));
        }
    }

    /// Sends the events that are ready, and frees the slot when the answer ends.
    pub(super) fn tell(&mut self, context: &mut Context, metrics: &Metrics) {
        while let Some(running) = &mut self.running {
            match running.generation.next(context) {
                Ok(Some(event)) => match running.events.of(event) {
                    Some(Delta::Done(summary)) => {
                        let Some(running) = self.running.take() else { return };
                        // An answer whose client has left was cut off.
                        if !running.left.is_cancelled() {
                            metrics.done(&summary);
                        }
                        // Free the slot before the client hears of the end: it may look at the counters.
                        let deltas = running.into_deltas();
                        let _ = deltas.send(Delta::Done(summary));
                    }
                    Some(delta) => {
                        if running.one_call && matches!(delta, Delta::CallEnd { .. }) {
                            running.generation.stop();
                        }
                        let _ = running.deltas.send(delta);
                    }
                    None => {}
                },
                Ok(None) => return,
                Err(error) => self.fail(error),
            }
        }
    }
}

impl Running {
    /// Ends the generation, and returns the channel to its client.
    fn into_deltas(self) -> UnboundedSender<Delta> {
        self.deltas
    }

    /// Sends the probability of the token that was chosen with these logits.
    fn log_probs_of(
        &mut self,
        logits: Option<&[f32]>,
        bytes_of: &dyn Fn(u32) -> Vec<u8>,
    ) -> Result<(), EngineError> {
        let (Some((n, log_probs)), Some(logits)) = (&mut self.log_probs, logits) else { return Ok(()) };
        let Some(chosen) = self.generation.chosen() else { return Ok(()) };
        let best = log_probs.best(logits, (*n).max(1))?;
        let logit = |id: u32| logits.get(id as usize).copied().unwrap_or(f32::NEG_INFINITY);
        let text = |id: u32, ln_p: f32| TokenText { id, bytes: bytes_of(id), ln_p };
        // Differences of log probabilities are differences of logits.
        let ln_p = match best.iter().find(|best| best.id == chosen) {
            Some(best) => best.ln_p,
            None => best.first().map_or(0.0, |best| best.ln_p + (logit(chosen) - logit(best.id))),
        };
        let top = best.iter().take(*n).map(|best| text(best.id, best.ln_p)).collect();
        let _ = self.deltas.send(Delta::LogProb(TokenLogProb { token: text(chosen, ln_p), top }));
        Ok(())
    }
}
