//! Tensor entries: read and checked one by one, then placed together.

use alloc::format;
use alloc::vec::Vec;

use crate::GgmlType;
use crate::cursor::Cursor;
use crate::error::{ParseError, ParseErrorKind as Kind, printable};
use crate::index::{Entry, Span};
use crate::parse::sort_numbers;
use crate::rules::{Rules, reserve, within};
use crate::tensor_info::{Dims, MAX_DIMS};

/// Reads a tensor entry. Until [`place`], its range is relative to the data section, and empty for a type of unknown
/// size.
pub(crate) fn read(c: &mut Cursor<'_>, alignment: u64, rules: &Rules<'_>) -> Result<Entry, ParseError> {
    let at = c.offset();
    let len = c.len("tensor name length")?;
    let limit = rules.limits.max_tensor_name_len;
    // As with keys: a name over the limit is refused without asking for its bytes.
    if len > c.left() && len <= limit || rules.file_len.is_some_and(|n| len > n) {
        return Err(c.too_short(len, "tensor name"));
    }
    within(len, limit, at, "bytes of a tensor name")?;
    let start = c.pos();
    let name = c.take(len, "tensor name")?;
    let name_span = Span { start, end: c.pos() };
    if core::str::from_utf8(name).is_err() {
        let error = ParseError::new(Kind::InvalidTensorName, at, "a name of UTF-8", "other bytes");
        return Err(error.in_tensor(name));
    }
    fields(c, name_span, alignment, rules).map_err(|e| e.in_tensor(name))
}

fn fields(c: &mut Cursor<'_>, name: Span, alignment: u64, rules: &Rules<'_>) -> Result<Entry, ParseError> {
    let at = c.offset();
    let n_dims = c.u32("number of dimensions")?;
    let mut dims = [0; MAX_DIMS];
    let Some(dims) = usize::try_from(n_dims).ok().and_then(|n| dims.get_mut(..n)) else {
        let expected = format!("at most {MAX_DIMS} dimensions");
        return Err(ParseError::new(Kind::InvalidShape, at, expected, format!("{n_dims}")));
    };
    let dims_at = c.offset();
    for dim in dims.iter_mut() {
        *dim = c.len("dimension")?;
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
    if !offset.is_multiple_of(alignment) && !rules.lenient {
        let expected = format!("an offset that is a multiple of {alignment}");
        return Err(ParseError::new(Kind::MisalignedTensor, at, expected, format!("{offset}")));
    }

    let size = match ty.layout() {
        None => 0,
        Some(layout) => {
            // Rows consist of whole blocks. A scalar counts as a row of one element.
            if !dims.padded()[0].is_multiple_of(layout.len.into()) {
                let expected = format!("rows of whole blocks of {} elements ({ty})", layout.len);
                return Err(shape(expected, &dims));
            }
            let padded = ty.row_bytes(elements).filter(|n| n.checked_next_multiple_of(alignment).is_some());
            padded.filter(|n| i64::try_from(*n).is_ok()).ok_or_else(|| shape(size_fits.into(), &dims))?
        }
    };
    let end = offset.checked_add(size).ok_or_else(|| {
        let expected = format!("an offset with room for {size} bytes after it");
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

/// Makes the ranges absolute, checks that they lie in the file and do not overlap, and gives tensors of unknown size
/// their end.
pub(crate) fn place(
    bytes: &[u8],
    tensors: &mut [Entry],
    data_offset: u64,
    file_len: Option<u64>,
) -> Result<(), ParseError> {
    let last = file_len.unwrap_or(i64::MAX as u64);
    let mut in_order = true;
    let mut previous_end = data_offset;
    for tensor in &mut *tensors {
        let (start, end) = (tensor.range.start, tensor.range.end);
        let start = data_offset.checked_add(start);
        let end = data_offset.checked_add(end).filter(|end| *end <= last);
        let (Some(start), Some(end)) = (start, end) else {
            let expected = format!("{} bytes of tensor data", tensor.range.end - tensor.range.start);
            let found = format!("offset {} in a file of {last} bytes", tensor.range.start);
            let at = data_offset.saturating_add(tensor.range.start);
            return Err(
                ParseError::new(Kind::Truncated, at, expected, found).in_tensor(tensor.name.of(bytes))
            );
        };
        in_order &= start >= previous_end && tensor.ty.layout().is_some();
        previous_end = end;
        tensor.range = start..end;
    }
    if in_order { Ok(()) } else { place_out_of_order(bytes, tensors, file_len) }
}

/// The slow path of [`place`], for files with tensors out of order or of unknown size: sorts by offset.
fn place_out_of_order(bytes: &[u8], tensors: &mut [Entry], file_len: Option<u64>) -> Result<(), ParseError> {
    let mut order: Vec<u32> = reserve(tensors.len() as u64)?;
    order.extend(0..tensors.len() as u32);
    let place = |i: &u32| tensors.get(*i as usize).map(|t| (t.range.start, t.range.end, *i));
    sort_numbers(&mut order, &mut |a, b| place(a).cmp(&place(b)));

    // Walks backwards, so that the start of the next tensor is known. Tensors without elements take no bytes.
    let mut next: Option<Span> = None;
    let mut next_start = file_len.unwrap_or(u64::MAX);
    for i in order.into_iter().rev() {
        let Some(tensor) = tensors.get_mut(i as usize) else { continue };
        if tensor.ty.layout().is_none() {
            // A tensor with elements takes at least one byte. Two of unknown size at one offset would share their
            // bytes.
            if next_start == tensor.range.start && tensor.dims.elements() != Some(0) {
                return Err(match next {
                    Some(_) => overlap(bytes, tensor, next),
                    None => no_bytes(bytes, tensor),
                });
            }
            // If the file's length is unknown, so is the end of the last tensor.
            let open_end = file_len.is_none() && next.is_none();
            tensor.range.end = if open_end { tensor.range.start } else { next_start };
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

#[cold]
fn no_bytes(bytes: &[u8], tensor: &Entry) -> ParseError {
    let expected = format!("bytes of a tensor of {} ({})", tensor.dims, tensor.ty);
    ParseError::new(Kind::Truncated, tensor.range.start, expected, "the end of the file")
        .in_tensor(tensor.name.of(bytes))
}
