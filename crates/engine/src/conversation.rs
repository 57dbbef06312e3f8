//! Conversations: messages in, answers out, and only what is new is computed.
//!
//! ```text
//! messages, tools --template--> text, and who said which part of it --transcript--> ids
//! ids and the sequence in the KV cache: the longest common prefix stays, the rest of the ids is prefilled
//! text, markers included --reply parser--> content, reasoning, calls
//! ```
//!
//! A template may rewrite what was said before (most drop earlier reasoning): the prefix then ends there.

mod composed;

pub use composed::Composed;

use crate::chat::{
    Channel, ChatTemplate, Message, Rendered, ReplyFormat, ReplyParser, TemplateInput, ToolChoice, json,
};
use crate::chooser::Thinking;
use crate::generate::{Generation, Prepared};
use crate::policy::{self, ContextPolicy};
use crate::reserve;
use crate::transcript::{Recorder, Said, Transcript, begin};
use crate::{Cancel, Context, Engine, EngineError, GenerateOptions, PartialAnswer};
use happy_tokenizer::{EncodeOptions, TokenId, Tokenizer};
use serde_json::{Map, Value as Json};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// A conversation with a model: messages, tools, and the chat template that renders them. Clones share the recorded tokens of answers.
#[derive(Clone)]
pub struct Conversation {
    pub(crate) engine: Engine,
    template: ChatTemplate,
    pub(crate) format: ReplyFormat,
    /// Markers of the format that are control tokens.
    markers: Vec<TokenId>,
    input: TemplateInput,
    /// Bytes that a message would have taken for which there was no memory; 0: every message is there.
    refused: usize,
    pub(crate) tool_choice: ToolChoice,
    ignore_unused: bool,
    policy: ContextPolicy,
    /// What the template was found to have a place for.
    checked: Arc<Mutex<Option<Given>>>,
    recorder: Recorder,
}

/// The settings of a conversation.
#[derive(Clone, Debug, Default)]
pub struct ConversationOptions {
    /// The system message. Default: `None`.
    pub system: Option<String>,
    /// Tools that the model may call: JSON schemas, as chat templates take them (mostly OpenAI's form). Default: `None`.
    pub tools: Option<Vec<Json>>,
    /// Whether the model calls tools. Default: [`ToolChoice::Auto`].
    pub tool_choice: ToolChoice,
    /// Further variables for the template, such as `enable_thinking`. Default: none.
    pub vars: Map<String, Json>,
    /// The format in which replies are read. Default: `None`, the format that the template's markers show.
    pub format: Option<ReplyFormat>,
    /// Whether to answer even if the template has no place for the tools, the system message or a variable. Default: false; an
    /// error then names what is unused.
    pub ignore_unused: bool,
    /// What happens when the messages leave too little of the context for an answer. Default: [`ContextPolicy::Stop`].
    pub policy: ContextPolicy,
}

impl Conversation {
    /// Begins a conversation without a system message and without tools.
    ///
    /// # Errors
    /// [`EngineError::NoTemplate`] if the model has no chat template; if the template is not valid, or the file has no
    /// tokenizer.
    pub fn new(engine: &Engine) -> Result<Self, EngineError> {
        Self::with_options(engine, ConversationOptions::default())
    }

    /// Begins a conversation with these settings.
    ///
    /// # Errors
    /// As [`new`](Self::new) and [`set_tool_choice`](Self::set_tool_choice), if a marker of the format cannot be turned
    /// into tokens, and if the policy is [`ContextPolicy::Shift`] and the model's keys cannot be moved.
    pub fn with_options(engine: &Engine, options: ConversationOptions) -> Result<Self, EngineError> {
        let ConversationOptions { system, tools, tool_choice, vars, format, ignore_unused, policy } = options;
        let file = engine.file();
        let template = if tools.is_some() { file.tool_template()? } else { file.chat_template()? };
        let template = template.ok_or_else(|| EngineError::NoTemplate { path: engine.0.path.clone() })?;
        let tokenizer = engine.require_tokenizer()?;
        let format = format.unwrap_or_else(|| ReplyFormat::of_template(template.source()));
        let mut all = Self {
            markers: markers(format, tokenizer)?,
            input: TemplateInput { tools, vars, ..template_input(tokenizer) },
            refused: 0,
            engine: engine.clone(),
            template,
            format,
            tool_choice: ToolChoice::Auto,
            ignore_unused,
            policy,
            checked: Arc::default(),
            recorder: Recorder::default(),
        };
        if policy == ContextPolicy::Shift {
            engine.model().check_shift(engine.0.options.kv)?;
        }
        all.set_tool_choice(tool_choice)?;
        all.input.messages.extend(system.map(|system| Message::new("system", system).into()));
        Ok(all)
    }

