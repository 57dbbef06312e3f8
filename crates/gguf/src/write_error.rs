//! The write error: an opaque struct with a kind, a place, and what was expected and found.

use std::io;
use std::path::Path;
use std::string::String;

use crate::error::printable;
use crate::file::FileError;

/// What prevented a file from being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriteErrorKind {
    /// A key is empty, too long, or occurs twice.
    InvalidKey,
    /// The alignment is not a `u32` power of two within the limits.
    InvalidAlignment,
    /// A tensor name is too long or occurs twice.
    InvalidTensorName,
    /// Dimensions are too many, too large, or do not form whole blocks.
    InvalidShape,
    /// The number of bytes does not match type and dimensions.
    WrongSize,
    /// The version is not 1, 2 or 3.
    InvalidVersion,
    /// A length does not fit the 32 bits of version 1, or arrays are nested more than 64 deep.
    TooLarge,
    /// The set cannot be split or merged as requested.
    InvalidSplit,
    /// The file to edit does not parse.
    InvalidFile,
    /// A write to the destination failed.
    Io,
    /// The file exists and may not be replaced.
    Exists,
    /// Memory for what is to be written was refused.
    OutOfMemory,
    /// The caller cancelled the operation.
    Cancelled,
}

/// Why a file could not be written: the kind, the key or tensor, and what was expected and found.
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
        Self::file(WriteErrorKind::Cancelled, place, "the operation to finish", "a request to cancel it")
    }

    pub(crate) fn io(place: impl Into<String>, error: io::Error) -> Self {
        Self { place: place.into(), ..error.into() }
    }

    /// Replaces "the file" by the path of the file.
    pub(crate) fn at(self, path: &Path) -> Self {
        if self.place == "the file" { Self { place: place_of(path), ..self } } else { self }
    }

    /// Returns what prevented the write.
    pub fn kind(&self) -> WriteErrorKind {
        self.kind
    }

    /// Returns the system's error, if that is the cause. The message includes it.
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
