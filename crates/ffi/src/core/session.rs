//! A conversation with its memory; one caller at a time.

use super::event::{TurnEvent, TurnFinish};
use super::model::Model;
use super::turn::Turn;
use super::{json, log};
use crate::failure::{Failure, Outcome};
use crate::log_level::LogLevel;
use crate::status::Status;
use happy_engine::chat::{Message, ToolChoice};
use happy_engine::memory::{self, MemoryUsage};
use happy_engine::{AnswerState, Cancel, Context, Conversation, GenerateOptions, Plan};
use serde_json::{Map, Value as Json};
use std::sync::{Mutex, MutexGuard, TryLockError};

pub use super::coalesce::Coalesce;
pub use super::turn::{TurnSettings, tool_choice};

/// What a session begins with.
#[derive(Clone, Debug, Default)]
pub struct SessionSettings {
    /// The system message.
    pub system: Option<String>,
    /// Tools that the model may call.
    pub tools: Option<Vec<Json>>,
    /// More variables for the template.
    pub vars: Map<String, Json>,
    /// Answer although the template has no place for the system message, the tools or a variable.
    pub ignore_unused: bool,
}

/// What a session and the process take.
#[derive(Clone, Copy, Debug)]
pub struct SessionMemory {
    /// What was planned.
    pub plan: Plan,
    /// Bytes of the KV cache in use.
    pub kv_resident: usize,
    /// Positions taken.
    pub positions: usize,
    /// The process; zeros where the system does not tell.
    pub process: MemoryUsage,
}

/// A conversation and what computes it.
pub(super) struct Talk {
    pub(super) context: Context,
    /// Or why the model cannot have any.
    pub(super) conversation: Outcome<Conversation>,
}

impl Talk {
    fn conversation(&mut self) -> Outcome<&mut Conversation> {
        self.conversation.as_mut().map_err(|failure| failure.clone())
    }

    /// Adds what the user said, and begins to answer.
    pub(super) fn answer(
        &mut self,
        said: Option<&str>,
        choice: ToolChoice,
        options: GenerateOptions,
    ) -> Outcome<AnswerState> {
        let Self { context, conversation } = self;
        let conversation = conversation.as_mut().map_err(|failure| failure.clone())?;
        conversation.set_tool_choice(choice)?;
        if let Some(said) = said {
            conversation.push(Message::new("user", said));
        }
        if conversation.input().messages.is_empty() {
            return Err(Failure::argument("there is no message to answer: the text is NULL"));
        }
        Ok(conversation.begin(context, 0, options)?)
    }

    /// Drops the messages behind the first `count`.
    pub(super) fn take_back(&mut self, count: usize) {
        if let Ok(conversation) = &mut self.conversation {
            conversation.input_mut().messages.truncate(count);
        }
    }
}

struct State {
    talk: Talk,
    /// Messages that stay when the conversation is forgotten.
    fixed: usize,
    turn: Option<Turn>,
    /// The event whose texts the caller reads.
    shown: Option<TurnEvent>,
    finish: Option<TurnFinish>,
}

/// A session.
pub struct Session {
    state: Mutex<State>,
    /// Raised when the session is freed: ends what still runs.
    closing: Cancel,
}

impl Session {
    /// A session with a model.
    ///
    /// # Errors
    /// If memory or threads cannot be had, or the model's template cannot take a system message or tools because there
    /// is none.
    pub fn new(model: &Model, settings: &SessionSettings) -> Outcome<Self> {
        let engine = model.engine();
        let no_template = || {
            Failure::new(
                Status::Template,
                "the model has no chat template: set `raw` in the options to continue text",
            )
        };
        let made = Conversation::new(engine, settings.tools.clone());
        let mut conversation = made.map_err(Failure::from).and_then(|found| found.ok_or_else(no_template));
        match &mut conversation {
            Ok(conversation) => {
                conversation.ignore_unused(settings.ignore_unused);
                conversation.input_mut().vars = settings.vars.clone();
                conversation
                    .input_mut()
                    .messages
                    .extend(settings.system.as_deref().map(|system| Message::new("system", system).into()));
            }
            Err(failure) if settings.system.is_some() || settings.tools.is_some() => {
                return Err(failure.clone());
            }
            Err(_) => {}
        }
        let talk = Talk { context: engine.context()?, conversation };
        let fixed = usize::from(settings.system.is_some());
        let state = State { talk, fixed, turn: None, shown: None, finish: None };
        Ok(Self { state: Mutex::new(state), closing: Cancel::new() })
    }

