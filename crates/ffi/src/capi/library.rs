//! The library itself: versions, processor, log, what is alive.

use super::barrier::{guard, value};
use super::pointers::{Out, give};
use super::types::{HAPPY_ABI_VERSION, HappyError, HappyOnLog, HappyString};
use crate::core::{cpu, log, registry, strings};
use crate::failure::Failure;
use crate::log_level::LogLevel;
use crate::status::Status;
use std::ffi::{c_char, c_void};

/// Returns the version of this interface. A program that was compiled against version N runs with every library that
/// returns N.
#[unsafe(no_mangle)]
pub extern "C" fn happy_abi_version() -> u32 {
    value(0, || HAPPY_ABI_VERSION)
}

/// Returns the library's version, such as `1.2.3`, with a NUL. It is never freed.
#[unsafe(no_mangle)]
pub extern "C" fn happy_version() -> *const c_char {
    value(c"".as_ptr(), || super::VERSION.as_ptr())
}

/// Describes the processor and what the library uses of it, as a JSON object: `architecture`, `cores`, `capacities`,
/// `default_threads`, `features`, `instruction_sets`, `chosen`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_cpu(out: *mut HappyString, error: *mut *mut HappyError) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let out = Out::new(out, "out")?;
            give(out, cpu::describe()?)
        })
    }
}

/// Sends messages up to `level` (a `HappyLogLevel`) to `on_log` from now on. With NULL, which is the default, nobody
/// receives them. When this returns, the callback that was set before is not running and will not be called again. A
/// call from within the callback gives `HAPPY_BUSY`.
///
/// # Safety
/// `user` is what `on_log` expects; it may be called on any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_set_log(
    on_log: HappyOnLog,
    user: *mut c_void,
    level: i32,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let level = [LogLevel::Off, LogLevel::Error, LogLevel::Info]
                .into_iter()
                .find(|known| *known as i32 == level)
                .ok_or_else(|| Failure::argument(format!("the log level is {level}, expected 0 to 2")))?;
            log::set(on_log.map(|call| super::callbacks::logger(call, user)), level)
        })
    }
}

/// Returns the number of handles, errors and strings that were made and not freed yet: 0 when a program has freed all.
#[unsafe(no_mangle)]
pub extern "C" fn happy_live_handles() -> usize {
    value(0, || registry::live() + strings::live())
}
