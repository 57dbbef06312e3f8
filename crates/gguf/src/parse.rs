//! The parser: one pass over the header that checks every count, length, type and range once.
//!
//! ```text
//! magic "GGUF", u32 version, len tensor count, len pair count
//! pair:    string key, u32 type, value        string: len length, bytes
//! array:   u32 element type, len count, elements (arrays nest)
//! tensor:  string name, u32 n_dims, n_dims x len, u32 type, u64 offset
//! padding to the alignment; tensor data, each tensor at data start + offset
//! ```
//!
//! `len` is a u64, or a u32 in version 1. A big-endian file has every number byte-swapped and no other mark, so it is
//! recognized by its version.
//!
//! Only the index is allocated. Its size follows from counts that were compared with the remaining bytes and with
//! [`Limits`](crate::Limits). Sources: the format's document (ggml `docs/gguf.md`); where readers differ, llama.cpp;
//! for version 1, the llama.cpp of that time.

use alloc::format;
use core::cmp::Ordering;

use byteorder::{BE, ByteOrder as _, LE};

use crate::cursor::Cursor;
use crate::dialect::{ByteOrder, Dialect};
use crate::entries;
use crate::error::{ParseError, ParseErrorKind as Kind};
use crate::index::{Entry, Index, Pair, Span};
use crate::rules::{Rules, reserve, within};
use crate::skip;
use crate::value::Value;
use crate::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT};

pub(crate) fn parse(bytes: &[u8], rules: &Rules<'_>) -> Result<Index, ParseError> {
    let limits = rules.limits;
    let mut c = Cursor::new(bytes, Dialect::CANONICAL);
    let (version, order) = magic_and_version(&mut c)?;
    let dialect = Dialect::new(version, order);
    c.set_dialect(dialect);
    // The smallest pair: a one-byte key with its length, the type, one byte of value. The smallest tensor entry: the
    // length of an empty name, the number of dimensions, the type, the offset.
    let (min_pair, min_tensor) = (dialect.len_size() + 1 + 4 + 1, dialect.len_size() + 4 + 4 + 8);
    let left = |c: &Cursor<'_>| rules.file_len.map_or(u64::MAX, |len| len.saturating_sub(c.offset()));

    let tensors_at = c.offset();
    let n_tensors = c.len("tensor count")?;
    let pairs_at = c.offset();
    let n_pairs = c.len("metadata pair count")?;
    check_count(n_tensors, left(&c) / min_tensor, limits.max_tensors, tensors_at, "tensors")?;
    check_count(n_pairs, left(&c) / min_pair, limits.max_pairs, pairs_at, "metadata pairs")?;

    let mut pairs = reserve(n_pairs)?;
    for _ in 0..n_pairs {
        pairs.push(pair(&mut c, rules)?);
    }
    let by_key = sorted(
        bytes,
        &pairs,
        |pair| pair.key,
        |duplicate: &Pair| {
            let key = duplicate.key.of(bytes);
            ParseError::new(Kind::DuplicateKey, duplicate.key.start as u64, "each key once", "it again")
                .in_key(key)
        },
    )?;
    let alignment = alignment(bytes, dialect, &pairs, rules)?;

    check_count(n_tensors, left(&c) / min_tensor, limits.max_tensors, tensors_at, "tensors")?;
    let mut tensors = reserve(n_tensors)?;
    for _ in 0..n_tensors {
        tensors.push(entries::read(&mut c, alignment, rules)?);
    }
    let by_name = sorted(
        bytes,
        &tensors,
        |tensor| tensor.name,
        |duplicate: &Entry| {
            let (name, at) = (duplicate.name.of(bytes), duplicate.name.start as u64);
            ParseError::new(Kind::DuplicateTensor, at, "each tensor once", "it again").in_tensor(name)
        },
    )?;

    let header_end = c.offset();
    // The sum cannot wrap: a position in memory and a capped alignment. `u64::MAX` means "too far in any case".
    let data_offset = header_end.checked_next_multiple_of(alignment).unwrap_or(u64::MAX);
    entries::place(bytes, &mut tensors, data_offset, rules.file_len)?;
    let file_len = rules.file_len;
    Ok(Index {
        version,
        dialect,
        alignment,
        header_end,
        data_offset,
        file_len,
        pairs,
        by_key,
        tensors,
        by_name,
    })
}

