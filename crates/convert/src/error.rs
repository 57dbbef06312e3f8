//! The error of the crate. It is opaque and has a kind.

use happy_gguf::{WriteError, WriteErrorKind};
use std::io;
use std::path::Path;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConvertErrorKind {
    /// A file could not be read.
    Read,
    /// A file is not valid: it has bad JSON, a wrong header, or a key of the wrong type.
    InvalidFile,
    /// A required file, key or tensor is missing.
    Missing,
    /// This crate does not convert a model, tokenizer, type or setting.
    Unsupported,
    /// A value does not fit the output type: it is infinite, NaN, or too large.
    OutOfRange,
    /// The output could not be written.
    Write,
    /// Memory could not be reserved.
    OutOfMemory,
    /// The caller cancelled the work.
    Cancelled,
}

/// Why a model could not be converted. The message says where, what was expected and what was found.
///
/// ```
/// use happy_convert::{Checkpoint, ConvertErrorKind};
/// let error = Checkpoint::open("/no/such/folder").unwrap_err();
/// assert_eq!(error.kind(), ConvertErrorKind::Read);
/// assert!(error.to_string().starts_with("cannot read `/no/such/folder/config.json`: "));
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ConvertError {
    kind: ConvertErrorKind,
    message: String,
}

impl ConvertError {
    /// Returns what went wrong.
    pub fn kind(&self) -> ConvertErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: ConvertErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ConvertErrorKind::Unsupported, message)
    }

    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::new(ConvertErrorKind::Missing, message)
    }

    /// Makes an error about a file, whose name comes first.
    pub(crate) fn invalid(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::new(ConvertErrorKind::InvalidFile, format!("`{}`: {message}", shown(path)))
    }

    pub(crate) fn read(path: &Path, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::OutOfMemory => ConvertErrorKind::OutOfMemory,
            _ => ConvertErrorKind::Read,
        };
        Self::new(kind, format!("cannot read `{}`: {error}", shown(path)))
    }

    pub(crate) fn no_memory(bytes: u64, what: impl std::fmt::Display) -> Self {
        Self::new(ConvertErrorKind::OutOfMemory, format!("{what}: no memory for {bytes} bytes"))
    }
}

impl From<WriteError> for ConvertError {
    fn from(error: WriteError) -> Self {
        let kind = match error.kind() {
            WriteErrorKind::Cancelled => ConvertErrorKind::Cancelled,
            WriteErrorKind::OutOfMemory => ConvertErrorKind::OutOfMemory,
            _ => ConvertErrorKind::Write,
        };
        Self::new(kind, error.to_string())
    }
}

/// Formats a path for a message. Control characters are escaped, and invalid characters replaced.
pub(crate) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// Formats a text from a file for a message: at most 100 characters, with control characters escaped.
pub(crate) fn printable(text: &str) -> String {
    const LONGEST: usize = 100;
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let mut short: String = text.chars().take(LONGEST).map(escaped).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push_str("...");
    }
    short
}
