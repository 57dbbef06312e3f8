//! The app's own native library: an activity that asks `libhappy.so` for its version and writes it to the log.
//!
//! Android's `NativeActivity` loads this library, its loader `libhappy.so` with it, and calls [`ANativeActivity_onCreate`].
//! `adb logcat -s happy-demo` shows the line. There is nothing to see on the screen.

#![cfg(target_os = "android")]
#![deny(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};

/// `ANDROID_LOG_INFO` of `android/log.h`.
const INFO: c_int = 4;

#[link(name = "happy")]
#[allow(unsafe_code, reason = "the C interface, as crates/ffi/include/happy.h declares it")]
unsafe extern "C" {
    safe fn happy_abi_version() -> u32;
    safe fn happy_version() -> *const c_char;
}

#[link(name = "log")]
#[allow(unsafe_code, reason = "Android's log, as android/log.h declares it")]
unsafe extern "C" {
    fn __android_log_write(priority: c_int, tag: *const c_char, text: *const c_char) -> c_int;
}

/// Called once, on the main thread, when the activity is created (`android/native_activity.h`).
///
/// No callback of the activity is set and no argument is read.
#[unsafe(no_mangle)]
#[allow(unsafe_code, reason = "found by its name")]
#[allow(non_snake_case, reason = "Android's name")]
pub extern "C" fn ANativeActivity_onCreate(_activity: *mut c_void, _saved: *mut c_void, _saved_size: usize) {
    // SAFETY: happy_version gives a text that ends in NUL and lives as long as the library.
    let version = unsafe { CStr::from_ptr(happy_version()) };
    let line = format!("libhappy {}, interface {}", version.to_string_lossy(), happy_abi_version());
    if let Ok(line) = CString::new(line) {
        // SAFETY: both texts end in NUL and outlive the call.
        unsafe { __android_log_write(INFO, c"happy-demo".as_ptr(), line.as_ptr()) };
    }
}
