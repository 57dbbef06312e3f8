//! The library's messages, which go where the program chooses.

use crate::failure::{Failure, Outcome};
use crate::log_level::LogLevel;
use crate::status::Status;
use std::cell::Cell;
use std::sync::{PoisonError, RwLock};

/// Takes messages, from any thread.
pub type Logger = Box<dyn Fn(LogLevel, &str) + Send + Sync>;

static LOGGER: RwLock<Option<(LogLevel, Logger)>> = RwLock::new(None);

thread_local! {
    /// Whether this thread is in a logger.
    static WITHIN: Cell<bool> = const { Cell::new(false) };
}

/// Sends messages up to a level to a logger, or nowhere. Waits until the logger that was set before is no longer running.
///
/// # Errors
/// [`Status::Busy`] from within a logger.
pub fn set(logger: Option<Logger>, level: LogLevel) -> Outcome<()> {
    if WITHIN.get() {
        return Err(Failure::new(Status::Busy, "the log cannot be changed from within its callback"));
    }
    *LOGGER.write().unwrap_or_else(PoisonError::into_inner) = logger.map(|logger| (level, logger));
    Ok(())
}

/// Sends a message, if there is a logger. What a logger itself causes is not logged.
pub fn say(level: LogLevel, text: impl FnOnce() -> String) {
    if WITHIN.replace(true) {
        return;
    }
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        if let Some((most, logger)) = &*LOGGER.read().unwrap_or_else(PoisonError::into_inner)
            && level <= *most
        {
            logger(level, &text());
        }
    }));
    WITHIN.set(false);
    if let Err(panic) = done {
        std::panic::resume_unwind(panic);
    }
}
