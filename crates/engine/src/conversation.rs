//! Conversations: messages in, answers out, and only what is new is computed.
//!
//! ```text
//! messages, tools --template--> prompt --tokenizer--> ids
//! ids and the sequence in the KV cache: the longest common prefix stays, the rest of the ids is prefilled
//! text, markers included --reply parser--> content, reasoning, calls
//! ```
//!
//! A template may rewrite what was said before (most drop earlier reasoning), and a tokenizer may cut an answer otherwise
//! than the model wrote it: the prefix then ends there.

use crate::chat::{ChatTemplate, Reply, ReplyEvent, ReplyFormat, ReplyParser, TemplateInput};
use crate::{
    Context, Engine, EngineError, Event, Finish, GenerateOptions, GenerationState, chat_template_of,
    tool_template_of,
};
use happy_tokenizer::{EncodeOptions, TokenId, Tokenizer};
use serde_json::Value as Json;
use std::collections::VecDeque;
use std::time::Duration;

/// A conversation with a model.
#[derive(Clone)]
pub struct Conversation {
    engine: Engine,
    template: ChatTemplate,
    format: ReplyFormat,
    /// Control tokens that are markers of the format.
    markers: Vec<TokenId>,
    input: TemplateInput,
}

impl Conversation {
    /// A conversation without messages, in which the model may call these tools (JSON schemas, as templates take them);
    /// `None` if the model has no chat template.
    ///
    /// # Errors
    /// If the template is not valid, or the file has no tokenizer.
    pub fn new(engine: &Engine, tools: Option<Vec<Json>>) -> Result<Option<Self>, EngineError> {
        let file = engine.file();
        let template = if tools.is_some() { tool_template_of(file)? } else { chat_template_of(file)? };
        let Some(template) = template else { return Ok(None) };
        let tokenizer = engine.require_tokenizer()?;
        let input = TemplateInput { tools, ..template_input(tokenizer) };
        let format = ReplyFormat::of_template(template.source());
        let mut all = Self { engine: engine.clone(), template, format, markers: Vec::new(), input };
        all.set_format(format)?;
        Ok(Some(all))
    }

    /// Reads replies in another format than the one that the template shows.
    ///
    /// # Errors
    /// If a marker cannot be turned into tokens.
    pub fn set_format(&mut self, format: ReplyFormat) -> Result<(), EngineError> {
        let tokenizer = self.engine.require_tokenizer()?;
        let mut markers = Vec::new();
        for marker in format.markers() {
            let ids = tokenizer.encode(marker, EncodeOptions { add_special: false, parse_special: true })?;
            markers.extend(ids.into_iter().filter(|id| tokenizer.is_control(*id)));
        }
        markers.sort_unstable();
        markers.dedup();
        (self.format, self.markers) = (format, markers);
        Ok(())
    }

    /// The format that replies are read in.
    pub fn format(&self) -> ReplyFormat {
        self.format
    }

    /// What the template sees: messages, tools, variables.
    pub fn input(&self) -> &TemplateInput {
        &self.input
    }

    /// What the template sees, to be changed.
    pub fn input_mut(&mut self) -> &mut TemplateInput {
        &mut self.input
    }

    /// Adds a message: a [`Message`](crate::chat::Message), a [`Reply::message`], or any other JSON object.
    pub fn push(&mut self, message: impl Into<Json>) {
        self.input.messages.push(message.into());
    }

    /// The whole conversation as the template renders it.
    ///
    /// # Errors
    /// If the template refuses it or fails.
    pub fn prompt(&self) -> Result<String, EngineError> {
        Ok(self.template.render(&self.input)?)
    }

    /// Generates the answer to the last message in a sequence: what the sequence has in common with the prompt is kept,
    /// the rest of the sequence is dropped and the rest of the prompt computed.
    ///
    /// # Errors
    /// As [`prompt`](Self::prompt) and [`Context::generate`]. The conversation stays as it is: add the answer by
    /// [`push`](Self::push).
    pub fn answer<'a>(
        &self,
        context: &'a mut Context,
        sequence: u32,
        options: GenerateOptions,
    ) -> Result<Answer<'a>, EngineError> {
        let state = self.begin(context, sequence, options)?;
        Ok(Answer { context, state })
    }

    /// As [`answer`](Self::answer), for steps that are given the context each time.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    pub fn begin(
        &self,
        context: &mut Context,
        sequence: u32,
        options: GenerateOptions,
    ) -> Result<AnswerState, EngineError> {
        let prompt = self.prompt()?;
        let ids = self.engine.encode_prompt(&prompt)?;
        let reused = context.keep_common_prefix(sequence, &ids)?;
        let rest = ids.get(reused..).unwrap_or_default();
        let mut generation = context.begin(sequence, rest, options)?;
        generation.show(&self.markers);
        let tools = self.input.tools.as_deref().unwrap_or_default();
        let parser = ReplyParser::new(self.format).with_tools(tools).after_prompt(&prompt);
        let state = State::Running(Box::new(parser));
        Ok(AnswerState { generation, prefill: rest.len(), reused, state, ready: VecDeque::new() })
    }
}

