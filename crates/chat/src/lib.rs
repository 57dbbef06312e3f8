#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod digits;
pub mod json;
mod memory;
mod reply;
mod template;

pub use digits::messages_from_json;
pub use memory::OutOfMemory;
pub use reply::constraint::{
    ConstraintError, NameError, Part, ReplyGrammar, ReplyShape, ToolChoice, reply_grammar, without_schema,
};
pub use reply::{Channel, Malformed, Reply, ReplyEvent, ReplyFormat, ReplyParser, ToolCall, UnknownFormat};
pub use template::{
    ChatTemplate, ClockParseError, LocalTime, Message, Origin, Rendered, Span, TemplateError, TemplateInput,
};
