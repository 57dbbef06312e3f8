//! Ctrl-C is recorded instead of ending the program at once, so that the device is left clean.

use happy_tool_kit::Result;
use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static HELD_OFF: AtomicBool = AtomicBool::new(false);

/// From now on, Ctrl-C ends waiting for a device, but not this program.
pub(crate) fn watch() -> Result<()> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::SeqCst))
        .map_err(|e| format!("cannot watch for Ctrl-C: {e}"))
}

/// Returns an error once Ctrl-C has been pressed.
pub(crate) fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::SeqCst) && !HELD_OFF.load(Ordering::SeqCst) {
        return Err("interrupted".into());
    }
    Ok(())
}

/// Runs `cleaning`, which must also happen after Ctrl-C.
pub(crate) fn hold_off<T>(cleaning: impl FnOnce() -> T) -> T {
    HELD_OFF.store(true, Ordering::SeqCst);
    let done = cleaning();
    HELD_OFF.store(false, Ordering::SeqCst);
    done
}
