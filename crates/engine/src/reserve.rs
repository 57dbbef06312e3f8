//! Room for what grows with a conversation: refused memory is an error, not the end of the process.

use crate::EngineError;
use crate::chat::json;
use happy_model::KvError;
use serde_json::Value as Json;

/// Room for more items.
pub(crate) fn reserve<T>(items: &mut Vec<T>, more: usize, what: &'static str) -> Result<(), EngineError> {
    items.try_reserve(more).map_err(|_| refused(more.saturating_mul(size_of::<T>()), what))
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

/// A copy.
pub(crate) fn copied<T: Copy>(items: &[T], what: &'static str) -> Result<Vec<T>, EngineError> {
    let mut copy = Vec::new();
    reserve(&mut copy, items.len(), what)?;
    copy.extend_from_slice(items);
    Ok(copy)
}

/// An error if there is no room for what reading and constraining calls makes of the tools: their schemas, once for the parser
/// and once as parts of a grammar, and its text. The room is given back: what is made of it is small pieces, which are
/// reserved infallibly.
pub(crate) fn room_for_tools(tools: &[Json]) -> Result<(), EngineError> {
    let bytes = 4 * tools.iter().map(json::size).sum::<usize>();
    reserve(&mut Vec::<u8>::new(), bytes, "the tools' schemas")
}

/// What copies JSON, of a conversation.
pub(crate) fn copied_json<T>(copied: serde_json::Result<T>) -> Result<T, EngineError> {
    copied.map_err(|_| refused(0, "a copy of the conversation"))
}

/// Memory that could not be had.
pub(crate) fn refused(bytes: usize, what: &'static str) -> EngineError {
    EngineError::Kv(KvError::Memory { bytes, what })
}
