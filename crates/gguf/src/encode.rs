//! Values as bytes, in any dialect: what writing and editing share.
//!
//! Arrays are kept canonical (little-endian, 64-bit lengths) in memory; for other files they are turned over on the way,
//! element by element.

use std::vec::Vec;

use crate::cursor::Cursor;
use crate::dialect::{ByteOrder, Dialect};
use crate::limits::Limits;
use crate::owned_value::OwnedValue;
use crate::value::{Value, ValueType};

/// Why something cannot be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unencoded {
    /// A length that does not fit the 32 bits of version 1, or arrays nested too deeply.
    TooLarge,
    /// No memory for it.
    OutOfMemory,
}

/// What takes encoded bytes.
pub(crate) trait Out {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Unencoded>;
}

/// Grows fallibly: how much there is to write follows from files.
impl Out for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Unencoded> {
        self.try_reserve(bytes.len()).map_err(|_| Unencoded::OutOfMemory)?;
        self.extend_from_slice(bytes);
        Ok(())
    }
}

pub(crate) fn u32(v: u32, to: Dialect, out: &mut impl Out) -> Result<(), Unencoded> {
    out.put(&match to.order {
        ByteOrder::Little => v.to_le_bytes(),
        ByteOrder::Big => v.to_be_bytes(),
    })
}

pub(crate) fn u64(v: u64, to: Dialect, out: &mut impl Out) -> Result<(), Unencoded> {
    out.put(&match to.order {
        ByteOrder::Little => v.to_le_bytes(),
        ByteOrder::Big => v.to_be_bytes(),
    })
}

/// Bytes of one number.
pub(crate) fn scalar<const N: usize>(
    little: [u8; N],
    to: Dialect,
    out: &mut impl Out,
) -> Result<(), Unencoded> {
    let mut bytes = little;
    if to.order == ByteOrder::Big {
        bytes.reverse();
    }
    out.put(&bytes)
}

/// A value that was read from a file, without its type.
pub(crate) fn value(v: &Value<'_>, to: Dialect, out: &mut impl Out) -> Result<(), Unencoded> {
    match v {
        Value::String(s) => string(s.as_bytes(), to, out),
        Value::Array(array) => {
            u32(array.element_type().id(), to, out)?;
            len(array.len() as u64, to, out)?;
            elements(array.element_type(), array.len() as u64, array.raw(), array.dialect(), to, out)
        }
        // Scalars own nothing.
        scalar => OwnedValue::from(*scalar).encode(to, out),
    }
}

/// A count or a length.
pub(crate) fn len(v: u64, to: Dialect, out: &mut impl Out) -> Result<(), Unencoded> {
    if to.narrow { u32(v.try_into().map_err(|_| Unencoded::TooLarge)?, to, out) } else { u64(v, to, out) }
}

/// Length and bytes.
pub(crate) fn string(bytes: &[u8], to: Dialect, out: &mut impl Out) -> Result<(), Unencoded> {
    len(bytes.len() as u64, to, out)?;
    out.put(bytes)
}

/// `count` elements of an array, which `raw` holds in the dialect `from`.
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
    turn_over(&mut Cursor::new(raw, from), ty, count, to, 1, out)
}

fn turn_over(
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
            // Whole elements at a time, whatever their size.
            let mut turned = [0; 512];
            for bytes in bytes.chunks(turned.len()) {
                let turned = turned.get_mut(..bytes.len()).unwrap_or_default();
                turned.copy_from_slice(bytes);
                turned.chunks_exact_mut(size as usize).for_each(<[u8]>::reverse);
                out.put(turned)?;
            }
        }
        (_, None) => {
            for _ in 0..count {
                let id = c.try_u32().ok_or(Unencoded::TooLarge)?;
                let ty = ValueType::from_id(id).ok_or(Unencoded::TooLarge)?;
                let n = c.try_len().ok_or(Unencoded::TooLarge)?;
                u32(id, to, out)?;
                len(n, to, out)?;
                turn_over(c, ty, n, to, depth + 1, out)?;
            }
        }
    }
    Ok(())
}
