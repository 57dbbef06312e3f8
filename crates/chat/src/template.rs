//! Compiling and rendering.

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, State, UndefinedBehavior, Value};
use serde_json::{Map, Value as Json};

use super::{LocalTime, TemplateError, convert, filters, methods, source};

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

impl From<Message> for Json {
    fn from(m: Message) -> Json {
        let mut map = Map::new();
        map.insert("role".into(), Json::String(m.role));
        map.insert("content".into(), Json::String(m.content));
        Json::Object(map)
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
    /// The text of the BOS token, empty if there is none.
    pub bos_token: String,
    /// The text of the EOS token, empty if there is none.
    pub eos_token: String,
    /// More variables (`enable_thinking` ...); they come last and replace the ones above.
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

/// A compiled chat template. Immutable; a clone shares the compiled program.
#[derive(Clone)]
pub struct ChatTemplate {
    env: Environment<'static>,
    source: String,
    fuel: u64,
}

const NAME: &str = "chat";

/// Fuel for a render: this much, and [`FUEL_PER_BYTE`] for each byte of the context. minijinja burns one an instruction
/// and one for each 64 bytes of data; what it does not charge for, `guard.rs` does. So a render has at most 256 bytes a
/// unit in use: 128 MB, and 4 KB for each byte of the context. Known templates take 2 to 8 units a byte; one is quadratic in the
/// number of messages, and renders 400 short ones.
const FUEL: u64 = 500_000;
const FUEL_PER_BYTE: u64 = 16;

/// Depth of macros and blocks at run time: a macro call counts several.
const RECURSION_LIMIT: usize = 200;

impl ChatTemplate {
    /// Compiles a template.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`] with the line and what is wrong there.
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        on_own_stack(|| Self::compile(source))?
    }

    fn compile(source: &str) -> Result<Self, TemplateError> {
        let mut env = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        env.set_syntax(syntax.map_err(|e| TemplateError::from_compiling(&e))?);
        env.set_auto_escape_callback(|_| AutoEscape::None);
        env.set_undefined_behavior(UndefinedBehavior::Lenient);
        env.set_unknown_method_callback(methods::call);
        env.set_recursion_limit(RECURSION_LIMIT);
        env.set_debug(false);
        filters::register(&mut env);
        env.add_template_owned(NAME, source::rewrite(source)?)
            .map_err(|e| TemplateError::from_compiling(&e))?;
        Ok(ChatTemplate { env, source: source.to_owned(), fuel: FUEL })
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
        self.render_context(&input.context(), input.now)
    }

    /// Renders with the whole context given as one JSON object, whose order of keys is kept.
    ///
    /// # Errors
    /// As [`render`](Self::render), and if `context` is not an object.
    pub fn render_context(&self, context: &Json, now: Option<LocalTime>) -> Result<String, TemplateError> {
        if !context.is_object() {
            return Err(TemplateError::Context { found: kind_of(context) });
        }
        let fuel = self.fuel.saturating_add(FUEL_PER_BYTE.saturating_mul(size_of_json(context)));
        let mut env = self.env.clone();
        env.set_fuel(Some(fuel));
        env.add_function("strftime_now", move |state: &State, format: &str| -> Result<Value, Error> {
            // `%c` becomes 24 characters.
            state.consume_fuel(format.len() as u64)?;
            Ok(Value::from(now.unwrap_or_else(LocalTime::now_utc).strftime(format)))
        });
        on_own_stack(|| {
            let rendered = env.get_template(NAME).and_then(|t| t.render(convert::from_json(context)));
            rendered.map_err(|e| TemplateError::from_rendering(&e, fuel))
        })?
    }
}

/// Stack of the thread that compiles and renders. The recursion of both is bounded (source.rs, filters.rs, the limit
/// above), but not within the stack that an app's thread may have left. Only pages that are touched take memory.
const STACK_BYTES: usize = 64 << 20;

/// Runs `f` on a thread of its own.
fn on_own_stack<T: Send>(f: impl FnOnce() -> T + Send) -> Result<T, TemplateError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("chat-template".into()).stack_size(STACK_BYTES);
        let handle = thread.spawn_scoped(scope, f).map_err(|e| TemplateError::Thread(e.to_string()))?;
        // A panic in there is a bug of ours or of minijinja; it becomes an error like any other.
        handle
            .join()
            .map_err(|_| TemplateError::Runtime { line: 0, message: "the template engine panicked".into() })
    })
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

/// About how many bytes the value has as JSON.
fn size_of_json(value: &Json) -> u64 {
    match value {
        Json::String(s) => s.len() as u64 + 2,
        Json::Array(items) => items.iter().map(|v| size_of_json(v) + 2).sum::<u64>() + 2,
        Json::Object(map) => map.iter().map(|(k, v)| k.len() as u64 + size_of_json(v) + 6).sum::<u64>() + 2,
        _ => 5,
    }
}
