//! Generation as an iterator of events.
//!
//! ```text
//! prefill chunk by chunk -> Prefilling.., Prefilled
//! repeat:   choose a token from the logits, of those that the constraint allows -> Token; end of generation? -> Done
//!           decode its text -> Text..; stop string? as many tokens as asked for? context full? -> Done
//!           compute it -> logits
//! ```

use crate::text::StopBuffer;
use crate::{Cancel, Constraint, Context, EngineError, Event, Finish, FinishReason};
use happy_model::Want;
use happy_sampler::Sampler;
use happy_tokenizer::{StreamDecoder, TokenId};
use std::time::{Duration, Instant};

/// How to generate.
#[derive(Clone, Debug)]
pub struct GenerateOptions {
    /// Chooses the tokens.
    pub sampler: Sampler,
    /// Most tokens to generate; `None`: until the context is full.
    pub max_tokens: Option<usize>,
    /// Strings that end the text; they are not part of it.
    pub stop: Vec<String>,
    /// Go on when the model chooses a token that ends generation.
    pub ignore_end: bool,
    /// What the text must match; tokens that would not are never chosen.
    pub constraint: Option<Constraint>,
    /// Ends the work early.
    pub cancel: Cancel,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            sampler: Sampler::greedy(),
            max_tokens: None,
            stop: Vec::new(),
            ignore_end: false,
            constraint: None,
            cancel: Cancel::new(),
        }
    }
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many tokens of the prompt are done.
    Prefill(usize),
    Chosen(TokenId),
    Compute(TokenId),
    Finished,
}

/// A running generation: yields [`Event`]s, the last of which is [`Event::Done`] or an error.
pub struct Generation<'a> {
    context: &'a mut Context,
    state: GenerationState,
}

/// A running generation without its context, which every step is given: for who keeps both in one place.
pub struct GenerationState {
    sequence: u32,
    prompt: Vec<TokenId>,
    options: GenerateOptions,
    decoder: StreamDecoder,
    text: StopBuffer,
    /// Control tokens whose strings are text.
    shown: Vec<TokenId>,
    state: State,
    /// Set when the reason is known, while held-back text still goes out.
    ending: Option<FinishReason>,
    /// Tokens of the prompt that are in the cache.
    prefilled: usize,
    prefill_time: Duration,
    decode_time: Duration,
    generated: usize,
    decoded: usize,
}

impl Context {
    /// Continues a sequence with `prompt` and generates what follows.
    ///
    /// To go on with a conversation, call [`Context::keep_common_prefix`] with all of its tokens first and give the
    /// rest as the prompt.
    ///
    /// # Errors
    /// If the file has no tokenizer, the prompt is empty, or it does not fit the context.
    pub fn generate(
        &mut self,
        sequence: u32,
        prompt: &[TokenId],
        options: GenerateOptions,
    ) -> Result<Generation<'_>, EngineError> {
        let state = self.begin(sequence, prompt, options)?;
        Ok(Generation { context: self, state })
    }

    /// As [`generate`](Self::generate), for steps that are given this context each time.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn begin(
        &self,
        sequence: u32,
        prompt: &[TokenId],
        options: GenerateOptions,
    ) -> Result<GenerationState, EngineError> {
        self.engine.require_tokenizer()?;
        self.check_prompt(sequence, prompt)?;
        let mut options = options;
        // Penalties look back over what the model has seen.
        options.sampler.reset();
        self.tokens(sequence).iter().chain(prompt).for_each(|t| options.sampler.accept(*t));
        Ok(GenerationState {
            sequence,
            prompt: prompt.to_vec(),
            decoder: StreamDecoder::new(),
            text: StopBuffer::new(&options.stop),
            shown: Vec::new(),
            state: State::Prefill(0),
            ending: None,
            prefilled: 0,
            prefill_time: Duration::ZERO,
            decode_time: Duration::ZERO,
            generated: 0,
            decoded: 0,
            options,
        })
    }
}

impl Generation<'_> {
    /// Writes the strings of these control tokens as text: [`ReplyFormat::markers`](crate::chat::ReplyFormat::markers)
    /// for a reply parser. Others are left out, and those that end generation end it.
    #[must_use]
    pub fn showing(mut self, tokens: &[TokenId]) -> Self {
        self.state.show(tokens);
        self
    }
}

impl GenerationState {
    /// The next event, or `None` behind the last; `context` is the one that this began in.
    ///
    /// # Errors
    /// If the model cannot compute a token; nothing follows.
    pub fn next(&mut self, context: &mut Context) -> Option<Result<Event, EngineError>> {
        let event = self.step(context).transpose();
        if let Some(Err(_)) = event {
            self.state = State::Finished;
        }
        event
    }

    /// Ends the text here, as if the [`Cancel`] had been raised and noticed: what was held back comes, and [`Event::Done`].
    pub fn stop(&mut self) {
        if self.state != State::Finished && self.ending.is_none() {
            self.end(FinishReason::Cancelled);
        }
    }

