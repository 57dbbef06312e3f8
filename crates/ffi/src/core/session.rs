//! A conversation with its memory, for one caller at a time.

mod branches;
mod messages;
mod saved;

pub use branches::Reuse;

use super::model::Model;
use super::turn::Turn;
use super::{device, log};
use crate::capi::android;
use crate::failure::{Failure, Outcome};
use crate::log_level::LogLevel;
use crate::status::Status;
use happy_engine::chat::Message;
use happy_engine::governor::{Decision, Goal};
use happy_engine::memory::{self, MemoryUsage};
use happy_engine::session::{SessionError, SessionKey};
use happy_engine::{
    AdapterFile, Cancel, Context, Conversation, EngineError, Event, Finish, FinishReason, GenerateOptions,
    GovernorOptions, Plan, PrefixTree, Prepared, Speculation,
};
use saved::SavedFile;
use serde_json::{Value as Json, json};
use std::mem::replace;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, TryLockError};

pub use super::coalesce::Coalesce;
pub use super::turn::TurnSettings;
pub use happy_engine::ConversationOptions;

/// The settings of a new session.
#[derive(Clone, Debug, Default)]
pub struct SessionSettings {
    /// The conversation.
    pub conversation: ConversationOptions,
    /// The key that seals the session's files; `None` if they are not sealed.
    pub key: Option<SessionKey>,
    /// What a governor of threads and pace is for; `None` for all threads without pauses.
    pub governor: Option<Goal>,
    /// The file in which measured speeds are kept.
    pub governor_cache: Option<String>,
}

/// The memory of a session and of the process.
#[derive(Clone, Copy, Debug)]
pub struct SessionMemory {
    /// The plan.
    pub plan: Plan,
    /// Bytes of the KV cache in use.
    pub kv_resident: usize,
    /// Number of positions in use.
    pub positions: usize,
    /// The memory of the process; zeros if the system does not report it.
    pub process: MemoryUsage,
}

/// The context, idle or at work.
enum Work {
    Idle(Box<Context>),
    Turn(Box<Running>),
    /// Neither; only while one becomes the other.
    Moving,
}

/// A turn, and what its end needs.
struct Running {
    turn: Turn,
    /// Number of messages before the turn.
    before: usize,
    /// Whether to take the turn back if it is cancelled.
    drop_cancelled: bool,
    /// Whether it answers in the conversation: no text that is continued as it is.
    is_answer: bool,
}

struct State {
    /// The conversation, or why the model cannot have one.
    conversation: Outcome<Conversation>,
    work: Work,
    /// Number of messages that stay when the conversation is cleared.
    fixed: usize,
    /// The event whose texts the caller reads.
    shown: Option<Event>,
    finish: Option<Finish>,
    /// Tools that the last turn could not constrain, as JSON.
    left_out: Vec<Json>,
    /// Number of messages that the last turn's prompt left out.
    dropped: usize,
    /// What was computed for other prompts.
    tree: PrefixTree,
    branches: branches::Branches,
    file: SavedFile,
}

impl State {
    fn conversation(&mut self) -> Outcome<&mut Conversation> {
        self.conversation.as_mut().map_err(|failure| failure.clone())
    }

    /// Drops the messages after the first `count`.
    fn take_back(&mut self, count: usize) {
        if let Ok(conversation) = &mut self.conversation {
            conversation.input_mut().messages.truncate(count);
        }
    }

    fn context(&self) -> Outcome<&Context> {
        match &self.work {
            Work::Idle(context) => Ok(context),
            Work::Turn(running) => Ok(running.turn.context()),
            Work::Moving => Err(broken()),
        }
    }

    /// Returns the context, unless a turn runs.
    fn idle(&mut self) -> Outcome<&mut Context> {
        match &mut self.work {
            Work::Idle(context) => Ok(context),
            Work::Turn(_) => Err(Failure::new(
                Status::Busy,
                "a turn is running: read it to its end by happy_next, or end it by happy_stop",
            )),
            Work::Moving => Err(broken()),
        }
    }