fn magic_and_version(c: &mut Cursor<'_>) -> Result<(u32, ByteOrder), ParseError> {
    let magic = c.take(4, "magic")?;
    if magic != b"GGUF" {
        let found = format!("`{}`", magic.escape_ascii());
        return Err(ParseError::new(Kind::NotGguf, 0, "the magic `GGUF`", found));
    }
    let version = c.take(4, "version")?;
    // A big-endian file has no mark other than a version that is only valid when byte-swapped.
    match (LE::read_u32(version), BE::read_u32(version)) {
        (v @ 1..=3, _) => Ok((v, ByteOrder::Little)),
        (_, v @ 1..=3) => Ok((v, ByteOrder::Big)),
        (v, _) => {
            let found = format!("version {v}");
            Err(ParseError::new(Kind::UnsupportedVersion, 4, "version 1, 2 or 3", found))
        }
    }
}

/// A count must fit the remaining bytes and the limit before anything is sized by it.
fn check_count(n: u64, possible: u64, limit: u64, offset: u64, what: &str) -> Result<(), ParseError> {
    if n > possible {
        let expected = format!("at most {possible} {what} in the remaining bytes");
        return Err(ParseError::new(Kind::Truncated, offset, expected, format!("a count of {n}")));
    }
    // The index uses u32 numbers.
    within(n, limit.min(u64::from(u32::MAX)), offset, what)
}

/// Sorts numbers. The order is not generic: each sort that is compiled for an order of its own takes 2 to 3 KB.
pub(crate) fn sort_numbers(numbers: &mut [u32], order: &mut dyn FnMut(&u32, &u32) -> Ordering) {
    numbers.sort_unstable_by(order);
}

/// The numbers of `items`, sorted by name. If a name occurs twice, the later item is an error.
fn sorted<T>(
    bytes: &[u8],
    items: &[T],
    name: impl Fn(&T) -> Span,
    duplicate: impl Fn(&T) -> ParseError,
) -> Result<alloc::vec::Vec<u32>, ParseError> {
    let mut order = reserve(items.len() as u64)?;
    order.extend(0..items.len() as u32);
    let name_of = |i: &u32| items.get(*i as usize).map_or(&[][..], |item| name(item).of(bytes));
    sort_numbers(&mut order, &mut |a, b| name_of(a).cmp(name_of(b)).then(a.cmp(b)));
    // Reports the duplicate that comes first in the file, so that the message does not depend on the sort.
    let twins = order.windows(2).filter(|w| matches!(w, [a, b] if name_of(a) == name_of(b)));
    match twins.filter_map(|w| w.last()).min().and_then(|i| items.get(*i as usize)) {
        Some(item) => Err(duplicate(item)),
        None => Ok(order),
    }
}

fn pair(c: &mut Cursor<'_>, rules: &Rules<'_>) -> Result<Pair, ParseError> {
    let at = c.offset();
    let len = c.len("key length")?;
    // A key over the limit is refused without asking for its bytes, which the reader of a stream would fetch first.
    if len > c.left() && len <= rules.limits.max_key_len || rules.file_len.is_some_and(|n| len > n) {
        return Err(c.too_short(len, "key"));
    }
    within(len, rules.limits.max_key_len, at, "bytes of a key")?;
    let start = c.pos();
    let key = c.take(len, "key")?;
    let invalid = |found| ParseError::new(Kind::InvalidKey, at, "a key of one or more bytes of UTF-8", found);
    if key.is_empty() {
        return Err(invalid("an empty key"));
    }
    if core::str::from_utf8(key).is_err() {
        return Err(invalid("other bytes").in_key(key));
    }
    let key_span = Span { start, end: c.pos() };
    let ty = skip::value_type(c, "a value type").map_err(|e| e.in_key(key))?;
    let start = c.pos();
    skip::value(c, ty, 0, rules).map_err(|e| e.in_key(key))?;
    Ok(Pair { key: key_span, ty, value: Span { start, end: c.pos() } })
}

fn alignment(bytes: &[u8], dialect: Dialect, pairs: &[Pair], rules: &Rules<'_>) -> Result<u64, ParseError> {
    let Some(pair) = pairs.iter().find(|pair| pair.key.of(bytes) == ALIGNMENT_KEY.as_bytes()) else {
        return Ok(DEFAULT_ALIGNMENT);
    };
    let at = pair.value.start as u64;
    match pair.value(bytes, dialect) {
        Some(Value::U32(n)) if n.is_power_of_two() => {
            let n = u64::from(n);
            within(n, rules.limits.max_alignment, at, "bytes of alignment")
                .map(|()| n)
                .map_err(|e| e.in_key(ALIGNMENT_KEY.as_bytes()))
        }
        value => {
            let found = value.map_or_else(Default::default, |v| v.describe());
            Err(ParseError::new(Kind::InvalidAlignment, at, "a u32 that is a power of two", found)
                .in_key(ALIGNMENT_KEY.as_bytes()))
        }
    }
}
