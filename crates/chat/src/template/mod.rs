//! Chat templates: compiling and rendering.
//!
//! ```text
//! lexer.rs       the source as tokens, as Jinja2 cuts it
//! parser.rs      statements, expression.rs  expressions: instructions as they are read
//! program.rs     the instructions
//! machine.rs     runs them;  scopes.rs  variables;  context.rs  the caller's variables, converted when they are read
//! value.rs       values;  heap.rs  lists, dicts and the like, which values name by numbers;  text.rs  strings that know where they come from
//! operators.rs, lookup.rs, print.rs, format.rs, json.rs    what Python does with values
//! filters/, tests.rs, methods/, functions.rs               what Jinja2 and Python's types have
//! budget.rs      fuel and memory;  clock.rs  strftime_now
//! ```

mod args;
mod budget;
mod calls;
mod clock;
mod context;
mod error;
mod expression;
mod filters;
mod format;
mod functions;
mod heap;
mod json;
mod lexer;
mod lookup;
mod machine;
mod methods;
mod operators;
mod parser;
mod print;
mod program;
mod scopes;
mod statements;
mod tests;
mod text;
mod value;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use budget::Budget;
use context::Context;
use heap::{Cx, Heap};
use machine::Machine;
use program::Program;

pub use clock::{ClockParseError, LocalTime};
pub use error::TemplateError;
pub use text::{Origin, Span};

/// One message of a conversation, as most templates want it: a role and a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool` ...
    pub role: String,
    /// The text.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Message { role: role.into(), content: content.into() }
    }
}

/// What a template is rendered with.
#[derive(Debug, Clone, Default)]
pub struct TemplateInput {
    /// The conversation: a JSON object each, with `role`, `content`, and whatever the template knows (`tool_calls` ...).
    pub messages: Vec<Json>,
    /// The tools as JSON schemas; `None` leaves the variable `tools` defined and none, as transformers does.
    pub tools: Option<Vec<Json>>,
    /// Whether to end with the header of the assistant's answer.
    pub add_generation_prompt: bool,
    /// The text of the BOS token; empty without a BOS token.
    pub bos_token: String,
    /// The text of the EOS token; empty without an EOS token.
    pub eos_token: String,
    /// More variables (`enable_thinking` ...); they replace the ones above.
    pub vars: Map<String, Json>,
    /// What `strftime_now` prints; `None`: the system's clock in UTC.
    pub now: Option<LocalTime>,
}

impl TemplateInput {
    /// A conversation that the assistant is to answer.
    pub fn new<M: Into<Json>>(messages: impl IntoIterator<Item = M>) -> Self {
        let messages = messages.into_iter().map(Into::into).collect();
        TemplateInput { messages, add_generation_prompt: true, ..TemplateInput::default() }
    }

    /// The context that the template sees, as one JSON object.
    pub fn context(&self) -> Json {
        let mut map = Map::new();
        map.insert("messages".into(), Json::Array(self.messages.clone()));
        map.insert("tools".into(), self.tools.clone().map_or(Json::Null, Json::Array));
        map.insert("documents".into(), Json::Null);
        map.insert("add_generation_prompt".into(), Json::Bool(self.add_generation_prompt));
        map.insert("bos_token".into(), Json::String(self.bos_token.clone()));
        map.insert("eos_token".into(), Json::String(self.eos_token.clone()));
        for (key, value) in &self.vars {
            map.insert(key.clone(), value.clone());
        }
        Json::Object(map)
    }
}

/// A rendered conversation, and where its text comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The prompt.
    pub text: String,
    /// The stretches that came with messages, tools, documents or variables: ascending and disjoint. All other text is the
    /// template's own, or a BOS or EOS token.
    pub spans: Vec<Span>,
    /// The variables of the caller that rendering asked for, whether they were given or not.
    pub used: BTreeSet<String>,
}

impl Rendered {
    /// What came with messages and documents, in the prompt's order.
    pub fn said(&self) -> impl Iterator<Item = &str> {
        let said = |span: &&Span| matches!(span.origin, Origin::Message(_) | Origin::Documents);
        self.spans.iter().filter(said).filter_map(|span| self.text.get(span.range.clone()))
    }
}

