//! The parser: one pass over the header that proves every count, length, type and range once.
//!
//! ```text
//! magic "GGUF", u32 version, u64 tensor count, u64 pair count
//! pair:    string key, u32 type, value        string: u64 length, bytes
//! array:   u32 element type, u64 count, elements (arrays nest)
//! tensor:  string name, u32 n_dims, n_dims x u64, u32 type, u64 offset
//! padding to the alignment; tensor data, each tensor at data start + offset
//! ```
//!
//! Nothing is allocated but the index, whose size follows from counts that were compared with the bytes left and
//! with [`Limits`]. Source: the format's document (ggml `docs/gguf.md`); where real readers differ, llama.cpp.

use alloc::format;
use alloc::vec::Vec;

use crate::cursor::Cursor;
use crate::error::{ParseError, ParseErrorKind as Kind, printable};
use crate::index::{Entry, Index, Pair, Span};
use crate::limits::Limits;
use crate::tensor_info::{Dims, MAX_DIMS};
use crate::value::{Value, ValueType};
use crate::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, GgmlType};

/// Bytes of the smallest pair: length and one byte of key, type, one byte of value.
const MIN_PAIR: u64 = 8 + 1 + 4 + 1;
/// Bytes of the smallest tensor entry: length of an empty name, number of dimensions, type, offset.
const MIN_TENSOR: u64 = 8 + 4 + 4 + 8;

pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Index, ParseError> {
    let mut c = Cursor::new(bytes);
    let version = magic_and_version(&mut c)?;

    let n_tensors = c.u64("tensor count")?;
    let n_pairs = c.u64("metadata pair count")?;
    check_count(n_tensors, c.left() / MIN_TENSOR, limits.max_tensors, 8, "tensors")?;
    check_count(n_pairs, c.left() / MIN_PAIR, limits.max_pairs, 16, "metadata pairs")?;

    let mut pairs = reserve(n_pairs)?;
    for _ in 0..n_pairs {
        pairs.push(pair(&mut c, limits)?);
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
    let alignment = alignment(bytes, &pairs, limits)?;

    check_count(n_tensors, c.left() / MIN_TENSOR, limits.max_tensors, 8, "tensors")?;
    let mut tensors = reserve(n_tensors)?;
    for _ in 0..n_tensors {
        tensors.push(tensor(&mut c, alignment, limits)?);
    }
    let by_name = sorted(
        bytes,
        &tensors,
        |tensor| tensor.name,
        |duplicate: &Entry| {
            let name = duplicate.name.of(bytes);
            ParseError::new(
                Kind::DuplicateTensor,
                duplicate.name.start as u64,
                "each tensor once",
                "it again",
            )
            .in_tensor(name)
        },
    )?;

    // Cannot wrap: a position in memory, and an alignment that was capped. u64::MAX stands for "too far anyway".
    let data_offset = c.offset().checked_next_multiple_of(alignment).unwrap_or(u64::MAX);
    place_tensors(bytes, &mut tensors, data_offset)?;
    Ok(Index { version, alignment, data_offset, pairs, by_key, tensors, by_name })
}

fn magic_and_version(c: &mut Cursor<'_>) -> Result<u32, ParseError> {
    let magic = c.take(4, "magic")?;
    if magic != b"GGUF" {
        return Err(ParseError::new(
            Kind::NotGguf,
            0,
            "the magic `GGUF`",
            format!("`{}`", magic.escape_ascii()),
        ));
    }
    let version = c.u32("version")?;
    let expected = "version 2 or 3, little-endian";
    match version {
        2 | 3 => Ok(version),
        // A big-endian file carries no mark but a version with its bytes the wrong way round.
        v if v & 0xffff == 0 && (1..=3).contains(&v.swap_bytes()) => {
            let found = format!("version {} in big-endian byte order", v.swap_bytes());
            Err(ParseError::new(Kind::UnsupportedByteOrder, 4, expected, found))
        }
        1 => {
            Err(ParseError::new(Kind::UnsupportedVersion, 4, expected, "version 1 (32-bit counts, obsolete)"))
        }
        v => Err(ParseError::new(Kind::UnsupportedVersion, 4, expected, format!("version {v}"))),
    }
}

/// Before anything is sized by a count: it must fit the bytes that are left, and the limit.
fn check_count(n: u64, possible: u64, limit: u64, offset: u64, what: &str) -> Result<(), ParseError> {
    if n > possible {
        let expected = format!("at most {possible} {what} in the bytes that are left");
        return Err(ParseError::new(Kind::Truncated, offset, expected, format!("a count of {n}")));
    }
    // The index counts in u32.
    within(n, limit.min(u64::from(u32::MAX)), offset, what)
}

fn within(n: u64, limit: u64, offset: u64, what: &str) -> Result<(), ParseError> {
    if n > limit {
        let expected = format!("at most {limit} {what}");
        return Err(ParseError::new(Kind::LimitExceeded, offset, expected, format!("{n}")));
    }
    Ok(())
}

/// Room for `n` items, exactly, without aborting when there is none.
fn reserve<T>(n: u64) -> Result<Vec<T>, ParseError> {
    let mut items = Vec::new();
    let reserved = usize::try_from(n).ok().and_then(|n| items.try_reserve_exact(n).ok());
    reserved.map(|()| items).ok_or_else(|| {
        let expected = format!("memory for {n} index entries of {} bytes", size_of::<T>());
        ParseError::new(Kind::OutOfMemory, 0, expected, "none")
    })
}

/// Numbers of `items` in the order of their names; the later one of two with the same name is an error.
fn sorted<T>(
    bytes: &[u8],
    items: &[T],
    name: impl Fn(&T) -> Span,
    duplicate: impl Fn(&T) -> ParseError,
) -> Result<Vec<u32>, ParseError> {
    let mut order = reserve(items.len() as u64)?;
    order.extend(0..items.len() as u32);
    let name_of = |i: &u32| items.get(*i as usize).map_or(&[][..], |item| name(item).of(bytes));
    order.sort_unstable_by(|a, b| name_of(a).cmp(name_of(b)).then(a.cmp(b)));
    // Of all duplicates the one that comes first in the file, so that the message does not depend on the order.
    let twins = order.windows(2).filter(|w| matches!(w, [a, b] if name_of(a) == name_of(b)));
    match twins.filter_map(|w| w.last()).min().and_then(|i| items.get(*i as usize)) {
        Some(item) => Err(duplicate(item)),
        None => Ok(order),
    }
}

fn pair(c: &mut Cursor<'_>, limits: &Limits) -> Result<Pair, ParseError> {
    let at = c.offset();
    let len = c.u64("key length")?;
    if len > c.left() {
        return Err(c.too_short(len, "key"));
    }
    within(len, limits.max_key_len, at, "bytes of a key")?;
    let start = c.pos();
    let key = c.take(len, "key")?;
    let invalid = |found| ParseError::new(Kind::InvalidKey, at, "a key of one or more bytes of UTF-8", found);
    if key.is_empty() {
        return Err(invalid("an empty one"));
    }
    if core::str::from_utf8(key).is_err() {
        return Err(invalid("other bytes").in_key(key));
    }
    let key_span = Span { start, end: c.pos() };
    let ty = value_type(c, "a value type").map_err(|e| e.in_key(key))?;
    let start = c.pos();
    skip_value(c, ty, 0, limits).map_err(|e| e.in_key(key))?;
    Ok(Pair { key: key_span, ty, value: Span { start, end: c.pos() } })
}

fn value_type(c: &mut Cursor<'_>, what: &str) -> Result<ValueType, ParseError> {
    let at = c.offset();
    let id = c.u32(what)?;
    ValueType::from_id(id).ok_or_else(|| {
        ParseError::new(Kind::InvalidValueType, at, format!("{what} of 0 to 12"), format!("{id}"))
    })
}

/// Proves a value that lies in `depth` arrays and goes past it.
fn skip_value(c: &mut Cursor<'_>, ty: ValueType, depth: u32, limits: &Limits) -> Result<(), ParseError> {
    if ty != ValueType::Array {
        return skip_elements(c, ty, 1, depth, limits);
    }
    let at = c.offset();
    let element = value_type(c, "an array element type")?;
    let depth_limit = limits.max_array_depth.min(Limits::MAX_ARRAY_DEPTH);
    within(u64::from(depth) + 1, depth_limit.into(), at, "levels of arrays in arrays")?;
    let count = c.u64("array length")?;
    within(count, limits.max_array_len, c.offset() - 8, "elements of an array")?;
    skip_elements(c, element, count, depth + 1, limits)
}

/// Proves `count` values of one type, which lie in `depth` arrays, and goes past them. Takes time linear in
/// the bytes: each element has at least one.
pub(crate) fn skip_elements(
    c: &mut Cursor<'_>,
    ty: ValueType,
    count: u64,
    depth: u32,
    limits: &Limits,
) -> Result<(), ParseError> {
    match (ty, ty.size()) {
        (ValueType::String, _) => skip_strings(c, count, limits),
        (ValueType::Array, _) => {
            check_elements(c, count, 4 + 8)?;
            (0..count).try_for_each(|_| skip_value(c, ty, depth, limits))
        }
        (_, size) => {
            let size = size.unwrap_or(1);
            check_elements(c, count, size)?;
            let at = c.offset();
            let values = c.take(count * size, "value")?; // fits: compared with the bytes left just before
            if ty == ValueType::Bool
                && let Some((i, b)) = values.iter().enumerate().find(|(_, b)| **b > 1)
            {
                return Err(ParseError::new(
                    Kind::InvalidValue,
                    at + i as u64,
                    "a bool of 0 or 1",
                    format!("{b}"),
                ));
            }
            Ok(())
        }
    }
}

/// `count` elements of at least `size` bytes each must fit the bytes that are left.
fn check_elements(c: &Cursor<'_>, count: u64, size: u64) -> Result<(), ParseError> {
    if count > c.left() / size {
        let expected = format!("{count} values of at least {size} bytes");
        let found = format!("{} bytes before the end", c.left());
        return Err(ParseError::new(Kind::Truncated, c.offset(), expected, found));
    }
    Ok(())
}

/// The long loop of a parse: a vocabulary has 262,144 of these.
fn skip_strings(c: &mut Cursor<'_>, count: u64, limits: &Limits) -> Result<(), ParseError> {
    check_elements(c, count, 8)?;
    for _ in 0..count {
        let Some(len) = c.try_u64() else { return Err(c.too_short(8, "string length")) };
        if c.try_take(len).is_none() {
            return Err(c.too_short(len, "string"));
        }
        if len > limits.max_string_len {
            within(len, limits.max_string_len, c.offset() - len, "bytes of a string")?;
        }
    }
    Ok(())
}

fn alignment(bytes: &[u8], pairs: &[Pair], limits: &Limits) -> Result<u64, ParseError> {
    let Some(pair) = pairs.iter().find(|pair| pair.key.of(bytes) == ALIGNMENT_KEY.as_bytes()) else {
        return Ok(DEFAULT_ALIGNMENT);
    };
    let at = pair.value.start as u64;
    match pair.value(bytes) {
        Some(Value::U32(n)) if n.is_power_of_two() => {
            let n = u64::from(n);
            within(n, limits.max_alignment, at, "bytes of alignment")
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

/// A tensor entry; its range is relative to the data section until [`place_tensors`], and empty for an unknown type.
fn tensor(c: &mut Cursor<'_>, alignment: u64, limits: &Limits) -> Result<Entry, ParseError> {
    let at = c.offset();
    let len = c.u64("tensor name length")?;
    if len > c.left() {
        return Err(c.too_short(len, "tensor name"));
    }
    within(len, limits.max_tensor_name_len, at, "bytes of a tensor name")?;
    let start = c.pos();
    let name = c.take(len, "tensor name")?;
    let name_span = Span { start, end: c.pos() };
    if core::str::from_utf8(name).is_err() {
        let error = ParseError::new(Kind::InvalidTensorName, at, "a name of UTF-8", "other bytes");
        return Err(error.in_tensor(name));
    }
    tensor_fields(c, name_span, alignment).map_err(|e| e.in_tensor(name))
}

fn tensor_fields(c: &mut Cursor<'_>, name: Span, alignment: u64) -> Result<Entry, ParseError> {
    let at = c.offset();
    let n_dims = c.u32("number of dimensions")?;
    let mut dims = [0; MAX_DIMS];
    let Some(dims) = usize::try_from(n_dims).ok().and_then(|n| dims.get_mut(..n)) else {
        let expected = format!("at most {MAX_DIMS} dimensions");
        return Err(ParseError::new(Kind::InvalidShape, at, expected, format!("{n_dims}")));
    };
    let dims_at = c.offset();
    for dim in dims.iter_mut() {
        *dim = c.u64("dimension")?;
    }
    let shape =
        |expected, dims: &[u64]| ParseError::new(Kind::InvalidShape, dims_at, expected, format!("{dims:?}"));
    let size_fits = "dimensions whose product and size in bytes fit 63 bits";
    let Some((dims, elements)) = Dims::new(dims).and_then(|d| d.elements().map(|n| (d, n))) else {
        return Err(shape(size_fits.into(), dims));
    };

    let at = c.offset();
    let id = c.u32("tensor type")?;
    let ty = tensor_type(id, at)?;

    let at = c.offset();
    let offset = c.u64("tensor offset")?;
    if !offset.is_multiple_of(alignment) {
        let expected = format!("an offset that is a multiple of {alignment}");
        return Err(ParseError::new(Kind::MisalignedTensor, at, expected, format!("{offset}")));
    }

    let size = match ty.layout() {
        None => 0,
        Some(layout) => {
            // Rows hold whole blocks; a scalar counts as a row of one element.
            if !dims.padded()[0].is_multiple_of(layout.len.into()) {
                let expected = format!("rows of whole blocks of {} elements ({ty})", layout.len);
                return Err(shape(expected, &dims));
            }
            let padded = ty.row_bytes(elements).filter(|n| n.checked_next_multiple_of(alignment).is_some());
            padded.filter(|n| i64::try_from(*n).is_ok()).ok_or_else(|| shape(size_fits.into(), &dims))?
        }
    };
    let end = offset.checked_add(size).ok_or_else(|| {
        let expected = format!("an offset with room for {size} bytes behind it");
        ParseError::new(Kind::Truncated, at, expected, format!("{offset}"))
    })?;
    Ok(Entry { name, ty, dims, range: offset..end })
}

fn tensor_type(id: u32, at: u64) -> Result<GgmlType, ParseError> {
    let expected = "a tensor type id in use";
    if let Some(name) = GgmlType::removed_name(id) {
        let found = format!("{id} ({name}, removed from the format)");
        return Err(ParseError::new(Kind::InvalidTensorType, at, expected, found));
    }
    match i32::try_from(id) {
        Ok(_) => Ok(GgmlType::from_id(id)),
        Err(_) => {
            Err(ParseError::new(Kind::InvalidTensorType, at, expected, format!("{}", id.cast_signed())))
        }
    }
}

/// Makes the ranges absolute, proves that they lie in the file and share no byte, and gives those of
/// unknown size their end.
fn place_tensors(bytes: &[u8], tensors: &mut [Entry], data_offset: u64) -> Result<(), ParseError> {
    let file_len = bytes.len() as u64;
    let mut in_order = true;
    let mut previous_end = data_offset;
    for tensor in &mut *tensors {
        let (start, end) = (tensor.range.start, tensor.range.end);
        let start = data_offset.checked_add(start);
        let end = data_offset.checked_add(end).filter(|end| *end <= file_len);
        let (Some(start), Some(end)) = (start, end) else {
            let expected = format!("{} bytes of tensor data", tensor.range.end - tensor.range.start);
            let found = format!("offset {} in a file of {file_len} bytes", tensor.range.start);
            let at = data_offset.saturating_add(tensor.range.start);
            return Err(
                ParseError::new(Kind::Truncated, at, expected, found).in_tensor(tensor.name.of(bytes))
            );
        };
        in_order &= start >= previous_end && tensor.ty.layout().is_some();
        previous_end = end;
        tensor.range = start..end;
    }
    if in_order { Ok(()) } else { place_out_of_order(bytes, tensors) }
}

/// The same for files whose tensors are not in order, or of unknown size: by way of their order in the file.
fn place_out_of_order(bytes: &[u8], tensors: &mut [Entry]) -> Result<(), ParseError> {
    let mut order: Vec<u32> = reserve(tensors.len() as u64)?;
    order.extend(0..tensors.len() as u32);
    order.sort_unstable_by_key(|i| tensors.get(*i as usize).map(|t| (t.range.start, t.range.end, *i)));

    // Backwards, so that the start of what follows is known. Tensors without elements hold no bytes.
    let mut next: Option<Span> = None;
    let mut next_start = bytes.len() as u64;
    for i in order.into_iter().rev() {
        let Some(tensor) = tensors.get_mut(i as usize) else { continue };
        if tensor.ty.layout().is_none() {
            // Two of unknown size at one place would get the same bytes, or none: the same as an overlap.
            if next_start == tensor.range.start && next.is_some() {
                return Err(overlap(bytes, tensor, next));
            }
            tensor.range.end = next_start;
        }
        if tensor.range.end > next_start {
            return Err(overlap(bytes, tensor, next));
        }
        if !tensor.range.is_empty() {
            (next, next_start) = (Some(tensor.name), tensor.range.start);
        }
    }
    Ok(())
}

#[cold]
fn overlap(bytes: &[u8], tensor: &Entry, next: Option<Span>) -> ParseError {
    let next = next.map(|n| printable(n.of(bytes))).unwrap_or_default();
    let expected = format!("an end before tensor `{next}`");
    let found = format!("bytes {} to {}", tensor.range.start, tensor.range.end);
    ParseError::new(Kind::OverlappingTensors, tensor.range.start, expected, found)
        .in_tensor(tensor.name.of(bytes))
}
