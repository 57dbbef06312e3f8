//! Metadata arrays, left in place in the file: typed views and iterators over the raw bytes.

use alloc::vec::Vec;
use core::fmt;
use core::iter::FusedIterator;
use core::marker::PhantomData;

use byteorder::{BE, ByteOrder as _, LE};

use crate::cursor::Cursor;
use crate::dialect::{ByteOrder, Dialect};
use crate::value::{RawStr, Value, ValueType};

mod sealed {
    pub trait Sealed {}
}

/// A scalar type that arrays store packed: integers, floats and bool.
///
/// ```
/// use happy_gguf::{Element, Gguf, GgufWriter, ValueType};
/// let file = GgufWriter::new().kv("a", vec![3i16, -4]).to_vec()?;
/// let gguf = Gguf::parse(&file).unwrap();
/// let array = gguf.metadata().get_array("a").unwrap();
/// assert_eq!((i16::TYPE, i16::SIZE), (ValueType::I16, 2));
/// assert_eq!(array.packed::<i16>().unwrap().get(1), Some(-4)); // read in place
/// assert!(array.packed::<u16>().is_none());
/// # Ok::<(), happy_gguf::WriteError>(())
/// ```
pub trait Element: sealed::Sealed + Copy + Default + fmt::Debug + PartialEq + 'static {
    /// The element type in the file.
    const TYPE: ValueType;
    /// The size of an element in bytes.
    const SIZE: usize;
    /// Reads exactly [`Self::SIZE`] bytes.
    #[doc(hidden)]
    fn from_bytes(bytes: &[u8], order: ByteOrder) -> Option<Self>;
    /// The first [`Self::SIZE`] bytes are those of the file.
    #[doc(hidden)]
    fn to_bytes(self, order: ByteOrder) -> [u8; 8];
}

macro_rules! elements {
    ($( $t:ty = $ty:ident $read:ident $write:ident, )*) => { $(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const TYPE: ValueType = ValueType::$ty;
            const SIZE: usize = size_of::<$t>();
            #[inline]
            fn from_bytes(bytes: &[u8], order: ByteOrder) -> Option<Self> {
                (bytes.len() == Self::SIZE).then(|| match order {
                    ByteOrder::Little => LE::$read(bytes),
                    ByteOrder::Big => BE::$read(bytes),
                })
            }
            #[inline]
            fn to_bytes(self, order: ByteOrder) -> [u8; 8] {
                let mut bytes = [0; 8];
                match order {
                    ByteOrder::Little => LE::$write(&mut bytes, self),
                    ByteOrder::Big => BE::$write(&mut bytes, self),
                }
                bytes
            }
        }
    )* };
}
elements! {
    u16 = U16 read_u16 write_u16, i16 = I16 read_i16 write_i16,
    u32 = U32 read_u32 write_u32, i32 = I32 read_i32 write_i32, f32 = F32 read_f32 write_f32,
    u64 = U64 read_u64 write_u64, i64 = I64 read_i64 write_i64, f64 = F64 read_f64 write_f64,
}

/// Single-byte types have no byte order.
macro_rules! byte_elements {
    ($( $t:ty = $ty:ident $from_byte:expr, )*) => { $(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const TYPE: ValueType = ValueType::$ty;
            const SIZE: usize = 1;
            #[inline]
            fn from_bytes(bytes: &[u8], _: ByteOrder) -> Option<Self> {
                if let [byte] = bytes { Some($from_byte(*byte)) } else { None }
            }
            #[inline]
            fn to_bytes(self, _: ByteOrder) -> [u8; 8] {
                [self as u8, 0, 0, 0, 0, 0, 0, 0]
            }
        }
    )* };
}
byte_elements! { u8 = U8 u8::from, i8 = I8 |byte| byte as i8, bool = Bool |byte| byte != 0, }

/// An array value: the element type, the length, and the raw elements in the file.
///
/// ```
/// use happy_gguf::{Gguf, GgufWriter};
/// let file = GgufWriter::new().kv("a.scores", vec![1.0f32, -2.0]).kv("a.tokens", vec!["x", "yz"]).to_vec().unwrap();
/// let gguf = Gguf::parse(&file).unwrap();
/// let scores = gguf.metadata().get_array("a.scores").unwrap().packed::<f32>().unwrap();
/// assert_eq!(scores.get(1), Some(-2.0));
/// let tokens = gguf.metadata().get_array("a.tokens").unwrap().strings().unwrap();
/// assert_eq!(tokens.map(|t| t.as_bytes().len()).collect::<Vec<_>>(), [1, 2]);
/// ```
#[derive(Clone, Copy)]
pub struct Array<'a> {
    element: ValueType,
    len: usize,
    raw: &'a [u8],
    dialect: Dialect,
}

