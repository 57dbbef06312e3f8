//! Deviations that the reader accepts and reports: found on request, from the parsed index.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::dialect::{ByteOrder, Dialect};
use crate::gguf::Gguf;
use crate::index::Pair;
use crate::skip::first_odd_bool;
use crate::value::{Value, ValueType};
use crate::{ALIGNMENT_KEY, GgmlType, error::printable};

/// How a file deviates from the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WarningKind {
    /// Version 1, which other readers no longer support.
    OldVersion,
    /// A big-endian file. Its tensors are big-endian too.
    BigEndian,
    /// A key that does not consist of lower_snake_case segments joined by dots. Common in published files.
    UnusualKey,
    /// Only from [`Gguf::parse_lenient`]: a bool that is neither 0 nor 1.
    OddBool,
    /// An alignment that is not a multiple of 8.
    SmallAlignment,
    /// A tensor type that this version does not know and that nothing can compute with.
    UnknownTensorType,
    /// Only from [`Gguf::parse_lenient`]: a tensor whose offset is not a multiple of the alignment.
    Misaligned,
    /// A tensor that does not begin where the previous one ends (rounded up to the alignment).
    Layout,
    /// The file ends right after the last tensor, without its padding. Common in published files.
    MissingPadding,
}

/// What a warning is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    File,
    Key,
    Tensor,
}

impl WarningKind {
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::OldVersion => "version 2 or 3",
            Self::BigEndian => "little-endian numbers",
            Self::UnusualKey => "lower_snake_case segments joined by `.`",
            Self::OddBool => "a bool of 0 or 1",
            Self::SmallAlignment => "an alignment that is a multiple of 8",
            Self::UnknownTensorType => "a known tensor type",
            Self::Misaligned => "an offset that is a multiple of the alignment",
            Self::Layout => "tensors one after the other, without gaps",
            Self::MissingPadding => "padding to the alignment after the last tensor",
        }
    }

    pub(crate) fn subject(self) -> Subject {
        match self {
            Self::OldVersion | Self::BigEndian => Subject::File,
            Self::UnusualKey | Self::OddBool | Self::SmallAlignment => Subject::Key,
            Self::UnknownTensorType | Self::Misaligned | Self::Layout | Self::MissingPadding => {
                Subject::Tensor
            }
        }
    }
}

/// A deviation from the format, or from what other readers accept, that did not prevent parsing.
///
/// ```
/// use happy_gguf::{Gguf, GgufWriter, ParseErrorKind, WarningKind};
/// let file = GgufWriter::new().version(1).to_vec()?;
/// let gguf = Gguf::parse(&file).unwrap();
/// let warning = &gguf.warnings()[0];
/// assert!(warning.kind == WarningKind::OldVersion && warning.is_refused_elsewhere());
/// assert_eq!(gguf.check_strict().unwrap_err().kind(), ParseErrorKind::NotStrict);
/// # Ok::<(), happy_gguf::WriteError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// How the file deviates.
    pub kind: WarningKind,
    /// Where, in bytes from the start of the file.
    pub offset: u64,
    /// The key or the tensor (shortened and escaped); empty if the warning is about the whole file.
    pub name: String,
    /// What was found.
    pub found: String,
}

impl Warning {
    /// Returns whether the reference reader refuses such a file when it loads the tensor data.
    pub fn is_refused_elsewhere(&self) -> bool {
        self.kind.subject() != Subject::Key
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind.subject() {
            Subject::File => {}
            Subject::Key => write!(f, "key `{}`: ", self.name)?,
            Subject::Tensor => write!(f, "tensor `{}`: ", self.name)?,
        }
        write!(f, "at byte {}, expected {}, found {}", self.offset, self.kind.expected(), self.found)
    }
}

pub(crate) fn collect(gguf: &Gguf<'_>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |kind, offset, name: &str, found: String| {
        warnings.push(Warning { kind, offset, name: printable(name.as_bytes()), found });
    };
    let index = gguf.index();
    if index.version == 1 {
        warn(WarningKind::OldVersion, 4, "", "version 1, with 32-bit lengths".to_string());
    }
    if index.dialect.order == ByteOrder::Big {
        warn(WarningKind::BigEndian, 4, "", format!("version {} in big-endian order", index.version));
    }
    for pair in &index.pairs {
        let key = pair.key.str_of(gguf.bytes());
        if !is_usual_key(key) {
            warn(WarningKind::UnusualKey, pair.key.start as u64, key, "other characters".to_string());
        }
        if let Some((offset, b)) = odd_bool(gguf.bytes(), pair, index.dialect) {
            warn(WarningKind::OddBool, offset, key, b.to_string());
        }
        if key == ALIGNMENT_KEY && !gguf.alignment().is_multiple_of(8) {
            let found = gguf.alignment().to_string();
            warn(WarningKind::SmallAlignment, pair.value.start as u64, key, found);
        }
    }

    let mut expected_start = gguf.data_offset();
    for tensor in gguf.tensors() {
        if let GgmlType::Unknown(id) = tensor.ty {
            warn(WarningKind::UnknownTensorType, tensor.range.start, tensor.name, format!("type id {id}"));
        }
        if !(tensor.range.start - gguf.data_offset()).is_multiple_of(gguf.alignment()) {
            let found = format!("offset {}", tensor.range.start - gguf.data_offset());
            warn(WarningKind::Misaligned, tensor.range.start, tensor.name, found);
        }
        if tensor.range.start != expected_start {
            let found = format!("a start at {} instead of {expected_start}", tensor.range.start);
            warn(WarningKind::Layout, tensor.range.start, tensor.name, found);
        }
        // The sum cannot wrap: both were checked at parse. A tensor of unknown size extends to the next one.
        expected_start = tensor.range.end.next_multiple_of(gguf.alignment());
    }
    if let Some(file_len) = index.file_len
        && let Some(last) = gguf.tensors().max_by_key(|t| t.range.end)
        && last.ty.layout().is_some()
        && last.range.end.next_multiple_of(gguf.alignment()) > file_len
    {
        let found = format!("the end of the file at byte {file_len}");
        warn(WarningKind::MissingPadding, last.range.end, last.name, found);
    }
    warnings
}

/// The offset and value of the first bool of a pair that is neither 0 nor 1. Does not search nested arrays.
fn odd_bool(bytes: &[u8], pair: &Pair, dialect: Dialect) -> Option<(u64, u8)> {
    let bools = match pair.value(bytes, dialect)? {
        Value::Bool(_) => pair.value.of(bytes),
        Value::Array(array) if array.element_type() == ValueType::Bool => array.raw(),
        _ => return None,
    };
    let (i, b) = first_odd_bool(bools)?;
    Some(((pair.value.end - bools.len() + i) as u64, b))
}

/// Whether a key is `segment(.segment)*`, where a segment consists of lower-case letters, digits and `_`.
fn is_usual_key(key: &str) -> bool {
    let segment = |s: &str| {
        !s.is_empty() && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    key.split('.').all(segment)
}