    /// The control token whose string a marker is.
    pub(crate) fn marker_token(&self, marker: &str) -> Option<TokenId> {
        let tokenizer = self.engine.tokenizer()?;
        let is_marker =
            |id: &&TokenId| tokenizer.token_text(**id).is_ok_and(|text| text == marker.as_bytes());
        self.markers.iter().find(is_marker).copied()
    }

    /// Returns the format in which replies are read.
    pub fn format(&self) -> ReplyFormat {
        self.format
    }

    /// Sets whether the model calls tools. The default is [`ToolChoice::Auto`].
    ///
    /// # Errors
    /// [`EngineError::Tools`] if the choice names a tool that is not declared, or asks for a call if no tool is declared.
    pub fn set_tool_choice(&mut self, choice: ToolChoice) -> Result<(), EngineError> {
        let mut names = tools_of(&self.input).iter().filter_map(tool_name);
        match &choice {
            ToolChoice::Named(name) if !names.any(|known| known == name) => {
                let mut known = String::new();
                for name in tools_of(&self.input).iter().filter_map(tool_name) {
                    reserve::reserve_text(&mut known, name.len() + 2, "the names of the tools")?;
                    known.extend([if known.is_empty() { "" } else { ", " }, name]);
                }
                let known = if known.is_empty() { "no tool" } else { &known };
                let error = format_args!(
                    "the tool choice is `{name}`, expected auto, none, required, or a declared tool ({known})"
                );
                return Err(EngineError::Tools(reserve::text_of(&error, "the names of the tools")?));
            }
            ToolChoice::Required if names.next().is_none() => {
                return Err(EngineError::Tools("a call is required, but no tool is declared".to_owned()));
            }
            _ => {}
        }
        self.tool_choice = choice;
        Ok(())
    }

    /// Returns what the template sees: messages, tools, variables.
    pub fn input(&self) -> &TemplateInput {
        &self.input
    }

    /// Returns what the template sees, so that it can be changed.
    pub fn input_mut(&mut self) -> &mut TemplateInput {
        self.refused = 0;
        &mut self.input
    }

    /// Adds a message: a [`Message`](crate::chat::Message), a [`Reply::message`](crate::chat::Reply::message), or any other
    /// JSON object. An answer that this conversation generated is recognized by its message, and its tokens are used again.
    ///
    /// If memory for it is refused, the message is not there, and every prompt and answer fails until
    /// [`input_mut`](Self::input_mut) is called to look at the messages.
    pub fn push(&mut self, message: impl Into<Json>) {
        match self.input.messages.try_reserve(1) {
            Ok(()) => self.input.messages.push(message.into()),
            Err(_) => self.refused = size_of::<Json>(),
        }
    }

    /// An error if a message could not be added.
    fn check_whole(&self) -> Result<(), EngineError> {
        match self.refused {
            0 => Ok(()),
            bytes => Err(reserve::refused(bytes, "a message of the conversation")),
        }
    }

    /// Renders the whole conversation with the template.
    ///
    /// # Errors
    /// If the template refuses it or fails.
    pub fn prompt(&self) -> Result<String, EngineError> {
        self.check_whole()?;
        Ok(self.template.render(&self.input)?)
    }

