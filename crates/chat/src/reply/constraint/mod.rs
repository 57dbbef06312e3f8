//! The grammar of a constrained reply, derived from a format's declarations.
//!
//! ```text
//! reply     thinking? body                         thinking up to its end marker, if the prompt or the model opens it
//! body      none      content                      without anything that begins a call
//!           auto      content (call content)*      or, with a grammar for the answer: answer | calls
//!           required  calls                        of any tool, or only of the named one
//! content   answer, or free text
//! call      the format's markers, with a tool's name and arguments that fit its schema
//! ```
//!
//! Constraints are lazy: free text may be anything that does not begin a call, and once a call has begun, it must be a valid
//! one. Calls in the notations of small models, which [`ReplyParser`](crate::ReplyParser) also reads, are free text here.
//!
//! Arguments come in the schema's order. A string argument in a notation without quotes is free text, or one of its `enum`;
//! its other keywords are ignored.

mod blocks;
mod harmony;
mod values;
mod writer;

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde_json::Value as Json;

use super::grammar::At;
use super::schema::{Schema, Tool};
use super::{Channel, MAX_NAME, ReplyFormat};
use crate::memory::{OutOfMemory, R, joined, push, text};
use writer::Writer;

/// Whether a reply may or must call tools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// No calls.
    None,
    /// The model decides.
    #[default]
    Auto,
    /// At least one call of any tool.
    Required,
    /// At least one call. All calls are of this tool.
    Named(String),
}

impl FromStr for ToolChoice {
    type Err = Infallible;

    /// Reads `none`, `auto` or `required`. Any other text is a tool's name.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "none" => ToolChoice::None,
            "auto" => ToolChoice::Auto,
            "required" => ToolChoice::Required,
            name => ToolChoice::Named(name.to_owned()),
        })
    }
}

/// What a reply has to look like.
pub struct ReplyShape<'a> {
    /// The format in which the model writes.
    pub format: ReplyFormat,
    /// The channel in which the reply begins: [`ReplyParser::channel`](crate::ReplyParser::channel) after the prompt.
    pub opened: Channel,
    /// Whether the model may open thinking by itself.
    pub may_think: bool,
    /// The tools, in the form that templates take.
    pub tools: &'a [Json],
    /// Whether tools may or must be called.
    pub choice: ToolChoice,
    /// Whether the caller has a grammar for the answer, [`Part::Answer`].
    pub answer: bool,
    /// Returns the id of a marker that is a control token of the vocabulary, or `None` if the marker is ordinary text.
    pub token: &'a dyn Fn(&str) -> Option<u32>,
}

/// A grammar of replies: GBNF text whose root is `root`, and the rules that it uses but does not define.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplyGrammar {
    /// The text. Control tokens are written by number, such as `<[7]>`.
    pub gbnf: String,
    /// The rules that the caller has to add, by name.
    pub parts: Vec<(String, Part)>,
    /// The tools that the grammar leaves out because the notation cannot express one of their names. The other tools are
    /// constrained as if these had not been declared.
    pub left_out: Vec<NameError>,
}

/// A rule that is defined outside of the GBNF text.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A document that fits this JSON schema, which is given as text.
    Schema(String),
    /// Text before the first of these strings; any text if the list is empty.
    Until(Vec<&'static str>),
    /// The answer, for which the caller has a grammar.
    Answer,
}

/// Why no grammar could be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConstraintError {
    /// The notation cannot be constrained.
    #[error(
        "replies in the format `{0}` cannot be constrained: leave out the tool choice and the grammar, or give another reply format"
    )]
    Unsupported(ReplyFormat),
    /// The notation cannot express the names of any tool that may be called. This is the first of these tools.
    #[error(transparent)]
    Name(NameError),
    /// The format has no calls.
    #[error("the reply format `{0}` has no notation for calls: a call cannot be required")]
    NoCalls(ReplyFormat),
    /// A call is required, but there are no tools.
    #[error("a call is required, but no tools were given")]
    NoTools,
    /// The tool that must be called was not declared.
    #[error("unknown tool `{name}`, expected one of {expected}")]
    UnknownTool {
        /// The unknown name.
        name: String,
        /// The names of the declared tools, separated by commas.
        expected: String,
    },
    /// Memory was refused.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

