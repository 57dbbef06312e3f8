//! Metadata values: the types of the format, borrowed strings, and the value enum.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::str::Utf8Error;

use crate::array::{Array, Element};
use crate::cursor::Cursor;
use crate::error::printable;
use crate::rules::Rules;
use crate::skip;

/// The type of a metadata value or of the elements of an array.
///
/// ```
/// use happy_gguf::ValueType;
/// let ty = ValueType::from_id(6).unwrap();
/// assert_eq!((ty, ty.id(), ty.name(), ty.size()), (ValueType::F32, 6, "f32", Some(4)));
/// assert_eq!((ValueType::String.size(), ValueType::from_id(13)), (None, None));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum ValueType {
    /// Unsigned 8-bit integer.
    U8 = 0,
    /// Signed 8-bit integer.
    I8 = 1,
    /// Unsigned 16-bit integer.
    U16 = 2,
    /// Signed 16-bit integer.
    I16 = 3,
    /// Unsigned 32-bit integer.
    U32 = 4,
    /// Signed 32-bit integer.
    I32 = 5,
    /// IEEE 754 single precision.
    F32 = 6,
    /// One byte, 0 or 1.
    Bool = 7,
    /// Length and bytes.
    String = 8,
    /// Element type, count and elements; may nest.
    Array = 9,
    /// Unsigned 64-bit integer.
    U64 = 10,
    /// Signed 64-bit integer.
    I64 = 11,
    /// IEEE 754 double precision.
    F64 = 12,
}

impl ValueType {
    /// Every type, in id order.
    pub const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::String,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    /// Returns the type with this id in a file, or `None` if the format has no such type.
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(id).ok()?).copied()
    }

    /// Returns the type's id in a file.
    pub fn id(self) -> u32 {
        self as u32
    }

    /// Returns the size of one value in bytes; `None` for strings and arrays, whose size varies.
    pub fn size(self) -> Option<u64> {
        Some(match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::String | Self::Array => return None,
        })
    }

    /// Returns the name: `u8`, `string`, `array` and so on.
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::Bool => "bool",
            Self::String => "string",
            Self::Array => "array",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F64 => "f64",
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A string as stored in the file. The bytes should be UTF-8, but in token lists they sometimes are not.
///
/// ```
/// use happy_gguf::RawStr;
/// let token = RawStr::new(b"\xE4a");
/// assert_eq!((token.as_bytes(), token.to_str().is_err()), (&b"\xE4a"[..], true));
/// assert_eq!(token.to_string_lossy(), "\u{FFFD}a");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawStr<'a>(&'a [u8]);

impl<'a> RawStr<'a> {
    /// Wraps bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes. They are not NUL-terminated; a NUL inside is data.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Returns the text.
    ///
    /// # Errors
    /// If the bytes are not UTF-8.
    pub fn to_str(self) -> Result<&'a str, Utf8Error> {
        core::str::from_utf8(self.0)
    }

    /// Returns the text, with each invalid sequence replaced by U+FFFD.
    pub fn to_string_lossy(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
    }
}

impl fmt::Display for RawStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_string_lossy())
    }
}

impl fmt::Debug for RawStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl PartialEq<str> for RawStr<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for RawStr<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

