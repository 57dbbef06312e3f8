//! Reads and checks the header of a safetensors file.
//!
//! ```text
//! u64 n, little-endian | n bytes of JSON: { name: { dtype, shape, data_offsets: [begin, end] }, .. } | data
//! ```
//!
//! The header is not trusted: lengths are bounded by the file, names are unique, a tensor's bytes follow from its type and shape,
//! and the tensors fill the data without gaps or overlaps, as the format requires.

use crate::error::printable;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, de};
use std::fmt;

/// Size of the longest header that is read, in bytes. This is the format's own limit.
pub const MAX_HEADER: u64 = 100_000_000;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// IEEE 754 double precision.
    F64,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// bfloat16.
    BF16,
    /// A type that is not converted, with the size of its elements in bytes: integers, bools, 8-bit floats.
    Other(u8),
    /// An unknown type. The size of its elements is unknown too.
    Unknown,
}

impl Dtype {
    fn from_name(name: &str) -> Self {
        match name {
            "F64" => Self::F64,
            "F32" => Self::F32,
            "F16" => Self::F16,
            "BF16" => Self::BF16,
            "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" => Self::Other(1),
            "I16" | "U16" => Self::Other(2),
            "I32" | "U32" => Self::Other(4),
            "I64" | "U64" | "C64" => Self::Other(8),
            _ => Self::Unknown,
        }
    }

    /// Returns the size of an element in bytes, if it is known.
    pub fn size(self) -> Option<u64> {
        Some(match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Other(size) => size.into(),
            Self::Unknown => return None,
        })
    }
}

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, which is unique in the file.
    pub name: String,
    /// The type of the elements.
    pub dtype: Dtype,
    /// The name of the type in the file.
    pub dtype_name: String,
    /// The dimensions, the slowest first. Empty for a scalar.
    pub shape: Vec<u64>,
    /// The bytes of the tensor, counted from the start of the data after the header.
    pub range: std::ops::Range<u64>,
}

/// Why a header is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HeaderError(String);

fn wrong<T>(message: impl Into<String>) -> Result<T, HeaderError> {
    Err(HeaderError(message.into()))
}

/// Returns the length of the header, given the first eight bytes of a file of `file_len` bytes. The header follows these bytes.
///
/// # Errors
/// If the header would be shorter than 2 bytes, or longer than [`MAX_HEADER`] or the rest of the file.
///
/// ```
/// use happy_convert::safetensors::header_len;
/// assert_eq!(header_len([10, 0, 0, 0, 0, 0, 0, 0], 18), Ok(10));
/// assert!(header_len([11, 0, 0, 0, 0, 0, 0, 0], 18).is_err());
/// ```
pub fn header_len(first: [u8; 8], file_len: u64) -> Result<u64, HeaderError> {
    let len = u64::from_le_bytes(first);
    let room = file_len.saturating_sub(8);
    match len {
        0..=1 => wrong(format!("safetensors header: {len} bytes, expected at least 2")),
        _ if len > MAX_HEADER => {
            wrong(format!("safetensors header: {len} bytes, expected at most {MAX_HEADER}"))
        }
        _ if len > room => {
            wrong(format!("safetensors header: {len} bytes, the file has {room} after the length"))
        }
        _ => Ok(len),
    }
}

/// Returns the tensors that a header describes, ordered by name. `data_len` is the number of bytes after the header.
///
/// # Errors
/// If the header is not valid JSON of the expected form, a name occurs twice, the size of a tensor does not follow from its type
/// and shape, or the tensors do not fill the data exactly.
///
/// ```
/// use happy_convert::safetensors::{Dtype, parse};
/// let header = br#"{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}"#;
/// let tensors = parse(header, 24)?;
/// assert_eq!((tensors[0].name.as_str(), tensors[0].dtype), ("w", Dtype::F32));
/// let error = parse(header, 20).unwrap_err();
/// assert_eq!(error.to_string(), "tensor `w`: ends at byte 24, the file has 20 bytes of data");
/// # Ok::<(), happy_convert::safetensors::HeaderError>(())
/// ```
pub fn parse(header: &[u8], data_len: u64) -> Result<Vec<Entry>, HeaderError> {
    if header.first() != Some(&b'{') {
        return wrong("safetensors header: does not begin with `{`");
    }
    let Header(mut tensors) =
        serde_json::from_slice(header).map_err(|e| HeaderError(format!("safetensors header: {e}")))?;
    for t in &tensors {
        check_size(t, data_len)?;
    }
    tensors.sort_unstable_by_key(|t| (t.range.start, t.range.end));
    let mut end = 0;
    for t in &tensors {
        if t.range.start != end {
            let (name, begin) = (printable(&t.name), t.range.start);
            return wrong(format!(
                "tensor `{name}`: begins at byte {begin}, expected {end}, the end of the one before"
            ));
        }
        end = t.range.end;
    }
    if end != data_len {
        return wrong(format!("the tensors end at byte {end}, the file has {data_len} bytes of data"));
    }
    tensors.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    if let Some([twice, _]) = tensors.array_windows().find(|[a, b]| a.name == b.name) {
        return wrong(format!("tensor `{}` occurs twice", printable(&twice.name)));
    }
    Ok(tensors)
}

fn check_size(t: &Entry, data_len: u64) -> Result<(), HeaderError> {
    let name = printable(&t.name);
    let (begin, end) = (t.range.start, t.range.end);
    if end > data_len {
        return wrong(format!("tensor `{name}`: ends at byte {end}, the file has {data_len} bytes of data"));
    }
    let Some(found) = end.checked_sub(begin) else {
        return wrong(format!("tensor `{name}`: begins at byte {begin}, after its end at {end}"));
    };
    let Some(size) = t.dtype.size() else { return Ok(()) };
    let expected = t.shape.iter().try_fold(size, |n, dim| n.checked_mul(*dim));
    if expected != Some(found) {
        let expected = expected.map_or("more than 64 bits can count".to_owned(), |n| format!("{n}"));
        let (dtype, shape) = (&t.dtype_name, &t.shape);
        return wrong(format!(
            "tensor `{name}`: {found} bytes, expected {expected} for {} {shape:?}",
            printable(dtype)
        ));
    }
    Ok(())
}

struct Header(Vec<Entry>);

/// A tensor in the header's JSON.
#[derive(Deserialize)]
struct Raw {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Tensors)
    }
}

struct Tensors;

impl<'de> Visitor<'de> for Tensors {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut tensors = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<de::IgnoredAny>()?;
                continue;
            }
            let Raw { dtype, shape, data_offsets: [begin, end] } = map
                .next_value()
                .map_err(|e| A::Error::custom(format!("tensor `{}`: {e}", printable(&name))))?;
            tensors.try_reserve(1).map_err(|_| A::Error::custom("no memory for the list of tensors"))?;
            let (range, kind) = (begin..end, Dtype::from_name(&dtype));
            tensors.push(Entry { name, dtype: kind, dtype_name: dtype, shape, range });
        }
        Ok(Header(tensors))
    }
}