impl Engine {
    /// Token ids of a prompt: the strings of control tokens become those tokens, and BOS begins it where the model wants
    /// that, but once.
    ///
    /// # Errors
    /// If the file has no tokenizer, or the tokenizer cannot encode the text.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<TokenId>, EngineError> {
        let tokenizer = self.require_tokenizer()?;
        let mut ids = tokenizer.encode(text, EncodeOptions { add_special: false, parse_special: true })?;
        if let Some(bos) = tokenizer.bos().filter(|bos| tokenizer.adds_bos() && ids.first() != Some(bos)) {
            ids.insert(0, bos);
        }
        Ok(ids)
    }
}

/// What a template sees of a model before there are messages: the strings of its BOS and EOS tokens, empty where it has
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

/// Something that happened while answering.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AnswerEvent {
    /// A chunk of a long prompt has been computed; more follow.
    Prefilling {
        /// Tokens that are done.
        done: usize,
        /// Tokens that are to be computed.
        total: usize,
    },
    /// The prompt has been computed.
    Prefilled {
        /// Tokens that were computed.
        tokens: usize,
        /// How long it took.
        time: Duration,
    },
    /// A part of the reply.
    Reply(ReplyEvent),
    /// The end; nothing follows.
    Done {
        /// Why, and what it took.
        finish: Finish,
        /// The reply as a whole.
        reply: Reply,
    },
}

enum State {
    Running(Box<ReplyParser>),
    Over,
}

/// A running answer: yields [`AnswerEvent`]s, the last of which is [`AnswerEvent::Done`] or an error.
pub struct Answer<'a> {
    context: &'a mut Context,
    state: AnswerState,
}

/// A running answer without its context, which every step is given: for who keeps both in one place.
pub struct AnswerState {
    generation: GenerationState,
    prefill: usize,
    reused: usize,
    state: State,
    /// Events that one token gave.
    ready: VecDeque<AnswerEvent>,
}

impl Answer<'_> {
    /// Tokens of the prompt that the sequence held already.
    pub fn reused(&self) -> usize {
        self.state.reused
    }

    /// Tokens of the prompt that are to be computed.
    pub fn prefill(&self) -> usize {
        self.state.prefill
    }
}

impl Iterator for Answer<'_> {
    type Item = Result<AnswerEvent, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.state.next(self.context)
    }
}

impl AnswerState {
    /// The next event, or `None` behind the last; `context` is the one that this began in.
    ///
    /// # Errors
    /// If the model cannot compute a token; nothing follows.
    pub fn next(&mut self, context: &mut Context) -> Option<Result<AnswerEvent, EngineError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            match self.generation.next(context)? {
                Ok(event) => self.take(event),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Ends the answer here, as [`GenerationState::stop`].
    pub fn stop(&mut self) {
        self.generation.stop();
    }

    /// Tokens of the prompt that the sequence held already.
    pub fn reused(&self) -> usize {
        self.reused
    }

    /// Tokens of the prompt that are to be computed.
    pub fn prefill(&self) -> usize {
        self.prefill
    }

    fn take(&mut self, event: Event) {
        let State::Running(parser) = &mut self.state else { return };
        match event {
            Event::Prefilling { done, total } => {
                self.ready.push_back(AnswerEvent::Prefilling { done, total });
            }
            Event::Prefilled { tokens, time } => {
                self.ready.push_back(AnswerEvent::Prefilled { tokens, time })
            }
            Event::Token(_) => {}
            Event::Text(text) => self.ready.extend(parser.push(&text).into_iter().map(AnswerEvent::Reply)),
            Event::Done(finish) => {
                if let State::Running(parser) = std::mem::replace(&mut self.state, State::Over) {
                    let (events, reply) = parser.finish();
                    self.ready.extend(events.into_iter().map(AnswerEvent::Reply));
                    self.ready.push_back(AnswerEvent::Done { finish, reply });
                }
            }
        }
    }
}
