//! What a client is told when a request cannot be answered. Each API writes it in its own form.

use happy_engine::EngineError;
use std::fmt;

/// What kind of failure it is: decides the status and the names that the APIs have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request is at fault: 400.
    Invalid,
    /// No key, or a wrong one: 401.
    Unauthorized,
    /// The request comes from somewhere that may not ask: 403.
    Forbidden,
    /// No such endpoint or model: 404.
    NotFound,
    /// The endpoint takes another method: 405.
    Method,
    /// The request took too long to arrive: 408.
    Slow,
    /// The body is too large: 413.
    TooLarge,
    /// All places are taken, also those to wait in: 429.
    Busy,
    /// The fault is here: 500.
    Internal,
}

impl Kind {
    /// The HTTP status.
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

    /// Whether the same request may succeed later. Clients that retry by themselves hear it in a header.
    pub(crate) fn may_retry(self) -> bool {
        self == Kind::Busy
    }
}

/// A failure of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    /// The field that is at fault.
    pub(crate) param: Option<String>,
    /// A name for programs.
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

    /// A field with a wrong value.
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
            // The same request would fail again: clients must not send it three times.
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

/// Why a server cannot begin or had to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: {error}; is another server running there? --port N takes another port"
    )]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system says.
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
    /// An option has an impossible value.
    #[error("{what} is {found}, expected {expected}")]
    Option {
        /// The option.
        what: &'static str,
        /// Its value.
        found: usize,
        /// What it may be.
        expected: &'static str,
    },
    /// The system refuses a thread or what threads wait with.
    #[error("cannot start the server: {0}")]
    Start(std::io::Error),
    /// The engine cannot give a context.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
