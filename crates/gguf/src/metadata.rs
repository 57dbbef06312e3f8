//! The metadata of a file: lookup by key, and getters whose errors say what was expected and what was found.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::array::{Array, Strings};
use crate::error::printable;
use crate::index::Index;
use crate::value::{RawStr, Value};

/// The metadata pairs of a file. Cheap to clone. Values borrow from the file's bytes, not from this struct.
///
/// The getters accept any integer type whose value fits (files store counts as `u32`, `u64` or `i32`), and any float
/// type. Use `get_*` for keys that must exist, [`Metadata::optional`] for keys that may be missing.
///
/// ```
/// use happy_gguf::{Gguf, GgufWriter, ValueErrorKind};
/// let file = GgufWriter::new().kv("llama.block_count", 30u64).kv("general.name", "tiny").to_vec().unwrap();
/// let gguf = Gguf::parse(&file).unwrap();
/// let metadata = gguf.metadata();
/// assert_eq!(metadata.get_u32("llama.block_count").unwrap(), 30);
/// assert_eq!(metadata.optional::<f32>("llama.rope.freq_base").unwrap(), None);
/// let error = metadata.get_u32("general.name").unwrap_err();
/// assert_eq!(error.to_string(), "key `general.name`: expected an integer that fits u32, found string `tiny`");
/// assert_eq!(metadata.get_bool("x").unwrap_err().kind(), ValueErrorKind::Missing);
/// ```
#[derive(Clone)]
pub struct Metadata<'a> {
    bytes: &'a [u8],
    index: Arc<Index>,
}

/// What is wrong with a metadata value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueErrorKind {
    /// The file does not have the key.
    Missing,
    /// The value has another type, or does not fit the requested type.
    WrongType,
}

/// A metadata value is missing or is not what the caller asked for.
///
/// ```
/// use happy_gguf::{Gguf, GgufWriter, ValueErrorKind};
/// let file = GgufWriter::new().kv("a.b", "text").to_vec()?;
/// let gguf = Gguf::parse(&file).unwrap();
/// let error = gguf.metadata().get_u32("a.b").unwrap_err();
/// assert_eq!((error.kind(), error.key()), (ValueErrorKind::WrongType, "a.b"));
/// assert_eq!(gguf.metadata().get_u32("b.a").unwrap_err().kind(), ValueErrorKind::Missing);
/// # Ok::<(), happy_gguf::WriteError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key `{key}`: expected {expected}, found {found}")]
pub struct ValueError {
    kind: ValueErrorKind,
    key: String,
    expected: String,
    found: String,
}

impl ValueError {
    /// Makes an error about `key`, for callers that reject a value for a reason of their own.
    pub fn new(key: &str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        let (key, expected, found) = (printable(key.as_bytes()), expected.into(), found.into());
        Self { kind: ValueErrorKind::WrongType, key, expected, found }
    }

    /// Returns why the value was rejected.
    pub fn kind(&self) -> ValueErrorKind {
        self.kind
    }

    /// Returns the key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns what the caller asked for.
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// Returns what the file has: type and value, or `nothing`.
    pub fn found(&self) -> &str {
        &self.found
    }
}

mod sealed {
    pub trait Sealed {}
}
pub(crate) use sealed::Sealed;

/// A type that a metadata value can be read as: integers, floats, `bool`, `&str`, [`RawStr`], [`Array`], [`Strings`],
/// and `Vec`s of these.
///
/// ```
/// use happy_gguf::{Gguf, GgufWriter};
/// let file = GgufWriter::new().kv("n", 7u16).kv("list", vec![1u8, 2]).to_vec()?;
/// let gguf = Gguf::parse(&file).unwrap();
/// // The getter accepts any integer type that holds the value.
/// assert_eq!(gguf.metadata().require::<i64>("n"), Ok(7));
/// assert_eq!(gguf.metadata().optional::<Vec<u32>>("list"), Ok(Some(vec![1, 2])));
/// assert_eq!(gguf.metadata().optional::<f32>("absent"), Ok(None));
/// # Ok::<(), happy_gguf::WriteError>(())
/// ```
pub trait FromValue<'a>: Sized + sealed::Sealed {
    /// What the type accepts, for messages.
    const EXPECTED: &'static str;
    /// What an array of the type accepts, for messages.
    const EXPECTED_ARRAY: &'static str;
    /// The value converted to this type, or `None` if that is not possible.
    fn from_value(value: Value<'a>) -> Option<Self>;
}

macro_rules! integers {
    ($( $t:ident )*) => { $(
        impl sealed::Sealed for $t {}
        impl<'a> FromValue<'a> for $t {
            const EXPECTED: &'static str = concat!("an integer that fits ", stringify!($t));
            const EXPECTED_ARRAY: &'static str = concat!("an array of integers that fit ", stringify!($t));
            #[inline]
            fn from_value(value: Value<'a>) -> Option<Self> {
                match value {
                    Value::U32(v) => v.try_into().ok(), // the usual case
                    value => value.as_integer()?.try_into().ok(),
                }
            }
        }
    )* };
}
integers! { u8 i8 u16 i16 u32 i32 u64 i64 usize }

