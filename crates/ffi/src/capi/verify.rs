//! Verifying that this device computes what another one computed, and what the app tells of the device.

use super::barrier::guard;
use super::pointers::{Out, give, text};
use super::types::{HappyCancel, HappyError, HappyModel, HappyString};
use crate::core::model::Model;
use crate::core::{CancelToken, device, registry};
use crate::status::Status;
use std::ffi::c_char;

/// Computes what `happy_model_verify` compares with on other devices, as JSON of some 100 KiB: ids of texts, rendered templates, and
/// hashes of the weights, of every step inside every layer, and of logits. Make it where results are trusted. It takes seconds for
/// a model of a billion parameters; `cancel` may be NULL.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_model_reference(
    model: *const HappyModel,
    cancel: *const HappyCancel,
    out: *mut HappyString,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, model) = (Out::new(out, "out")?, registry::get::<Model>(model as usize)?);
            let cancel = registry::get_optional::<CancelToken>(cancel as usize)?;
            give(out, model.reference(cancel.as_deref())?)
        })
    }
}

/// Checks whether this device computes what the device computed that made the reference: with the same bits. Gives a JSON object:
/// `{"same":true}`, or the first difference: `same` is false, `part` is `tokenizer`, `template`, `weights`, `layer` or `logits`, `name` says
/// which text, tensor or step, such as `blk.7.ffn_down`, and `kernel` what computed it, or null. A reference that cannot be compared (of
/// another architecture or version of the numerics) gives `HAPPY_INVALID_ARGUMENT`. `cancel` may be NULL.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_model_verify(
    model: *const HappyModel,
    reference_data: *const c_char,
    reference_len: usize,
    cancel: *const HappyCancel,
    out: *mut HappyString,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, model) = (Out::new(out, "out")?, registry::get::<Model>(model as usize)?);
            let reference = text(reference_data, reference_len, "reference")?;
            let cancel = registry::get_optional::<CancelToken>(cancel as usize)?;
            give(out, model.verify(reference, cancel.as_deref())?)
        })
    }
}

/// Tells the governors of all sessions (see the option `governor`) what the app knows of the device. What is unknown here is asked of the
/// system: on Android heat, by its NDK, from API level 30 on. `headroom` (at least 0) is the thermal headroom, where 1 is severe heat (NaN: unknown),
/// `thermal_status` Android's number of the thermal status, from 0 (none) to 6 (shutdown; -1: unknown), and `battery_saver` 1 if the battery
/// saver is on, 0 if not (-1: unknown). Other numbers give `HAPPY_INVALID_ARGUMENT`. It holds until the next call.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_report_device(
    headroom: f32,
    thermal_status: i32,
    battery_saver: i32,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || device::tell(headroom, thermal_status, battery_saver)) }
}