/// A metadata value, borrowed from the file.
///
/// ```
/// use happy_gguf::{Value, ValueType};
/// let value = Value::I32(-5);
/// assert_eq!((value.value_type(), value.as_integer()), (ValueType::I32, Some(-5)));
/// assert_eq!(value.describe(), "i32 -5");
/// assert_eq!(Value::F32(1.0).as_integer(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// See [`ValueType::U8`].
    U8(u8),
    /// See [`ValueType::I8`].
    I8(i8),
    /// See [`ValueType::U16`].
    U16(u16),
    /// See [`ValueType::I16`].
    I16(i16),
    /// See [`ValueType::U32`].
    U32(u32),
    /// See [`ValueType::I32`].
    I32(i32),
    /// See [`ValueType::F32`].
    F32(f32),
    /// See [`ValueType::Bool`].
    Bool(bool),
    /// See [`ValueType::String`].
    String(RawStr<'a>),
    /// See [`ValueType::Array`].
    Array(Array<'a>),
    /// See [`ValueType::U64`].
    U64(u64),
    /// See [`ValueType::I64`].
    I64(i64),
    /// See [`ValueType::F64`].
    F64(f64),
}

impl<'a> Value<'a> {
    /// Returns the type of the value.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::U8(_) => ValueType::U8,
            Self::I8(_) => ValueType::I8,
            Self::U16(_) => ValueType::U16,
            Self::I16(_) => ValueType::I16,
            Self::U32(_) => ValueType::U32,
            Self::I32(_) => ValueType::I32,
            Self::F32(_) => ValueType::F32,
            Self::Bool(_) => ValueType::Bool,
            Self::String(_) => ValueType::String,
            Self::Array(_) => ValueType::Array,
            Self::U64(_) => ValueType::U64,
            Self::I64(_) => ValueType::I64,
            Self::F64(_) => ValueType::F64,
        }
    }

    /// Returns the value of any integer type, widened to hold all of them; `None` for other types.
    pub fn as_integer(&self) -> Option<i128> {
        Some(match *self {
            Self::U8(v) => v.into(),
            Self::I8(v) => v.into(),
            Self::U16(v) => v.into(),
            Self::I16(v) => v.into(),
            Self::U32(v) => v.into(),
            Self::I32(v) => v.into(),
            Self::U64(v) => v.into(),
            Self::I64(v) => v.into(),
            Self::F32(_) | Self::Bool(_) | Self::String(_) | Self::Array(_) | Self::F64(_) => return None,
        })
    }

    /// Returns type and value in a few words, for messages: `i32 -5`, ``string `abc` ``, `array of 3 f32`.
    pub fn describe(&self) -> String {
        let ty = self.value_type();
        match self {
            Self::F32(v) => format!("{ty} {v}"),
            Self::F64(v) => format!("{ty} {v}"),
            Self::Bool(v) => format!("{ty} {v}"),
            Self::String(v) => format!("{ty} `{}`", printable(v.as_bytes())),
            Self::Array(v) => format!("array of {} {}", v.len(), v.element_type()),
            integer => integer.as_integer().map_or_else(|| ty.to_string(), |v| format!("{ty} {v}")),
        }
    }

    /// Reads one value of type `ty`. `None` if the bytes do not hold one, which parsing has ruled out.
    pub(crate) fn read(ty: ValueType, c: &mut Cursor<'a>) -> Option<Self> {
        fn scalar<T: Element>(c: &mut Cursor<'_>) -> Option<T> {
            let order = c.dialect().order;
            c.try_take(T::SIZE as u64).and_then(|bytes| T::from_bytes(bytes, order))
        }
        Some(match ty {
            ValueType::U8 => Self::U8(scalar(c)?),
            ValueType::I8 => Self::I8(scalar(c)?),
            ValueType::U16 => Self::U16(scalar(c)?),
            ValueType::I16 => Self::I16(scalar(c)?),
            ValueType::U32 => Self::U32(scalar(c)?),
            ValueType::I32 => Self::I32(scalar(c)?),
            ValueType::F32 => Self::F32(scalar(c)?),
            ValueType::Bool => Self::Bool(scalar(c)?),
            ValueType::U64 => Self::U64(scalar(c)?),
            ValueType::I64 => Self::I64(scalar(c)?),
            ValueType::F64 => Self::F64(scalar(c)?),
            ValueType::String => {
                let len = c.try_len()?;
                Self::String(RawStr::new(c.try_take(len)?))
            }
            ValueType::Array => {
                let element = ValueType::from_id(c.try_u32()?)?;
                let len = usize::try_from(c.try_len()?).ok()?;
                let mut end = c.clone();
                skip::elements(&mut end, element, len as u64, 1, &Rules::PARSED).ok()?;
                let raw = c.try_take((end.pos() - c.pos()) as u64)?;
                Self::Array(Array::new(element, len, raw, c.dialect()))
            }
        })
    }
}
