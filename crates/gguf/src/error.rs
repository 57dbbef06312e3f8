//! The error of parsing: an opaque struct with a kind, a place, and what was expected and found.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

/// What is wrong with a file. [`ParseError`] adds where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The magic is not `GGUF`.
    NotGguf,
    /// A version that is not read (0, above 3).
    UnsupportedVersion,
    /// The file ends before something that its header promises.
    Truncated,
    /// A bound of [`Limits`](crate::Limits) is exceeded.
    LimitExceeded,
    /// A key that is empty or not UTF-8.
    InvalidKey,
    /// The same key twice.
    DuplicateKey,
    /// A value type or array element type that the format does not have.
    InvalidValueType,
    /// A value that its type does not have (a bool other than 0 and 1).
    InvalidValue,
    /// `general.alignment` is not a `u32` power of two.
    InvalidAlignment,
    /// A tensor name that is not UTF-8.
    InvalidTensorName,
    /// The same tensor name twice.
    DuplicateTensor,
    /// Too many dimensions, or a size that does not fit 63 bits or whole blocks.
    InvalidShape,
    /// A tensor type id that was removed from the format or is negative.
    InvalidTensorType,
    /// A tensor offset that is not a multiple of the alignment.
    MisalignedTensor,
    /// Two tensors share bytes.
    OverlappingTensors,
    /// Only from [`Gguf::check_strict`](crate::Gguf::check_strict): a deviation that this reader takes and the reference
    /// reader refuses.
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

/// Why a file could not be parsed: [kind](Self::kind), [byte offset](Self::offset), [key](Self::key) or
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
    /// How many bytes from the start would have been enough to get further.
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
    /// Built only on the way out, so that the paths which succeed do not allocate.
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

    /// Names the key that was being read, unless a place is known already.
    #[cold]
    pub(crate) fn in_key(mut self, key: &[u8]) -> Self {
        if matches!(self.0.place, Place::Header) {
            self.0.place = Place::Key(printable(key));
        }
        self
    }

    /// Names the tensor that was being read, unless a place is known already.
    #[cold]
    pub(crate) fn in_tensor(mut self, name: &[u8]) -> Self {
        if matches!(self.0.place, Place::Header) {
            self.0.place = Place::Tensor(printable(name));
        }
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> ParseErrorKind {
        self.0.kind
    }

    /// Where in the file, in bytes from its start.
    pub fn offset(&self) -> u64 {
        self.0.offset
    }

    /// Of a file that ends too early: with how many bytes from its start reading gets past this place. More may be
    /// needed behind it. For who reads a file that is still on its way, see
    /// [`Gguf::parse_header`](crate::Gguf::parse_header).
    pub fn needed(&self) -> Option<u64> {
        self.0.needed
    }

    /// The metadata key at fault (shortened and escaped), if one is.
    pub fn key(&self) -> Option<&str> {
        match &self.0.place {
            Place::Key(key) => Some(key),
            _ => None,
        }
    }

    /// The name of the tensor at fault (shortened and escaped), if one is.
    pub fn tensor(&self) -> Option<&str> {
        match &self.0.place {
            Place::Tensor(name) => Some(name),
            _ => None,
        }
    }

    /// What should have been there.
    pub fn expected(&self) -> &str {
        &self.0.expected
    }

    /// What was there.
    pub fn found(&self) -> &str {
        &self.0.found
    }
}

/// Bytes of a file for a message: control characters and what is not UTF-8 escaped, at most about 80 characters, so
/// that a hostile file cannot flood a log or steer a terminal.
pub(crate) fn printable(bytes: &[u8]) -> String {
    printable_up_to(bytes, 80)
}

/// The same with at most about `max` bytes.
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