    /// Begins a turn. After an error, the conversation is as it was.
    fn begin(&mut self, said: Option<&str>, settings: &TurnSettings) -> Outcome<()> {
        let before = self.conversation.as_ref().map_or(0, |c| c.input().messages.len());
        let options = settings.options(self.idle()?.engine())?;
        self.bring_back();
        let prepared = if settings.raw {
            self.prepare_text(said, options)
        } else {
            self.prepare_answer(said, settings, options)
        };
        if prepared.is_err() {
            self.take_back(before);
        }
        let cancelled = matches!(&prepared, Err(failure) if failure.status == Status::Cancelled);
        let prepared = if cancelled { None } else { Some(prepared?) };
        let Work::Idle(context) = replace(&mut self.work, Work::Moving) else { return Err(broken()) };
        self.left_out.clear();
        let turn = match prepared {
            Some(prepared) => {
                let turn = Turn::new(prepared, context, settings.coalesce);
                self.left_out = turn.left_out();
                self.dropped = turn.dropped();
                turn
            }
            None => Turn::cancelled(context),
        };
        let drop_cancelled = settings.drop_cancelled;
        let is_answer = !settings.raw;
        self.work = Work::Turn(Box::new(Running { turn, before, drop_cancelled, is_answer }));
        Ok(())
    }

    /// Adds what the user said, and prepares the answer.
    fn prepare_answer(
        &mut self,
        said: Option<&str>,
        settings: &TurnSettings,
        options: GenerateOptions,
    ) -> Outcome<Prepared> {
        let conversation = self.conversation()?;
        conversation.set_tool_choice(settings.tool_choice.clone())?;
        conversation.input_mut().messages.extend(said.map(|said| Message::new("user", said).into()));
        if conversation.input().messages.is_empty() {
            return Err(Failure::argument("there is no message to answer: the text is NULL"));
        }
        let Self { conversation: Ok(conversation), work: Work::Idle(context), tree, file, .. } = self else {
            return Err(broken());
        };
        if let Some(cut_off) = file.cut_off(said) {
            let composed = conversation.compose(options.clone())?;
            tree.prepare(context, 0, composed.ids())?;
            match composed.resume(context, 0, &cut_off) {
                Err(EngineError::Session(error @ SessionError::OtherAnswer { .. })) => {
                    log::say(LogLevel::Info, || error.to_string());
                }
                resumed => return Ok(resumed?),
            }
        }
        let composed = conversation.compose(options)?;
        tree.prepare(context, 0, composed.ids())?;
        Ok(composed.prepare(context, 0)?)
    }

    /// Prepares to continue a text as it is; what the KV cache holds of it is not computed again.
    fn prepare_text(&mut self, said: Option<&str>, options: GenerateOptions) -> Outcome<Prepared> {
        let text = said.ok_or_else(|| Failure::argument("there is no text to continue: it is NULL"))?;
        let Self { work: Work::Idle(context), tree, .. } = self else { return Err(broken()) };
        let ids = context.engine().encode_prompt_until(text, &options.cancel)?;
        let reused = tree.prepare(context, 0, &ids)?;
        Ok(context.prepare(0, ids.get(reused..).unwrap_or_default(), options)?)
    }

    /// Returns the next event of the turn. The last one is [`Event::Done`]. After an error, the conversation is as it was before the
    /// turn.
    fn next(&mut self, closing: &Cancel) -> Outcome<Event> {
        let Self { work: Work::Turn(running), conversation, file, .. } = self else {
            return Err(Failure::argument("no turn is running: happy_start begins one"));
        };
        let conversation = conversation.as_ref().ok().filter(|_| running.is_answer);
        if closing.is_cancelled() {
            running.turn.stop();
        }
        let event = running.turn.next(|generation| file.follow(generation, conversation));
        if let Ok(Event::Done(_)) | Err(_) = event {
            self.settle(event.as_ref().ok())?;
        }
        event
    }

    /// Ends the turn, if one runs. Events that were not delivered are dropped.
    fn stop(&mut self) -> Outcome<Option<Finish>> {
        let Work::Turn(running) = &mut self.work else { return Ok(None) };
        running.turn.stop();
        loop {
            if let Event::Done(finish) = self.next(&Cancel::new())? {
                return Ok(Some(finish));
            }
        }
    }

