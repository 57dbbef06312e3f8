//! Checked reading and writing through the caller's pointers.
//!
//! What can be checked is: null, alignment, lengths that no program can mean. That a pointer points to as many bytes as
//! its length says is the caller's promise, as everywhere in C.

use super::types::{HappyString, HappyText};
use crate::core::strings;
use crate::failure::{Failure, Outcome};
use crate::status::Status;
use std::ffi::c_char;
use std::mem::{align_of, size_of};
use std::slice;

use super::structs::Versioned;

/// The longest text or list that is taken, in bytes: more is a length that was never set, or a negative one.
const MOST: usize = 1 << 28;

/// Bytes of a caller.
///
/// # Safety
/// `data` is NULL or points to `count` elements, which nobody changes during the call.
pub(super) unsafe fn slice<'a, T>(data: *const T, count: usize, what: &str) -> Outcome<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Failure::argument(format!("{what} is NULL, expected {count} elements")));
    }
    if !(data as usize).is_multiple_of(align_of::<T>()) {
        return Err(Failure::argument(format!("{what} is not aligned to {} bytes", align_of::<T>())));
    }
    if count.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > MOST) {
        return Err(Failure::argument(format!("{what} has {count} elements, expected at most {MOST} bytes")));
    }
    // SAFETY: not null, aligned, short enough; the rest is the caller's promise.
    Ok(unsafe { slice::from_raw_parts(data, count) })
}

/// Text of a caller; NULL without length is the empty text.
///
/// # Safety
/// As [`slice()`].
pub(super) unsafe fn text<'a>(data: *const c_char, len: usize, what: &str) -> Outcome<&'a str> {
    // SAFETY: the caller's promise; a char is a byte.
    let bytes = unsafe { slice(data.cast::<u8>(), len, what)? };
    std::str::from_utf8(bytes)
        .map_err(|e| Failure::argument(format!("{what} is not UTF-8 at byte {}", e.valid_up_to())))
}

/// Text of a caller, or nothing where it is NULL.
///
/// # Safety
/// As [`slice()`].
pub(super) unsafe fn optional<'a>(data: *const c_char, len: usize, what: &str) -> Outcome<Option<&'a str>> {
    if data.is_null() && len == 0 {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    unsafe { text(data, len, what) }.map(Some)
}

/// Text in a struct of a caller.
///
/// # Safety
/// As [`slice()`], for its data.
pub(super) unsafe fn field<'a>(field: HappyText, what: &str) -> Outcome<&'a str> {
    // SAFETY: the caller's promise.
    unsafe { text(field.data, field.len, what) }
}

/// Texts in a list of a caller.
///
/// # Safety
/// As [`slice()`], for the list and each of its texts.
pub(super) unsafe fn fields(list: *const HappyText, count: usize, what: &str) -> Outcome<Vec<String>> {
    // SAFETY: the caller's promise.
    let texts = unsafe { slice(list, count, what)? };
    // SAFETY: the caller's promise.
    texts.iter().map(|text| unsafe { field(*text, what) }.map(str::to_owned)).collect()
}

/// As [`fields`], without copies.
///
/// # Safety
/// As [`fields`], for as long as the texts are read.
pub(super) unsafe fn views<'a>(list: *const HappyText, count: usize, what: &str) -> Outcome<Vec<&'a str>> {
    // SAFETY: the caller's promise.
    let texts = unsafe { slice(list, count, what)? };
    let mut views = Vec::new();
    views
        .try_reserve_exact(texts.len())
        .map_err(|_| Failure::new(Status::Memory, format!("no memory for {what}, {count} elements")))?;
    for text in texts {
        // SAFETY: the caller's promise.
        views.push(unsafe { field(*text, what)? });
    }
    Ok(views)
}

/// Where a result goes.
pub(super) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// `out` is NULL, or stays writable while this lives.
    pub(super) unsafe fn new(out: *mut T, what: &str) -> Outcome<Self> {
        if out.is_null() { Err(Failure::argument(format!("{what} is NULL"))) } else { Ok(Self(out)) }
    }

    pub(super) fn set(&self, value: T) {
        // SAFETY: the promise of `new`.
        unsafe { self.0.write_unaligned(value) };
    }
}

/// Where a list of results goes.
pub(super) struct OutSlice<T> {
    first: *mut T,
    capacity: usize,
}

impl<T: Copy> OutSlice<T> {
    /// # Safety
    /// `first` is NULL, or points to `capacity` elements that stay writable while this lives.
    pub(super) unsafe fn new(first: *mut T, capacity: usize, what: &str) -> Outcome<Self> {
        if first.is_null() && capacity > 0 {
            return Err(Failure::argument(format!("{what} is NULL, its capacity is {capacity}")));
        }
        Ok(Self { first, capacity })
    }

    /// Writes as many as there is room for.
    pub(super) fn set(&self, values: &[T]) {
        values.iter().enumerate().for_each(|(index, value)| self.set_at(index, *value));
    }

    /// Writes one, if there is room for it.
    pub(super) fn set_at(&self, index: usize, value: T) {
        if index < self.capacity {
            // SAFETY: below the capacity, and the promise of `new`.
            unsafe { self.first.add(index).write_unaligned(value) };
        }
    }
}

/// Where a struct with a size goes.
pub(super) struct OutStruct<T> {
    out: *mut T,
    size: usize,
}

impl<T: Versioned> OutStruct<T> {
    /// # Safety
    /// `out` is NULL, or points to a struct whose first field says how many bytes of it stay writable while this lives.
    pub(super) unsafe fn new(out: *mut T) -> Outcome<Self> {
        if out.is_null() {
            return Err(Failure::argument(format!("the {} is NULL", T::NAME)));
        }
        // SAFETY: every such struct begins with its size.
        let size = T::checked_size(unsafe { out.cast::<u32>().read_unaligned() } as usize)?;
        Ok(Self { out, size })
    }

    /// Writes the bytes that both know; those that only the caller knows become 0.
    pub(super) fn set(&self, mut value: T) {
        value.set_size(self.size as u32);
        let known = self.size.min(size_of::<T>());
        let out = self.out.cast::<u8>();
        // SAFETY: `size` bytes can be written, says `new`; `known` of them are not more than the value has.
        unsafe {
            std::ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), out, known);
            out.add(known).write_bytes(0, self.size - known);
        }
    }
}

/// Hands a text out.
pub(super) fn give(out: Out<HappyString>, text: String) -> Outcome<()> {
    give_bytes(out, text.into_bytes())
}

/// Hands bytes out.
pub(super) fn give_bytes(out: Out<HappyString>, bytes: Vec<u8>) -> Outcome<()> {
    let len = bytes.len();
    out.set(HappyString { data: strings::keep(bytes).cast(), len });
    Ok(())
}
