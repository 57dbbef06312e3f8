//! Samplers.

use super::barrier::{guard, value};
use super::options::settings;
use super::pointers::Out;
use super::structs::initialize;
use super::types::{HappyError, HappySampler, HappySamplerOptions};
use crate::core::registry;
use crate::core::sampler::Sampler;
use crate::status::Status;

/// Sets all fields to their defaults; `size` is `sizeof(HappySamplerOptions)`.
///
/// # Safety
/// `options` is NULL or can be written, for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_sampler_options_init(
    options: *mut HappySamplerOptions,
    size: usize,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || initialize(options, size)) }
}

/// Makes a sampler. `options` may be NULL: all defaults. The options are copied.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_sampler_new(
    options: *const HappySamplerOptions,
    out: *mut *mut HappySampler,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, options) = (Out::new(out, "out")?, settings(options)?);
            out.set(registry::insert(Sampler::new(options)?)? as *mut HappySampler);
            Ok(())
        })
    }
}

/// Frees a sampler. A turn that began with it continues. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn happy_sampler_free(sampler: *mut HappySampler) -> Status {
    value(Status::Internal, || registry::free::<Sampler>(sampler as usize))
}
