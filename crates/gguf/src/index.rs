//! The result of parsing, as positions in the file without a borrow of it, so that the borrowed view and the file that
//! owns its bytes share one index.

use alloc::vec::Vec;
use core::ops::Range;

use crate::dialect::Dialect;
use crate::tensor_info::{Dims, TensorInfo};
use crate::value::ValueType;
use crate::{GgmlType, cursor::Cursor, value::Value};

/// A range that parsing found to lie in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    /// The bytes; empty if these are not the bytes that were parsed (the storage changed).
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// The text, which parsing found to be UTF-8.
    pub(crate) fn str_of(self, bytes: &[u8]) -> &str {
        core::str::from_utf8(self.of(bytes)).unwrap_or_default()
    }
}

/// A key, and where its value is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) key: Span,
    pub(crate) ty: ValueType,
    /// The value starts after its type field.
    pub(crate) value: Span,
}

impl Pair {
    pub(crate) fn value<'a>(&self, bytes: &'a [u8], dialect: Dialect) -> Option<Value<'a>> {
        Value::read(self.ty, &mut Cursor::new(self.value.of(bytes), dialect))
    }
}

/// A tensor entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: Span,
    pub(crate) ty: GgmlType,
    pub(crate) dims: Dims,
    /// Counted from the start of the file.
    pub(crate) range: Range<u64>,
}

impl Entry {
    pub(crate) fn info<'a>(&self, bytes: &'a [u8]) -> TensorInfo<'a> {
        TensorInfo { name: self.name.str_of(bytes), ty: self.ty, dims: self.dims, range: self.range.clone() }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) version: u32,
    pub(crate) dialect: Dialect,
    pub(crate) alignment: u64,
    /// The end of the tensor entries.
    pub(crate) header_end: u64,
    /// The first byte of the tensor data: the end of the tensor entries, rounded up to the alignment.
    pub(crate) data_offset: u64,
    /// The length of the file, if it is known.
    pub(crate) file_len: Option<u64>,
    pub(crate) pairs: Vec<Pair>,
    /// Pair numbers, in byte order of the keys.
    pub(crate) by_key: Vec<u32>,
    pub(crate) tensors: Vec<Entry>,
    /// Tensor numbers, in byte order of the names.
    pub(crate) by_name: Vec<u32>,
}

impl Index {
    /// Where the tensor entries begin: after the last pair or, without pairs, after the counts.
    #[cfg(feature = "write")]
    pub(crate) fn entries_start(&self) -> usize {
        self.pairs.last().map_or(8 + 2 * self.dialect.len_size() as usize, |pair| pair.value.end)
    }

    pub(crate) fn find_pair(&self, bytes: &[u8], key: &str) -> Option<&Pair> {
        let key_of = |i: u32| self.pairs.get(i as usize).map_or(&[][..], |p| p.key.of(bytes));
        let at = self.by_key.binary_search_by(|i| key_of(*i).cmp(key.as_bytes())).ok()?;
        self.pairs.get(*self.by_key.get(at)? as usize)
    }

    pub(crate) fn find_tensor(&self, bytes: &[u8], name: &str) -> Option<&Entry> {
        let name_of = |i: u32| self.tensors.get(i as usize).map_or(&[][..], |t| t.name.of(bytes));
        let at = self.by_name.binary_search_by(|i| name_of(*i).cmp(name.as_bytes())).ok()?;
        self.tensors.get(*self.by_name.get(at)? as usize)
    }
}