/// A compiled chat template. Immutable; a clone shares the compiled program.
#[derive(Clone)]
pub struct ChatTemplate {
    program: Arc<Program>,
    source: Arc<String>,
    fuel: u64,
}

/// Fuel for a render: this much, and [`FUEL_PER_BYTE`] for each byte of the context. A unit pays for one instruction, one
/// part of a value that is walked over, or 64 bytes of text (`budget.rs`), and none takes more than 256 bytes of memory. So a
/// render has at most 128 MB in use, and 4 KB for each byte of the context. Known templates take 2 to 8 units a byte; one is
/// quadratic in the number of messages, and renders 400 short ones.
const FUEL: u64 = 500_000;
const FUEL_PER_BYTE: u64 = 16;

impl ChatTemplate {
    /// Compiles a template.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`] with the line, what was expected and what was found;
    /// [`TemplateError::OutOfMemory`].
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        let program = Arc::new(parser::compile(source)?);
        let mut copy = String::new();
        copy.try_reserve_exact(source.len()).map_err(|_| TemplateError::OutOfMemory { line: 1 })?;
        copy.push_str(source);
        Ok(ChatTemplate { program, source: Arc::new(copy), fuel: FUEL })
    }

    /// The template's text as given.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Sets how much work a render may do (plus a share for the size of the context): one unit is about one
    /// instruction, one part of a value that is walked over, or 64 bytes of data. It bounds the memory too, at 256 bytes
    /// a unit.
    pub fn set_fuel(&mut self, fuel: u64) {
        self.fuel = fuel;
    }

    /// Renders a conversation.
    ///
    /// # Errors
    /// [`TemplateError::Raised`] if the template refuses the conversation, otherwise what failed in which line.
    pub fn render(&self, input: &TemplateInput) -> Result<String, TemplateError> {
        self.render_marked(input, &|| false).map(|rendered| rendered.text)
    }

    /// Renders a conversation and tells which stretches of the prompt came with a message, the tools, the documents or a
    /// variable: text from outside, in which the string of a control token is just a string. `cancelled` is asked about
    /// every millisecond.
    ///
    /// # Errors
    /// As [`render`](Self::render), and [`TemplateError::Cancelled`].
    pub fn render_marked(
        &self,
        input: &TemplateInput,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Rendered, TemplateError> {
        self.run(Context::Input(input), input.now, cancelled)
    }

    /// Renders with the whole context given as one JSON object, whose order of keys is kept.
    ///
    /// # Errors
    /// As [`render`](Self::render), and if `context` is not an object.
    pub fn render_context(&self, context: &Json, now: Option<LocalTime>) -> Result<String, TemplateError> {
        self.render_context_marked(context, now, &|| false).map(|rendered| rendered.text)
    }

    /// [`render_context`](Self::render_context) with marks, as [`render_marked`](Self::render_marked).
    ///
    /// # Errors
    /// As these.
    pub fn render_context_marked(
        &self,
        context: &Json,
        now: Option<LocalTime>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Rendered, TemplateError> {
        match context {
            Json::Object(map) => self.run(Context::Json(map), now, cancelled),
            _ => Err(TemplateError::Context { found: kind_of(context) }),
        }
    }

    fn run(
        &self,
        context: Context<'_>,
        now: Option<LocalTime>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Rendered, TemplateError> {
        let size = context.size().map_err(|failed| failed.at(1, self.fuel))?;
        let fuel = self.fuel.saturating_add(FUEL_PER_BYTE.saturating_mul(size));
        let cx = Cx { heap: Heap::default(), budget: Budget::new(fuel, cancelled), now };
        let mut machine = Machine::new(&self.program, cx, context).map_err(|failed| failed.at(1, fuel))?;
        machine.run().map_err(|failed| failed.at(machine.line(), fuel))?;
        let (out, used) = machine.finish();
        let (text, spans) = out.into_parts();
        Ok(Rendered { text, spans, used })
    }
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate").field("bytes", &self.source.len()).field("fuel", &self.fuel).finish()
    }
}

fn kind_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}
