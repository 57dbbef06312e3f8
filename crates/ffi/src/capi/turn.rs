//! Turns: push with a callback, pull event by event.

use super::barrier::guard;
use super::callbacks;
use super::options::settings;
use super::pointers::{OutStruct, optional};
use super::session::session;
use super::structs::initialize;
use super::types::{HappyError, HappyEvent, HappyFinish, HappyGenerateOptions, HappyOnEvent, HappySession};
use crate::status::Status;
use std::ffi::{c_char, c_void};

/// Sets all fields to their defaults; `size` is `sizeof(HappyGenerateOptions)`.
///
/// # Safety
/// `options` is NULL or can be written, for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_generate_options_init(
    options: *mut HappyGenerateOptions,
    size: usize,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || initialize(options, size)) }
}

/// Runs a whole turn: adds `text` as the user's message, answers it, calls `on_event` (which may be NULL) for each
/// event, and adds the answer. With `text` NULL the messages are answered as they are, for example after a tool's
/// result. `finish` and `options` may be NULL. Cancelling is not an error: the turn ends with `HAPPY_FINISH_CANCELLED`,
/// and the session can continue. A turn that is cancelled while its prompt is rendered or tokenized, or its grammar is
/// compiled, leaves the conversation as it was. After an error the conversation is as it was before the turn.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_chat(
    session: *const HappySession,
    text_data: *const c_char,
    text_len: usize,
    options: *const HappyGenerateOptions,
    on_event: HappyOnEvent,
    user: *mut c_void,
    finish: *mut HappyFinish,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let finish = if finish.is_null() { None } else { Some(OutStruct::new(finish)?) };
            let session = self::session(session)?;
            let (said, options) = (optional(text_data, text_len, "text")?, settings(options)?);
            let done = session.chat(said, &options, &mut |event| match on_event {
                Some(call) => callbacks::event(call, user, event),
                None => true,
            })?;
            if let Some(finish) = finish {
                finish.set((&done).into());
            }
            Ok(())
        })
    }
}

/// Begins a turn as `happy_chat` does; `happy_next` returns its events. Until its end or `happy_stop`, other calls for
/// the session give `HAPPY_BUSY`, except for `happy_next`, `happy_session_free` and those that only return information:
/// `happy_session_memory`, `happy_session_left_out`, `happy_session_file`, `happy_session_reuse`, `happy_session_governor`
/// and `happy_session_finish`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_start(
    session: *const HappySession,
    text_data: *const c_char,
    text_len: usize,
    options: *const HappyGenerateOptions,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let session = self::session(session)?;
            session.start(optional(text_data, text_len, "text")?, &settings(options)?)
        })
    }
}

/// Computes until there is an event, and returns it. After `HAPPY_EVENT_DONE`, or an error, the turn is over. If no
/// turn runs, it gives `HAPPY_INVALID_ARGUMENT`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_next(
    session: *const HappySession,
    out: *mut HappyEvent,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, session) = (OutStruct::new(out)?, self::session(session)?);
            session.next(&mut |event| out.set(event.into()))
        })
    }
}

/// Ends a turn that `happy_start` began, as if its cancel token were raised. Its remaining events are dropped.
/// Without such a turn, nothing happens.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_stop(session: *const HappySession, error: *mut *mut HappyError) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || self::session(session)?.stop()) }
}

/// Returns what the last turn took; `HAPPY_INVALID_ARGUMENT` if no turn has ended yet.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_finish(
    session: *const HappySession,
    out: *mut HappyFinish,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, session) = (OutStruct::new(out)?, self::session(session)?);
            out.set((&session.finish()?).into());
            Ok(())
        })
    }
}
