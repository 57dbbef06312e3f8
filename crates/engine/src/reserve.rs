//! Room for what grows with a conversation: refused memory is an error, not the end of the process.

use crate::EngineError;
use happy_model::KvError;

/// Room for more items.
pub(crate) fn reserve<T>(items: &mut Vec<T>, more: usize, what: &'static str) -> Result<(), EngineError> {
    items.try_reserve(more).map_err(|_| refused(more.saturating_mul(size_of::<T>()), what))
}

/// Room for more text.
pub(crate) fn reserve_text(text: &mut String, more: usize, what: &'static str) -> Result<(), EngineError> {
    text.try_reserve(more).map_err(|_| refused(more, what))
}

/// A copy.
pub(crate) fn copied<T: Copy>(items: &[T], what: &'static str) -> Result<Vec<T>, EngineError> {
    let mut copy = Vec::new();
    reserve(&mut copy, items.len(), what)?;
    copy.extend_from_slice(items);
    Ok(copy)
}

fn refused(bytes: usize, what: &'static str) -> EngineError {
    EngineError::Kv(KvError::Memory { bytes, what })
}