/// A tool with a name that the notation cannot express.
///
/// The notation has no quotes around names, so a name cannot be read back if it is empty, longer than 256 bytes, or contains
/// white space, a bracket or the like.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameError {
    /// The format of the reply.
    pub format: ReplyFormat,
    /// The tool's name.
    pub tool: String,
    /// The name of the parameter that cannot be expressed; `None` if it is the tool's own name.
    pub parameter: Option<String>,
}

impl std::error::Error for NameError {}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, tool, parameter } = self;
        match parameter {
            Some(name) => write!(f, "the parameter `{name}` of the tool `{tool}`")?,
            None => write!(f, "the name of the tool `{tool}`")?,
        }
        write!(
            f,
            " cannot be constrained in the reply format `{format}`, expected a word of letters, digits, `_`, `-` and the like, \
             at most {MAX_NAME} bytes: rename it, or give another reply format"
        )
    }
}

/// Writes the grammar of a reply. Returns `None` if nothing is to be constrained.
///
/// A tool whose `parameters` are the schema `true` takes any arguments. With [`ToolChoice::Auto`], calls are not constrained if
/// the format has no calls or its calls cannot be constrained. A tool with a name that the notation cannot express is left out
/// of the grammar and listed in [`ReplyGrammar::left_out`]. If no other tool is left, calls are not constrained under `Auto`.
///
/// # Errors
/// [`ConstraintError`] if a call or a grammar for the answer is required but impossible, or if memory is refused.
///
/// ```
/// use happy_chat::{Channel, ReplyFormat, ReplyShape, ToolChoice, reply_grammar};
/// let tools = [serde_json::json!({"name": "now", "parameters": {}})];
/// let shape = ReplyShape {
///     format: ReplyFormat::Hermes,
///     opened: Channel::Content,
///     may_think: false,
///     tools: &tools,
///     choice: ToolChoice::Required,
///     answer: false,
///     token: &|_| None,
/// };
/// let grammar = reply_grammar(&shape)?.expect("a call is asked for");
/// assert!(grammar.gbnf.contains("<tool_call>"));
/// # Ok::<(), happy_chat::ConstraintError>(())
/// ```
pub fn reply_grammar(shape: &ReplyShape<'_>) -> Result<Option<ReplyGrammar>, ConstraintError> {
    let format = shape.format;
    let mut schema = Schema::new(shape.tools)?;
    let must_call = match &shape.choice {
        ToolChoice::None | ToolChoice::Auto => false,
        ToolChoice::Required => true,
        ToolChoice::Named(name) => {
            if schema.has_tools() && !schema.is_declared(name) {
                let expected = joined(schema.names(), ", ")?;
                return Err(ConstraintError::UnknownTool { name: text!("{name}")?, expected });
            }
            schema.retain(|tool| tool.name == *name);
            true
        }
    };
    if must_call && !schema.has_tools() {
        return Err(ConstraintError::NoTools);
    }
    let grammar = format.grammar();
    let has_calls = grammar.bare || grammar.rules.iter().any(super::grammar::opens);
    let messages = grammar.rules.iter().any(|rule| rule.2 == At::Header);
    // In other formats of messages, the answer has markers of its own; see docs/tools.md.
    let supported = match format {
        ReplyFormat::Harmony => true,
        ReplyFormat::KimiK3 => false,
        _ => !messages,
    };
    if must_call && !has_calls {
        return Err(ConstraintError::NoCalls(format));
    }
    if !supported {
        return if must_call || shape.answer { Err(ConstraintError::Unsupported(format)) } else { Ok(None) };
    }
    if !shape.answer && (!schema.has_tools() || !has_calls) {
        return Ok(None);
    }
    let mut left_out = Vec::new();
    if shape.choice != ToolChoice::None && has_calls {
        for tool in schema.tools() {
            if let Some(parameter) = unwritable(tool, format) {
                let parameter = parameter.map(|name| text!("{name}")).transpose()?;
                push(&mut left_out, NameError { format, tool: text!("{}", tool.name)?, parameter })?;
            }
        }
        schema.retain(|tool| unwritable(tool, format).is_none());
    }
    if !schema.has_tools() && !left_out.is_empty() {
        return match must_call || shape.answer {
            true => Err(ConstraintError::Name(left_out.swap_remove(0))),
            false => Ok(None),
        };
    }
    let mut writer = Writer::new(grammar, &schema, shape.token)?;
    if format == ReplyFormat::Harmony {
        harmony::write(&mut writer, shape, must_call)?;
    } else {
        write(&mut writer, shape, must_call, has_calls)?;
    }
    let (gbnf, parts) = writer.finish()?;
    Ok(Some(ReplyGrammar { gbnf, parts, left_out }))
}

