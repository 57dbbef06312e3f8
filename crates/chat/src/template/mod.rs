//! Chat templates: compiling and rendering.
//!
//! ```text
//! lexer.rs       splits the source into tokens, as Jinja2 does
//! parser.rs      compiles them to instructions; statements.rs and expression.rs have the syntax
//! program.rs     the instructions
//! machine.rs     runs them;  scopes.rs  variables;  context.rs  the caller's variables, converted when they are read
//! value.rs       values;  heap.rs  lists, dicts and other objects, which values refer to by number;  text.rs  strings with their origin
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

/// A message with a role and a text, which is enough for most templates. It converts to the JSON object of
/// [`TemplateInput::messages`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool` ...
    pub role: String,
    /// The text.
    pub content: String,
}

impl Message {
    /// Makes a message.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Message { role: role.into(), content: content.into() }
    }
}

/// The input of a template.
#[derive(Debug, Clone, Default)]
pub struct TemplateInput {
    /// The conversation. Each message is a JSON object with `role`, `content`, and whatever else the template reads, such as
    /// `tool_calls`.
    pub messages: Vec<Json>,
    /// The tools, with their JSON schemas. If this is `None`, the variable `tools` is defined and none, as in transformers.
    pub tools: Option<Vec<Json>>,
    /// Whether to end with the header of the assistant's answer.
    pub add_generation_prompt: bool,
    /// The text of the BOS token; empty if the model doesn't have one.
    pub bos_token: String,
    /// The text of the EOS token; empty if the model doesn't have one.
    pub eos_token: String,
    /// More variables, such as `enable_thinking`. A variable with the name of a field above replaces it.
    pub vars: Map<String, Json>,
    /// The time that `strftime_now` prints. If this is `None`, it is the system's clock in UTC.
    pub now: Option<LocalTime>,
}

impl TemplateInput {
    /// Makes the input for a conversation that the assistant is to answer: `add_generation_prompt` is set, and there are no
    /// tools or variables.
    pub fn new<M: Into<Json>>(messages: impl IntoIterator<Item = M>) -> Self {
        let messages = messages.into_iter().map(Into::into).collect();
        TemplateInput { messages, add_generation_prompt: true, ..TemplateInput::default() }
    }

    /// Returns all variables that the template sees, as one JSON object.
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

/// A rendered conversation, and the origin of its text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The prompt.
    pub text: String,
    /// The ranges of text that came with messages, tools, documents or variables, ascending and disjoint. All other text is
    /// the template's own, or a BOS or EOS token.
    pub spans: Vec<Span>,
    /// The names of the variables that the template read, whether they were given or not.
    pub used: BTreeSet<String>,
}

impl Rendered {
    /// Returns the texts that came with messages and documents, in the prompt's order.
    pub fn said(&self) -> impl Iterator<Item = &str> {
        let said = |span: &&Span| matches!(span.origin, Origin::Message(_) | Origin::Documents);
        self.spans.iter().filter(said).filter_map(|span| self.text.get(span.range.clone()))
    }
}

/// A compiled chat template. Clones share the compiled program.
#[derive(Clone)]
pub struct ChatTemplate {
    program: Arc<Program>,
    source: Arc<String>,
    fuel: u64,
}

/// Fuel for a render: this much, plus [`FUEL_PER_BYTE`] for each byte of the context. A unit pays for one instruction, one
/// part of a value that is visited, or 64 bytes of text (`budget.rs`), and takes at most 256 bytes of memory. So a render uses
/// at most 128 MB, plus 4 KB per byte of the context. Known templates need 2 to 8 units per byte. One of them is quadratic in
/// the number of messages; this suffices for 400 short messages.
const FUEL: u64 = 500_000;
const FUEL_PER_BYTE: u64 = 16;

impl ChatTemplate {
    /// Compiles a template.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`] with the line, what was expected and what was found, or [`TemplateError::OutOfMemory`].
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        let program = Arc::new(parser::compile(source)?);
        let mut copy = String::new();
        copy.try_reserve_exact(source.len()).map_err(|_| TemplateError::OutOfMemory { line: 1 })?;
        copy.push_str(source);
        Ok(ChatTemplate { program, source: Arc::new(copy), fuel: FUEL })
    }

    /// Returns the template's source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Sets how much work a render may do. The default is 500,000 units. Rendering gets another 16 units per byte of the
    /// context.
    ///
    /// One unit is about one instruction, one part of a value that is visited, or 64 bytes of text. This also bounds the
    /// memory, to 256 bytes per unit.
    pub fn set_fuel(&mut self, fuel: u64) {
        self.fuel = fuel;
    }

    /// Renders a conversation.
    ///
    /// # Errors
    /// [`TemplateError::Raised`] if the template refuses the conversation; otherwise an error with the line and what failed.
    pub fn render(&self, input: &TemplateInput) -> Result<String, TemplateError> {
        self.render_marked(input, &|| false).map(|rendered| rendered.text)
    }

    /// Renders a conversation, and reports which ranges of the prompt came with a message, the tools, the documents or a
    /// variable. In such text, the string of a control token should not become the token.
    ///
    /// `cancelled` is called about once per millisecond; rendering stops if it returns true.
    ///
    /// # Errors
    /// As for [`render`](Self::render), and [`TemplateError::Cancelled`].
    pub fn render_marked(
        &self,
        input: &TemplateInput,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Rendered, TemplateError> {
        self.run(Context::Input(input), input.now, cancelled)
    }

    /// Renders with all variables given as one JSON object. The order of keys is kept.
    ///
    /// # Errors
    /// As for [`render`](Self::render), and [`TemplateError::Context`] if `context` is not an object.
    pub fn render_context(&self, context: &Json, now: Option<LocalTime>) -> Result<String, TemplateError> {
        self.render_context_marked(context, now, &|| false).map(|rendered| rendered.text)
    }

    /// Does the same as [`render_context`](Self::render_context), and reports origins as
    /// [`render_marked`](Self::render_marked) does.
    ///
    /// # Errors
    /// As for these.
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
