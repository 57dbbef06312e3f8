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
use crate::{Cancel, Context, EngineError, Event, FinishReason, Form, Unconstrained};
use happy_sampler::Sampler;
use happy_tokenizer::TokenId;
use std::borrow::BorrowMut;
use std::collections::VecDeque;
use std::sync::Arc;

/// How to generate.
#[derive(Clone, Debug, Default)]
pub struct GenerateOptions {
    /// Chooses the tokens. Default: greedy.
    pub sampler: Sampler,
    /// Maximum number of tokens to generate. Default: `None`, until the context is full.
    pub max_tokens: Option<usize>,
    /// Strings that end the text; they are not part of it. In an answer they count in its content only, not in
    /// reasoning or calls. Default: none.
    pub stop: Vec<String>,
    /// Go on when the model chooses a token that ends generation. Default: false.
    pub ignore_end: bool,
    /// What the text must match; tokens that would not are never chosen. In an answer it applies where the answer
    /// begins: after reasoning. Default: `None`.
    pub form: Option<Form>,
    /// Ends the work early.
    pub cancel: Cancel,
}

/// A running generation: yields [`Event`]s, the last of which is [`Event::Done`] or an error.
///
/// It computes in a context that it borrows, `&mut Context`, as [`Context::generate`] and
/// [`Conversation::answer`](crate::Conversation::answer) make it, or in one that it owns, `Context`: see [`Prepared`].
pub struct Generation<C: BorrowMut<Context>> {
    context: C,
    run: Prepared,
}

/// A generation that has everything but the context in which it computes.
///
/// Preparing may fail and borrows the context; running it does not fail and may own it, so that one struct can hold both:
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
    /// Takes a reply apart; `None` if a text is continued, or once the reply is whole.
    reader: Option<Box<ReplyReader>>,
    /// The tool of the call whose arguments come.
    tool: Arc<str>,
    /// Text, or content of a reply, on its way out.
    content: StopBuffer,
    /// Bytes of it that went out.
    content_len: usize,
    /// Whether a text that the constraint does not let end is unfinished wherever its end falls.
    must_complete: bool,
    /// The tools that no call can be of.
    pub(crate) left_out: Vec<NameError>,
    /// The tools whose calls may have any arguments.
    pub(crate) unconstrained: Vec<Unconstrained>,
    /// Messages that the prompt leaves out.
    pub(crate) dropped: usize,
    /// Events that one token gave.
    ready: VecDeque<Event>,
    /// What ended it, to be told after the events that came before.
    failed: Option<EngineError>,
    over: bool,
}

/// Events of one token for which there is room from the start: more pieces of text than a token has.
const EVENTS: usize = 32;

impl Context {
    /// Continues a sequence with `prompt` and generates what follows.
    ///
    /// To go on with a conversation, call [`Context::keep_common_prefix`] with all of its tokens first and give the
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

    /// As [`generate`](Self::generate), without beginning to compute.
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
        let stop = std::mem::take(&mut options.stop);
        Prepared::new(DecodeLoop::new(self, sequence, prompt, options, constraint)?, stop, true, None)
    }
}

impl<C: BorrowMut<Context>> Generation<C> {
    /// Ends the text here, as if the [`Cancel`] had been raised and noticed: text that was held back comes, then the
    /// last events.
    pub fn stop(&mut self) {
        if !self.run.over && self.run.steps.ending().is_none() {
            self.run.steps.end(FinishReason::Cancelled);
        }
    }

    /// Tokens of the prompt, which are to be computed.
    pub fn prefill(&self) -> usize {
        self.run.steps.prompt_len()
    }

    /// Tokens that the sequence held before the prompt.
    pub fn reused(&self) -> usize {
        self.run.steps.reused()
    }

    /// The tools that this answer cannot call, since the reply format cannot carry one of their names, and which name that
    /// is. Empty where nothing is constrained.
    pub fn left_out(&self) -> &[NameError] {
        &self.run.left_out
    }

    /// The tools whose schema no grammar can follow, and what is in the way: their calls may have any arguments. The calls of
    /// other tools are constrained.
    pub fn unconstrained(&self) -> &[Unconstrained] {
        &self.run.unconstrained
    }

    /// Messages that the prompt leaves out, because the context is full and the conversation's
    /// [policy](crate::ConversationOptions::policy) says so. 0 in most answers.
    pub fn dropped(&self) -> usize {
        self.run.dropped
    }

    /// The context in which it computes.
    pub fn context(&self) -> &Context {
        self.context.borrow()
    }

    /// Gives the context back. If the generation has not ended, what it computed stays in the sequence.
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
        };
        all.reserve(EVENTS)?;
        Ok(all)
    }

    /// Runs it in the context in which it was prepared.
    pub fn run<C: BorrowMut<Context>>(self, context: C) -> Generation<C> {
        Generation { context, run: self }
    }

    /// What is ready to be told: events in their order, then the error that ended it.
    fn tell_next(&mut self) -> Result<Option<Event>, EngineError> {
        match self.ready.pop_front() {
            None => self.failed.take().map_or(Ok(None), Err),
            event => Ok(event),
        }
    }

    /// Goes one step of the loop on. An error ends it, and is told after the events that the step gave before.
    fn try_step(&mut self, context: &mut Context) {
        if let Err(error) = self.step(context) {
            self.failed = Some(error);
            self.over = true;
        }
    }

    /// Goes one step of the loop on; its events are then ready.
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

    /// Tells what the text of a token turned out to be.
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

    /// Content goes through the stop strings; everything else goes out as it is, and only before a stop string.
    fn tell(&mut self, events: Vec<ReplyEvent>) -> Result<(), EngineError> {
        for event in events {
            if self.content.found().is_some() {
                break;
            }
            if let ReplyEvent::Content(text) = event {
                self.content.push(&text)?;
            } else if let Some(event) = event_of(event, &mut self.tool) {
                // A stop string does not run over reasoning or a call.
                self.content.finish();
                self.release()?;
                self.say(event)?;
            }
        }
        self.release()
    }

    /// Content that belongs to no stop string goes out.
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
