//! Which core a thread runs on, where the system tells.

/// Number of the core that runs the calling thread; it may have changed by the time the caller looks at it.
#[cfg(all(any(target_os = "linux", target_os = "android"), not(all(test, loom))))]
pub(super) fn current() -> Option<u32> {
    // SAFETY: the call takes no arguments and has no preconditions.
    u32::try_from(unsafe { libc::sched_getcpu() }).ok()
}

/// Unknown here, and in a model: a worker that shares the caller's core is noticed only by being slow.
#[cfg(not(all(any(target_os = "linux", target_os = "android"), not(all(test, loom)))))]
pub(super) fn current() -> Option<u32> {
    None
}
