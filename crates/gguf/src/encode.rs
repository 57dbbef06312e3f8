//! Values as bytes, in any dialect: what writing and editing share.
//!
//! Arrays are kept canonical (little-endian, 64-bit lengths) in memory; for other files they are turned over on the way,
//! element by element.

use std::vec::Vec;

use crate::cursor::Cursor;
use crate::dialect::{ByteOrder, Dialect};
use crate::limits::Limits;
use crate::value::ValueType;

/// A length that does not fit the 32 bits of version 1, or arrays nested too deeply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooLarge;

pub(crate) fn u32(v: u32, to: Dialect, out: &mut Vec<u8>) {
    out.extend(match to.order {
        ByteOrder::Little => v.to_le_bytes(),
        ByteOrder::Big => v.to_be_bytes(),
    });
}

pub(crate) fn u64(v: u64, to: Dialect, out: &mut Vec<u8>) {
    out.extend(match to.order {
        ByteOrder::Little => v.to_le_bytes(),
        ByteOrder::Big => v.to_be_bytes(),
    });
}

/// A count or a length.
pub(crate) fn len(v: u64, to: Dialect, out: &mut Vec<u8>) -> Result<(), TooLarge> {
    if to.narrow {
        u32(v.try_into().map_err(|_| TooLarge)?, to, out);
    } else {
        u64(v, to, out);
    }
    Ok(())
}

/// Length and bytes.
pub(crate) fn string(bytes: &[u8], to: Dialect, out: &mut Vec<u8>) -> Result<(), TooLarge> {
    len(bytes.len() as u64, to, out)?;
    out.extend(bytes);
    Ok(())
}

/// `count` elements of an array, which `raw` holds in the dialect `from`.
pub(crate) fn elements(
    ty: ValueType,
    count: u64,
    raw: &[u8],
    from: Dialect,
    to: Dialect,
    out: &mut Vec<u8>,
) -> Result<(), TooLarge> {
    if from == to {
        out.extend(raw);
        return Ok(());
    }
    turn_over(&mut Cursor::new(raw, from), ty, count, to, 1, out)
}

fn turn_over(
    c: &mut Cursor<'_>,
    ty: ValueType,
    count: u64,
    to: Dialect,
    depth: u32,
    out: &mut Vec<u8>,
) -> Result<(), TooLarge> {
    if depth > Limits::MAX_ARRAY_DEPTH {
        return Err(TooLarge);
    }
    match (ty, ty.size()) {
        (ValueType::String, _) => {
            for _ in 0..count {
                let n = c.try_len().ok_or(TooLarge)?;
                string(c.try_take(n).ok_or(TooLarge)?, to, out)?;
            }
        }
        (_, Some(size)) => {
            let bytes = count.checked_mul(size).and_then(|n| c.try_take(n)).ok_or(TooLarge)?;
            let start = out.len();
            out.extend(bytes);
            if c.dialect().order != to.order {
                let turned = out.get_mut(start..).unwrap_or_default();
                turned.chunks_exact_mut(size as usize).for_each(<[u8]>::reverse);
            }
        }
        (_, None) => {
            for _ in 0..count {
                let id = c.try_u32().ok_or(TooLarge)?;
                let ty = ValueType::from_id(id).ok_or(TooLarge)?;
                let n = c.try_len().ok_or(TooLarge)?;
                u32(id, to, out);
                len(n, to, out)?;
                turn_over(c, ty, n, to, depth + 1, out)?;
            }
        }
    }
    Ok(())
}