    /// Ends what runs, soon.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// The state, where nobody else has it.
    fn lock(&self) -> Outcome<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Ok(state),
            Err(TryLockError::WouldBlock) => Err(Failure::new(
                Status::Busy,
                "the session is in use by another call, or by the caller of this callback",
            )),
            Err(TryLockError::Poisoned(_)) => Err(Failure::new(
                Status::Internal,
                "an internal error happened in this session before: free it and begin another one",
            )),
        }
    }

    /// The state, where no turn runs.
    fn idle(&self) -> Outcome<MutexGuard<'_, State>> {
        let state = self.lock()?;
        if state.turn.is_some() {
            let what = "a turn is running: read it to its end by happy_next, or end it by happy_stop";
            return Err(Failure::new(Status::Busy, what));
        }
        Ok(state)
    }

    /// Adds a message.
    ///
    /// # Errors
    /// If the model has no template, or the session is busy.
    pub fn add(&self, role: &str, content: &str) -> Outcome<()> {
        if role.is_empty() {
            return Err(Failure::argument(
                "the role is empty, expected `user`, `assistant`, `system`, `tool` ..",
            ));
        }
        self.idle()?.talk.conversation()?.push(Message::new(role, content));
        Ok(())
    }

    /// Adds a message as a JSON object.
    ///
    /// # Errors
    /// If it is none, the model has no template, or the session is busy.
    pub fn add_json(&self, message: &str) -> Outcome<()> {
        let message = json::messages(message, "the message")?;
        if message.get("role").and_then(Json::as_str).is_none_or(str::is_empty) {
            return Err(Failure::argument("the message is not a JSON object with a text `role`"));
        }
        self.idle()?.talk.conversation()?.push(message);
        Ok(())
    }

    /// The conversation, as a JSON array.
    ///
    /// # Errors
    /// If the model has no template, or the session is busy.
    pub fn messages(&self) -> Outcome<String> {
        Ok(Json::Array(self.idle()?.talk.conversation()?.input().messages.clone()).to_string())
    }

    /// Keeps the first messages.
    ///
    /// # Errors
    /// If there are fewer, the model has no template, or the session is busy.
    pub fn truncate(&self, count: usize) -> Outcome<()> {
        let mut state = self.idle()?;
        let messages = &mut state.talk.conversation()?.input_mut().messages;
        if count > messages.len() {
            let found = messages.len();
            return Err(Failure::argument(format!("{count} messages are to be kept, there are {found}")));
        }
        messages.truncate(count);
        state.fixed = state.fixed.min(count);
        Ok(())
    }

    /// Forgets everything but the system message.
    ///
    /// # Errors
    /// If the session is busy.
    pub fn clear(&self) -> Outcome<()> {
        let mut state = self.idle()?;
        let fixed = state.fixed;
        state.talk.take_back(fixed);
        Ok(state.talk.context.truncate(0, 0)?)
    }

    /// A whole turn; `on_event` hears what it brings and may end it by `false`.
    ///
    /// # Errors
    /// If the turn cannot begin or go on: the conversation is as it was before.
    pub fn chat(
        &self,
        said: Option<&str>,
        settings: &TurnSettings,
        on_event: &mut dyn FnMut(&TurnEvent) -> bool,
    ) -> Outcome<TurnFinish> {
        let mut state = self.idle()?;
        let State { talk, finish, .. } = &mut *state;
        let mut turn = Turn::begin(talk, said, settings)?;
        let done = loop {
            let event = turn.next(talk, &self.closing)?;
            let goes_on = on_event(&event);
            if let TurnEvent::Done(done) = event {
                break done;
            }
            if !goes_on {
                break turn.stop(talk)?;
            }
        };
        log_turn(&done);
        *finish = Some(done.clone());
        Ok(done)
    }

    /// Begins a turn whose events [`next`](Self::next) gives.
    ///
    /// # Errors
    /// If it cannot begin: the conversation is as it was before.
    pub fn start(&self, said: Option<&str>, settings: &TurnSettings) -> Outcome<()> {
        let mut state = self.idle()?;
        state.turn = Some(Turn::begin(&mut state.talk, said, settings)?);
        Ok(())
    }

    /// Shows the next event; its texts stay until the next call. The last is [`TurnEvent::Done`].
    ///
    /// # Errors
    /// If no turn runs, or it cannot go on: the conversation is as it was before.
    pub fn next(&self, show: &mut dyn FnMut(&TurnEvent)) -> Outcome<()> {
        let mut state = self.lock()?;
        let State { talk, turn: slot, shown, finish, .. } = &mut *state;
        let Some(turn) = slot else {
            return Err(Failure::argument("no turn is running: happy_start begins one"));
        };
        let event = match turn.next(talk, &self.closing) {
            Ok(event) => event,
            Err(failure) => {
                *slot = None;
                return Err(failure);
            }
        };
        if let TurnEvent::Done(done) = &event {
            log_turn(done);
            *finish = Some(done.clone());
            *slot = None;
        }
        show(shown.insert(event));
        Ok(())
    }

    /// Ends a turn that was started; nothing if there is none.
    ///
    /// # Errors
    /// If the session is busy.
    pub fn stop(&self) -> Outcome<()> {
        let mut state = self.lock()?;
        if let Some(mut turn) = state.turn.take() {
            let done = turn.stop(&mut state.talk)?;
            log_turn(&done);
            state.finish = Some(done);
        }
        Ok(())
    }

    /// What the last turn took.
    ///
    /// # Errors
    /// If there was none, or the session is busy.
    pub fn finish(&self) -> Outcome<TurnFinish> {
        let finish = self.lock()?.finish.clone();
        finish.ok_or_else(|| Failure::argument("no turn of this session has ended"))
    }

    /// What the session and the process take.
    ///
    /// # Errors
    /// If the session is busy.
    pub fn memory(&self) -> Outcome<SessionMemory> {
        let state = self.lock()?;
        let context = &state.talk.context;
        Ok(SessionMemory {
            plan: *context.engine().plan(),
            kv_resident: context.kv_resident_bytes(),
            positions: context.tokens(0).len(),
            process: memory::usage().unwrap_or_default(),
        })
    }
}

fn log_turn(done: &TurnFinish) {
    log::say(LogLevel::Info, || {
        let finish = &done.finish;
        format!(
            "a turn ended by {}: {} prompt tokens ({} more were there) at {:.1}/s, {} generated at {:.1}/s",
            finish.reason,
            finish.prompt_tokens,
            done.reused,
            finish.prefill_rate(),
            finish.generated_tokens,
            finish.decode_rate(),
        )
    });
}
