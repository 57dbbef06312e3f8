//! Errors that are sent to clients. Each API has its own form for them.

use happy_engine::EngineError;
use std::fmt;

/// The kind of an error. It decides the HTTP status and the error's name in each API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request is at fault: 400.
    Invalid,
    /// The API key is missing or wrong: 401.
    Unauthorized,
    /// The request comes from a host name or web page that is not allowed: 403.
    Forbidden,
    /// No such endpoint or model: 404.
    NotFound,
    /// The endpoint doesn't support the method: 405.
    Method,
    /// The request took too long to arrive: 408.
    Slow,
    /// The body is too large: 413.
    TooLarge,
    /// The queue is full, or busy models take the memory: 429.
    Busy,
    /// The server is at fault: 500.
    Internal,
}

impl Kind {
    /// Returns the HTTP status.
    pub(crate) fn status(self) -> u16 {
        match self {
            Kind::Invalid => 400,
            Kind::Unauthorized => 401,
            Kind::Forbidden => 403,
            Kind::NotFound => 404,
            Kind::Method => 405,
            Kind::Slow => 408,
            Kind::TooLarge => 413,
            Kind::Busy => 429,
            Kind::Internal => 500,
        }
    }

    /// Returns whether the same request may succeed later. A header tells clients that retry automatically.
    pub(crate) fn may_retry(self) -> bool {
        self == Kind::Busy
    }
}

/// An error of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    /// The field with the wrong value.
    pub(crate) param: Option<String>,
    /// The error's name for programs.
    pub(crate) code: Option<&'static str>,
}

impl ApiError {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), param: None, code: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// Returns the error for a field with a wrong value.
    pub(crate) fn field(name: &str, problem: impl fmt::Display) -> Self {
        Self { param: Some(name.to_owned()), ..Self::invalid(format!("`{name}`: {problem}")) }
    }

    pub(crate) fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        if error.is_out_of_memory() {
            // The same request would fail again, so clients must not retry.
            return Self::invalid(message).code("insufficient_memory");
        }
        match error {
            EngineError::PromptTooLong { .. } | EngineError::TextTooLong { .. } => {
                Self::invalid(message).code("context_length_exceeded")
            }
            EngineError::NoTokenizer { .. }
            | EngineError::NoTemplate { .. }
            | EngineError::Tokenizer(_)
            | EngineError::Template(_)
            | EngineError::Sampler(_)
            | EngineError::Grammar(_)
            | EngineError::Match(_)
            | EngineError::Vocabulary(_)
            | EngineError::Parts(_)
            | EngineError::Schema(_)
            | EngineError::Tools(_)
            | EngineError::Unused { .. }
            | EngineError::NoPooling
            | EngineError::NotForEmbeddings
            | EngineError::OnlyEmbeddings
            | EngineError::Dimensions { .. }
            | EngineError::NotRanking
            | EngineError::EmptyText { .. }
            | EngineError::EmptyPrompt
            | EngineError::Batch(_) => Self::invalid(message),
            _ => Self::internal(message),
        }
    }
}

/// Why a server could not start or had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The server can't listen on the address.
    #[error(
        "cannot listen on {address}: {error}; is another server running there? --port N takes another port"
    )]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The system's error.
        error: std::io::Error,
    },
    /// The address is reachable from other machines, and no API key is set.
    #[error(
        "{address} can be reached from other machines, which needs an API key: set one (--api-key or HAPPY_API_KEY), or \
         listen on 127.0.0.1"
    )]
    NoKey {
        /// The address.
        address: std::net::SocketAddr,
    },
    /// An option is out of range.
    #[error("{what} is {found}, expected {expected}")]
    Option {
        /// What the option sets.
        what: &'static str,
        /// The value.
        found: usize,
        /// The valid range.
        expected: &'static str,
    },
    /// The system refused a thread or another resource.
    #[error("cannot start the server: {0}")]
    Start(std::io::Error),
    /// The engine could not make a context.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