impl<'a> Array<'a> {
    pub(crate) fn new(element: ValueType, len: usize, raw: &'a [u8], dialect: Dialect) -> Self {
        Self { element, len, raw, dialect }
    }

    #[cfg(feature = "write")]
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
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

    /// Returns the elements as stored in the file, without type and count; see [`Array::is_canonical`].
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Returns whether [`Array::raw`] is little-endian with 64-bit lengths. False only for files that are big-endian or of
    /// version 1.
    pub fn is_canonical(&self) -> bool {
        self.dialect == Dialect::CANONICAL
    }

    /// Returns element `i`, or `None` if `i` is out of range. Takes constant time for scalars and linear time for strings and
    /// arrays; see [`StrIndex`].
    pub fn get(&self, i: usize) -> Option<Value<'a>> {
        if i >= self.len {
            return None;
        }
        match self.element.size() {
            Some(size) => {
                let start = i.checked_mul(size as usize)?;
                Value::read(self.element, &mut Cursor::new(self.raw.get(start..)?, self.dialect))
            }
            None => self.iter().nth(i),
        }
    }

    /// Returns the elements as values.
    pub fn iter(&self) -> Values<'a> {
        Values { element: self.element, left: self.len, cursor: Cursor::new(self.raw, self.dialect) }
    }

    /// Returns the elements as numbers of exactly this type; `None` if the element type differs.
    pub fn packed<T: Element>(&self) -> Option<Packed<'a, T>> {
        (self.element == T::TYPE).then_some(Packed {
            raw: self.raw,
            order: self.dialect.order,
            of: PhantomData,
        })
    }

    /// Returns the strings of an array of strings; `None` if the element type differs.
    pub fn strings(&self) -> Option<Strings<'a>> {
        let strings = Strings { left: self.len, rest: Cursor::new(self.raw, self.dialect) };
        (self.element == ValueType::String).then_some(strings)
    }
}

impl PartialEq for Array<'_> {
    /// Equal if type, length and elements are equal (floats compare by value, so NaN differs from itself).
    fn eq(&self, other: &Self) -> bool {
        self.element == other.element && self.len == other.len && self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Array<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array({} {}) ", self.len, self.element)?;
        const SHOWN: usize = 8;
        let mut list = f.debug_list();
        list.entries(self.iter().take(SHOWN));
        if self.len > SHOWN { list.finish_non_exhaustive() } else { list.finish() }
    }
}

impl<'a> IntoIterator for Array<'a> {
    type Item = Value<'a>;
    type IntoIter = Values<'a>;
    fn into_iter(self) -> Values<'a> {
        self.iter()
    }
}

/// Iterates over the elements of any array.
///
/// ```
/// use happy_gguf::{Gguf, GgufWriter, Value};
/// let file = GgufWriter::new().kv("k", vec![true, false]).to_vec()?;
/// let gguf = Gguf::parse(&file).unwrap();
/// let values: Vec<_> = gguf.metadata().get_array("k").unwrap().iter().collect();
/// assert_eq!(values, [Value::Bool(true), Value::Bool(false)]);
/// # Ok::<(), happy_gguf::WriteError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Values<'a> {
    element: ValueType,
    left: usize,
    cursor: Cursor<'a>,
}

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.left = self.left.checked_sub(1)?;
        Value::read(self.element, &mut self.cursor)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Values<'_> {}

/// Iterates over the strings of an array of strings. Each step reads a length and returns a slice; nothing is copied.
///
/// ```
/// use happy_gguf::{Gguf, GgufWriter};
/// let file = GgufWriter::new().kv("tokenizer.ggml.tokens", vec!["<s>", "a", "bc"]).to_vec()?;
/// let gguf = Gguf::parse(&file).unwrap();
/// let tokens = gguf.metadata().get_strings("tokenizer.ggml.tokens").unwrap();
/// assert_eq!(tokens.len(), 3);
/// let tokens = tokens.index().unwrap(); // 4 bytes per string
/// assert_eq!(tokens.get(2).unwrap(), "bc");
/// assert_eq!((tokens.len(), tokens.get(3)), (3, None));
/// # Ok::<(), happy_gguf::WriteError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Strings<'a> {
    left: usize,
    rest: Cursor<'a>,
}

