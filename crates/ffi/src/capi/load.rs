//! Planning and loading models.

use super::barrier::{guard, value};
use super::callbacks;
use super::options::settings;
use super::pointers::{Out, OutStruct, give, slice, text};
use super::structs::initialize;
use super::types::{
    HappyCancel, HappyError, HappyFilePart, HappyLoadOptions, HappyModel, HappyPlan, HappyString,
};
use crate::core::model::{Model, Place, Progress};
use crate::core::{CancelToken, registry};
use crate::failure::Outcome;
use crate::status::Status;
use std::ffi::c_char;

/// Sets all fields to their defaults; `size` is `sizeof(HappyLoadOptions)`.
///
/// # Safety
/// `options` is NULL or can be written, for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_load_options_init(
    options: *mut HappyLoadOptions,
    size: usize,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || initialize(options, size)) }
}

/// Makes a cancel token that is not raised.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_cancel_new(out: *mut *mut HappyCancel, error: *mut *mut HappyError) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let out = Out::new(out, "out")?;
            out.set(registry::insert(CancelToken::default())? as *mut HappyCancel);
            Ok(())
        })
    }
}

/// Raises a cancel token. Work that uses it ends within milliseconds, or after the token that is being computed.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_cancel_raise(
    cancel: *const HappyCancel,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            registry::get::<CancelToken>(cancel as usize)?.cancel();
            Ok(())
        })
    }
}

/// Lowers a cancel token, so that it can be used again.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_cancel_lower(
    cancel: *const HappyCancel,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            registry::get::<CancelToken>(cancel as usize)?.clear();
            Ok(())
        })
    }
}

/// Frees a cancel token. Work that began with it still sees whether it was raised before. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn happy_cancel_free(cancel: *mut HappyCancel) -> Status {
    value(Status::Internal, || registry::free::<CancelToken>(cancel as usize))
}

/// Plans the memory for running the model of a file, from its header; for a split model, give the path of any part. A
/// plan over the budget is not an error here: `fits` is then 0. Nothing is loaded; the file is mapped during the call,
/// or with `copy` its header is read. `options` may be NULL: all defaults.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_plan_file(
    path: *const c_char,
    path_len: usize,
    options: *const HappyLoadOptions,
    out: *mut HappyPlan,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let place = Place::path(text(path, path_len, "path")?)?;
            plan(&place, options, out)
        })
    }
}

/// Plans the memory for running the model that is in `length` bytes (0: all) of a file from `offset` on; see
/// `happy_plan_file`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_plan_fd(
    fd: i32,
    offset: u64,
    length: u64,
    options: *const HappyLoadOptions,
    out: *mut HappyPlan,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let place = super::descriptor::place(fd, offset, length)?;
            plan(&place, options, out)
        })
    }
}

/// Plans the memory for running a split model whose parts are `count` parts of open files, in any order; see
/// `happy_plan_file`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_plan_fds(
    parts: *const HappyFilePart,
    count: usize,
    options: *const HappyLoadOptions,
    out: *mut HappyPlan,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || plan(&places(parts, count)?, options, out)) }
}

/// # Safety
/// `parts` is NULL or points to `count` parts.
unsafe fn places(parts: *const HappyFilePart, count: usize) -> Outcome<Place> {
    // SAFETY: the caller's promise.
    let parts = unsafe { slice(parts, count, "parts")? };
    let part = |part: &HappyFilePart| (part.fd, part.offset, part.length);
    // SAFETY: the descriptors are the caller's.
    unsafe { super::descriptor::places(parts.iter().map(part)) }
}

/// # Safety
/// As [`happy_plan_file`].
unsafe fn plan(place: &Place, options: *const HappyLoadOptions, out: *mut HappyPlan) -> Outcome<()> {
    // SAFETY: the caller's promise.
    let (out, load) = unsafe { (OutStruct::new(out)?, settings(options)?) };
    out.set(place.plan(&load.options)?.into());
    Ok(())
}

