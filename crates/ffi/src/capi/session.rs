//! Sessions: the conversation and its memory.

use super::barrier::{guard, value};
use super::options::settings;
use super::pointers::{Out, OutStruct, fields, give, text};
use super::structs::initialize;
use super::types::{
    HappyError, HappyMemory, HappyModel, HappySession, HappySessionOptions, HappyString, HappyText,
};
use crate::core::model::Model;
use crate::core::registry;
use crate::core::session::{Session, adapters as core_adapters};
use crate::failure::Outcome;
use crate::status::Status;
use std::ffi::c_char;
use std::sync::Arc;

/// The session of a handle.
pub(super) fn session(handle: *const HappySession) -> Outcome<Arc<Session>> {
    registry::get::<Session>(handle as usize)
}

/// Sets all fields to their defaults; `size` is `sizeof(HappySessionOptions)`.
///
/// # Safety
/// `options` is NULL or can be written, for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_options_init(
    options: *mut HappySessionOptions,
    size: usize,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || initialize(options, size)) }
}

/// Makes a session: KV cache, scratch and threads as planned. `options` may be NULL: all defaults. If the options have a
/// system message or tools, a model without a chat template gives `HAPPY_TEMPLATE`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_new(
    model: *const HappyModel,
    options: *const HappySessionOptions,
    out: *mut *mut HappySession,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, model) = (Out::new(out, "out")?, registry::get::<Model>(model as usize)?);
            let session = Session::new(&model, &settings(options)?)?;
            out.set(registry::insert(session)? as *mut HappySession);
            Ok(())
        })
    }
}

/// Frees a session. A call that is still running in it, in another thread or around a callback, ends by itself with
/// `HAPPY_FINISH_CANCELLED`, at its next token or part of the prompt; memory and threads are freed then. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn happy_session_free(session: *mut HappySession) -> Status {
    value(Status::Internal, || {
        if let Ok(session) = registry::get::<Session>(session as usize) {
            session.close();
        }
        registry::free::<Session>(session as usize)
    })
}

/// Adds a message without answering it. `role` is `user`, `assistant`, `system`, `tool`, or another one that the
/// template knows.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_add_message(
    session: *const HappySession,
    role: *const c_char,
    role_len: usize,
    content: *const c_char,
    content_len: usize,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let session = self::session(session)?;
            session.add(text(role, role_len, "role")?, text(content, content_len, "content")?)
        })
    }
}

/// Adds a message as a JSON object, such as a tool's result: `{"role": "tool", "tool_call_id": "..", "content": ".."}`.
/// Without a `role` it gives `HAPPY_INVALID_ARGUMENT`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_add_json(
    session: *const HappySession,
    message: *const c_char,
    message_len: usize,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let session = self::session(session)?;
            session.add_json(text(message, message_len, "message")?)
        })
    }
}

/// Returns the conversation, including the system message, as a JSON array of messages.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_messages(
    session: *const HappySession,
    out: *mut HappyString,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, session) = (Out::new(out, "out")?, self::session(session)?);
            give(out, session.messages()?)
        })
    }
}

/// Keeps the first `count` messages, including the system message, and removes the others; the next turn computes only
/// what is new. If there are fewer, it gives `HAPPY_INVALID_ARGUMENT`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_truncate(
    session: *const HappySession,
    count: usize,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || self::session(session)?.truncate(count)) }
}

/// Removes all messages but the system message, forgets the branches, and empties the conversation's part of the KV
/// cache. The session's file stays as it is until the next turn.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_clear(
    session: *const HappySession,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || self::session(session)?.clear()) }
}

/// Uses these adapters (LoRA) from now on, in the order in which their results are added; without any, the model alone.
/// Each is the path of a file, or `FILE=SCALE`. If the KV cache holds what was computed with other adapters, the next
/// turn computes it again. If their ranks add up to more than `adapter_rank` of the load options, it gives
/// `HAPPY_INVALID_ARGUMENT`; a file that is not an adapter for the model gives `HAPPY_MODEL`. Files stay mapped, and no
/// weight is copied. After an error nothing has changed.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_set_adapters(
    session: *const HappySession,
    adapters: *const HappyText,
    n_adapters: usize,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let session = self::session(session)?;
            session.set_adapters(&core_adapters(&fields(adapters, n_adapters, "adapters")?)?)
        })
    }
}

/// Returns the tools that the last turn, or the one that runs, could not constrain, as a JSON array of objects with
/// `tool` (its name), `callable` and `reason`. If `callable` is false, the reply format cannot carry one of the tool's
/// names, and the model cannot call it. If it is true, no grammar can follow the tool's schema, and its calls may have
/// any arguments. Usually empty.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_left_out(
    session: *const HappySession,
    out: *mut HappyString,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, session) = (Out::new(out, "out")?, self::session(session)?);
            give(out, session.left_out()?)
        })
    }
}

/// Describes what the session's governor decided last (option `governor`) as a JSON object: `threads`, `tokens_per_second` (the
/// limit, or null), and `reason`, a text. Without a governor, the object is empty.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_governor(
    session: *const HappySession,
    out: *mut HappyString,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, session) = (Out::new(out, "out")?, self::session(session)?);
            give(out, session.governor()?)
        })
    }
}

/// Returns the memory of the session and of the process.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_memory(
    session: *const HappySession,
    out: *mut HappyMemory,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, session) = (OutStruct::new(out)?, self::session(session)?);
            out.set(session.memory()?.into());
            Ok(())
        })
    }
}
