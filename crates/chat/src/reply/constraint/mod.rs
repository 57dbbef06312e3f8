//! The grammar of a constrained reply, derived from a format's declarations.
//!
//! ```text
//! reply     thinking? body                         thinking up to its end mark, if the prompt or the model opens it
//! body      none      content                      without anything that begins a call
//!           auto      content (call content)*      or, with a grammar for the answer: answer | calls
//!           required  calls                        of any tool, or of the named one
//! content   answer, or free text
//! call      the format's markers, with a tool's name and its arguments under its schema
//! ```
//!
//! Constraints are lazy by construction: free text may be anything that does not begin a call, and once a call has begun
//! it must be a valid one. Calls in the notations of small models that [`ReplyParser`](crate::ReplyParser) reads too are
//! free text here.
//!
//! Arguments come in the schema's order. A string argument in a notation without quotes is free text, or one of its
//! `enum`; its other keywords are not asked for.

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
    /// At least one call, all of this tool.
    Named(String),
}

impl FromStr for ToolChoice {
    type Err = Infallible;

    /// `none`, `auto`, `required`, or a tool's name.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "none" => ToolChoice::None,
            "auto" => ToolChoice::Auto,
            "required" => ToolChoice::Required,
            name => ToolChoice::Named(name.to_owned()),
        })
    }
}

/// What a reply is to be like.
pub struct ReplyShape<'a> {
    /// How the model writes.
    pub format: ReplyFormat,
    /// Where the prompt left the model: [`ReplyParser::channel`](crate::ReplyParser::channel) after the prompt.
    pub opened: Channel,
    /// Whether the model may open thinking by itself.
    pub may_think: bool,
    /// The tools, as templates take them.
    pub tools: &'a [Json],
    /// Whether they may or must be called.
    pub choice: ToolChoice,
    /// Whether the content is under a grammar of its own, [`Part::Answer`].
    pub answer: bool,
    /// The id of a marker that is a control token of the vocabulary; `None` for text.
    pub token: &'a dyn Fn(&str) -> Option<u32>,
}

/// A grammar: GBNF text whose root is `root`, and the rules that it names and that are defined outside.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplyGrammar {
    /// The text. Control tokens stand in it by number, `<[7]>`.
    pub gbnf: String,
    /// Rules that are not in the text, by name.
    pub parts: Vec<(String, Part)>,
    /// The tools that no rule calls, since the notation cannot carry one of their names, and which name that is. The other
    /// tools are constrained as if these had not been declared.
    pub left_out: Vec<NameError>,
}

/// A rule that is defined outside of the text.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A document of this JSON schema, the text of one.
    Schema(String),
    /// Text up to the first of these strings; any text if the list is empty.
    Until(Vec<&'static str>),
    /// The answer: the caller's grammar.
    Answer,
}

/// Why there is no grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConstraintError {
    /// The notation cannot be constrained.
    #[error(
        "replies in the format `{0}` cannot be constrained: leave out the tool choice and the grammar, or give another reply format"
    )]
    Unsupported(ReplyFormat),
    /// No tool that may be called has names that the notation can carry. This is the first that has not.
    #[error(transparent)]
    Name(NameError),
    /// The format has no calls.
    #[error("the reply format `{0}` has no notation for calls: a call cannot be required")]
    NoCalls(ReplyFormat),
    /// A call is required and there are no tools.
    #[error("a call is required, but no tools were given")]
    NoTools,
    /// The tool that is to be called is not there.
    #[error("unknown tool `{name}`, expected one of {expected}")]
    UnknownTool {
        /// The name that was given.
        name: String,
        /// The names that there are.
        expected: String,
    },
    /// Memory was refused.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

/// A tool with a name that a notation cannot carry: it stands there without quotes, and has white space, a bracket or the
/// like, is empty, or longer than 256 bytes. It would not be read back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameError {
    /// The notation.
    pub format: ReplyFormat,
    /// The tool's name.
    pub tool: String,
    /// The name of the parameter that is at fault; `None` if it is the tool's own.
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

/// The grammar of a reply, or `None` if nothing is asked of it. A tool whose `parameters` are the schema `true` takes any arguments. With [`ToolChoice::Auto`] and a format that has no calls or
/// whose calls cannot be constrained, calls are left as they are. A tool with a name that the notation cannot carry is left
/// out of the grammar, and told in [`ReplyGrammar::left_out`]; under `Auto`, if no other tool is left, calls are left as they are.
///
/// # Errors
/// If a call or an answer under a grammar is asked for and cannot be had; if memory is refused.
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
    // Answers stand between markers that are no wrapper of calls; see docs/tools.md.
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

/// A tool of the same name whose arguments may be anything, in place of one whose schema no grammar can follow: the schema `true`.
/// Null if the tool has no name.
///
/// # Errors
/// If memory is refused.
pub fn without_schema(tool: &Json) -> R<Json> {
    let one = Schema::new(std::slice::from_ref(tool))?;
    let Some(tool) = one.tools().next() else { return Ok(Json::Null) };
    let members = [("name", Json::from(text!("{}", tool.name)?)), ("parameters", Json::Bool(true))];
    Ok(Json::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()))
}

/// Whether rules of a format lead to one of these places.
fn leads(format: ReplyFormat, to: &[At]) -> bool {
    format.grammar().rules.iter().any(|rule| to.contains(&rule.2))
}

/// Whether a format writes the names of parameters without quotes, instead of a JSON object.
fn writes_keys(format: ReplyFormat) -> bool {
    leads(format, &[At::Key, At::Literals])
}

/// The name of a tool (`None`) or of one of its parameters that stands without quotes in the format and could not be read
/// back from there.
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

/// The rules of a reply that is one text.
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
        // A model that ends within its thoughts has said all it has to say; an answer is asked for otherwise.
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
