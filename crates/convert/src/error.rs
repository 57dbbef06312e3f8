//! The error of the crate: opaque, with a kind.

use happy_gguf::{WriteError, WriteErrorKind};
use std::io;
use std::path::Path;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConvertErrorKind {
    /// A file could not be read.
    Read,
    /// A file that is not what it should be: no valid JSON, a wrong header, a key of the wrong type.
    InvalidFile,
    /// A file, key or tensor that is needed and is not there.
    Missing,
    /// A model, tokenizer, type or setting that this crate doesn't convert.
    Unsupported,
    /// A value that the output type cannot hold: infinite, not a number, or too large.
    OutOfRange,
    /// The output could not be written.
    Write,
    /// Memory could not be reserved.
    OutOfMemory,
    /// The caller ended the work.
    Cancelled,
}

/// Why a model could not be converted: where, what was expected, what was found.
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
    /// What went wrong.
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

    /// An error in a file: its name comes first.
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

/// A path for a message: lossy, and control characters escaped.
pub(crate) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// A text from a file for a message: at most 100 characters, control characters escaped.
pub(crate) fn printable(text: &str) -> String {
    const LONGEST: usize = 100;
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let mut short: String = text.chars().take(LONGEST).map(escaped).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push_str("...");
    }
    short
}