    /// As [`Generation::showing`].
    pub fn show(&mut self, tokens: &[TokenId]) {
        self.shown = tokens.to_vec();
    }

    fn step(&mut self, context: &mut Context) -> Result<Option<Event>, EngineError> {
        loop {
            if let Some(piece) = self.text.pop() {
                return Ok(Some(Event::Text(piece)));
            }
            if let Some(reason) = self.ending.take() {
                self.state = State::Finished;
                return Ok(Some(Event::Done(self.finish(reason))));
            }
            match self.state {
                State::Finished => return Ok(None),
                State::Prefill(done) => {
                    if let Some(event) = self.prefill(context, done)? {
                        return Ok(Some(event));
                    }
                }
                State::Chosen(token) => {
                    self.state = State::Compute(token);
                    self.take(context, token)?;
                    return Ok(Some(Event::Token(token)));
                }
                State::Compute(token) => {
                    let started = Instant::now();
                    let output = context.decode(&[(self.sequence, token)])?;
                    let chosen = choose(&mut self.options, output.logits(0).unwrap_or(&[]))?;
                    self.decode_time += started.elapsed();
                    self.decoded += 1;
                    self.go_on(chosen);
                }
            }
        }
    }

    /// Computes the next chunk of the prompt; no event if that was cancelled.
    fn prefill(&mut self, context: &mut Context, done: usize) -> Result<Option<Event>, EngineError> {
        let started = Instant::now();
        let total = self.prompt.len();
        let end = total.min(done + context.chunk_len());
        let want = if end == total { Want::Logits } else { Want::Nothing };
        let chunk = &self.prompt[done..end];
        let output = match context.prefill_chunk(self.sequence, chunk, want, &self.options.cancel) {
            Err(EngineError::Cancelled) => {
                self.end(FinishReason::Cancelled);
                return Ok(None);
            }
            output => output?,
        };
        self.prefilled = end;
        if end < total {
            self.prefill_time += started.elapsed();
            self.state = State::Prefill(end);
            return Ok(Some(Event::Prefilling { done: end, total }));
        }
        let logits = output.logits(chunk.len() - 1).unwrap_or(&[]);
        self.prefill_time += started.elapsed();
        let chosen = choose(&mut self.options, logits)?;
        self.go_on(chosen);
        Ok(Some(Event::Prefilled { tokens: total, time: self.prefill_time }))
    }

    /// Goes on with the token that was chosen; there is none where the constraint allows none.
    fn go_on(&mut self, chosen: Option<TokenId>) {
        match chosen {
            Some(token) => self.state = State::Chosen(token),
            None => self.end(FinishReason::GrammarEnd),
        }
    }

    /// Takes the text of a token that was chosen and decides whether it is the last.
    fn take(&mut self, context: &Context, token: TokenId) -> Result<(), EngineError> {
        self.generated += 1;
        let tokenizer = context.engine.require_tokenizer()?;
        if tokenizer.is_eog(token) && !self.options.ignore_end {
            self.end(FinishReason::EndOfGeneration(token));
            return Ok(());
        }
        if self.shown.contains(&token) {
            // A character that has begun cannot be completed any more.
            if self.decoder.finish() > 0 {
                self.text.push("\u{FFFD}");
            }
            self.text.push(&String::from_utf8_lossy(tokenizer.token_text(token)?));
        } else {
            self.text.push(self.decoder.push(tokenizer, token)?);
        }
        let full = context.tokens(self.sequence).len() >= context.capacity();
        if let Some(stop) = self.text.found() {
            self.ending = Some(FinishReason::StopString(stop.to_owned()));
        } else if self.options.max_tokens.is_some_and(|most| self.generated >= most) {
            self.end(FinishReason::Length);
        } else if full {
            self.end(FinishReason::ContextFull);
        } else if self.options.cancel.is_cancelled() {
            self.end(FinishReason::Cancelled);
        }
        Ok(())
    }

    /// Ends the text: what was held back goes out, but for the beginning of a character.
    fn end(&mut self, reason: FinishReason) {
        self.decoder.finish();
        self.text.finish();
        self.ending = Some(reason);
    }

    fn finish(&self, reason: FinishReason) -> Finish {
        Finish {
            reason,
            prompt_tokens: self.prefilled,
            generated_tokens: self.generated,
            decoded_tokens: self.decoded,
            prefill_time: self.prefill_time,
            decode_time: self.decode_time,
        }
    }
}

/// Chooses the next token, and moves the constraint on; `None` where it allows nothing.
fn choose(options: &mut GenerateOptions, logits: &[f32]) -> Result<Option<TokenId>, EngineError> {
    let Some(constraint) = &mut options.constraint else { return Ok(Some(options.sampler.sample(logits)?)) };
    let Some(allowed) = constraint.allowed()? else { return Ok(None) };
    let token = options.sampler.sample_among(logits, |token| allowed.contains(token))?;
    constraint.accept(token)?;
    Ok(Some(token))
}

impl Iterator for Generation<'_> {
    type Item = Result<Event, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.state.next(self.context)
    }
}