/// Loads the model of a file, or a split model by the path of any part, if the other parts are next to it. A model over
/// the budget gives `HAPPY_MEMORY`, with the numbers and what would fit, before anything big is read. A file that
/// cannot be read gives `HAPPY_FILE`, and one that is not a supported model `HAPPY_MODEL`. `options` may be NULL: all
/// defaults.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says. Unless `copy` is set, nobody writes to
/// the file or truncates it while the model or one of its sessions lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_model_open_file(
    path: *const c_char,
    path_len: usize,
    options: *const HappyLoadOptions,
    out: *mut *mut HappyModel,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let place = Place::path(text(path, path_len, "path")?)?;
            open(&place, options, out)
        })
    }
}

/// Loads the model that is in `length` bytes (0: all) of a file from `offset` on, such as an asset of an Android
/// package. The offset needs no alignment. The descriptor is duplicated: the caller may close it after the call.
///
/// # Safety
/// As for `happy_model_open_file`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_model_open_fd(
    fd: i32,
    offset: u64,
    length: u64,
    options: *const HappyLoadOptions,
    out: *mut *mut HappyModel,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let place = super::descriptor::place(fd, offset, length)?;
            open(&place, options, out)
        })
    }
}

/// Loads a split model whose parts are `count` parts of open files, in any order; see `happy_model_open_fd`.
///
/// # Safety
/// As for `happy_model_open_file`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_model_open_fds(
    parts: *const HappyFilePart,
    count: usize,
    options: *const HappyLoadOptions,
    out: *mut *mut HappyModel,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || open(&places(parts, count)?, options, out)) }
}

/// # Safety
/// As [`happy_model_open_file`].
unsafe fn open(place: &Place, options: *const HappyLoadOptions, out: *mut *mut HappyModel) -> Outcome<()> {
    // SAFETY: the caller's promise.
    let (out, load) = unsafe { (Out::new(out, "out")?, settings(options)?) };
    let mut progress = load.progress.map(|call| callbacks::progress(call, load.progress_user));
    let progress = progress.as_mut().map(|call| call as &mut Progress<'_>);
    let model = Model::open(place, &load.options, load.cancel.as_deref(), progress)?;
    out.set(registry::insert(model)? as *mut HappyModel);
    Ok(())
}

/// Frees a model. Its sessions keep what they need, and continue to work. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn happy_model_free(model: *mut HappyModel) -> Status {
    value(Status::Internal, || registry::free::<Model>(model as usize))
}

/// Makes all sessions of a model wait before their next token, or their next part of a prompt, until
/// `happy_model_resume`: for an app that goes to the background. What is being computed is finished first. A turn that
/// is cancelled or closed while it waits ends. `happy_session_trim` gives memory of idle sessions back.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_model_pause(model: *const HappyModel, error: *mut *mut HappyError) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            registry::get::<Model>(model as usize)?.engine().pause();
            Ok(())
        })
    }
}

/// Lets the sessions of a model continue after `happy_model_pause`. Does nothing if they are not paused.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_model_resume(model: *const HappyModel, error: *mut *mut HappyError) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            registry::get::<Model>(model as usize)?.engine().resume();
            Ok(())
        })
    }
}

/// Returns the plan of a loaded model: the memory that the model and one session take.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_model_plan(
    model: *const HappyModel,
    out: *mut HappyPlan,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, model) = (OutStruct::new(out)?, registry::get::<Model>(model as usize)?);
            out.set(model.plan().into());
            Ok(())
        })
    }
}

/// Describes a model as a JSON object: `architecture`, `name`, `parameters`, `trained_context`, `vocabulary`, `layers`,
/// `file_type`, `chat_template` (a boolean), `chat_template_error` and `reply_format`. If `metadata` is not 0, it also
/// has `metadata`: all pairs of the file, of long arrays only the length and the first elements.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_model_info(
    model: *const HappyModel,
    metadata: i32,
    out: *mut HappyString,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, model) = (Out::new(out, "out")?, registry::get::<Model>(model as usize)?);
            give(out, model.info(metadata != 0))
        })
    }
}
