//! The errors of templates.

use crate::OutOfMemory;

/// A template that cannot be compiled or rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The template is not valid.
    #[error("chat template, line {line}: syntax error: {message}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// The template called `raise_exception`, which means that it does not accept this conversation.
    #[error("the chat template refuses this conversation: {message}")]
    Raised {
        /// The template's message.
        message: String,
    },
    /// The template used up its fuel ([`ChatTemplate::set_fuel`](crate::ChatTemplate::set_fuel)).
    #[error("chat template, line {line}: gave up after {fuel} units of work; the template may not end")]
    OutOfFuel {
        /// The line that was running, from 1.
        line: usize,
        /// The limit, in units.
        fuel: u64,
    },
    /// The system refused memory.
    #[error("chat template, line {line}: out of memory")]
    OutOfMemory {
        /// The line that was running, from 1.
        line: usize,
    },
    /// The caller cancelled the render.
    #[error("rendering the chat template was cancelled")]
    Cancelled,
    /// An operation failed, for example because of an undefined value, a wrong type or an unknown filter.
    #[error("chat template, line {line}: {message}")]
    Runtime {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// The context is not a JSON object.
    #[error("the context of a chat template must be a JSON object, found {found}")]
    Context {
        /// The kind of value that was found.
        found: &'static str,
    },
    /// The model file has no template, or something else in its place. This crate does not return this error; programs that
    /// read templates from files do.
    #[error("no chat template: {0}")]
    Metadata(String),
}

/// Why a render ended, before the line is known.
#[derive(Debug)]
pub(super) enum Fail {
    Raised(String),
    Fuel,
    Memory,
    Cancelled,
    Runtime(String),
}

/// A result of the evaluator. The error is boxed, since it is rare and results are everywhere.
pub(super) type R<T> = Result<T, Box<Fail>>;

/// Returns the error of an operation that failed.
pub(super) fn fail<T>(message: impl Into<String>) -> R<T> {
    Err(Box::new(Fail::Runtime(message.into())))
}

impl From<OutOfMemory> for Box<Fail> {
    fn from(_: OutOfMemory) -> Self {
        Box::new(Fail::Memory)
    }
}

impl Fail {
    pub(super) fn at(self, line: usize, fuel: u64) -> TemplateError {
        match self {
            Fail::Raised(message) => TemplateError::Raised { message },
            Fail::Fuel => TemplateError::OutOfFuel { line, fuel },
            Fail::Memory => TemplateError::OutOfMemory { line },
            Fail::Cancelled => TemplateError::Cancelled,
            Fail::Runtime(message) => TemplateError::Runtime { line, message },
        }
    }
}