    /// Returns the token ids that [`answer`](Self::answer) computes: those of the whole conversation, or of what the
    /// [policy](ConversationOptions::policy) leaves of it. Only what the template itself writes can become a control token. Messages are
    /// text, whatever they spell, except for the markers of calls and reasoning in answers.
    ///
    /// # Errors
    /// As [`prompt`](Self::prompt), and if the text cannot be encoded.
    pub fn prompt_ids(&self) -> Result<Vec<TokenId>, EngineError> {
        Ok(self.fitted(&|| false)?.ids)
    }

    /// Generates the answer to the last message, in a sequence of the context. The sequence keeps what it has in common with the prompt
    /// and drops the rest; only the rest of the prompt is computed.
    ///
    /// # Errors
    /// As [`prompt`](Self::prompt) and [`Context::generate`]; [`EngineError::Unused`] if the template has no place for the
    /// tools, the system message or a variable. The conversation stays as it is: add the answer by [`push`](Self::push).
    pub fn answer<'a>(
        &self,
        context: &'a mut Context,
        sequence: u32,
        options: GenerateOptions,
    ) -> Result<Generation<&'a mut Context>, EngineError> {
        Ok(self.prepare(context, sequence, options)?.run(context))
    }

    /// Goes on with an answer to the last message that was not finished, as a session
    /// [restores](crate::session::Restored::answer) it. Yields its events from the beginning: see [`Composed::resume`].
    ///
    /// # Errors
    /// As [`answer`](Self::answer), and [`SessionError::OtherAnswer`](crate::session::SessionError::OtherAnswer) if the messages or the
    /// options are not those with which the answer was begun.
    pub fn resume_answer<'a>(
        &self,
        context: &'a mut Context,
        sequence: u32,
        options: GenerateOptions,
        answer: &PartialAnswer,
    ) -> Result<Generation<&'a mut Context>, EngineError> {
        Ok(self.compose(options)?.resume(context, sequence, answer)?.run(context))
    }

    /// Does the same as [`answer`](Self::answer), without beginning to compute.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    pub fn prepare(
        &self,
        context: &mut Context,
        sequence: u32,
        options: GenerateOptions,
    ) -> Result<Prepared, EngineError> {
        self.compose(options)?.prepare(context, sequence)
    }

    /// The prompt: all messages, or those that the policy leaves.
    fn fitted(&self, cancelled: &dyn Fn() -> bool) -> Result<Fitted, EngineError> {
        self.fitted_by(self.policy, cancelled)
    }

    fn fitted_by(&self, policy: ContextPolicy, cancelled: &dyn Fn() -> bool) -> Result<Fitted, EngineError> {
        self.check_whole()?;
        let all = &self.input.messages;
        self.recorder.keep_only(all);
        let (rendered, ids) = self.tokens_of(&self.input, cancelled)?;
        let without = |cut: usize| {
            let empty = copy_of(&self.input, |_| false)?;
            self.tokens_of(&TemplateInput { messages: policy::without(all, cut)?, ..empty }, cancelled)
        };
        let cut = policy.cut(all, ids.len(), self.engine.plan().context, |cut| Ok(without(cut)?.1.len()))?;
        let Some(cut) = cut else { return Ok(Fitted { rendered, ids, dropped: 0 }) };
        let (rendered, ids) = without(cut)?;
        Ok(Fitted { rendered, ids, dropped: cut - policy::droppable(all).start })
    }

    /// Returns the messages that `drop-oldest` would leave out of the next prompt, whatever the policy is; empty if all have room. For an
    /// app that replaces them by a summary, before [`answer`](Self::answer): they are whole turns, the oldest ones, and never the last
    /// question.
    ///
    /// ```no_run
    /// # use happy_engine::{Conversation, EngineError, chat::Message};
    /// # fn summary_of(messages: &[serde_json::Value]) -> String { String::new() }
    /// # fn example(conversation: &mut Conversation) -> Result<(), EngineError> {
    /// let old = conversation.overflow()?;
    /// if !old.is_empty() {
    ///     let messages = &mut conversation.input_mut().messages;
    ///     let summary = format!("Earlier in this conversation: {}", summary_of(&messages[old.clone()]));
    ///     messages.splice(old, [Message::new("user", summary).into(), Message::new("assistant", "Noted.").into()]);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`prompt_ids`](Self::prompt_ids).
    pub fn overflow(&self) -> Result<Range<usize>, EngineError> {
        let first = policy::droppable(&self.input.messages).start;
        let dropped = self.fitted_by(ContextPolicy::DropOldest, &|| false)?.dropped;
        Ok(first..first + dropped)
    }

    fn tokens_of(
        &self,
        input: &TemplateInput,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(Rendered, Vec<TokenId>), EngineError> {
        let rendered = self.template.render_marked(input, cancelled)?;
        let ids = self.encode(&input.messages, &rendered, cancelled)?;
        Ok((rendered, ids))
    }

    fn encode(
        &self,
        messages: &[Json],
        rendered: &Rendered,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<TokenId>, EngineError> {
        let markers: Vec<&str> = self.format.markers().collect();
        let transcript = Transcript {
            tokenizer: self.engine.require_tokenizer()?,
            messages,
            markers: &markers,
            recorder: &self.recorder,
            cancelled,
        };
        transcript.encode(rendered)
    }

    /// Refuses what the template has no place for: nothing that was given is dropped silently. What was found in place stays
    /// so for the rest of the conversation, since some templates show the tools in the first turns only.
    fn check_used(&self, rendered: &Rendered, cancelled: &dyn Fn() -> bool) -> Result<(), EngineError> {
        if self.ignore_unused {
            return Ok(());
        }
        let given = Given::of(&self.input)?;
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if checked.as_ref() == Some(&given) {
            return Ok(());
        }
        let unused = |what: String| EngineError::Unused { path: self.engine.0.path.clone(), what };
        if let Some(name) = given.vars.keys().find(|name| !rendered.used.contains(*name)) {
            return Err(unused(reserve::text_of(
                &format_args!("the variable `{name}`"),
                "a variable's name",
            )?));
        }
        // A template that refuses the conversation without them has a place for them.
        let differs = |input: TemplateInput| match self.template.render_marked(&input, cancelled) {
            Ok(without) => Ok(without.text != rendered.text),
            Err(_) if cancelled() => Err(EngineError::Cancelled),
            Err(_) => Ok(true),
        };
        if given.tools.is_some()
            && !differs(TemplateInput { tools: None, ..copy_of(&self.input, |_| true)? })?
        {
            return Err(unused("tools".to_owned()));
        }
        if !given.system.is_empty() && !differs(copy_of(&self.input, |message| !is_system(message))?)? {
            return Err(unused("a system message".to_owned()));
        }
        *checked = Some(given);
        Ok(())
    }

    /// Thinking that ends in time for what must follow.
    fn thinking(&self, room: usize, parser: &ReplyParser) -> Result<Option<Thinking>, EngineError> {
        let Some((_, close)) = self.format.thinking() else { return Ok(None) };
        let options = EncodeOptions { add_special: false, parse_special: true };
        let close = self.engine.require_tokenizer()?.encode(close, options)?;
        let now = parser.channel() == Channel::Reasoning;
        Ok(Some(Thinking::new(self.engine.clone(), close, room, now)))
    }

    /// The tokens of an answer that this conversation generated, by its message.
    pub(crate) fn said(&self, message: &Json) -> Option<Arc<Said>> {
        self.recorder.find(message)
    }

    /// Other messages, and the tokens of the answers among them. A clone made before keeps its messages.
    pub(crate) fn replace_messages(
        &mut self,
        messages: Vec<Json>,
        answers: Vec<(Json, Said)>,
    ) -> Result<(), EngineError> {
        let recorder = Recorder::default();
        recorder.replace(answers)?;
        self.recorder = recorder;
        self.input.messages = messages;
        Ok(())
    }

    /// Whether the model is one that thinks: its template knows the mark, or its vocabulary has it. Others must not be led
    /// to it by a constraint that leaves them little else.
    pub(crate) fn may_think(&self) -> bool {
        self.format.thinking().is_some_and(|(open, _)| {
            let tokenizer = self.engine.tokenizer();
            self.template.source().contains(open) || tokenizer.is_some_and(|t| t.token(open).is_some())
        })
    }
}

/// A prompt for the context.
struct Fitted {
    rendered: Rendered,
    ids: Vec<TokenId>,
    /// Messages that it leaves out.
    dropped: usize,
}

/// The markers of a format that are control tokens.
fn markers(format: ReplyFormat, tokenizer: &Tokenizer) -> Result<Vec<TokenId>, EngineError> {
    let mut markers = Vec::new();
    for marker in format.markers() {
        let ids = tokenizer.encode(marker, EncodeOptions { add_special: false, parse_special: true })?;
        markers.extend(ids.into_iter().filter(|id| tokenizer.is_control(*id)));
    }
    markers.sort_unstable();
    markers.dedup();
    Ok(markers)
}

/// What was given to the template besides the turns.
#[derive(Debug, PartialEq)]
pub(crate) struct Given {
    tools: Option<Vec<Json>>,
    vars: Map<String, Json>,
    system: Vec<Json>,
}

impl Given {
    fn of(input: &TemplateInput) -> Result<Self, EngineError> {
        let TemplateInput { tools, vars, messages, .. } = copy_of(input, is_system)?;
        Ok(Self { tools: tools.filter(|tools| !tools.is_empty()), vars, system: messages })
    }
}

/// A copy with those messages for which `keep` is true.
fn copy_of(input: &TemplateInput, keep: impl Fn(&Json) -> bool) -> Result<TemplateInput, EngineError> {
    let mut messages = Vec::new();
    for message in input.messages.iter().filter(|message| keep(message)) {
        reserve::reserve(&mut messages, 1, "a copy of the conversation")?;
        messages.push(reserve::copied_json(json::copy(message))?);
    }
    Ok(TemplateInput {
        messages,
        tools: reserve::copied_json(input.tools.as_deref().map(json::copy_all).transpose())?,
        vars: reserve::copied_json(json::copy_object(&input.vars))?,
        bos_token: input.bos_token.clone(),
        eos_token: input.eos_token.clone(),
        ..*input
    })
}

fn is_system(message: &Json) -> bool {
    message.get("role").and_then(Json::as_str) == Some("system")
}

pub(crate) fn tools_of(input: &TemplateInput) -> &[Json] {
    input.tools.as_deref().unwrap_or_default()
}

/// The name of a tool: of its function, or its own.
pub(crate) fn tool_name(tool: &Json) -> Option<&str> {
    tool.get("function").unwrap_or(tool).get("name")?.as_str()
}

impl Engine {
    /// Returns the token ids of a prompt. The strings of control tokens become those tokens, and the prompt begins with BOS, once, if the
    /// model wants that. Use it for your own text; a [`Conversation`] keeps other people's text from becoming control tokens.
    ///
    /// # Errors
    /// If the file has no tokenizer, or the tokenizer cannot encode the text.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<TokenId>, EngineError> {
        self.encode_prompt_until(text, &Cancel::new())
    }

    /// Does the same as [`encode_prompt`](Self::encode_prompt), until `cancel` is raised.
    ///
    /// # Errors
    /// As [`encode_prompt`](Self::encode_prompt), and [`EngineError::Cancelled`].
    pub fn encode_prompt_until(&self, text: &str, cancel: &Cancel) -> Result<Vec<TokenId>, EngineError> {
        let tokenizer = self.require_tokenizer()?;
        let options = EncodeOptions { add_special: false, parse_special: true };
        let mut ids = tokenizer.encode_marked(text, &[], options, &|| cancel.is_cancelled())?;
        begin(tokenizer, &mut ids)?;
        Ok(ids)
    }
}

/// What a template sees of a model before there are messages: the strings of its BOS and EOS tokens, empty if it has
/// none. The prompt ends with the header of an answer.
pub fn template_input(tokenizer: &Tokenizer) -> TemplateInput {
    let string = |id: Option<TokenId>| {
        let text = id.and_then(|id| tokenizer.token_text(id).ok()).unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    };
    TemplateInput {
        add_generation_prompt: true,
        bos_token: string(tokenizer.bos()),
        eos_token: string(tokenizer.eos()),
        ..TemplateInput::default()
    }
}