impl<'a> Strings<'a> {
    /// Records where each string begins, for access by number.
    ///
    /// Costs 4 bytes per string. `None` if the strings total 4 GiB or more, or if memory cannot be reserved.
    pub fn index(self) -> Option<StrIndex<'a>> {
        let raw = self.rest.clone().try_take(self.rest.left())?;
        u32::try_from(raw.len()).ok()?;
        let mut ends = Vec::new();
        ends.try_reserve_exact(self.left).ok()?;
        let (mut end, len_size) = (0, self.rest.dialect().len_size() as u32);
        for s in self {
            end += len_size + s.as_bytes().len() as u32;
            ends.push(end);
        }
        Some(StrIndex { raw, ends, len_size: len_size as usize })
    }
}

impl<'a> Iterator for Strings<'a> {
    type Item = RawStr<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawStr<'a>> {
        self.left = self.left.checked_sub(1)?;
        let len = self.rest.try_len()?;
        self.rest.try_take(len).map(RawStr::new)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Strings<'_> {}
impl FusedIterator for Strings<'_> {}

/// The strings of an array, with constant-time access by number. Made by [`Strings::index`]. Example: [`Strings`].
#[derive(Clone, Debug)]
pub struct StrIndex<'a> {
    raw: &'a [u8],
    /// Where each string ends, including its length field.
    ends: Vec<u32>,
    /// The size of a length field in bytes.
    len_size: usize,
}

impl<'a> StrIndex<'a> {
    /// Returns string `i`, or `None` if `i` is out of range.
    pub fn get(&self, i: usize) -> Option<RawStr<'a>> {
        let end = *self.ends.get(i)? as usize;
        let start = i.checked_sub(1).and_then(|p| self.ends.get(p)).map_or(0, |e| *e as usize);
        self.raw.get(start + self.len_size..end).map(RawStr::new)
    }

    /// Returns the number of strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there are no strings.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// Numbers as stored in the file, in its byte order and at any alignment.
///
/// ```
/// use happy_gguf::{ByteOrder, Gguf, GgufWriter};
/// let file = GgufWriter::new().byte_order(ByteOrder::Big).kv("k", vec![1u32, 258]).to_vec()?;
/// let gguf = Gguf::parse(&file).unwrap();
/// let numbers = gguf.metadata().get_array("k").unwrap().packed::<u32>().unwrap();
/// assert_eq!((numbers.len(), numbers.get(1), numbers.get(2)), (2, Some(258), None));
/// assert_eq!((numbers.raw(), numbers.byte_order()), (&[0, 0, 0, 1, 0, 0, 1, 2][..], ByteOrder::Big));
/// # Ok::<(), happy_gguf::WriteError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Packed<'a, T> {
    /// A whole number of elements.
    raw: &'a [u8],
    order: ByteOrder,
    of: PhantomData<T>,
}

impl<'a, T: Element> Packed<'a, T> {
    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.raw.len() / T::SIZE
    }

    /// Returns whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Returns element `i`, or `None` if `i` is out of range.
    pub fn get(&self, i: usize) -> Option<T> {
        let start = i.checked_mul(T::SIZE)?;
        self.raw.get(start..)?.get(..T::SIZE).and_then(|b| T::from_bytes(b, self.order))
    }

    /// Returns the elements.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = T> + Clone + use<'a, T> {
        // Each chunk has SIZE bytes, so the conversion cannot fail and the length is exact.
        let order = self.order;
        self.raw.chunks_exact(T::SIZE).map(move |c| T::from_bytes(c, order).unwrap_or_default())
    }

    /// Returns the bytes as stored in the file, in [`Packed::byte_order`].
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Returns the byte order of [`Packed::raw`].
    pub fn byte_order(&self) -> ByteOrder {
        self.order
    }
}

impl<T: Element> PartialEq for Packed<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T: Element> fmt::Debug for Packed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
