//! The error of the crate. It is opaque, and has a kind and the tensor that it is about.

use happy_gguf::{FileError, ParseError, ParseErrorKind, WriteError, WriteErrorKind};
use std::io;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QuantizeErrorKind {
    /// The name of a mix or type is unknown, or a text is not of the form `PATTERN=TYPE`.
    UnknownName,
    /// An importance matrix cannot be read, or its size does not fit the model.
    InvalidImatrix,
    /// A matrix of the input is already quantized, and [`Quantizer::requantize`](crate::Quantizer::requantize) is off.
    AlreadyQuantized,
    /// An override matches no matrix.
    UnusedOverride,
    /// This crate cannot quantize the model, because its tensors are big-endian or a size is not supported.
    Unsupported,
    /// A value of the input is infinite or NaN and cannot be encoded.
    NotFinite,
    /// The input could not be read.
    Read,
    /// The output could not be written.
    Write,
    /// Memory could not be reserved.
    OutOfMemory,
    /// The caller cancelled the work.
    Cancelled,
}

/// Why a model could not be quantized.
///
/// ```
/// use happy_quantize::{Mix, QuantizeErrorKind};
/// let error = "Q9".parse::<Mix>().unwrap_err();
/// assert_eq!((error.kind(), error.tensor()), (QuantizeErrorKind::UnknownName, None));
/// assert!(error.to_string().starts_with("unknown mix `Q9`, expected one of Q4_0, Q4_1, "));
/// ```
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct QuantizeError(Repr);

#[derive(Debug, thiserror::Error)]
enum Repr {
    #[error("{message}")]
    General { kind: QuantizeErrorKind, message: String },
    #[error("tensor `{tensor}`: {message}")]
    Tensor { kind: QuantizeErrorKind, tensor: String, message: String },
    #[error(transparent)]
    Read(FileError),
    #[error(transparent)]
    Write(WriteError),
}

impl QuantizeError {
    pub(crate) fn new(kind: QuantizeErrorKind, message: impl Into<String>) -> Self {
        Self(Repr::General { kind, message: message.into() })
    }

    pub(crate) fn tensor_error(kind: QuantizeErrorKind, tensor: &str, message: impl Into<String>) -> Self {
        Self(Repr::Tensor { kind, tensor: tensor.escape_debug().to_string(), message: message.into() })
    }

    pub(crate) fn no_memory(what: impl Into<String>) -> Self {
        Self::new(QuantizeErrorKind::OutOfMemory, format!("no memory for {}", what.into()))
    }

    /// Returns what went wrong.
    pub fn kind(&self) -> QuantizeErrorKind {
        let kind_of = |kind, error: &io::Error| match error.kind() {
            io::ErrorKind::OutOfMemory => QuantizeErrorKind::OutOfMemory,
            _ => kind,
        };
        match &self.0 {
            Repr::General { kind, .. } | Repr::Tensor { kind, .. } => *kind,
            Repr::Read(FileError::Io { error, .. }) => kind_of(QuantizeErrorKind::Read, error),
            Repr::Read(FileError::Parse { error, .. }) => parse_kind(error),
            Repr::Read(FileError::Cancelled { .. }) => QuantizeErrorKind::Cancelled,
            Repr::Read(_) => QuantizeErrorKind::Read,
            Repr::Write(error) => match error.kind() {
                WriteErrorKind::Cancelled => QuantizeErrorKind::Cancelled,
                WriteErrorKind::OutOfMemory => QuantizeErrorKind::OutOfMemory,
                _ => QuantizeErrorKind::Write,
            },
        }
    }

    /// Returns the name of the tensor that the error is about, if there is one. Control characters are escaped.
    pub fn tensor(&self) -> Option<&str> {
        match &self.0 {
            Repr::Tensor { tensor, .. } => Some(tensor),
            _ => None,
        }
    }
}

fn parse_kind(error: &ParseError) -> QuantizeErrorKind {
    match error.kind() {
        ParseErrorKind::OutOfMemory => QuantizeErrorKind::OutOfMemory,
        _ => QuantizeErrorKind::Read,
    }
}

impl From<FileError> for QuantizeError {
    fn from(error: FileError) -> Self {
        Self(Repr::Read(error))
    }
}

impl From<WriteError> for QuantizeError {
    fn from(error: WriteError) -> Self {
        Self(Repr::Write(error))
    }
}
