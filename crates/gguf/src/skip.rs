//! Checks values and moves past them, without allocating.

use alloc::format;

use crate::cursor::Cursor;
use crate::error::{ParseError, ParseErrorKind as Kind};
use crate::limits::Limits;
use crate::rules::{Rules, within};
use crate::value::ValueType;

pub(crate) fn value_type(c: &mut Cursor<'_>, what: &str) -> Result<ValueType, ParseError> {
    let at = c.offset();
    let id = c.u32(what)?;
    ValueType::from_id(id).ok_or_else(|| {
        ParseError::new(Kind::InvalidValueType, at, format!("{what} of 0 to 12"), format!("{id}"))
    })
}

/// Checks a value nested in `depth` arrays and moves past it.
pub(crate) fn value(
    c: &mut Cursor<'_>,
    ty: ValueType,
    depth: u32,
    rules: &Rules<'_>,
) -> Result<(), ParseError> {
    if ty != ValueType::Array {
        return elements(c, ty, 1, depth, rules);
    }
    let at = c.offset();
    let element = value_type(c, "an array element type")?;
    let depth_limit = rules.limits.max_array_depth.min(Limits::MAX_ARRAY_DEPTH);
    within(u64::from(depth) + 1, depth_limit.into(), at, "levels of arrays in arrays")?;
    let at = c.offset();
    let count = c.len("array length")?;
    within(count, rules.limits.max_array_len, at, "elements of an array")?;
    elements(c, element, count, depth + 1, rules)
}

/// Checks `count` values of one type, nested in `depth` arrays, and moves past them. The time is linear in the bytes,
/// since each element takes at least one byte.
pub(crate) fn elements(
    c: &mut Cursor<'_>,
    ty: ValueType,
    count: u64,
    depth: u32,
    rules: &Rules<'_>,
) -> Result<(), ParseError> {
    match (ty, ty.size()) {
        (ValueType::String, _) => strings(c, count, rules),
        (ValueType::Array, _) => {
            check_room(c, count, 4 + c.dialect().len_size())?;
            (0..count).try_for_each(|_| value(c, ty, depth, rules))
        }
        (_, size) => {
            let size = size.unwrap_or(1);
            check_room(c, count, size)?;
            let at = c.offset();
            let values = c.take(count * size, "value")?; // fits: compared with the bytes left just before
            if ty == ValueType::Bool
                && !rules.lenient
                && let Some((i, b)) = first_odd_bool(values)
            {
                let found = format!("{b}");
                return Err(ParseError::new(Kind::InvalidValue, at + i as u64, "a bool of 0 or 1", found));
            }
            Ok(())
        }
    }
}

/// The first bool that is neither 0 nor 1, with its index.
pub(crate) fn first_odd_bool(bools: &[u8]) -> Option<(usize, u8)> {
    bools.iter().copied().enumerate().find(|(_, b)| *b > 1)
}

/// Checks that `count` elements of at least `size` bytes each fit in the remaining bytes.
fn check_room(c: &Cursor<'_>, count: u64, size: u64) -> Result<(), ParseError> {
    if count > c.left() / size {
        let expected = format!("{count} values of at least {size} bytes");
        let found = format!("{} bytes before the end", c.left());
        let needed = c.offset().saturating_add(count.saturating_mul(size));
        return Err(ParseError::new(Kind::Truncated, c.offset(), expected, found).needing(needed));
    }
    Ok(())
}

/// The hot loop of a parse: a vocabulary may have 262,144 strings.
fn strings(c: &mut Cursor<'_>, count: u64, rules: &Rules<'_>) -> Result<(), ParseError> {
    check_room(c, count, c.dialect().len_size())?;
    let limit = rules.limits.max_string_len;
    for _ in 0..count {
        let Some(len) = c.try_len() else { return Err(c.too_short(c.dialect().len_size(), "string length")) };
        if c.try_take(len).is_none() {
            return Err(c.too_short(len, "string"));
        }
        if len > limit {
            within(len, limit, c.offset() - len, "bytes of a string")?;
        }
    }
    Ok(())
}
