//! Growth that may fail: what comes from a vocabulary, a file or a caller never ends the process.

use crate::SamplerError;

/// Appends an item.
pub(crate) fn push<T>(items: &mut Vec<T>, item: T) -> Result<(), SamplerError> {
    reserve(items, 1)?;
    items.push(item);
    Ok(())
}

/// Collects an iterator of any length.
pub(crate) fn collected<T>(items: impl IntoIterator<Item = T>) -> Result<Vec<T>, SamplerError> {
    let items = items.into_iter();
    let mut list = Vec::new();
    reserve(&mut list, items.size_hint().0)?;
    for item in items {
        push(&mut list, item)?;
    }
    Ok(list)
}

/// Appends copies of items.
pub(crate) fn extend<T: Copy>(items: &mut Vec<T>, more: &[T]) -> Result<(), SamplerError> {
    reserve(items, more.len())?;
    items.extend_from_slice(more);
    Ok(())
}

fn reserve<T>(items: &mut Vec<T>, more: usize) -> Result<(), SamplerError> {
    items
        .try_reserve(more)
        .map_err(|_| SamplerError::OutOfMemory { entries: items.len().saturating_add(more) })
}
