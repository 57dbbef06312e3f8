//! Arrays of metadata, left where they are in the file: typed views and iterators over the raw bytes.

use alloc::vec::Vec;
use core::fmt;
use core::iter::FusedIterator;
use core::marker::PhantomData;

use crate::cursor::Cursor;
use crate::value::{RawStr, Value, ValueType};

mod sealed {
    pub trait Sealed {}
}

/// A scalar that arrays store packed: the integers, floats and bool.
pub trait Element: sealed::Sealed + Copy + Default + fmt::Debug + PartialEq + 'static {
    /// The element type in the file.
    const TYPE: ValueType;
    /// Bytes of an element.
    const SIZE: usize;
    /// From exactly [`Self::SIZE`] little-endian bytes.
    #[doc(hidden)]
    fn from_le(bytes: &[u8]) -> Option<Self>;
}

macro_rules! elements {
    ($( $t:ty = $ty:ident, )*) => { $(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const TYPE: ValueType = ValueType::$ty;
            const SIZE: usize = size_of::<$t>();
            #[inline]
            fn from_le(bytes: &[u8]) -> Option<Self> {
                Some(<$t>::from_le_bytes(bytes.try_into().ok()?))
            }
        }
    )* };
}
elements! { u8 = U8, i8 = I8, u16 = U16, i16 = I16, u32 = U32, i32 = I32, f32 = F32, u64 = U64, i64 = I64, f64 = F64, }

impl sealed::Sealed for bool {}
impl Element for bool {
    const TYPE: ValueType = ValueType::Bool;
    const SIZE: usize = 1;
    fn from_le(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [b] => Some(*b != 0),
            _ => None,
        }
    }
}

/// An array value: element type, length, and the raw elements in the file.
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
}

impl<'a> Array<'a> {
    pub(crate) fn new(element: ValueType, len: usize, raw: &'a [u8]) -> Self {
        Self { element, len, raw }
    }

    /// The type of every element.
    pub fn element_type(&self) -> ValueType {
        self.element
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements as the file has them, without type and count.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Element `i`. Scalars in constant time; strings and arrays are walked over (see [`StrIndex`]).
    pub fn get(&self, i: usize) -> Option<Value<'a>> {
        if i >= self.len {
            return None;
        }
        match self.element.size() {
            Some(size) => {
                let start = i.checked_mul(size as usize)?;
                Value::read(self.element, &mut Cursor::new(self.raw.get(start..)?))
            }
            None => self.iter().nth(i),
        }
    }

    /// The elements as values.
    pub fn iter(&self) -> Values<'a> {
        Values { element: self.element, left: self.len, cursor: Cursor::new(self.raw) }
    }

    /// The elements as numbers of exactly this type; `None` when the element type is another.
    pub fn packed<T: Element>(&self) -> Option<Packed<'a, T>> {
        (self.element == T::TYPE).then_some(Packed { raw: self.raw, of: PhantomData })
    }

    /// The strings of an array of strings; `None` when the element type is another.
    pub fn strings(&self) -> Option<Strings<'a>> {
        (self.element == ValueType::String).then_some(Strings { left: self.len, rest: self.raw })
    }
}

impl PartialEq for Array<'_> {
    /// Same type, same length, same elements (floats by value, as everywhere).
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

/// Iterates over the strings of an array of strings: a length read and a slice each, nothing copied.
#[derive(Clone, Debug)]
pub struct Strings<'a> {
    left: usize,
    rest: &'a [u8],
}

impl<'a> Strings<'a> {
    /// Notes where each string begins, for access by number.
    ///
    /// Costs 4 bytes a string. `None` when the strings together have 4 GiB or more, or the memory is not to be had.
    pub fn index(self) -> Option<StrIndex<'a>> {
        let raw = self.rest;
        u32::try_from(raw.len()).ok()?;
        let mut ends = Vec::new();
        ends.try_reserve_exact(self.left).ok()?;
        let mut end = 0;
        for s in self {
            end += 8 + s.as_bytes().len() as u32;
            ends.push(end);
        }
        Some(StrIndex { raw, ends })
    }
}

impl<'a> Iterator for Strings<'a> {
    type Item = RawStr<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawStr<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (len, rest) = self.rest.split_first_chunk::<8>()?;
        let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
        let (string, rest) = rest.split_at_checked(len)?;
        self.rest = rest;
        Some(RawStr::new(string))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Strings<'_> {}
impl FusedIterator for Strings<'_> {}

/// The strings of an array with access by number in constant time; made by [`Strings::index`].
#[derive(Clone, Debug)]
pub struct StrIndex<'a> {
    raw: &'a [u8],
    /// Where the string ends, its length field counted in.
    ends: Vec<u32>,
}

impl<'a> StrIndex<'a> {
    /// String `i`.
    pub fn get(&self, i: usize) -> Option<RawStr<'a>> {
        let end = *self.ends.get(i)? as usize;
        let start = i.checked_sub(1).and_then(|p| self.ends.get(p)).map_or(0, |e| *e as usize);
        self.raw.get(start + 8..end).map(RawStr::new)
    }

    /// The number of strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no string.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// Numbers as the file has them, little-endian and at any alignment.
#[derive(Clone, Copy, PartialEq)]
pub struct Packed<'a, T> {
    /// A whole number of elements.
    raw: &'a [u8],
    of: PhantomData<T>,
}

impl<'a, T: Element> Packed<'a, T> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        self.raw.len() / T::SIZE
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Element `i`.
    pub fn get(&self, i: usize) -> Option<T> {
        let start = i.checked_mul(T::SIZE)?;
        self.raw.get(start..)?.get(..T::SIZE).and_then(T::from_le)
    }

    /// The elements.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = T> + Clone + use<'a, T> {
        // Each chunk has SIZE bytes, so that the conversion cannot fail and the length is exact.
        self.raw.chunks_exact(T::SIZE).map(|c| T::from_le(c).unwrap_or_default())
    }

    /// The bytes in the file.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl<T: Element> fmt::Debug for Packed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
