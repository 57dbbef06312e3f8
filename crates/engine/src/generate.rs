//! Generation as an iterator of events.
//!
//! ```text
//! decode loop -- text ----------------------------------- content --> stop strings --> Event::Text
//!             -- text, markers --> reply reader, if any -- content --> stop strings --> Event::Text
//!                                                       -- reasoning, calls ---------> their events
//! ```

mod batched;

pub use batched::BatchedGeneration;

use crate::chat::{NameError, ReplyEvent};
use crate::decode_loop::DecodeLoop;
use crate::reply_reader::{ReplyReader, event_of};
use crate::reserve::refused;
use crate::stop::StopBuffer;
use crate::{
    Cancel, Context, EngineError, Event, FinishReason, Form, PartialAnswer, Unconstrained, partial_answer,
};
use happy_sampler::Sampler;
use happy_tokenizer::TokenId;
use std::borrow::BorrowMut;
use std::collections::VecDeque;
use std::sync::Arc;

/// Options of a generation.
#[derive(Clone, Debug, Default)]
pub struct GenerateOptions {
    /// The sampler that chooses the tokens. Default: greedy.
    pub sampler: Sampler,
    /// Maximum number of tokens to generate. Default: `None`, which generates until the context is full.
    pub max_tokens: Option<usize>,
    /// Strings that end the text; they are not part of it. In an answer they are only searched for in its content, not
    /// in reasoning or calls. Default: none.
    pub stop: Vec<String>,
    /// Whether to go on when the model chooses a token that ends generation. Default: false.
    pub ignore_end: bool,
    /// The form that the text must match. Tokens that would break it are never chosen. In an answer it applies from
    /// where the answer begins, after reasoning. Default: `None`, any text.
    pub form: Option<Form>,
    /// A handle that ends the generation early. Default: one that is never raised.
    pub cancel: Cancel,
    /// Whether to go on when the context is full, without the older half of what it holds: see
    /// [`ContextPolicy::Shift`](crate::ContextPolicy::Shift). Default: false, the text ends with
    /// [`FinishReason::ContextFull`](crate::FinishReason::ContextFull).
    pub shift: bool,
}

/// A running generation: yields [`Event`]s, the last of which is [`Event::Done`] or an error.
///
/// It computes in a context that it borrows, `&mut Context`, if [`Context::generate`] or
/// [`Conversation::answer`](crate::Conversation::answer) makes it. With [`Prepared`] it can also own its context.
pub struct Generation<C: BorrowMut<Context>> {
    context: C,
    run: Prepared,
}

/// A generation that is prepared but has no context yet in which to compute.
///
/// Preparing may fail and borrows the context. Running cannot fail and may own the context, so one struct can hold
/// both:
///
/// ```no_run
/// # let engine = happy_engine::Engine::open("model.gguf", &Default::default())?;
/// let context = engine.context()?;
/// let prepared = context.prepare(0, &engine.encode_prompt("Once")?, Default::default())?;
/// let mut generation = prepared.run(context);
/// while let Some(event) = generation.next() {
///     println!("{:?}, {} bytes", event?, generation.context().kv_resident_bytes());
/// }
/// let context = generation.into_context();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Prepared {
    steps: DecodeLoop,
    /// Splits a reply into its parts; `None` if a text is continued, or once the reply is complete.
    reader: Option<Box<ReplyReader>>,
    /// The tool of the call whose arguments are being generated.
    tool: Arc<str>,
    /// Text, or content of a reply, on its way to the caller.
    content: StopBuffer,
    /// Number of its bytes that were passed on.
    content_len: usize,
    /// Whether a text is unfinished if it ends where the constraint does not let it end.
    must_complete: bool,
    /// The tools that cannot be called.
    pub(crate) left_out: Vec<NameError>,
    /// The tools whose calls may have any arguments.
    pub(crate) unconstrained: Vec<Unconstrained>,
    /// Messages that the prompt leaves out.
    pub(crate) dropped: usize,
    /// Events of one token that were not passed on yet.
    ready: VecDeque<Event>,
    /// The error that ended it, to be reported after the events before it.
    failed: Option<EngineError>,
    over: bool,
    /// Whether the last event that was passed on was a token.
    told_token: bool,
}

