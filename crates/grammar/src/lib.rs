//! Constrained output.
#![forbid(unsafe_code)]

mod charset;
mod error;
mod gbnf;
mod grammar;
mod limits;
mod machine;
mod program;
mod recognizer;
mod regular;
mod rules;
mod schema;

pub use error::{GrammarError, GrammarErrorKind, MatchError, SchemaError, SchemaErrorKind};
pub use grammar::Grammar;
pub use limits::Limits;
pub use recognizer::Recognizer;
