//! Files of sessions, branches of conversations, and what they need not compute again.

use super::barrier::guard;
use super::pointers::{Out, OutStruct, give, text};
use super::results::count;
use super::session::session;
use super::types::{HappyCancel, HappyError, HappyReuse, HappySession, HappyString, TrimLevel};
use crate::core::{CancelToken, registry};
use crate::failure::{Failure, Outcome};
use crate::status::Status;
use std::ffi::c_char;

/// Writes the session into a new file (`*.happy`), which replaces one at the same path, and appends every turn that
/// ends from now on: its messages, its tokens and what was computed of them. If the process ends at any time, the file
/// has all turns that had ended, and an unfinished answer except for at most its last 32 tokens. It is sealed if the
/// session's options have a `file_key`. A turn that cannot be saved does not fail: `happy_session_file` says why it was
/// not saved, and the next turn tries again.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_save(
    session: *const HappySession,
    path: *const c_char,
    path_len: usize,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || self::session(session)?.save(text(path, path_len, "path")?)) }
}

/// Continues with the conversation of a file instead of the session's own, and appends every turn to it. Nothing is
/// computed: the next turn answers with the same bits as if the process had never ended. Tools, variables and sampling
/// are those of this session. If the process ended within an answer (`unfinished` of `happy_session_file`), a turn
/// without a text returns that answer from its beginning and continues with the same text; if the options differ from
/// those that it was begun with, the message is answered again. After an error the conversation is as it was.
/// `HAPPY_REPLAY` says that `happy_session_replay` can use the file.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_restore(
    session: *const HappySession,
    path: *const c_char,
    path_len: usize,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || self::session(session)?.restore(text(path, path_len, "path")?)) }
}

/// Does the same as `happy_session_restore` for a file that was computed with something else, for example before an
/// update of the model or of the library: its tokens are computed again, and the file is rewritten. `cancel`, which may
/// be NULL, ends that with `HAPPY_CANCELLED`; the file is then as it was.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_replay(
    session: *const HappySession,
    path: *const c_char,
    path_len: usize,
    cancel: *const HappyCancel,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let session = self::session(session)?;
            let cancel = registry::get_optional::<CancelToken>(cancel as usize)?;
            session.replay(text(path, path_len, "path")?, cancel.as_deref())
        })
    }
}

/// Saves what is new, as the end of a turn does: for messages that were added or removed between two turns, and to try
/// again after a full disk. Without a file, it gives `HAPPY_INVALID_ARGUMENT`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_append(
    session: *const HappySession,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || self::session(session)?.append()) }
}

/// Rewrites the session's file without what later turns replaced. At the end of a turn, the library does this by itself
/// for a file of more than 4 MiB, half of which was replaced. Without a file, it gives `HAPPY_INVALID_ARGUMENT`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_compact(
    session: *const HappySession,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || self::session(session)?.compact()) }
}

/// Continues without the file, which stays as it is. Freeing the session does the same.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_close_file(
    session: *const HappySession,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || self::session(session)?.close_file()) }
}

/// Describes the session's file as a JSON object: `path`, `turns`, `tokens`, `messages`, `bytes`, `sealed` (a boolean),
/// `unfinished` (the number of tokens of an answer that was cut off, or 0), and `problem`: why the last turn could not
/// be saved, or null. Without a file, the object is empty.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_file(
    session: *const HappySession,
    out: *mut HappyString,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, session) = (Out::new(out, "out")?, self::session(session)?);
            give(out, session.file()?)
        })
    }
}

/// Removes everything after the user's last message. `happy_chat` or `happy_start` without a text then answer it again,
/// and compute next to nothing before the first token. If the user wrote no message, it gives `HAPPY_INVALID_ARGUMENT`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_regenerate(
    session: *const HappySession,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || self::session(session)?.regenerate()) }
}

/// Removes message `number` of the user, from 1 (0 is the last one), and everything after it, so that the next turn can
/// replace it. That turn computes only what follows the part that stays. If there is no such message, it gives
/// `HAPPY_INVALID_ARGUMENT`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_edit(
    session: *const HappySession,
    number: u32,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || self::session(session)?.edit(number as usize)) }
}

/// Keeps the conversation as it is, continues in a copy, and writes the number of this new branch to `out`. The first
/// conversation has number 1. With the load option `branches`, what was computed of them is kept, too.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_branch(
    session: *const HappySession,
    out: *mut u32,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, session) = (Out::new(out, "out")?, self::session(session)?);
            out.set(count(session.branch()?));
            Ok(())
        })
    }
}

/// Keeps the conversation as it is, and switches to branch `number`, from 1. If there is no such branch, it gives
/// `HAPPY_INVALID_ARGUMENT`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_go_to_branch(
    session: *const HappySession,
    number: u32,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || self::session(session)?.go_to_branch(number as usize)) }
}

/// Keeps what is computed now, such as a long system prompt, until `happy_session_unpin`, even if memory for other
/// branches is short. It needs the load option `branches`: if none of them is free, or nothing is computed, it gives
/// `HAPPY_INVALID_ARGUMENT`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_pin(
    session: *const HappySession,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || self::session(session)?.pin()) }
}

/// Unpins everything, so that it can be dropped like the rest when memory for branches is short.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_unpin(
    session: *const HappySession,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || self::session(session)?.unpin()) }
}

/// Returns how much the turns of the session did not have to compute.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_reuse(
    session: *const HappySession,
    out: *mut HappyReuse,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, session) = (OutStruct::new(out)?, self::session(session)?);
            out.set(session.reuse()?.into());
            Ok(())
        })
    }
}

/// Gives memory back to the system, as much as the `HappyTrimLevel` says: for an app that goes to the background, or is
/// told that memory is short. The conversation stays. After `HAPPY_TRIM_SEQUENCES`, the next turn reads what was computed
/// from the session's file; without a file, it computes it again.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_session_trim(
    session: *const HappySession,
    level: i32,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || self::session(session)?.trim(trim_level(level)?)) }
}

/// The level of a number of the header, or of Java.
pub(crate) fn trim_level(level: i32) -> Outcome<happy_engine::TrimLevel> {
    use happy_engine::TrimLevel as Level;
    let all = [
        (TrimLevel::Scratch, Level::Scratch),
        (TrimLevel::Snapshots, Level::Snapshots),
        (TrimLevel::Branches, Level::Branches),
        (TrimLevel::Sequences, Level::Sequences),
    ];
    let found = all.into_iter().find(|(here, _)| *here as i32 == level);
    let wrong = || Failure::argument(format!("level is {level}, expected 0 to 3, a HappyTrimLevel"));
    found.map(|(_, level)| level).ok_or_else(wrong)
}
