//! Errors and strings that the caller owns.

use super::barrier::{guard, value};
use super::types::{HappyError, HappyString};
use crate::core::{Failed, registry, strings};
use crate::failure::Failure;
use crate::status::Status;
use std::ffi::c_char;
use std::ptr;

/// Returns the status of an error, or `HAPPY_INVALID_HANDLE` if the handle is not an error.
#[unsafe(no_mangle)]
pub extern "C" fn happy_error_status(error: *const HappyError) -> Status {
    value(Status::Internal, || match registry::get::<Failed>(error as usize) {
        Ok(failed) => failed.status(),
        Err(_) => Status::InvalidHandle,
    })
}

/// Returns the message of an error: UTF-8 followed by a NUL, valid until the error is freed. `len` receives the number
/// of bytes without the NUL, and may be NULL. Returns an empty text if the handle is not an error.
///
/// # Safety
/// `len` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_error_message(error: *const HappyError, len: *mut usize) -> *const c_char {
    value(c"".as_ptr(), || {
        let failed = registry::get::<Failed>(error as usize).ok();
        let text = failed.as_ref().map_or(c"", |failed| failed.text());
        if !len.is_null() {
            // SAFETY: the caller's promise.
            unsafe { len.write_unaligned(text.count_bytes()) };
        }
        // The registry keeps the text where it is until the error is freed.
        text.as_ptr()
    })
}

/// Frees an error. NULL is fine. A handle that is not an error, or was freed before, gives `HAPPY_INVALID_HANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn happy_error_free(error: *mut HappyError) -> Status {
    value(Status::Internal, || registry::free::<Failed>(error as usize))
}

/// Frees a string and sets its fields to NULL and 0. NULL and strings without data are fine; data that the library does
/// not know as a live string gives `HAPPY_INVALID_HANDLE`.
///
/// # Safety
/// `string` is NULL or points to a string that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_string_free(string: *mut HappyString) -> Status {
    // SAFETY: the caller's promise.
    unsafe {
        guard(ptr::null_mut(), || {
            if string.is_null() {
                return Ok(());
            }
            let HappyString { data, .. } = string.read_unaligned();
            string.write_unaligned(HappyString { data: ptr::null_mut(), len: 0 });
            if data.is_null() || strings::free(data as usize) {
                return Ok(());
            }
            Err(Failure::new(
                Status::InvalidHandle,
                "the string is not one of the library's, or was freed before",
            ))
        })
    }
}
