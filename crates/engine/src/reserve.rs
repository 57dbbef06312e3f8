//! Room for what grows with a conversation: refused memory is an error, not the end of the process.

use crate::EngineError;
use happy_model::KvError;
use std::fmt::{self, Display, Write as _};

/// Room for more items.
pub(crate) fn reserve<T>(items: &mut Vec<T>, more: usize, what: &'static str) -> Result<(), EngineError> {
    items.try_reserve(more).map_err(|_| refused(more.saturating_mul(size_of::<T>()), what))
}

/// A value in an allocation of its own.
pub(crate) fn boxed<T>(value: T, what: &'static str) -> Result<Box<[T; 1]>, EngineError> {
    let refused = || refused(size_of::<T>(), what);
    let mut one = Vec::new();
    // Exactly, so that nothing is copied into a smaller one.
    one.try_reserve_exact(1).map_err(|_| refused())?;
    one.push(value);
    one.into_boxed_slice().try_into().map_err(|_| refused())
}

/// Room for more text.
pub(crate) fn reserve_text(text: &mut String, more: usize, what: &'static str) -> Result<(), EngineError> {
    text.try_reserve(more).map_err(|_| refused(more, what))
}

/// A copy of a text.
pub(crate) fn copied_text(text: &str, what: &'static str) -> Result<String, EngineError> {
    let mut copy = String::new();
    reserve_text(&mut copy, text.len(), what)?;
    copy.push_str(text);
    Ok(copy)
}

/// `to_string` that may fail.
pub(crate) fn text_of(shown: &dyn Display, what: &'static str) -> Result<String, EngineError> {
    let mut text = Text(String::new());
    match write!(text, "{shown}") {
        Ok(()) => Ok(text.0),
        Err(fmt::Error) => Err(refused(text.0.len(), what)),
    }
}

/// A text that grows fallibly.
struct Text(String);

impl fmt::Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        self.0.try_reserve(more.len()).map_err(|_| fmt::Error)?;
        self.0.push_str(more);
        Ok(())
    }
}

/// A copy.
pub(crate) fn copied<T: Copy>(items: &[T], what: &'static str) -> Result<Vec<T>, EngineError> {
    let mut copy = Vec::new();
    reserve(&mut copy, items.len(), what)?;
    copy.extend_from_slice(items);
    Ok(copy)
}

/// What copies JSON, of a conversation.
pub(crate) fn copied_json<T>(copied: serde_json::Result<T>) -> Result<T, EngineError> {
    copied.map_err(|_| refused(0, "a copy of the conversation"))
}

/// Memory that could not be had.
pub(crate) fn refused(bytes: usize, what: &'static str) -> EngineError {
    EngineError::Kv(KvError::Memory { bytes, what })
}
