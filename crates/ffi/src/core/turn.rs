//! A turn: its settings, and its events from the first token to the end.

use super::CancelToken;
use super::coalesce::{Coalesce, Outbox};
use super::sampler::{Sampler, SamplerSettings};
use crate::failure::{Failure, Outcome};
use happy_engine::chat::{Reply, ToolChoice};
use happy_engine::{Cancel, Context, Engine, Event, Finish, Form, GenerateOptions, Generation, Prepared};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// How to generate.
#[derive(Clone, Debug, Default)]
pub struct TurnSettings {
    /// Maximum number of tokens; `None`: until the context is full.
    pub max_tokens: Option<usize>,
    /// How tokens are chosen; `None`: the default settings.
    pub sampler: Option<Arc<Sampler>>,
    /// Ends the turn early.
    pub cancel: Option<Arc<CancelToken>>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// What the text must match.
    pub form: Option<Form>,
    /// Whether the model calls tools. Only used in turns of the conversation.
    pub tool_choice: ToolChoice,
    /// When text is delivered.
    pub coalesce: Coalesce,
    /// Continue the text as it is.
    pub raw: bool,
    /// Take a turn back that is cancelled.
    pub drop_cancelled: bool,
    /// Go on when the model wants to end.
    pub ignore_end: bool,
}

impl TurnSettings {
    /// The engine's options for a model.
    pub(super) fn options(&self, engine: &Engine) -> Outcome<GenerateOptions> {
        let sampler = match &self.sampler {
            Some(sampler) => sampler.for_model(engine)?,
            None => Sampler::new(SamplerSettings::default())?.for_model(engine)?,
        };
        Ok(GenerateOptions {
            sampler,
            max_tokens: self.max_tokens,
            stop: self.stop.clone(),
            ignore_end: self.ignore_end,
            form: self.form.clone(),
            cancel: self.cancel.as_deref().map_or_else(Cancel::new, Cancel::clone),
        })
    }
}

enum Run {
    Going(Box<Generation<Box<Context>>>),
    /// Cancelled before there was anything to compute.
    Nothing(Box<Context>),
}

/// A running turn, which owns the session's context.
pub(super) struct Turn {
    run: Run,
    outbox: Outbox,
    /// The whole answer, once it is there; `None` if a text is continued.
    reply: Option<Reply>,
}

impl Turn {
    /// Runs what was prepared in a context.
    pub(super) fn new(prepared: Prepared, context: Box<Context>, coalesce: Coalesce) -> Self {
        Self { run: Run::Going(Box::new(prepared.run(context))), outbox: Outbox::new(coalesce), reply: None }
    }

    /// A turn that was cancelled while its prompt was rendered or tokenized, or its grammar compiled: it ends as later
    /// ones do.
    pub(super) fn cancelled(context: Box<Context>) -> Self {
        let mut outbox = Outbox::new(Coalesce::default());
        outbox.push(Event::Done(Finish::cancelled()));
        Self { run: Run::Nothing(context), outbox, reply: None }
    }

    /// Computes until there is an event for the caller; the last is [`Event::Done`].
    pub(super) fn next(&mut self) -> Outcome<Event> {
        loop {
            if let Some(event) = self.outbox.pop() {
                return Ok(event);
            }
            let next = match &mut self.run {
                Run::Going(generation) => generation.next(),
                Run::Nothing(_) => None,
            };
            match next.ok_or_else(|| Failure::argument("the turn is over"))?? {
                Event::Token(_) => {}
                Event::Reply(reply) => self.reply = Some(reply),
                event => self.outbox.push(event),
            }
        }
    }

    /// The tools that it could not constrain, and why: `{"tool": .., "callable": .., "reason": ..}`.
    pub(super) fn left_out(&self) -> Vec<Json> {
        let Run::Going(generation) = &self.run else { return Vec::new() };
        let names = generation.left_out().iter().map(|error| {
            let (tool, reason) = (&error.tool, error.to_string());
            json!({ "tool": tool, "callable": false, "reason": reason })
        });
        let schemas = generation.unconstrained().iter().map(|it| {
            let (tool, reason) = (&it.tool, &it.reason);
            json!({ "tool": tool, "callable": true, "reason": reason })
        });
        names.chain(schemas).collect()
    }

    /// Messages that the prompt leaves out.
    pub(super) fn dropped(&self) -> usize {
        match &self.run {
            Run::Going(generation) => generation.dropped(),
            Run::Nothing(_) => 0,
        }
    }

    /// Lets the turn end soon, as if its cancel token had been raised.
    pub(super) fn stop(&mut self) {
        if let Run::Going(generation) = &mut self.run {
            generation.stop();
        }
    }

    /// The context in which it computes.
    pub(super) fn context(&self) -> &Context {
        match &self.run {
            Run::Going(generation) => generation.context(),
            Run::Nothing(context) => context,
        }
    }

    /// Gives the context back, and the whole answer.
    pub(super) fn end(self) -> (Box<Context>, Option<Reply>) {
        let context = match self.run {
            Run::Going(generation) => generation.into_context(),
            Run::Nothing(context) => context,
        };
        (context, self.reply)
    }
}
