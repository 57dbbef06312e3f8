//! How a file encodes its numbers: the byte order, and the width of counts and lengths.

use core::fmt;

use byteorder::{BE, ByteOrder as _, LE};

/// The byte order of every number in a file, including those in the tensors.
///
/// A file has no field for it: the order is recognized by the version, which is only valid one way round.
///
/// ```
/// use happy_gguf::{ByteOrder, Gguf, GgufWriter};
/// let file = GgufWriter::new().byte_order(ByteOrder::Big).kv("general.name", "x").to_vec().unwrap();
/// let gguf = Gguf::parse(&file).unwrap();
/// assert_eq!((gguf.byte_order(), gguf.metadata().get_str("general.name").unwrap()), (ByteOrder::Big, "x"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// Least significant byte first: nearly all files.
    #[default]
    Little,
    /// Most significant byte first: files for s390x and similar machines, since version 3.
    Big,
}

impl fmt::Display for ByteOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Little => "little-endian",
            Self::Big => "big-endian",
        })
    }
}

/// The byte order and the width of counts and lengths: everything in which versions and byte orders differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) order: ByteOrder,
    /// Version 1: counts, lengths and dimensions have 32 bits.
    pub(crate) narrow: bool,
}

impl Dialect {
    /// Little-endian with 64-bit lengths: the form that this crate keeps in memory.
    pub(crate) const CANONICAL: Self = Self { order: ByteOrder::Little, narrow: false };

    pub(crate) const fn new(version: u32, order: ByteOrder) -> Self {
        Self { order, narrow: version == 1 }
    }

    /// The size of a count or a length in bytes.
    #[inline]
    pub(crate) const fn len_size(self) -> u64 {
        if self.narrow { 4 } else { 8 }
    }

    #[inline]
    pub(crate) fn u32(self, bytes: &[u8; 4]) -> u32 {
        match self.order {
            ByteOrder::Little => LE::read_u32(bytes),
            ByteOrder::Big => BE::read_u32(bytes),
        }
    }

    #[inline]
    pub(crate) fn u64(self, bytes: &[u8; 8]) -> u64 {
        match self.order {
            ByteOrder::Little => LE::read_u64(bytes),
            ByteOrder::Big => BE::read_u64(bytes),
        }
    }
}
