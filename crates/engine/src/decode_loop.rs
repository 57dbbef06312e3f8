//! The loop of every generation: prefill, choose, decode, compute, and why it ends.
//!
//! ```text
//! an answer that is resumed: say its tokens again -> Event::Token, no computation
//! prefill chunk by chunk -> Event::Prefill
//! repeat:   choose a token from the logits, of those that the constraint allows -> Event::Token
//!           end of generation? as many tokens as asked for? context full? -> no event
//!           compute it -> logits
//! ```
//!
//! It knows nothing of stop strings and replies: [`Generation`](crate::Generation) reads the text of each token and may
//! end the loop.

mod resume;
mod rows;

use crate::chooser::{Chooser, Thinking};
use crate::constraint::Constraint;
use crate::context::logits;
use crate::session::Identity;
use crate::{Cancel, Context, EngineError, Event, Finish, FinishReason, GenerateOptions, Unfinished};
use happy_model::{KvError, Want};
use happy_tokenizer::{StreamDecoder, TokenId};
use std::time::{Duration, Instant};

/// The next thing to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Say the tokens of a resumed answer; this many are said.
    Repeat(usize),
    /// Prefill; this many tokens of the prompt are done.
    Prefill(usize),
    Chosen(TokenId),
    Compute(TokenId),
    Ended,
}

/// A running generation, without its context and without the reader of its text.
pub(crate) struct DecodeLoop {
    sequence: u32,
    prompt: Vec<TokenId>,
    chooser: Chooser,
    max_tokens: Option<usize>,
    ignore_end: bool,
    cancel: Cancel,
    decoder: StreamDecoder,
    /// Control tokens whose strings are passed on: the markers of a reply.
    markers: Vec<TokenId>,
    state: State,
    ending: Option<FinishReason>,
    text: String,
    marker: String,
    /// Number of tokens that the sequence held before the prompt.
    reused: usize,
    /// Number of prompt tokens that are in the cache.
    prefilled: usize,
    prefill_time: Duration,
    decode_time: Duration,
    generated: usize,
    decoded: usize,
    /// The position at which the answer begins.
    answer_at: usize,
    /// The token that was chosen last, as long as it is not in the sequence.
    pending: Option<TokenId>,
    /// The tokens of a resumed answer, which are also at the end of the prompt.
    repeated: Vec<TokenId>,
    /// What the answer depends on besides its prompt.
    identity: Identity,
    /// Whether to go on when the context is full.
    shift: bool,
    /// Number of tokens that were dropped for that.
    shifted: usize,
}

impl DecodeLoop {
    /// Makes a loop that continues a sequence with `prompt`. `identity` is that of the options.
    pub(crate) fn new(
        context: &Context,
        sequence: u32,
        prompt: &[TokenId],
        (options, identity): (GenerateOptions, Identity),
        constraint: Option<Constraint>,
    ) -> Result<Self, EngineError> {
        context.engine.require_tokenizer()?;
        context.check_prompt(sequence, prompt)?;
        if options.shift {
            context.check_shift(sequence)?;
        }
        let mut sampler = options.sampler;
        // Penalties look back over what the model has seen.
        sampler.reset();
        context.tokens(sequence).iter().chain(prompt).for_each(|t| sampler.accept(*t));
        Ok(Self {
            sequence,
            prompt: crate::reserve::copied(prompt, "tokens of the prompt")?,
            chooser: Chooser { sampler, constraint, thinking: None },
            max_tokens: options.max_tokens,
            ignore_end: options.ignore_end,
            cancel: options.cancel,
            decoder: StreamDecoder::new(),
            markers: Vec::new(),
            state: State::Prefill(0),
            ending: None,
            // Tokens are rarely longer than this. The buffer grows once if one is.
            text: String::with_capacity(1024),
            marker: String::with_capacity(64),
            reused: context.tokens(sequence).len(),
            prefilled: 0,
            prefill_time: Duration::ZERO,
            decode_time: Duration::ZERO,
            generated: 0,
            decoded: 0,
            answer_at: context.tokens(sequence).len() + prompt.len(),
            pending: None,
            repeated: Vec::new(),
            identity,
            shift: options.shift,
            shifted: 0,
        })
    }

