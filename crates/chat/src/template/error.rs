//! What can go wrong with a template.

use crate::OutOfMemory;

/// A template that cannot be compiled or rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The template is not valid.
    #[error("chat template, line {line}: syntax error: {message}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// The template called `raise_exception`: it does not accept this conversation.
    #[error("the chat template refuses this conversation: {message}")]
    Raised {
        /// The template's words.
        message: String,
    },
    /// The template did more work than it may.
    #[error("chat template, line {line}: gave up after {fuel} units of work; the template may not end")]
    OutOfFuel {
        /// Where it was, counted from 1.
        line: usize,
        /// The limit.
        fuel: u64,
    },
    /// The system has no memory left for what the template makes.
    #[error("chat template, line {line}: out of memory")]
    OutOfMemory {
        /// Where it was, counted from 1.
        line: usize,
    },
    /// The caller cancelled the render.
    #[error("rendering the chat template was cancelled")]
    Cancelled,
    /// An operation failed: an undefined value, a wrong type, an unknown filter ...
    #[error("chat template, line {line}: {message}")]
    Runtime {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// The context is not one JSON object.
    #[error("the context of a chat template must be a JSON object, found {found}")]
    Context {
        /// The kind of value found.
        found: &'static str,
    },
    /// The file's metadata hold something else than a text where a template should be.
    #[error("no chat template: {0}")]
    Metadata(String),
}

/// What ends a render, before the line is known.
#[derive(Debug)]
pub(super) enum Fail {
    Raised(String),
    Fuel,
    Memory,
    Cancelled,
    Runtime(String),
}

/// A result of the evaluator. The error is boxed: it is rare, and results are everywhere.
pub(super) type R<T> = Result<T, Box<Fail>>;

/// An operation that failed.
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
