//! What can go wrong with a template.

use minijinja::ErrorKind;

/// A template that cannot be compiled or rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The template is not valid.
    #[error("chat template, line {line}: {message}")]
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
        /// Where it was, counted from 1; 0 if unknown.
        line: usize,
        /// The limit.
        fuel: u64,
    },
    /// An operation failed: an undefined value, a wrong type, an unknown filter ...
    #[error("chat template, line {line}: {message}")]
    Runtime {
        /// Counted from 1; 0 if unknown.
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
    /// A thread for rendering could not be started.
    #[error("cannot start a thread to render the chat template: {0}")]
    Thread(String),
}

/// The source of the error that `raise_exception` returns, so that it is found again behind any wrapping.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct RaisedByTemplate(pub(super) String);

impl TemplateError {
    pub(super) fn from_compiling(e: &minijinja::Error) -> Self {
        TemplateError::Syntax { line: e.line().unwrap_or(1), message: describe(e) }
    }

    pub(super) fn from_rendering(e: &minijinja::Error, fuel: u64) -> Self {
        let line = e.line().unwrap_or(0);
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(e);
        // Chains are short; the bound is against surprises.
        for _ in 0..100 {
            let Some(cause) = source else { break };
            if let Some(raised) = cause.downcast_ref::<RaisedByTemplate>() {
                return TemplateError::Raised { message: raised.0.clone() };
            }
            if let Some(inner) = cause.downcast_ref::<minijinja::Error>()
                && inner.kind() == ErrorKind::OutOfFuel
            {
                return TemplateError::OutOfFuel { line: inner.line().unwrap_or(line), fuel };
            }
            source = cause.source();
        }
        TemplateError::Runtime { line, message: describe(e) }
    }
}

/// The kind of an error with its detail, on one line.
fn describe(e: &minijinja::Error) -> String {
    let kind = e.kind();
    let text = match e.detail() {
        Some(detail) => format!("{kind}: {detail}"),
        None => kind.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
