//! A turn: its settings, and its events from the first token to the end.

use super::CancelToken;
use super::coalesce::{Coalesce, Outbox};
use super::sampler::{Sampler, SamplerSettings};
use crate::failure::{Failure, Outcome};
use happy_engine::chat::{Reply, ToolChoice};
use happy_engine::{Cancel, Context, Engine, Event, Finish, Form, GenerateOptions, Generation, Prepared};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Settings of a turn.
#[derive(Clone, Debug, Default)]
pub struct TurnSettings {
    /// Maximum number of tokens; with `None`, up to the end of the context.
    pub max_tokens: Option<usize>,
    /// The sampler that chooses tokens; `None` for the default settings.
    pub sampler: Option<Arc<Sampler>>,
    /// A token that ends the turn early.
    pub cancel: Option<Arc<CancelToken>>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// The form that the text must match.
    pub form: Option<Form>,
    /// Whether the model calls tools. Only used in turns of the conversation.
    pub tool_choice: ToolChoice,
    /// When text is delivered.
    pub coalesce: Coalesce,
    /// Whether to continue the text as it is, without a template.
    pub raw: bool,
    /// Whether to take a turn back if it is cancelled.
    pub drop_cancelled: bool,
    /// Whether to go on when the model wants to end.
    pub ignore_end: bool,
}

impl TurnSettings {
    /// Returns the engine's options for a model.
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
            // The conversation's policy decides.
            shift: false,
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
    /// The complete answer, once there is one; `None` if a text is continued.
    reply: Option<Reply>,
}

impl Turn {
    /// Runs a prepared generation in a context.
    pub(super) fn new(prepared: Prepared, context: Box<Context>, coalesce: Coalesce) -> Self {
        Self { run: Run::Going(Box::new(prepared.run(context))), outbox: Outbox::new(coalesce), reply: None }
    }

    /// Makes a turn that was cancelled while its prompt was rendered or tokenized, or its grammar compiled. It ends
    /// like one that was cancelled later.
    pub(super) fn cancelled(context: Box<Context>) -> Self {
        let mut outbox = Outbox::new(Coalesce::default());
        outbox.push(Event::Done(Finish::cancelled()));
        Self { run: Run::Nothing(context), outbox, reply: None }
    }

    /// Computes until there is an event for the caller, and calls `each` after every token. The last event is [`Event::Done`].
    pub(super) fn next(&mut self, mut each: impl FnMut(&Generation<Box<Context>>)) -> Outcome<Event> {
        loop {
            if let Some(event) = self.outbox.pop() {
                return Ok(event);
            }
            let next = match &mut self.run {
                Run::Going(generation) => generation.next(),
                Run::Nothing(_) => None,
            };
            match next.ok_or_else(|| Failure::argument("the turn is over"))?? {
                Event::Token(_) => {
                    if let Run::Going(generation) = &self.run {
                        each(generation);
                    }
                }
                Event::Reply(reply) => self.reply = Some(reply),
                event => self.outbox.push(event),
            }
        }
    }

    /// Returns the tools that it could not constrain, and why: `{"tool": .., "callable": .., "reason": ..}`.
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

    /// Returns the number of messages that the prompt leaves out.
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

    /// Returns the context in which it computes.
    pub(super) fn context(&self) -> &Context {
        match &self.run {
            Run::Going(generation) => generation.context(),
            Run::Nothing(context) => context,
        }
    }

    /// Returns the context and the complete answer.
    pub(super) fn end(self) -> (Box<Context>, Option<Reply>) {
        let context = match self.run {
            Run::Going(generation) => generation.into_context(),
            Run::Nothing(context) => context,
        };
        (context, self.reply)
    }
}