    /// Returns the number of tokens of the prompt.
    pub(crate) fn prompt_len(&self) -> usize {
        self.prompt.len()
    }

    /// Returns the number of tokens that the sequence held before the prompt.
    pub(crate) fn reused(&self) -> usize {
        self.reused
    }

    /// Returns the number of tokens that were dropped because the context was full.
    pub(crate) fn shifted(&self) -> usize {
        self.shifted
    }

    /// Passes on the strings of these control tokens, and ends thinking in time.
    pub(crate) fn with_reply(mut self, markers: Vec<TokenId>, thinking: Option<Thinking>) -> Self {
        self.markers = markers;
        self.chooser.thinking = thinking;
        self
    }

    /// Sets whether the model is thinking.
    pub(crate) fn set_thinking(&mut self, now: bool) {
        if let Some(thinking) = &mut self.chooser.thinking {
            thinking.now = now;
        }
    }

    /// Runs one step, which yields [`Event::Prefill`] or [`Event::Token`]. After a token, [`text`](Self::text) and
    /// [`marker`](Self::marker) are what it completed. Returns `None` if no more tokens are chosen; the text is empty
    /// then.
    pub(crate) fn step(&mut self, context: &mut Context) -> Result<Option<Event>, EngineError> {
        self.text.clear();
        self.marker.clear();
        loop {
            match self.state {
                State::Ended => return Ok(None),
                _ if self.ending.is_some() => {
                    // An incomplete character is dropped.
                    self.state = State::Ended;
                    self.decoder.finish();
                    context.snapshot(self.sequence)?;
                }
                State::Repeat(said) => match self.repeated.get(said).copied() {
                    Some(token) => {
                        self.state = State::Repeat(said + 1);
                        self.chooser.repeat(token)?;
                        self.take(context, token)?;
                        return Ok(Some(Event::Token(token)));
                    }
                    None => self.state = State::Prefill(0),
                },
                State::Prefill(done) => {
                    if let Some(event) = self.prefill(context, done)? {
                        return Ok(Some(event));
                    }
                }
                State::Chosen(token) => {
                    self.state = State::Compute(token);
                    self.take(context, token)?;
                    self.make_room(context)?;
                    return Ok(Some(Event::Token(token)));
                }
                State::Compute(token) => {
                    let started = Instant::now();
                    // Guesses past the last token that can be generated are of no use.
                    let most = self
                        .max_tokens
                        .map_or(usize::MAX, |most| most.saturating_sub(self.generated).saturating_sub(1));
                    let logits = match context.advance(self.sequence, token, most, &self.cancel) {
                        Err(EngineError::Cancelled) => {
                            self.ending = Some(FinishReason::Cancelled);
                            continue;
                        }
                        logits => logits?,
                    };
                    self.pending = None;
                    let chosen = self.chooser.choose(logits)?;
                    self.decode_time += started.elapsed();
                    self.decoded += 1;
                    self.go_on(chosen);
                }
            }
        }
    }

    /// Returns the text that the last step completed, which comes before the marker if there is one.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the string of the last step's token, if it is a marker.
    pub(crate) fn marker(&self) -> Option<&str> {
        (!self.marker.is_empty()).then_some(self.marker.as_str())
    }

    /// Returns why it will end after this step, if that is known.
    pub(crate) fn ending(&self) -> Option<&FinishReason> {
        self.ending.as_ref()
    }

    /// Ends the loop here, even if another reason to end is known.
    pub(crate) fn end(&mut self, reason: FinishReason) {
        self.ending = Some(reason);
    }

    /// Returns whether the text may end here: there is no constraint, or it is satisfied.
    pub(crate) fn is_complete(&self) -> bool {
        self.chooser.constraint.as_ref().is_none_or(Constraint::is_complete)
    }