    /// Finishes the turn: its answer becomes a message, or the whole turn is taken back.
    fn settle(&mut self, last: Option<&Event>) -> Outcome<()> {
        match replace(&mut self.work, Work::Moving) {
            Work::Turn(running) => {
                let Running { turn, before, drop_cancelled, .. } = *running;
                let (context, reply) = turn.end();
                self.work = Work::Idle(context);
                let Some(Event::Done(finish)) = last else {
                    self.take_back(before);
                    return Ok(());
                };
                log_turn(finish);
                if drop_cancelled && finish.reason == FinishReason::Cancelled {
                    self.take_back(before);
                } else if let (Ok(conversation), Some(reply)) = (&mut self.conversation, reply) {
                    match reply.message() {
                        Ok(message) => conversation.push(message),
                        Err(error) => {
                            self.take_back(before);
                            return Err(EngineError::from(error).into());
                        }
                    }
                }
                self.finish = Some(finish.clone());
                self.keep();
            }
            other => self.work = other,
        }
        Ok(())
    }
}

/// Parses adapters in the form of options: `FILE` or `FILE=SCALE`.
///
/// # Errors
/// If a text is neither.
pub fn adapters(texts: &[String]) -> Outcome<Vec<AdapterFile>> {
    texts.iter().map(|text| Ok(text.parse()?)).collect()
}

/// A session.
pub struct Session {
    state: Mutex<State>,
    /// Raised when the session is freed: ends what still runs.
    closing: Cancel,
}

impl Session {
    /// Makes a session with a model.
    ///
    /// # Errors
    /// If memory or threads cannot be had, or the model's template cannot take a system message or tools because it
    /// has no template.
    pub fn new(model: &Model, settings: &SessionSettings) -> Outcome<Self> {
        let (engine, options) = (model.engine(), &settings.conversation);
        let needs_template = options.system.is_some() || options.tools.is_some();
        let conversation = Conversation::with_options(engine, options.clone()).map_err(|error| match error {
            EngineError::NoTemplate { .. } => Failure::new(
                Status::Template,
                "the model has no chat template: set `raw` in the options to continue text",
            ),
            error => error.into(),
        });
        if let (Err(failure), true) = (&conversation, needs_template) {
            return Err(failure.clone());
        }
        let mut context = Box::new(engine.context()?);
        if engine.plan().draft_tokens > 0 {
            let lookup = Speculation::lookup();
            let head = engine.draft_head().is_some();
            context.set_speculation(Some(if head { lookup.with_head() } else { lookup }))?;
        }
        if let Some(goal) = settings.governor {
            let cache = settings.governor_cache.as_ref().map(PathBuf::from);
            let (source, hint) = (Some(device::source()), android::hint());
            context.govern(GovernorOptions { goal, cache, source, hint, ..GovernorOptions::default() })?;
        }
        let state = State {
            conversation,
            tree: PrefixTree::new(&context),
            work: Work::Idle(context),
            fixed: usize::from(options.system.is_some()),
            shown: None,
            finish: None,
            left_out: Vec::new(),
            dropped: 0,
            branches: branches::Branches::default(),
            file: SavedFile::new(settings.key.clone()),
        };
        Ok(Self { state: Mutex::new(state), closing: Cancel::new() })
    }

    /// Uses these adapters from now on, or the model alone if the list is empty. What the KV cache holds is computed again if it
    /// was computed with others.
    ///
    /// # Errors
    /// If a turn runs, a file cannot be read or is not an adapter for the model, or the rank exceeds the planned one.
    /// Nothing is changed then.
    pub fn set_adapters(&self, files: &[AdapterFile]) -> Outcome<()> {
        let mut state = self.idle()?;
        let context = state.idle()?;
        let set = context.engine().adapter_set(files)?;
        context.set_adapters(0, set)?;
        Ok(())
    }