macro_rules! others {
    ($( $t:ty, $expected:literal, $array:literal, $value:ident => $result:expr; )*) => { $(
        #[allow(clippy::extra_unused_lifetimes)] // `'a` is used by the types that borrow
        impl<'a> sealed::Sealed for $t {}
        impl<'a> FromValue<'a> for $t {
            const EXPECTED: &'static str = $expected;
            const EXPECTED_ARRAY: &'static str = $array;
            fn from_value($value: Value<'a>) -> Option<Self> {
                $result
            }
        }
    )* };
}
others! {
    bool, "a bool", "an array of bools", v => if let Value::Bool(v) = v { Some(v) } else { None };
    f32, "a float", "an array of floats", v => f64::from_value(v).map(|v| v as f32);
    f64, "a float", "an array of floats", v => match v {
        Value::F32(v) => Some(v.into()),
        Value::F64(v) => Some(v),
        _ => None,
    };
    RawStr<'a>, "a string", "an array of strings", v => if let Value::String(v) = v { Some(v) } else { None };
    &'a str, "a UTF-8 string", "an array of UTF-8 strings", v => RawStr::from_value(v)?.to_str().ok();
    Array<'a>, "an array", "an array of arrays", v => if let Value::Array(v) = v { Some(v) } else { None };
    Strings<'a>, "an array of strings", "an array of arrays of strings", v => Array::from_value(v)?.strings();
}

impl<T: sealed::Sealed> sealed::Sealed for Vec<T> {}
impl<'a, T: FromValue<'a>> FromValue<'a> for Vec<T> {
    const EXPECTED: &'static str = T::EXPECTED_ARRAY;
    const EXPECTED_ARRAY: &'static str = "an array of arrays of one type";

    /// Copies element by element. Memory is reserved fallibly, since the file determines the count.
    fn from_value(value: Value<'a>) -> Option<Self> {
        let array = Array::from_value(value)?;
        let mut items = Vec::new();
        items.try_reserve_exact(array.len()).ok()?;
        for value in array {
            items.push(T::from_value(value)?);
        }
        Some(items)
    }
}

/// The one-line getters.
macro_rules! getters {
    ($( $(#[$doc:meta])* $name:ident -> $t:ty; )*) => { $(
        $(#[$doc])*
        ///
        /// # Errors
        /// If the key is missing or its value has another type.
        pub fn $name(&self, key: &str) -> Result<$t, ValueError> {
            self.require(key)
        }
    )* };
}

impl<'a> Metadata<'a> {
    pub(crate) fn new(bytes: &'a [u8], index: Arc<Index>) -> Self {
        Self { bytes, index }
    }

    /// Returns the number of pairs.
    pub fn len(&self) -> usize {
        self.index.pairs.len()
    }

    /// Returns whether the file has no pairs.
    pub fn is_empty(&self) -> bool {
        self.index.pairs.is_empty()
    }

    /// Returns the pairs, in file order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a str, Value<'a>)> + '_ {
        // The values were checked at parse. The default covers storage whose bytes have changed since.
        let value = |pair: &crate::index::Pair| {
            pair.value(self.bytes, self.index.dialect).unwrap_or(Value::Bool(false))
        };
        self.index.pairs.iter().map(move |pair| (pair.key.str_of(self.bytes), value(pair)))
    }

    /// Returns the pairs in byte order of their keys.
    pub fn iter_by_key(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + '_ {
        self.index.by_key.iter().filter_map(|i| {
            let pair = self.index.pairs.get(*i as usize)?;
            Some((pair.key.str_of(self.bytes), pair.value(self.bytes, self.index.dialect)?))
        })
    }

    /// Returns the value of `key` as stored, or `None` if the file does not have the key.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.index.find_pair(self.bytes, key)?.value(self.bytes, self.index.dialect)
    }

    /// Returns whether the file has `key`.
    pub fn contains(&self, key: &str) -> bool {
        self.index.find_pair(self.bytes, key).is_some()
    }

    /// Returns the value of `key` read as `T`, or `None` if the file does not have the key.
    ///
    /// # Errors
    /// If the value cannot be read as `T`.
    pub fn optional<T: FromValue<'a>>(&self, key: &str) -> Result<Option<T>, ValueError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        T::from_value(value).map(Some).ok_or_else(|| ValueError::new(key, T::EXPECTED, value.describe()))
    }

    /// Returns the value of `key` read as `T`.
    ///
    /// # Errors
    /// If the key is missing or its value cannot be read as `T`.
    pub fn require<T: FromValue<'a>>(&self, key: &str) -> Result<T, ValueError> {
        self.optional(key)?.ok_or_else(|| ValueError {
            kind: ValueErrorKind::Missing,
            ..ValueError::new(key, T::EXPECTED, "nothing")
        })
    }

    getters! {
        /// Reads an integer of any type whose value fits.
        get_u32 -> u32;
        /// Reads an integer of any type whose value fits.
        get_i32 -> i32;
        /// Reads an integer of any type whose value fits.
        get_u64 -> u64;
        /// Reads an integer of any type whose value fits.
        get_i64 -> i64;
        /// Reads an integer of any type whose value fits.
        get_usize -> usize;
        /// Reads a float; an `f64` is rounded.
        get_f32 -> f32;
        /// Reads a float; an `f32` is widened.
        get_f64 -> f64;
        /// Reads a bool.
        get_bool -> bool;
        /// Reads a string that is valid UTF-8.
        get_str -> &'a str;
        /// Reads a string whose bytes need not be UTF-8.
        get_raw_str -> RawStr<'a>;
        /// Reads an array of any element type.
        get_array -> Array<'a>;
        /// Reads an array of strings.
        get_strings -> Strings<'a>;
    }
}

impl fmt::Debug for Metadata<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
