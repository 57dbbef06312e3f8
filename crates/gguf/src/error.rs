//! The parse error: an opaque struct with a kind, a place, and what was expected and found.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

/// What is wrong with a file. [`ParseError`] adds the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The magic is not `GGUF`.
    NotGguf,
    /// The version is not supported (0, or above 3).
    UnsupportedVersion,
    /// The file ends before something that its header announces.
    Truncated,
    /// The file exceeds a bound of [`Limits`](crate::Limits).
    LimitExceeded,
    /// A key is empty or not UTF-8.
    InvalidKey,
    /// A key occurs twice.
    DuplicateKey,
    /// The format has no value type or array element type with this id.
    InvalidValueType,
    /// A value is invalid for its type (a bool other than 0 and 1).
    InvalidValue,
    /// `general.alignment` is not a `u32` power of two.
    InvalidAlignment,
    /// A tensor name is not UTF-8.
    InvalidTensorName,
    /// A tensor name occurs twice.
    DuplicateTensor,
    /// A tensor has too many dimensions, rows that are not whole blocks, or a size that does not fit in 63 bits.
    InvalidShape,
    /// A tensor type id is negative or was removed from the format.
    InvalidTensorType,
    /// A tensor's offset is not a multiple of the alignment.
    MisalignedTensor,
    /// Two tensors share bytes.
    OverlappingTensors,
    /// Only from [`Gguf::check_strict`](crate::Gguf::check_strict): a deviation that this reader accepts and the
    /// reference reader refuses.
    NotStrict,
    /// The memory for the index could not be reserved.
    OutOfMemory,
}

impl fmt::Display for ParseErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotGguf => "not a GGUF file",
            Self::UnsupportedVersion => "unsupported GGUF version",
            Self::Truncated => "file ends too early",
            Self::LimitExceeded => "limit exceeded",
            Self::InvalidKey => "invalid key",
            Self::DuplicateKey => "duplicate key",
            Self::InvalidValueType => "invalid value type",
            Self::InvalidValue => "invalid value",
            Self::InvalidAlignment => "invalid alignment",
            Self::InvalidTensorName => "invalid tensor name",
            Self::DuplicateTensor => "duplicate tensor",
            Self::InvalidShape => "invalid tensor shape",
            Self::InvalidTensorType => "invalid tensor type",
            Self::MisalignedTensor => "misaligned tensor",
            Self::OverlappingTensors => "overlapping tensors",
            Self::NotStrict => "not strictly conforming",
            Self::OutOfMemory => "out of memory",
        })
    }
}

/// Why a file could not be parsed: the [kind](Self::kind), the [byte offset](Self::offset), the [key](Self::key) or
/// [tensor](Self::tensor), and what was expected and found.
///
/// ```
/// let error = happy_gguf::Gguf::parse(b"PK\x03\x04 a zip file ").unwrap_err();
/// assert_eq!(error.kind(), happy_gguf::ParseErrorKind::NotGguf);
/// assert_eq!(error.to_string(), r"not a GGUF file: at byte 0, expected the magic `GGUF`, found `PK\x03\x04`");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ParseErrorKind,
    offset: u64,
    place: Place,
    expected: Cow<'static, str>,
    found: Cow<'static, str>,
    /// How many bytes from the start are needed to get past the place of the error.
    needed: Option<u64>,
}

#[derive(Debug)]
enum Place {
    Header,
    Key(String),
    Tensor(String),
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.kind)?;
        match &self.place {
            Place::Header => {}
            Place::Key(key) => write!(f, "key `{key}`, ")?,
            Place::Tensor(name) => write!(f, "tensor `{name}`, ")?,
        }
        write!(f, "at byte {}, expected {}, found {}", self.offset, self.expected, self.found)
    }
}

impl ParseError {
    /// Called only on failure, so that successful parsing does not allocate.
    #[cold]
    pub(crate) fn new(
        kind: ParseErrorKind,
        offset: u64,
        expected: impl Into<Cow<'static, str>>,
        found: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (expected, found) = (expected.into(), found.into());
        Self(Box::new(Inner { kind, offset, place: Place::Header, expected, found, needed: None }))
    }

    /// Notes that `len` bytes from the start are needed to get past this place.
    #[cold]
    pub(crate) fn needing(mut self, len: u64) -> Self {
        self.0.needed = Some(len);
        self
    }

    /// Names the key that was being read, unless a place is already known.
    #[cold]
    pub(crate) fn in_key(mut self, key: &[u8]) -> Self {
        if matches!(self.0.place, Place::Header) {
            self.0.place = Place::Key(printable(key));
        }
        self
    }

    /// Names the tensor that was being read, unless a place is already known.
    #[cold]
    pub(crate) fn in_tensor(mut self, name: &[u8]) -> Self {
        if matches!(self.0.place, Place::Header) {
            self.0.place = Place::Tensor(printable(name));
        }
        self
    }

    /// Returns what is wrong.
    pub fn kind(&self) -> ParseErrorKind {
        self.0.kind
    }

    /// Returns where in the file, in bytes from its start.
    pub fn offset(&self) -> u64 {
        self.0.offset
    }

    /// If the file ended too early: how many bytes from its start parsing needs to get past this place. It may need
    /// more after that. [`Gguf::parse_header`](crate::Gguf::parse_header) shows how to use this for a file that is
    /// still arriving.
    pub fn needed(&self) -> Option<u64> {
        self.0.needed
    }

    /// Returns the metadata key at fault (shortened and escaped), if the error is about one.
    pub fn key(&self) -> Option<&str> {
        match &self.0.place {
            Place::Key(key) => Some(key),
            _ => None,
        }
    }

    /// Returns the name of the tensor at fault (shortened and escaped), if the error is about one.
    pub fn tensor(&self) -> Option<&str> {
        match &self.0.place {
            Place::Tensor(name) => Some(name),
            _ => None,
        }
    }

    /// Returns what the format or a limit demands at this place, in words.
    pub fn expected(&self) -> &str {
        &self.0.expected
    }

    /// Returns what the file has instead, in words.
    pub fn found(&self) -> &str {
        &self.0.found
    }
}

/// Bytes of a file for a message: at most about 80 characters, with control characters and invalid UTF-8 escaped, so
/// that a hostile file cannot flood a log or control a terminal.
pub(crate) fn printable(bytes: &[u8]) -> String {
    printable_up_to(bytes, 80)
}

/// Like [`printable`], with at most about `max` bytes.
pub(crate) fn printable_up_to(bytes: &[u8], max: usize) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if out.len() >= max {
                out.push_str("...");
                return out;
            }
            if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
        }
        for b in chunk.invalid() {
            if out.len() >= max {
                out.push_str("...");
                return out;
            }
            out.extend(b.escape_ascii().map(char::from));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn messages_name_the_place_once() {
        let error = ParseError::new(ParseErrorKind::Truncated, 7, "8 bytes", "3 bytes")
            .in_key(b"a\x1bb")
            .in_tensor(b"t");
        assert_eq!(error.key(), Some("a\\u{1b}b"));
        assert_eq!(error.tensor(), None);
        assert_eq!(
            error.to_string(),
            "file ends too early: key `a\\u{1b}b`, at byte 7, expected 8 bytes, found 3 bytes"
        );
    }

    #[test]
    fn long_names_are_shortened() {
        assert!(printable(&[b'x'; 70_000]).len() < 90);
        assert_eq!(printable(b"\xffa"), "\\xffa");
    }
}
