//! The error of writing: an opaque struct with a kind, a place, and what was expected and found.

use std::io;
use std::path::Path;
use std::string::String;

use crate::error::printable;
use crate::file::FileError;

/// What keeps a file from being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriteErrorKind {
    /// A key that is empty, too long, or there twice.
    InvalidKey,
    /// An alignment that is not a `u32` power of two in the limits.
    InvalidAlignment,
    /// A tensor name that is too long, or there twice.
    InvalidTensorName,
    /// Dimensions that are too many, too large, or not whole blocks.
    InvalidShape,
    /// Bytes whose number does not follow from type and dimensions.
    WrongSize,
    /// A version that is not 1, 2 or 3.
    InvalidVersion,
    /// A length that does not fit the 32 bits of version 1, or arrays nested more than 64 deep.
    TooLarge,
    /// A set that cannot be split or merged as asked.
    InvalidSplit,
    /// A file to edit that does not parse.
    InvalidFile,
    /// A write to the destination failed.
    Io,
    /// There is a file already, and it is not to be replaced.
    Exists,
    /// The memory for what is to be written could not be reserved.
    OutOfMemory,
    /// The caller ended the work.
    Cancelled,
}

/// Why a file could not be written: kind, the key or tensor, what was expected and found.
///
/// ```
/// use happy_gguf::{GgmlType, GgufWriter, WriteErrorKind};
/// let error = GgufWriter::new().tensor("w", GgmlType::F32, &[2], vec![0; 7]).to_vec().unwrap_err();
/// assert_eq!(error.kind(), WriteErrorKind::WrongSize);
/// assert_eq!(error.to_string(), "cannot write tensor `w`: expected 8 bytes for F32 [2], found 7 bytes");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("cannot write {place}: expected {expected}, found {found}")]
pub struct WriteError {
    kind: WriteErrorKind,
    place: String,
    expected: String,
    found: String,
    io: Option<io::Error>,
}

impl WriteError {
    pub(crate) fn key(
        kind: WriteErrorKind,
        key: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        let place = format!("key `{}`", printable(key.as_bytes()));
        Self { kind, place, expected: expected.into(), found: found.into(), io: None }
    }

    pub(crate) fn tensor(
        kind: WriteErrorKind,
        name: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        let place = format!("tensor `{}`", printable(name.as_bytes()));
        Self { kind, place, expected: expected.into(), found: found.into(), io: None }
    }

    pub(crate) fn file(
        kind: WriteErrorKind,
        place: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self { kind, place: place.into(), expected: expected.into(), found: found.into(), io: None }
    }

    pub(crate) fn out_of_memory(place: impl Into<String>) -> Self {
        Self::file(WriteErrorKind::OutOfMemory, place, "memory for its description", "none")
    }

    pub(crate) fn cancelled(place: impl Into<String>) -> Self {
        Self::file(WriteErrorKind::Cancelled, place, "to be let finish", "a request to end")
    }

    pub(crate) fn io(place: impl Into<String>, error: io::Error) -> Self {
        Self { place: place.into(), ..error.into() }
    }

    /// Names the file of an error that says "the file".
    pub(crate) fn at(self, path: &Path) -> Self {
        if self.place == "the file" { Self { place: place_of(path), ..self } } else { self }
    }

    /// What is wrong.
    pub fn kind(&self) -> WriteErrorKind {
        self.kind
    }

    /// What the system said, if the error is its. The message has it.
    pub fn io_error(&self) -> Option<&io::Error> {
        self.io.as_ref()
    }
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::OutOfMemory => WriteErrorKind::OutOfMemory,
            _ => WriteErrorKind::Io,
        };
        Self {
            kind,
            place: "the file".into(),
            expected: match error.get_ref().is_some_and(|e| e.is::<FileError>()) {
                true => "input that can be read".into(),
                false => "a write that succeeds".into(),
            },
            found: error.to_string(),
            io: Some(error),
        }
    }
}

/// A path for a message.
pub(crate) fn place_of(path: &Path) -> String {
    std::format!("`{}`", crate::file::shown(path))
}
