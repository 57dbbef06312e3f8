//! Metadata values that own their data, for the writer.

use std::string::String;
use std::vec::Vec;

use crate::array::{Array, Element};
use crate::dialect::{ByteOrder, Dialect};
use crate::encode::{self, Out, Unencoded};
use crate::value::{RawStr, Value, ValueType};

/// A metadata value to write. Converts with `From` from numbers, bools, strings, vectors of these, and values read from
/// a file.
///
/// ```
/// use happy_gguf::{OwnedValue, ValueType};
/// assert_eq!(OwnedValue::from(7u32).value_type(), ValueType::U32);
/// assert_eq!(OwnedValue::from(vec!["a", "b"]).value_type(), ValueType::Array);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedValue {
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
    /// See [`ValueType::String`]. Should be UTF-8, but token lists contain strings that are not.
    String(Vec<u8>),
    /// See [`ValueType::Array`].
    Array(OwnedArray),
    /// See [`ValueType::U64`].
    U64(u64),
    /// See [`ValueType::I64`].
    I64(i64),
    /// See [`ValueType::F64`].
    F64(f64),
}

/// An array to write: elements of one type, stored as in a little-endian file of version 2 or 3.
///
/// ```
/// use happy_gguf::{OwnedArray, ValueType};
/// let nested = OwnedArray::arrays([OwnedArray::packed([1u8, 2]), OwnedArray::strings(["x"])]);
/// assert_eq!((nested.element_type(), nested.len()), (ValueType::Array, 2));
/// assert!(OwnedArray::new(ValueType::F32).is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedArray {
    element: ValueType,
    len: usize,
    raw: Vec<u8>,
}

impl OwnedArray {
    /// Makes an empty array of the given element type.
    pub fn new(element: ValueType) -> Self {
        Self { element, len: 0, raw: Vec::new() }
    }

    /// Makes an array of numbers or bools.
    pub fn packed<T: Element>(items: impl IntoIterator<Item = T>) -> Self {
        let mut array = Self::new(T::TYPE);
        for item in items {
            append(item, &mut array.raw);
            array.len += 1;
        }
        array
    }

    /// Makes an array of strings.
    pub fn strings<S: AsRef<[u8]>>(items: impl IntoIterator<Item = S>) -> Self {
        let mut array = Self::new(ValueType::String);
        for item in items {
            write_string(item.as_ref(), &mut array.raw);
            array.len += 1;
        }
        array
    }

    /// Makes an array of arrays, which may differ in type and length.
    pub fn arrays(items: impl IntoIterator<Item = Self>) -> Self {
        let mut array = Self::new(ValueType::Array);
        for item in items {
            item.write_to(&mut array.raw);
            array.len += 1;
        }
        array
    }

    /// Returns the type of every element.
    pub fn element_type(&self) -> ValueType {
        self.element
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the array has no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends the array in canonical form.
    fn write_to(&self, out: &mut Vec<u8>) {
        append(self.element.id(), out);
        append(self.len as u64, out);
        out.extend(&self.raw);
    }
}

impl OwnedValue {
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

    /// Appends the value in the given dialect, without its type.
    pub(crate) fn encode(&self, to: Dialect, out: &mut impl Out) -> Result<(), Unencoded> {
        match self {
            Self::String(v) => encode::string(v, to, out),
            Self::Array(v) => {
                encode::scalar(v.element.id(), to, out)?;
                encode::len(v.len as u64, to, out)?;
                encode::elements(v.element, v.len as u64, &v.raw, Dialect::CANONICAL, to, out)
            }
            Self::U8(v) => encode::scalar(*v, to, out),
            Self::I8(v) => encode::scalar(*v, to, out),
            Self::U16(v) => encode::scalar(*v, to, out),
            Self::I16(v) => encode::scalar(*v, to, out),
            Self::U32(v) => encode::scalar(*v, to, out),
            Self::I32(v) => encode::scalar(*v, to, out),
            Self::F32(v) => encode::scalar(*v, to, out),
            Self::Bool(v) => encode::scalar(*v, to, out),
            Self::U64(v) => encode::scalar(*v, to, out),
            Self::I64(v) => encode::scalar(*v, to, out),
            Self::F64(v) => encode::scalar(*v, to, out),
        }
    }
}

/// Appends length and bytes in canonical form.
fn write_string(bytes: &[u8], out: &mut Vec<u8>) {
    append(bytes.len() as u64, out);
    out.extend(bytes);
}

/// Appends a number or bool in canonical form.
fn append<T: Element>(value: T, out: &mut Vec<u8>) {
    out.extend_from_slice(value.to_bytes(ByteOrder::Little).get(..T::SIZE).unwrap_or_default());
}

macro_rules! from_scalars {
    ($( $t:ty = $variant:ident, )*) => { $(
        impl From<$t> for OwnedValue {
            fn from(value: $t) -> Self {
                Self::$variant(value)
            }
        }
        impl From<Vec<$t>> for OwnedValue {
            fn from(items: Vec<$t>) -> Self {
                Self::Array(OwnedArray::packed(items))
            }
        }
        impl From<&[$t]> for OwnedValue {
            fn from(items: &[$t]) -> Self {
                Self::Array(OwnedArray::packed(items.iter().copied()))
            }
        }
    )* };
}
from_scalars! {
    u8 = U8, i8 = I8, u16 = U16, i16 = I16, u32 = U32, i32 = I32, f32 = F32, bool = Bool, u64 = U64, i64 = I64,
    f64 = F64,
}

macro_rules! from_strings {
    ($( $t:ty )*) => { $(
        impl From<$t> for OwnedValue {
            fn from(value: $t) -> Self {
                let bytes: &[u8] = value.as_ref();
                Self::String(bytes.to_vec())
            }
        }
        impl From<Vec<$t>> for OwnedValue {
            fn from(items: Vec<$t>) -> Self {
                Self::Array(OwnedArray::strings(items))
            }
        }
        impl From<&[$t]> for OwnedValue {
            fn from(items: &[$t]) -> Self {
                Self::Array(OwnedArray::strings(items))
            }
        }
    )* };
}
from_strings! { &str String RawStr<'_> }

impl AsRef<[u8]> for RawStr<'_> {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl From<OwnedArray> for OwnedValue {
    fn from(array: OwnedArray) -> Self {
        Self::Array(array)
    }
}

impl From<Array<'_>> for OwnedArray {
    fn from(array: Array<'_>) -> Self {
        let (element, len) = (array.element_type(), array.len());
        let mut raw = Vec::with_capacity(array.raw().len());
        let to = Dialect::CANONICAL;
        // This cannot fail: lengths only get wider, and the nesting was checked when the array was parsed.
        match encode::elements(element, len as u64, array.raw(), array.dialect(), to, &mut raw) {
            Ok(()) => Self { element, len, raw },
            Err(_) => Self::new(element),
        }
    }
}

impl From<Value<'_>> for OwnedValue {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::U8(v) => Self::U8(v),
            Value::I8(v) => Self::I8(v),
            Value::U16(v) => Self::U16(v),
            Value::I16(v) => Self::I16(v),
            Value::U32(v) => Self::U32(v),
            Value::I32(v) => Self::I32(v),
            Value::F32(v) => Self::F32(v),
            Value::Bool(v) => Self::Bool(v),
            Value::String(v) => Self::String(v.as_bytes().to_vec()),
            Value::Array(v) => Self::Array(v.into()),
            Value::U64(v) => Self::U64(v),
            Value::I64(v) => Self::I64(v),
            Value::F64(v) => Self::F64(v),
        }
    }
}
