//! Replies: parses what a model wrote into content, reasoning and tool calls.
//!
//! ```text
//! format.rs    the formats by name, and how a template's format is recognized
//! grammar.rs   what a format is made of: rules (state, marker, state)
//! calls.rs     the formats whose calls are JSON
//! tagged.rs    the formats whose calls are tags or lists of literals
//! messages.rs  the formats whose replies are several messages
//! parser.rs    the one machine that follows the rules, character by character
//! held.rs      characters that may begin a marker, and which markers are control tokens
//! guess.rs     calls outside of the format's notation, which are read on trial
//! examples.rs  which of those only repeat an example of the schema
//! blocks.rs    what the machine does inside of a call
//! objects.rs   {"name": .., "arguments": ..}, alone or in an array
//! literals.rs  a="b", c=[1]: converts arguments in Python's or Gemma's notation to JSON
//! scan.rs      finds the end of a value
//! schema.rs    which parameters are strings, for notations that do not say so
//! constraint/  the grammar of a constrained reply, from the same declarations
//! output.rs    the results: events, and the reply as a whole
//! fault.rs     why a character is not taken: no proper call, or refused memory
//! ```
//!
//! Characters are taken one at a time, without looking ahead, so that a reply gives the same result in pieces of any size. A
//! call that turns out to be malformed becomes content, together with the reason. Nothing of a reply is lost except
//! markers and the white space beside them.

mod blocks;
mod calls;
pub(crate) mod constraint;
mod examples;
mod fault;
mod format;
mod grammar;
mod guess;
mod held;
mod literals;
mod messages;
mod objects;
mod output;
mod parser;
mod scan;
mod schema;
mod tagged;

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use crate::memory::{OutOfMemory, R, copied, json_text, push, text};
use crate::{digits, json};

pub use format::{ReplyFormat, UnknownFormat};
pub use parser::ReplyParser;

/// Deepest nesting of a call's arguments.
pub(super) const MAX_DEPTH: usize = 100;

/// Longest name of a tool or an argument, in bytes.
const MAX_NAME: usize = 256;

/// What a part of a reply is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Thinking.
    Reasoning,
    /// The answer. Stop strings and constraints of the answer apply to it.
    Content,
    /// A tool call, or text that may be one.
    Call,
    /// The header of a message.
    Control,
}

/// A tool call of a reply.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ToolCall {
    /// The call's id, if the model wrote one. Only some formats have ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The tool's name, as the model wrote it. There may be no such tool.
    pub name: String,
    /// The arguments in the model's order. They may not fit the tool's schema. Numbers are rounded to 64 bits.
    #[serde(skip)]
    pub arguments: Map<String, Json>,
    /// The arguments as compact JSON, with numbers as the model wrote them. Serialization writes this text.
    #[serde(rename = "arguments", serialize_with = "raw")]
    pub arguments_text: String,
}

impl ToolCall {
    /// A copy.
    fn copy(&self) -> R<Self> {
        Ok(ToolCall {
            id: self.id.as_deref().map(copied).transpose()?,
            name: copied(&self.name)?,
            arguments: json::copied_object(&self.arguments)?,
            arguments_text: copied(&self.arguments_text)?,
        })
    }

    /// The call in a message, as the `index`-th of a reply.
    fn message(&self, index: usize) -> R<Json> {
        let ToolCall { id, name, arguments, arguments_text } = self.copy()?;
        let arguments = Json::Object(arguments);
        let is_rounded = json_text(&arguments)? != arguments_text;
        let id = id.map_or_else(|| text!("call{index:05}"), Ok)?;
        let text = is_rounded.then(|| (digits::TEXT_KEY, Json::from(arguments_text)));
        let function = [("name", Json::from(name)), ("arguments", arguments)].into_iter().chain(text);
        let kind = Json::from(copied("function")?);
        object([("id", Json::from(id)), ("type", kind), ("function", object(function)?)])
    }
}

/// An object of these members.
fn object(members: impl IntoIterator<Item = (&'static str, Json)>) -> R<Json> {
    let mut all = Vec::new();
    for (key, value) in members {
        push(&mut all, (copied(key)?, value))?;
    }
    Ok(Json::Object(json::object(all)?))
}

/// Serializes JSON text as it is.
fn raw<S: serde::Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let raw: &RawValue = serde_json::from_str(text).map_err(serde::ser::Error::custom)?;
    serde::Serialize::serialize(raw, serializer)
}

/// Text that looked like a call but cannot be read as one. It is part of the reply's content.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Malformed {
    /// What is wrong with it.
    pub reason: Cow<'static, str>,
    /// The text, including markers.
    pub text: String,
}

/// A whole reply.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Reply {
    /// The answer's text.
    pub content: String,
    /// The text of the thinking; empty if there was none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    /// The tool calls, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Calls that could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub malformed: Vec<Malformed>,
}

impl Reply {
    /// Returns the reply as a message for the next turn's template.
    ///
    /// The message has `role` and `content`, and `reasoning_content` and `tool_calls` unless they are empty. A call without
    /// an id gets one of nine letters and digits, which Mistral's templates require; the message with the tool's result
    /// names it as `tool_call_id`. If `arguments` cannot hold a number as the model wrote it, `arguments_text` is added
    /// beside them. Templates don't see this member, but take the digits from it.
    ///
    /// # Errors
    /// If memory is refused for the message.
    pub fn message(&self) -> Result<Json, OutOfMemory> {
        let text = |text| copied(text).map(Json::from);
        let mut message = Vec::new();
        push(&mut message, ("role", text("assistant")?))?;
        push(&mut message, ("content", text(&self.content)?))?;
        if !self.reasoning.is_empty() {
            push(&mut message, ("reasoning_content", text(&self.reasoning)?))?;
        }
        if !self.tool_calls.is_empty() {
            let mut calls = Vec::new();
            for (i, call) in self.tool_calls.iter().enumerate() {
                push(&mut calls, call.message(i)?)?;
            }
            push(&mut message, ("tool_calls", calls.into()))?;
        }
        object(message)
    }
}

/// What [`ReplyParser`] found in the text so far.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ReplyEvent {
    /// More of the content.
    Content(String),
    /// More of the reasoning.
    Reasoning(String),
    /// A call begins.
    CallStart {
        /// The call's index among the reply's calls, from 0.
        index: usize,
        /// The tool's name.
        name: String,
        /// The call's id, if the model wrote it before the arguments.
        id: Option<String>,
    },
    /// More of a call's arguments.
    CallArguments {
        /// The call's index.
        index: usize,
        /// The next part of the arguments' text, which is a JSON object.
        delta: String,
    },
    /// A call is complete. It is now [`Reply::tool_calls`]`[index]`.
    CallEnd {
        /// The call's index.
        index: usize,
        /// The whole call.
        call: ToolCall,
    },
    /// Text that looked like a call cannot be read as one. It follows as content.
    Malformed {
        /// The call's index, if a [`CallStart`](Self::CallStart) was sent for it. That call is withdrawn, and the next one
        /// gets the same index.
        index: Option<usize>,
        /// What is wrong with it.
        reason: Cow<'static, str>,
    },
}
