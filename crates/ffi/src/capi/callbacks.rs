//! Calling the caller.

use super::types::HappyEvent;
use crate::core::log::Logger;
use happy_engine::Event;
use std::ffi::{CString, c_char, c_void};

/// Hears how much is loaded.
pub(super) fn progress(
    call: extern "C" fn(*mut c_void, f32) -> i32,
    user: *mut c_void,
) -> impl FnMut(f32) -> bool {
    move |share| call(user, share) != 0
}

/// Hears an event; whether to go on.
pub(super) fn event(
    call: extern "C" fn(*mut c_void, *const HappyEvent) -> i32,
    user: *mut c_void,
    event: &Event,
) -> bool {
    call(user, &HappyEvent::from(event)) != 0
}

/// Hears messages, from any thread: the header says so to who gives `user`.
pub(super) fn logger(
    call: extern "C" fn(*mut c_void, i32, *const c_char, usize),
    user: *mut c_void,
) -> Logger {
    let user = user.expose_provenance();
    Box::new(move |level, text| {
        // What is quoted from outside may have a NUL.
        let text = CString::new(text.replace('\0', "")).unwrap_or_default();
        call(std::ptr::with_exposed_provenance_mut(user), level as i32, text.as_ptr(), text.count_bytes());
    })
}