    /// Ends what is running, soon.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Returns the state, if nobody else uses it.
    fn lock(&self) -> Outcome<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Ok(state),
            Err(TryLockError::WouldBlock) => Err(Failure::new(
                Status::Busy,
                "the session is in use by another call, or by the caller of this callback",
            )),
            Err(TryLockError::Poisoned(_)) => Err(broken()),
        }
    }

    /// Returns the state, if no turn runs.
    fn idle(&self) -> Outcome<MutexGuard<'_, State>> {
        let mut state = self.lock()?;
        state.idle()?;
        Ok(state)
    }

    /// Runs a whole turn. `on_event` receives its events, and ends the turn if it returns `false`.
    ///
    /// # Errors
    /// If the turn cannot begin or go on. The conversation is then as it was before.
    pub fn chat(
        &self,
        said: Option<&str>,
        settings: &TurnSettings,
        on_event: &mut dyn FnMut(&Event) -> bool,
    ) -> Outcome<Finish> {
        let mut state = self.idle()?;
        state.begin(said, settings)?;
        loop {
            let event = state.next(&self.closing)?;
            let goes_on = on_event(&event);
            if let Event::Done(finish) = event {
                return Ok(finish);
            }
            if !goes_on && let Some(finish) = state.stop()? {
                return Ok(finish);
            }
        }
    }

    /// Begins a turn. [`next`](Self::next) returns its events.
    ///
    /// # Errors
    /// If it cannot begin. The conversation is then as it was before.
    pub fn start(&self, said: Option<&str>, settings: &TurnSettings) -> Outcome<()> {
        self.idle()?.begin(said, settings)
    }

    /// Calls a function with the next event, whose texts are valid until the next call. The last is [`Event::Done`].
    ///
    /// # Errors
    /// If no turn runs, or it cannot go on. The conversation is then as it was before.
    pub fn next(&self, show: &mut dyn FnMut(&Event)) -> Outcome<()> {
        let mut state = self.lock()?;
        let event = state.next(&self.closing)?;
        show(state.shown.insert(event));
        Ok(())
    }

    /// Ends a turn that was started. Does nothing if no turn runs.
    ///
    /// # Errors
    /// If the session is busy.
    pub fn stop(&self) -> Outcome<()> {
        self.lock()?.stop().map(|_| ())
    }

    /// Returns why the last turn ended and what it took.
    ///
    /// # Errors
    /// If there was none, or the session is busy.
    pub fn finish(&self) -> Outcome<Finish> {
        let finish = self.lock()?.finish.clone();
        finish.ok_or_else(|| Failure::argument("no turn of this session has ended"))
    }

    /// Returns the tools that the last turn, or the one that runs, could not constrain, as a JSON array.
    ///
    /// # Errors
    /// If the session is busy.
    pub fn left_out(&self) -> Outcome<String> {
        Ok(Json::Array(self.lock()?.left_out.clone()).to_string())
    }

    /// Returns what the governor decided last, as a JSON object; without a governor it is empty.
    ///
    /// # Errors
    /// If the session is busy.
    pub fn governor(&self) -> Outcome<String> {
        let state = self.lock()?;
        let Some(Decision { threads, tokens_per_second_cap, reason }) = state.context()?.decision() else {
            return Ok("{}".to_owned());
        };
        let (cap, reason) = (tokens_per_second_cap, reason.to_string());
        Ok(json!({ "threads": threads, "tokens_per_second": cap, "reason": reason }).to_string())
    }

    /// Returns the memory of the session and of the process.
    ///
    /// # Errors
    /// If the session is busy.
    pub fn memory(&self) -> Outcome<SessionMemory> {
        let state = self.lock()?;
        let context = state.context()?;
        Ok(SessionMemory {
            plan: *context.engine().plan(),
            kv_resident: context.kv_resident_bytes(),
            positions: context.tokens(0).len(),
            process: memory::usage().unwrap_or_default(),
        })
    }
}

/// Returns the error of a session in which something panicked.
fn broken() -> Failure {
    let what = "an internal error happened in this session before: free it and begin another one";
    Failure::new(Status::Internal, what)
}

fn log_turn(finish: &Finish) {
    log::say(LogLevel::Info, || {
        format!(
            "a turn ended by {}: {} prompt tokens ({} more were there) at {:.1}/s, {} generated at {:.1}/s",
            finish.reason,
            finish.prompt_tokens,
            finish.reused_tokens,
            finish.prefill_rate(),
            finish.generated_tokens,
            finish.decode_rate(),
        )
    });
}
