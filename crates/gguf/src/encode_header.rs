//! Encoding and checking the parts of a header, by the reader's rules: shared by writing and editing.

use std::io::{self, Write};
use std::string::String;
use std::vec::Vec;

use crate::dialect::Dialect;
use crate::encode::{self, Out, Unencoded};
use crate::owned_value::OwnedValue;
use crate::value::ValueType;
use crate::write_error::{WriteError, WriteErrorKind};
use crate::{ALIGNMENT_KEY, GgmlType, Limits};

/// The alignment that a value of [`ALIGNMENT_KEY`] stands for, if a reader accepts it.
pub(crate) fn alignment_of(value: &OwnedValue) -> Result<u64, WriteError> {
    let max = Limits::default().max_alignment;
    let found = match value {
        OwnedValue::U32(n) if n.is_power_of_two() && u64::from(*n) <= max => return Ok((*n).into()),
        OwnedValue::U32(n) => format!("{n}"),
        value => format!("a value of type {}", value.value_type()),
    };
    Err(wrong_alignment(found))
}

pub(crate) fn wrong_alignment(found: String) -> WriteError {
    let expected = format!("a u32 that is a power of two up to {}", Limits::default().max_alignment);
    WriteError::key(WriteErrorKind::InvalidAlignment, ALIGNMENT_KEY, expected, found)
}

/// The first fields of a file.
pub(crate) struct Start {
    pub(crate) version: u32,
    pub(crate) n_tensors: usize,
    pub(crate) n_pairs: usize,
}

impl Start {
    pub(crate) fn bytes(&self, to: Dialect) -> Result<Vec<u8>, WriteError> {
        if !(1..=3).contains(&self.version) {
            let found = self.version.to_string();
            return Err(WriteError::file(
                WriteErrorKind::InvalidVersion,
                "the file",
                "version 1, 2 or 3",
                found,
            ));
        }
        let mut out = Vec::new();
        let counts = [self.n_tensors, self.n_pairs];
        let mut write = || {
            out.put(b"GGUF")?;
            encode::scalar(self.version, to, &mut out)?;
            counts.into_iter().try_for_each(|n| encode::len(n as u64, to, &mut out))
        };
        match write() {
            Ok(()) => Ok(out),
            Err(Unencoded::OutOfMemory) => Err(WriteError::out_of_memory("the file")),
            Err(Unencoded::TooLarge) => {
                let (kind, found) = (WriteErrorKind::TooLarge, format!("{counts:?}"));
                Err(WriteError::file(kind, "the file", "counts that fit 32 bits (version 1)", found))
            }
        }
    }
}

/// Checks and appends a pair; `encode` appends the value.
pub(crate) fn write_pair(
    key: &str,
    ty: ValueType,
    to: Dialect,
    out: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), Unencoded>,
) -> Result<(), WriteError> {
    let max = Limits::default().max_key_len;
    if key.is_empty() || key.len() as u64 > max {
        let (expected, found) = (format!("a key of 1 to {max} bytes"), format!("{} bytes", key.len()));
        return Err(WriteError::key(WriteErrorKind::InvalidKey, key, expected, found));
    }
    let write = || {
        encode::string(key.as_bytes(), to, out)?;
        encode::scalar(ty.id(), to, out)?;
        encode(out)
    };
    write().map_err(|e| match e {
        Unencoded::OutOfMemory => WriteError::out_of_memory("the file"),
        Unencoded::TooLarge => {
            let expected = "lengths that fit the version, and arrays at most 64 deep";
            WriteError::key(WriteErrorKind::TooLarge, key, expected, "more")
        }
    })
}

/// Appends a tensor entry; `dims` has at most four elements.
pub(crate) fn write_entry(
    name: &str,
    dims: &[u64],
    ty: GgmlType,
    offset: u64,
    to: Dialect,
    out: &mut Vec<u8>,
) -> Result<(), Unencoded> {
    encode::string(name.as_bytes(), to, out)?;
    encode::scalar(dims.len() as u32, to, out)?;
    dims.iter().try_for_each(|dim| encode::len(*dim, to, out))?;
    encode::scalar(ty.id(), to, out)?;
    encode::scalar(offset, to, out)
}

/// `size` rounded up to the alignment, at most `u64::MAX`.
pub(crate) fn padded(size: u64, alignment: u64) -> u64 {
    size.checked_next_multiple_of(alignment).unwrap_or(u64::MAX)
}

/// Writes zeros up to the alignment; returns how many.
pub(crate) fn write_padding(out: &mut impl Write, written: u64, alignment: u64) -> io::Result<u64> {
    let padding = padded(written, alignment) - written;
    io::copy(&mut io::Read::take(io::repeat(0), padding), out)
}

/// Appends zeros up to the alignment.
pub(crate) fn pad(out: &mut Vec<u8>, alignment: u64) -> Result<(), WriteError> {
    let len = padded(out.len() as u64, alignment);
    let more = usize::try_from(len).ok().and_then(|len| len.checked_sub(out.len()));
    let more = more.filter(|more| out.try_reserve(*more).is_ok());
    let more = more.ok_or_else(|| WriteError::out_of_memory("the file"))?;
    out.resize(out.len() + more, 0);
    Ok(())
}
