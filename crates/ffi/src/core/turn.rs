//! A turn: from its first token to what becomes of the answer.

use super::coalesce::{Coalesce, Outbox};
use super::event::{TurnEvent, TurnFinish};
use super::sampler::{Sampler, SamplerSettings};
use super::{CancelToken, session::Talk};
use crate::failure::{Failure, Outcome};
use crate::status::Status;
use happy_engine::chat::{Reply, ReplyEvent, ToolChoice};
use happy_engine::{
    AnswerEvent, AnswerState, Cancel, Context, Engine, Event, Finish, Form, GenerateOptions, GenerationState,
};
use std::sync::Arc;

/// How to generate.
#[derive(Clone, Debug, Default)]
pub struct TurnSettings {
    /// Most tokens; `None`: until the context is full.
    pub max_tokens: Option<usize>,
    /// How tokens are chosen; `None`: by default settings.
    pub sampler: Option<Arc<Sampler>>,
    /// Ends the turn early.
    pub cancel: Option<Arc<CancelToken>>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// What the text must match.
    pub form: Option<Form>,
    /// Whether the model calls tools; in turns of the conversation only.
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

/// The choice that a binding's text says: `auto`, `none`, `required` or a tool's name; empty means `auto`.
pub fn tool_choice(text: &str) -> ToolChoice {
    match text {
        "" | "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "required" => ToolChoice::Required,
        name => ToolChoice::Named(name.to_owned()),
    }
}

impl TurnSettings {
    /// The engine's options for a model.
    fn options(&self, engine: &Engine) -> Outcome<GenerateOptions> {
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
    Chat(AnswerState),
    Raw(GenerationState),
    /// Cancelled before there was anything to run.
    Nothing,
}

/// A running turn.
pub(super) struct Turn {
    run: Run,
    outbox: Outbox,
    reused: usize,
    drop_cancelled: bool,
    /// Messages before the turn.
    before: usize,
    /// The tool of the call whose arguments come.
    tool: String,
    /// Set when the run is over and its answer has found its place.
    settled: Option<TurnFinish>,
}

impl Turn {
    /// Begins a turn; after an error the conversation is as it was.
    pub(super) fn begin(talk: &mut Talk, said: Option<&str>, settings: &TurnSettings) -> Outcome<Self> {
        let options = settings.options(talk.context.engine())?;
        let before = talk.conversation.as_ref().map_or(0, |c| c.input().messages.len());
        let begun = if settings.raw {
            begin_raw(&mut talk.context, said, options)
        } else {
            let begun = talk.answer(said, settings.tool_choice.clone(), options);
            if begun.is_err() {
                talk.take_back(before);
            }
            begun.map(|state| (state.reused(), Run::Chat(state)))
        };
        let mut outbox = Outbox::new(settings.coalesce);
        let mut settled = None;
        let (reused, run) = match begun {
            // While the prompt was rendered or tokenized, or a grammar compiled: an end as later ones are.
            Err(failure) if failure.status == Status::Cancelled => {
                let finish = TurnFinish { finish: Finish::cancelled(), reused: 0 };
                outbox.push(TurnEvent::Done(finish.clone()));
                settled = Some(finish);
                (0, Run::Nothing)
            }
            begun => begun?,
        };
        let drop_cancelled = settings.drop_cancelled;
        Ok(Self { run, outbox, reused, drop_cancelled, before, tool: String::new(), settled })
    }

    /// Computes until there is an event; the last is [`TurnEvent::Done`]. After an error the conversation is as it was
    /// before the turn.
    pub(super) fn next(&mut self, talk: &mut Talk, closing: &Cancel) -> Outcome<TurnEvent> {
        loop {
            if let Some(event) = self.outbox.pop() {
                return Ok(event);
            }
            if self.settled.is_some() {
                return Err(Failure::argument("the turn is over"));
            }
            if closing.is_cancelled() {
                self.stop_run();
            }
            if let Err(failure) = self.step(talk) {
                talk.take_back(self.before);
                return Err(failure);
            }
        }
    }

    /// Ends the turn; its events that were not delivered are dropped.
    pub(super) fn stop(&mut self, talk: &mut Talk) -> Outcome<TurnFinish> {
        self.stop_run();
        loop {
            if let Some(finish) = self.settled.take() {
                return Ok(finish);
            }
            if let Err(failure) = self.step(talk) {
                talk.take_back(self.before);
                return Err(failure);
            }
            self.outbox.clear();
        }
    }

