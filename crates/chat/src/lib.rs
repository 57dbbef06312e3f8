//! Chat templates: the Jinja2 programs that turn a conversation into a prompt.
//!
//! Templates are written for Python's Jinja2 as set up by the `transformers` library (`chat_template_utils.py`:
//! `trim_blocks`, `lstrip_blocks`, loop controls, `{% generation %}`, `raise_exception`, `strftime_now`, a `tojson` that
//! is `json.dumps`). Here they run on minijinja, with what differs between the two added or replaced:
//!
//! ```text
//! source.rs    rewrites the few constructs that minijinja does not parse, before compiling
//! expression.rs  the same inside of tags
//! guard.rs     puts charges in front of operations that may be costly
//! weight.rs    what these charge: the size of values
//! convert.rs   JSON -> template values (key order kept)
//! list.rs      lists that templates may change
//! json.rs      tojson, from_json
//! text.rs      str() and repr() of containers and floats
//! filters.rs   filters, tests and functions that differ or are missing
//! methods.rs   methods of Python's str, dict and list
//! clock.rs     strftime_now
//! reply/       what a model answers, taken apart: content, reasoning, tool calls
//! ```
//!
//! A template is somebody else's program. It cannot read files or load other templates; work and memory are bounded by
//! fuel, recursion by depth limits and a stack of its own; every failure is a [`TemplateError`].
//!
//! Known differences to Jinja2, all of them about what a template should not rely on: `obj.keys` without a call is
//! undefined unless there is such a key (Python: a bound method); lists written in the template cannot be changed
//! (transformers forbids it for all); `items[1.0]` is `items[1]`; operations that are type errors in Python may succeed; a namespace cannot hold
//! another one.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod clock;
mod convert;
mod error;
mod expression;
mod filters;
mod guard;
mod json;
mod list;
mod methods;
mod reply;
mod source;
mod template;
mod text;
mod weight;

pub use clock::{ClockParseError, LocalTime};
pub use error::TemplateError;
pub use reply::constraint as reply_constraint;
pub use reply::{Channel, Malformed, Reply, ReplyEvent, ReplyFormat, ReplyParser, ToolCall, UnknownFormat};
pub use template::{ChatTemplate, Message, TemplateInput};
