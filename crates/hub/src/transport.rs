//! The interface to an HTTP client.

use std::fmt;
use std::io::Read;

/// Carries one HTTP exchange. Implement it to download with the platform's own client (OkHttp, URLSession).
///
/// The hub follows redirects, retries, and decides who gets the token, so an implementation has little to do.
pub trait Transport: Send + Sync {
    /// Sends a request and returns the answer as soon as its headers have arrived.
    ///
    /// Redirects must not be followed. Every status is an answer, including 404 and 500. Bodies must not be decoded: the request has
    /// `Accept-Encoding: identity`. Both this call and reads from the body must fail after some time without data (usually 30
    /// seconds). After a download was cancelled, a thread may wait for that long.
    ///
    /// # Errors
    /// If no answer arrived.
    fn send(&self, request: &Request) -> Result<Response, TransportError>;
}

/// An HTTP request.
#[derive(Clone)]
pub struct Request {
    /// Whether only the headers are requested (`HEAD` instead of `GET`).
    pub head: bool,
    /// The absolute address, with `http` or `https`.
    pub url: String,
    /// Names and values of headers, without line breaks.
    pub headers: Vec<(&'static str, String)>,
}

/// Values are not shown: one may be a token.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        f.debug_struct("Request").field("head", &self.head).field("headers", &names).finish_non_exhaustive()
    }
}

/// An HTTP answer.
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers, with names in upper or lower case.
    pub headers: Headers,
    /// The body. Reading fails if the connection ends before the body.
    pub body: Box<dyn Read + Send>,
}

/// The headers of an answer.
#[derive(Clone, Debug, Default)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Returns the first value of a header. The case of its name does not matter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(iter: I) -> Self {
        Self(iter.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Why no answer arrived.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    message: String,
    retry: bool,
}

impl TransportError {
    /// Makes an error that may not occur again, such as a lost connection or a timeout.
    pub fn passing(message: impl Into<String>) -> Self {
        Self { message: message.into(), retry: true }
    }

    /// Makes a permanent error, such as an invalid certificate or an unsupported scheme.
    pub fn lasting(message: impl Into<String>) -> Self {
        Self { message: message.into(), retry: false }
    }

    /// Returns whether another attempt may succeed.
    pub fn is_passing(&self) -> bool {
        self.retry
    }
}