    fn stop_run(&mut self) {
        match &mut self.run {
            Run::Chat(state) => state.stop(),
            Run::Raw(state) => state.stop(),
            Run::Nothing => {}
        }
    }

    fn step(&mut self, talk: &mut Talk) -> Outcome<()> {
        let ended = || Failure::new(Status::Internal, "a turn ended without saying why");
        match &mut self.run {
            Run::Chat(state) => {
                let event = state.next(&mut talk.context).ok_or_else(ended)??;
                self.take_answer(event, talk);
            }
            Run::Raw(state) => {
                let event = state.next(&mut talk.context).ok_or_else(ended)??;
                self.take_raw(event);
            }
            Run::Nothing => return Err(ended()),
        }
        Ok(())
    }

    fn take_answer(&mut self, event: AnswerEvent, talk: &mut Talk) {
        match event {
            AnswerEvent::Prefilling { done, total } => self.outbox.push(TurnEvent::Prefill { done, total }),
            AnswerEvent::Prefilled { tokens, .. } => {
                self.outbox.push(TurnEvent::Prefill { done: tokens, total: tokens });
            }
            AnswerEvent::Reply(event) => self.take_reply(event),
            AnswerEvent::Done { finish, reply } => {
                let finish = TurnFinish { finish, reused: self.reused };
                self.settle(finish, &reply, talk);
            }
            _ => {}
        }
    }

    fn take_reply(&mut self, event: ReplyEvent) {
        let event = match event {
            ReplyEvent::Content(text) => TurnEvent::Text(text),
            ReplyEvent::Reasoning(text) => TurnEvent::Reasoning(text),
            ReplyEvent::CallStart { index, name, id } => {
                self.tool.clone_from(&name);
                TurnEvent::CallStart { call: index, name, id: id.unwrap_or_default() }
            }
            ReplyEvent::CallArguments { index, delta } => {
                TurnEvent::CallArguments { call: index, name: self.tool.clone(), text: delta }
            }
            ReplyEvent::CallEnd { index, call } => TurnEvent::Call {
                call: index,
                name: call.name,
                id: call.id.unwrap_or_default(),
                arguments: call.arguments_text,
            },
            ReplyEvent::Malformed { index, reason } => TurnEvent::Malformed { call: index, reason },
            _ => return,
        };
        self.outbox.push(event);
    }

    fn take_raw(&mut self, event: Event) {
        match event {
            Event::Prefilling { done, total } => self.outbox.push(TurnEvent::Prefill { done, total }),
            Event::Prefilled { tokens, .. } => {
                self.outbox.push(TurnEvent::Prefill { done: tokens, total: tokens });
            }
            Event::Text(piece) => self.outbox.push(TurnEvent::Text(piece.as_str().to_owned())),
            Event::Done(finish) => {
                let finish = TurnFinish { finish, reused: self.reused };
                self.outbox.push(TurnEvent::Done(finish.clone()));
                self.settled = Some(finish);
            }
            _ => {}
        }
    }

    /// The run is over: its answer becomes a message, or the whole turn is taken back.
    fn settle(&mut self, finish: TurnFinish, reply: &Reply, talk: &mut Talk) {
        if finish.is_cancelled() && self.drop_cancelled {
            talk.take_back(self.before);
        } else if let Ok(conversation) = &mut talk.conversation {
            conversation.push(reply.message());
        }
        self.outbox.push(TurnEvent::Done(finish.clone()));
        self.settled = Some(finish);
    }
}

/// Continues a text as it is; what the KV cache holds of it is not computed again.
fn begin_raw(context: &mut Context, said: Option<&str>, options: GenerateOptions) -> Outcome<(usize, Run)> {
    let text = said.ok_or_else(|| Failure::argument("there is no text to continue: it is NULL"))?;
    let ids = context.engine().encode_prompt_until(text, &options.cancel)?;
    let reused = context.keep_common_prefix(0, &ids)?;
    let rest = ids.get(reused..).unwrap_or_default();
    Ok((reused, Run::Raw(context.begin(0, rest, options)?)))
}
