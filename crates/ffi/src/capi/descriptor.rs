//! File descriptors of the caller.

use crate::core::model::{OpenPart, Place};
use crate::failure::{Failure, Outcome};
use crate::status::Status;

/// The part of a file that a descriptor has open; the descriptor is duplicated. `length` 0: to the end.
///
/// # Safety
/// `fd` is the caller's to use, if it is open.
pub(crate) unsafe fn place(fd: i32, offset: u64, length: u64) -> Outcome<Place> {
    // SAFETY: the caller's promise.
    unsafe { places([(fd, offset, length)]) }
}

/// The parts of a split model, each a descriptor, an offset and a length, as [`place`].
///
/// # Safety
/// As [`place`], for each descriptor.
pub(crate) unsafe fn places(parts: impl IntoIterator<Item = (i32, u64, u64)>) -> Outcome<Place> {
    let mut all = Vec::new();
    for (fd, offset, length) in parts {
        // SAFETY: the caller's promise.
        all.push(unsafe { part(fd, offset, length)? });
    }
    if all.is_empty() {
        return Err(Failure::argument("there are no parts, expected at least 1"));
    }
    Ok(Place::Parts(all))
}

/// # Safety
/// As [`place`].
#[cfg(unix)]
unsafe fn part(fd: i32, offset: u64, length: u64) -> Outcome<OpenPart> {
    use std::os::fd::BorrowedFd;
    let name = format!("file descriptor {fd}");
    if fd < 0 {
        return Err(Failure::argument(format!("the {name} is negative")));
    }
    // SAFETY: not negative; one that is not open is told apart by the system, in the next line.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let file = borrowed
        .try_clone_to_owned()
        .map_err(|e| Failure::new(Status::File, format!("cannot read `{name}`: {e}")))?
        .into();
    Ok(OpenPart { file, name, offset, len: (length > 0).then_some(length) })
}

/// # Safety
/// None is needed: this system has no file descriptors.
#[cfg(not(unix))]
unsafe fn part(_: i32, _: u64, _: u64) -> Outcome<OpenPart> {
    Err(Failure::new(Status::Unsupported, "file descriptors: this system has none, use a path"))
}