    /// Returns why it ended and what it took. If `must_complete`, a text that the constraint does not let end here is
    /// [`FinishReason::Unfinished`], unless a stop string ended it, as the caller wanted.
    pub(crate) fn finish(&mut self, must_complete: bool) -> Finish {
        let reason = self.ending.take().unwrap_or(FinishReason::Cancelled);
        let cut = must_complete && !self.is_complete();
        let reason = match reason {
            FinishReason::Length if cut => FinishReason::Unfinished(Unfinished::Length),
            FinishReason::ContextFull if cut => FinishReason::Unfinished(Unfinished::ContextFull),
            other => other,
        };
        Finish {
            reason,
            prompt_tokens: self.prefilled,
            reused_tokens: self.reused,
            generated_tokens: self.generated,
            decoded_tokens: self.decoded,
            shifted_tokens: self.shifted,
            prefill_time: self.prefill_time,
            decode_time: self.decode_time,
        }
    }

    /// Computes the next chunk of the prompt. There is no event if that was cancelled.
    fn prefill(&mut self, context: &mut Context, done: usize) -> Result<Option<Event>, EngineError> {
        let started = Instant::now();
        if done == 0 {
            match context.invoke(self.sequence, &self.prompt, &self.cancel) {
                Err(EngineError::Cancelled) => {
                    self.ending = Some(FinishReason::Cancelled);
                    return Ok(None);
                }
                invoked => invoked?,
            }
        }
        let total = self.prompt.len();
        let end = total.min(done + context.chunk_len());
        let want = if end == total { Want::Logits } else { Want::Nothing };
        let chunk = &self.prompt[done..end];
        let output = match context.prefill_chunk(self.sequence, chunk, want, &self.cancel) {
            Err(EngineError::Cancelled) => {
                self.ending = Some(FinishReason::Cancelled);
                return Ok(None);
            }
            output => output?,
        };
        self.prefilled = end;
        self.prefill_time += started.elapsed();
        if end < total {
            self.state = State::Prefill(end);
        } else {
            let chosen = self.chooser.choose(logits(&output, chunk.len() - 1)?)?;
            self.go_on(chosen);
        }
        Ok(Some(Event::Prefill { done: end, total }))
    }

    /// Goes on with the chosen token. If the constraint allows none, the text is complete or a dead end.
    fn go_on(&mut self, chosen: Option<TokenId>) {
        self.pending = chosen;
        match chosen {
            Some(token) => self.state = State::Chosen(token),
            None if self.is_complete() => self.ending = Some(FinishReason::GrammarEnd),
            None => self.ending = Some(FinishReason::Unfinished(Unfinished::DeadEnd)),
        }
    }

    /// Decodes the text of a token that was chosen, and decides whether it is the last.
    fn take(&mut self, context: &Context, token: TokenId) -> Result<(), EngineError> {
        self.generated += 1;
        let tokenizer = context.engine.require_tokenizer()?;
        if tokenizer.is_eog(token) && !self.ignore_end {
            self.ending = Some(FinishReason::EndOfGeneration(token));
            return Ok(());
        }
        if self.markers.contains(&token) {
            // An incomplete character cannot be completed any more.
            if self.decoder.finish() > 0 {
                self.text.push(char::REPLACEMENT_CHARACTER);
            }
            self.marker.push_str(&String::from_utf8_lossy(tokenizer.token_text(token)?));
        } else {
            self.text.push_str(self.decoder.push(tokenizer, token)?);
        }
        let full = !self.shift && self.answer_at + self.generated > context.capacity();
        if self.max_tokens.is_some_and(|most| self.generated >= most) {
            self.ending = Some(FinishReason::Length);
        } else if full {
            self.ending = Some(FinishReason::ContextFull);
        } else if self.cancel.is_cancelled() {
            self.ending = Some(FinishReason::Cancelled);
        }
        Ok(())
    }

    /// Drops the older half of the sequence if the chosen token has no place in it, and the options allow that.
    fn make_room(&mut self, context: &mut Context) -> Result<(), EngineError> {
        let full = context.tokens(self.sequence).len() >= context.capacity();
        if !self.shift || !full || self.ending.is_some() {
            return Ok(());
        }
        match context.shift(self.sequence) {
            Ok(0) | Err(EngineError::Kv(KvError::Full { .. })) => {
                self.ending = Some(FinishReason::ContextFull);
            }
            dropped => self.shifted += dropped?,
        }
        Ok(())
    }
}
