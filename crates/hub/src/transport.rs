//! The one thing that a download needs from the outside: an HTTP exchange.

use std::fmt;
use std::io::Read;

/// Carries one HTTP exchange. Implement it to download with the platform's own client (OkHttp, URLSession).
///
/// The hub follows redirects, retries and decides who may see the token, so that an implementation has little to do.
pub trait Transport: Send + Sync {
    /// Sends a request and returns the answer as soon as its headers are there.
    ///
    /// Redirects must not be followed. Every status is an answer, also 404 and 500. Bodies must come as they are: the
    /// request asks for `Accept-Encoding: identity`. Both this call and reads from the body must end after some time
    /// without data (30 seconds are usual); a cancelled download leaves a thread that waits so long.
    ///
    /// # Errors
    /// When no answer came.
    fn send(&self, request: &Request) -> Result<Response, TransportError>;
}

/// What to ask.
#[derive(Clone)]
pub struct Request {
    /// Asks for the headers alone (`HEAD` instead of `GET`).
    pub head: bool,
    /// The absolute address, `http` or `https`.
    pub url: String,
    /// Names and values, free of line breaks.
    pub headers: Vec<(&'static str, String)>,
}

/// Values are not shown: one may be a token.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        f.debug_struct("Request").field("head", &self.head).field("headers", &names).finish_non_exhaustive()
    }
}

/// What came back.
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers, names in any case.
    pub headers: Headers,
    /// The body, which fails if the connection ends before it does.
    pub body: Box<dyn Read + Send>,
}

/// The headers of an answer.
#[derive(Clone, Debug, Default)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The first value of a header, whatever the case of its name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(iter: I) -> Self {
        Self(iter.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// No answer came.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    message: String,
    retry: bool,
}

impl TransportError {
    /// An error that another attempt may not meet: a lost connection, a timeout.
    pub fn passing(message: impl Into<String>) -> Self {
        Self { message: message.into(), retry: true }
    }

    /// An error that stays: a certificate that is not valid, a scheme that is not supported.
    pub fn lasting(message: impl Into<String>) -> Self {
        Self { message: message.into(), retry: false }
    }

    /// Another attempt may succeed.
    pub fn is_passing(&self) -> bool {
        self.retry
    }
}
