//! Encoding values as bytes, in any dialect: shared by writing and editing.
//!
//! In memory, arrays are canonical (little-endian, 64-bit lengths). For other files they are converted element by
//! element while they are written.

use std::vec::Vec;

use byteorder::{BE, ByteOrder as _, LE};

use crate::array::Element;
use crate::cursor::Cursor;
use crate::dialect::Dialect;
use crate::limits::Limits;
use crate::owned_value::OwnedValue;
use crate::value::{Value, ValueType};

/// Why something cannot be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unencoded {
    /// A length that does not fit the 32 bits of version 1, or arrays nested too deeply.
    TooLarge,
    /// Memory was refused.
    OutOfMemory,
}

/// A destination for encoded bytes.
pub(crate) trait Out {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Unencoded>;
}

/// Grows fallibly, since the amount to write depends on input files.
impl Out for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Unencoded> {
        self.try_reserve(bytes.len()).map_err(|_| Unencoded::OutOfMemory)?;
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// One number or bool.
#[inline]
pub(crate) fn scalar<T: Element>(v: T, to: Dialect, out: &mut impl Out) -> Result<(), Unencoded> {
    out.put(v.to_bytes(to.order).get(..T::SIZE).unwrap_or_default())
}

/// Encodes a value that was read from a file, without its type.
pub(crate) fn value(v: &Value<'_>, to: Dialect, out: &mut impl Out) -> Result<(), Unencoded> {
    match v {
        Value::String(s) => string(s.as_bytes(), to, out),
        Value::Array(array) => {
            scalar(array.element_type().id(), to, out)?;
            len(array.len() as u64, to, out)?;
            elements(array.element_type(), array.len() as u64, array.raw(), array.dialect(), to, out)
        }
        // Scalars own no memory, so this conversion allocates nothing.
        scalar => OwnedValue::from(*scalar).encode(to, out),
    }
}

/// A count or a length.
#[inline]
pub(crate) fn len(v: u64, to: Dialect, out: &mut impl Out) -> Result<(), Unencoded> {
    if to.narrow {
        scalar(u32::try_from(v).map_err(|_| Unencoded::TooLarge)?, to, out)
    } else {
        scalar(v, to, out)
    }
}

/// Length and bytes.
pub(crate) fn string(bytes: &[u8], to: Dialect, out: &mut impl Out) -> Result<(), Unencoded> {
    len(bytes.len() as u64, to, out)?;
    out.put(bytes)
}

/// Encodes `count` elements of an array, stored in `raw` in the dialect `from`.
pub(crate) fn elements(
    ty: ValueType,
    count: u64,
    raw: &[u8],
    from: Dialect,
    to: Dialect,
    out: &mut impl Out,
) -> Result<(), Unencoded> {
    if from == to {
        return out.put(raw);
    }
    translate(&mut Cursor::new(raw, from), ty, count, to, 1, out)
}

fn translate(
    c: &mut Cursor<'_>,
    ty: ValueType,
    count: u64,
    to: Dialect,
    depth: u32,
    out: &mut impl Out,
) -> Result<(), Unencoded> {
    if depth > Limits::MAX_ARRAY_DEPTH {
        return Err(Unencoded::TooLarge);
    }
    match (ty, ty.size()) {
        (ValueType::String, _) => {
            for _ in 0..count {
                let n = c.try_len().ok_or(Unencoded::TooLarge)?;
                string(c.try_take(n).ok_or(Unencoded::TooLarge)?, to, out)?;
            }
        }
        (_, Some(size)) => {
            let bytes = count.checked_mul(size).and_then(|n| c.try_take(n)).ok_or(Unencoded::TooLarge)?;
            if c.dialect().order == to.order || size == 1 {
                return out.put(bytes);
            }
            // A whole number of elements of every size.
            let mut swapped = [0; 512];
            for bytes in bytes.chunks(swapped.len()) {
                let swapped = swapped.get_mut(..bytes.len()).unwrap_or_default();
                swap(bytes, swapped, size);
                out.put(swapped)?;
            }
        }
        (_, None) => {
            for _ in 0..count {
                let id = c.try_u32().ok_or(Unencoded::TooLarge)?;
                let ty = ValueType::from_id(id).ok_or(Unencoded::TooLarge)?;
                let n = c.try_len().ok_or(Unencoded::TooLarge)?;
                scalar(id, to, out)?;
                len(n, to, out)?;
                translate(c, ty, n, to, depth + 1, out)?;
            }
        }
    }
    Ok(())
}

/// Swaps the bytes of elements of 2, 4 or 8 bytes. Values pass as integers, so a NaN keeps its payload.
fn swap(from: &[u8], to: &mut [u8], size: u64) {
    macro_rules! swap {
        ($size:literal $read:ident $write:ident) => {
            for (from, to) in from.chunks_exact($size).zip(to.chunks_exact_mut($size)) {
                LE::$write(to, BE::$read(from));
            }
        };
    }
    match size {
        2 => swap!(2 read_u16 write_u16),
        4 => swap!(4 read_u32 write_u32),
        _ => swap!(8 read_u64 write_u64),
    }
}