/// Number of events for which there is room from the start: more than a token has pieces of text.
const EVENTS: usize = 32;

impl Context {
    /// Continues a sequence with `prompt` and generates what follows.
    ///
    /// To go on with a conversation, first call [`Context::keep_common_prefix`] with all of its tokens, then pass the
    /// rest as the prompt.
    ///
    /// # Errors
    /// If the file has no tokenizer, the prompt is empty or does not fit the context, or the form is not valid.
    pub fn generate(
        &mut self,
        sequence: u32,
        prompt: &[TokenId],
        options: GenerateOptions,
    ) -> Result<Generation<&mut Context>, EngineError> {
        Ok(self.prepare(sequence, prompt, options)?.run(self))
    }

    /// Prepares a generation like [`generate`](Self::generate), but computes nothing yet.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn prepare(
        &self,
        sequence: u32,
        prompt: &[TokenId],
        mut options: GenerateOptions,
    ) -> Result<Prepared, EngineError> {
        let form = options.form.as_ref();
        let constraint = form.map(|form| self.engine.constraint(form, &options.cancel)).transpose()?;
        let identity = partial_answer::of_options(&options, true);
        let stop = std::mem::take(&mut options.stop);
        let steps = DecodeLoop::new(self, sequence, prompt, (options, identity), constraint)?;
        Prepared::new(steps, stop, true, None)
    }
}

impl<C: BorrowMut<Context>> Generation<C> {
    /// Ends the text here, as if the [`Cancel`] had been raised and noticed: text that was held back is yielded, then
    /// the last events.
    pub fn stop(&mut self) {
        if !self.run.over && self.run.steps.ending().is_none() {
            self.run.steps.end(FinishReason::Cancelled);
        }
    }

    /// Returns the number of prompt tokens that have to be computed.
    pub fn prefill(&self) -> usize {
        self.run.steps.prompt_len()
    }

    /// If the last event was a token, returns the number of tokens of the answer that were chosen here: without those of an answer that
    /// is resumed.
    pub(crate) fn new_tokens(&self) -> Option<usize> {
        self.run.told_token.then(|| self.run.steps.new_tokens())
    }

    /// Returns the number of tokens that were dropped so far because the context was full.
    pub fn shifted(&self) -> usize {
        self.run.steps.shifted()
    }

    /// Returns the number of tokens that the sequence held before the prompt.
    pub fn reused(&self) -> usize {
        self.run.steps.reused()
    }

    /// Returns the tools that this answer cannot call, because the reply format cannot represent one of their names,
    /// together with that name. Empty if nothing is constrained.
    pub fn left_out(&self) -> &[NameError] {
        &self.run.left_out
    }

    /// Returns the tools whose schema no grammar can follow, and the reason. Their calls may have any arguments; calls
    /// of other tools are constrained.
    pub fn unconstrained(&self) -> &[Unconstrained] {
        &self.run.unconstrained
    }

    /// Returns the number of messages that the prompt leaves out because the context is full and the conversation's
    /// [policy](crate::ConversationOptions::policy) allows it. Mostly 0.
    pub fn dropped(&self) -> usize {
        self.run.dropped
    }

    /// Returns how far the answer has come, for a [session](crate::session::Turn::answer): from it, another process goes on with the
    /// same text. Also after the end, as when it was cancelled because the app goes to the background.
    ///
    /// # Errors
    /// If memory cannot be reserved, or tokens were dropped ([`shifted`](Self::shifted)):
    /// [`SessionError::Shifted`](crate::session::SessionError::Shifted).
    pub fn partial_answer(&self) -> Result<PartialAnswer, EngineError> {
        self.run.steps.partial_answer(self.context.borrow())
    }

    /// Returns the context in which it computes.
    pub fn context(&self) -> &Context {
        self.context.borrow()
    }

    /// Returns the context. If the generation has not ended, what it computed stays in the sequence.
    pub fn into_context(self) -> C {
        self.context
    }
}

impl<C: BorrowMut<Context>> Iterator for Generation<C> {
    type Item = Result<Event, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let run = &mut self.run;
        loop {
            if let Some(told) = run.tell_next().transpose() {
                return Some(told);
            }
            if run.over {
                return None;
            }
            run.try_step(self.context.borrow_mut());
        }
    }
}

