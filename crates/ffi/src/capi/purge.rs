//! Asks the allocator to give free memory back to the system: allocators keep what was freed, for the next request.

/// Gives back what the allocator holds without need.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn purge() {
    unsafe extern "C" {
        fn malloc_trim(keep: usize) -> std::ffi::c_int;
    }
    // SAFETY: it only releases pages that no allocation uses.
    unsafe { malloc_trim(0) };
}

/// Gives back what the allocator holds without need.
#[cfg(all(target_os = "android", target_pointer_width = "64"))]
pub(crate) fn purge() {
    /// `M_PURGE` of bionic's malloc.h, from API level 28 on; older systems refuse it.
    const PURGE: std::ffi::c_int = -101;
    type Mallopt = unsafe extern "C" fn(std::ffi::c_int, std::ffi::c_int) -> std::ffi::c_int;
    // SAFETY: the type is that of bionic's malloc.h.
    if let Some(mallopt) = unsafe { super::android::function_of_process::<Mallopt>(c"mallopt") } {
        // SAFETY: it only releases pages that no allocation uses.
        unsafe { mallopt(PURGE, 0) };
    }
}

/// Other allocators decide for themselves.
#[cfg(not(any(
    all(target_os = "linux", target_env = "gnu"),
    all(target_os = "android", target_pointer_width = "64")
)))]
pub(crate) fn purge() {}
