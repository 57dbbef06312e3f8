//! The core on which a thread runs, if the system tells.

/// Returns the number of the core that runs the calling thread. It may have changed by the time the caller looks at it.
#[cfg(all(any(target_os = "linux", target_os = "android"), not(all(test, loom))))]
pub(super) fn current() -> Option<u32> {
    // SAFETY: the call takes no arguments and has no preconditions.
    u32::try_from(unsafe { libc::sched_getcpu() }).ok()
}

/// Returns `None`: the core is unknown on this system and in a model. So a worker that shares the caller's core is
/// noticed only by being slow.
#[cfg(not(all(any(target_os = "linux", target_os = "android"), not(all(test, loom)))))]
pub(super) fn current() -> Option<u32> {
    None
}