impl Prepared {
    pub(crate) fn new(
        steps: DecodeLoop,
        stop: Vec<String>,
        must_complete: bool,
        reader: Option<Box<ReplyReader>>,
    ) -> Result<Self, EngineError> {
        let mut all = Self {
            steps,
            reader,
            tool: Arc::default(),
            content: StopBuffer::new(stop)?,
            content_len: 0,
            must_complete,
            left_out: Vec::new(),
            unconstrained: Vec::new(),
            dropped: 0,
            ready: VecDeque::new(),
            failed: None,
            over: false,
            told_token: false,
        };
        all.reserve(EVENTS)?;
        Ok(all)
    }

    /// Runs it in the context in which it was prepared.
    pub fn run<C: BorrowMut<Context>>(self, context: C) -> Generation<C> {
        Generation { context, run: self }
    }

    /// Returns the next event that is ready, and after the last one the error that ended the generation.
    fn tell_next(&mut self) -> Result<Option<Event>, EngineError> {
        match self.ready.pop_front() {
            None => self.failed.take().map_or(Ok(None), Err),
            event => {
                self.told_token = matches!(event, Some(Event::Token(_)));
                Ok(event)
            }
        }
    }

    /// Runs one step of the loop. An error ends the generation, and is reported after the events that the step produced
    /// before it.
    fn try_step(&mut self, context: &mut Context) {
        if let Err(error) = self.step(context) {
            self.failed = Some(error);
            self.over = true;
        }
    }

    /// Runs one step of the loop. Its events are ready afterwards.
    fn step(&mut self, context: &mut Context) -> Result<(), EngineError> {
        match self.steps.step(context)? {
            Some(Event::Token(token)) => {
                self.say(Event::Token(token))?;
                self.read(token)
            }
            Some(event) => self.say(event),
            None => self.finish(),
        }
    }

    /// Turns the text of a token into events.
    fn read(&mut self, token: TokenId) -> Result<(), EngineError> {
        match &mut self.reader {
            Some(reader) => {
                let events = reader.read(token, &mut self.steps)?;
                self.tell(events)?;
            }
            None => {
                self.content.push(self.steps.text())?;
                self.release()?;
            }
        }
        if let Some(stop) = self.content.found() {
            self.steps.end(FinishReason::StopString(stop.to_owned()));
        }
        Ok(())
    }

    /// Passes content through the stop strings. Everything else is passed on unchanged, unless a stop string came
    /// before it.
    fn tell(&mut self, events: Vec<ReplyEvent>) -> Result<(), EngineError> {
        for event in events {
            if self.content.found().is_some() {
                break;
            }
            if let ReplyEvent::Content(text) = event {
                self.content.push(&text)?;
            } else if let Some(event) = event_of(event, &mut self.tool) {
                // A stop string does not extend across reasoning or a call.
                self.content.finish();
                self.release()?;
                self.say(event)?;
            }
        }
        self.release()
    }

    /// Passes on content that cannot belong to a stop string.
    fn release(&mut self) -> Result<(), EngineError> {
        while let Some(piece) = self.content.pop() {
            self.content_len += piece.len();
            self.say(Event::Text(piece))?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), EngineError> {
        let mut must_complete = self.must_complete;
        let mut whole = None;
        if let Some(reader) = self.reader.take() {
            must_complete |= reader.is_in_call();
            let (events, reply, record) = reader.finish()?;
            self.tell(events)?;
            whole = Some((reply, record));
        }
        self.content.finish();
        self.release()?;
        if let Some((mut reply, record)) = whole {
            if self.content.found().is_some() {
                reply.content.truncate(self.content_len);
            }
            record(&reply);
            self.say(Event::Reply(reply))?;
        }
        let finish = self.steps.finish(must_complete);
        self.say(Event::Done(finish))?;
        self.over = true;
        Ok(())
    }

    fn say(&mut self, event: Event) -> Result<(), EngineError> {
        self.reserve(1)?;
        self.ready.push_back(event);
        Ok(())
    }

    fn reserve(&mut self, events: usize) -> Result<(), EngineError> {
        let bytes = events * size_of::<Event>();
        self.ready.try_reserve(events).map_err(|_| refused(bytes, "events of a token"))
    }
}
