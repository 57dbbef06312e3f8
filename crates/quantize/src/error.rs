//! The error of the crate: opaque, with a kind and the tensor that it is about.

use happy_gguf::{FileError, ParseError, ParseErrorKind, WriteError, WriteErrorKind};
use std::io;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QuantizeErrorKind {
    /// A name that is not one of a mix, or a text that is not `PATTERN=TYPE`.
    UnknownName,
    /// An importance matrix that cannot be read, or whose sizes differ from the model's.
    InvalidImatrix,
    /// A matrix of the input is quantized already, and [`Quantizer::requantize`](crate::Quantizer::requantize) is off.
    AlreadyQuantized,
    /// An override that no matrix's name fits.
    UnusedOverride,
    /// A model that this crate doesn't quantize: one with big-endian tensors.
    Unsupported,
    /// A value of the input that cannot be encoded: infinite or not a number.
    NotFinite,
    /// The input could not be read.
    Read,
    /// The output could not be written.
    Write,
    /// Memory could not be reserved.
    OutOfMemory,
    /// The caller ended the work.
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

    /// What went wrong.
    pub fn kind(&self) -> QuantizeErrorKind {
        let kind_of = |kind, error: &io::Error| match error.kind() {
            io::ErrorKind::OutOfMemory => QuantizeErrorKind::OutOfMemory,
            _ => kind,
        };
        match &self.0 {
            Repr::General { kind, .. } | Repr::Tensor { kind, .. } => *kind,
            Repr::Read(FileError::Io { source, .. }) => kind_of(QuantizeErrorKind::Read, source),
            Repr::Read(FileError::Parse { source, .. }) => parse_kind(source),
            Repr::Read(FileError::Cancelled { .. }) => QuantizeErrorKind::Cancelled,
            Repr::Read(_) => QuantizeErrorKind::Read,
            Repr::Write(error) => match error.kind() {
                WriteErrorKind::Cancelled => QuantizeErrorKind::Cancelled,
                WriteErrorKind::OutOfMemory => QuantizeErrorKind::OutOfMemory,
                _ => QuantizeErrorKind::Write,
            },
        }
    }

    /// The name of the tensor that the error is about, if it is about one; control characters are escaped.
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