/// Returns a tool of the same name that takes any arguments (the schema `true`), for use in place of a tool whose schema cannot
/// become a grammar. Returns null if the tool has no name.
///
/// # Errors
/// If memory is refused.
pub fn without_schema(tool: &Json) -> R<Json> {
    let one = Schema::new(std::slice::from_ref(tool))?;
    let Some(tool) = one.tools().next() else { return Ok(Json::Null) };
    let members = [("name", Json::from(text!("{}", tool.name)?)), ("parameters", Json::Bool(true))];
    Ok(Json::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()))
}

/// Returns whether a rule of a format leads to one of these states.
fn leads(format: ReplyFormat, to: &[At]) -> bool {
    format.grammar().rules.iter().any(|rule| to.contains(&rule.2))
}

/// Returns whether a format writes names of parameters without quotes, instead of a JSON object.
fn writes_keys(format: ReplyFormat) -> bool {
    leads(format, &[At::Key, At::Literals])
}

/// Finds a name that the format writes without quotes and that could not be read back: of a tool (`Some(None)`) or of one of
/// its parameters.
fn unwritable<'t>(tool: &'t Tool<'_>, format: ReplyFormat) -> Option<Option<&'t str>> {
    let grammar = format.grammar();
    let names = grammar.keyed || format == ReplyFormat::Harmony || leads(format, &[At::Name, At::List]);
    let keys = writes_keys(format);
    let is_word = |name: &str, marks: &str| {
        let is_apart = |c: char| c.is_whitespace() || c.is_control() || marks.contains(c);
        !name.is_empty() && name.len() <= MAX_NAME && !name.contains(is_apart)
    };
    if names && !is_word(&tool.name, "<>[](){}\"") {
        return Some(None);
    }
    let mut properties = tool.properties().map(|(key, _)| key);
    properties.find(|key| keys && !is_word(key, "<>[](){}\"'=:,")).map(Some)
}

/// Writes the rules of a reply that is a single text.
fn write(writer: &mut Writer<'_>, shape: &ReplyShape<'_>, must_call: bool, has_calls: bool) -> R<()> {
    let calls = has_calls && shape.choice != ToolChoice::None && writer.has_tools();
    let body = match (must_call, shape.answer) {
        (true, _) => {
            writer.calls()?;
            text!("ws calls ws")?
        }
        (false, true) => {
            let answer = writer.answer()?;
            if calls {
                writer.calls()?;
                text!("({answer} | ws calls ws)")?
            } else {
                answer
            }
        }
        (false, false) => {
            let free = writer.free_text()?;
            let ending = writer.ending()?;
            if calls {
                writer.calls()?;
                text!("{free} (block {free})* {ending}")?
            } else {
                text!("{free} {ending}")?
            }
        }
    };
    let free = !must_call && !shape.answer;
    let root = match writer.thinking()? {
        // Without a required answer or call, a model may end inside of its thinking.
        Some((_, rest)) if shape.opened == Channel::Reasoning && free => {
            let (thoughts, close) = rest;
            text!("{thoughts} ({close} {body})?")?
        }
        Some((_, (thoughts, close))) if shape.opened == Channel::Reasoning => {
            text!("{thoughts} {close} ws {body}")?
        }
        Some((open, (thoughts, close))) if shape.may_think => {
            text!("(ws {open} {thoughts} {close} ws)? {body}")?
        }
        _ => body,
    };
    writer.rule("root", &root)
}
