//! Deviations that the reader takes and names: found on request, from the parsed index.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::gguf::Gguf;
use crate::{ALIGNMENT_KEY, GgmlType, error::printable};

/// What deviates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WarningKind {
    /// A key that is not lower_snake_case segments joined by dots. Common in published files.
    UnusualKey,
    /// An alignment that is not a multiple of 8.
    SmallAlignment,
    /// A tensor type that this version does not know. Nothing can compute with it.
    UnknownTensorType,
    /// A tensor that does not begin where the one before it ends (rounded up to the alignment).
    Layout,
    /// The file ends at the last tensor's last byte and not after its padding. Common in published files.
    MissingPadding,
}

impl WarningKind {
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::UnusualKey => "lower_snake_case segments joined by `.`",
            Self::SmallAlignment => "an alignment that is a multiple of 8",
            Self::UnknownTensorType => "a known tensor type",
            Self::Layout => "tensors one after the other, without gaps",
            Self::MissingPadding => "padding to the alignment behind the last tensor",
        }
    }

    pub(crate) fn is_about_a_tensor(self) -> bool {
        matches!(self, Self::UnknownTensorType | Self::Layout | Self::MissingPadding)
    }
}

/// A deviation from the format, or from what other readers take, that did not keep a file from being parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// What deviates.
    pub kind: WarningKind,
    /// Where, in bytes from the start of the file.
    pub offset: u64,
    /// The key or the tensor (shortened and escaped).
    pub name: String,
    /// What was found.
    pub found: String,
}

impl Warning {
    /// Whether the reference reader refuses such a file when it loads the tensor data.
    pub fn is_refused_elsewhere(&self) -> bool {
        self.kind.is_about_a_tensor()
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.kind.is_about_a_tensor() { "tensor" } else { "key" };
        let (name, expected) = (&self.name, self.kind.expected());
        write!(f, "{what} `{name}`: at byte {}, expected {expected}, found {}", self.offset, self.found)
    }
}

pub(crate) fn collect(gguf: &Gguf<'_>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |kind, offset, name: &str, found: String| {
        warnings.push(Warning { kind, offset, name: printable(name.as_bytes()), found });
    };
    let index = gguf.index();
    for pair in &index.pairs {
        let key = pair.key.str_of(gguf.bytes());
        if !is_usual_key(key) {
            warn(WarningKind::UnusualKey, pair.key.start as u64, key, "other characters".to_string());
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
        if tensor.range.start != expected_start {
            let found = format!("a start at {} instead of {expected_start}", tensor.range.start);
            warn(WarningKind::Layout, tensor.range.start, tensor.name, found);
        }
        // Cannot wrap: both were checked at parse. A tensor of unknown size reaches to the next one.
        expected_start = tensor.range.end.next_multiple_of(gguf.alignment());
    }
    let file_len = gguf.bytes().len() as u64;
    if let Some(last) = gguf.tensors().max_by_key(|t| t.range.end)
        && last.ty.layout().is_some()
        && last.range.end.next_multiple_of(gguf.alignment()) > file_len
    {
        let found = format!("the end of the file at byte {file_len}");
        warn(WarningKind::MissingPadding, last.range.end, last.name, found);
    }
    warnings
}

/// `segment(.segment)*`, a segment of lower-case letters, digits and `_`.
fn is_usual_key(key: &str) -> bool {
    let segment = |s: &str| {
        !s.is_empty() && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    key.split('.').all(segment)
}
