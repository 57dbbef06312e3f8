//! Fallible allocation for everything whose size depends on the tools or the reply.

use std::collections::TryReserveError;
use std::fmt::{self, Write as _};
use std::io;
use std::ops::Deref;

use serde::Serialize;

/// The system refused memory for the tools' schemas, the grammar of their calls, or a reply.
///
/// More memory may be free later; fewer or shorter tools and shorter replies need less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "out of memory for the tools or the reply: free some, give fewer or shorter tools, or end the reply earlier"
)]
pub struct OutOfMemory;

impl From<TryReserveError> for OutOfMemory {
    fn from(_: TryReserveError) -> Self {
        Self
    }
}

/// The result of a function that allocates.
pub(crate) type R<T> = Result<T, OutOfMemory>;

/// `Vec::push` that fails if memory is refused.
#[inline]
pub(crate) fn push<T>(list: &mut Vec<T>, item: T) -> R<()> {
    if list.len() == list.capacity() {
        list.try_reserve(1)?;
    }
    list.push(item);
    Ok(())
}

/// `Iterator::collect` that fails if memory is refused.
pub(crate) fn gathered<T>(items: impl IntoIterator<Item = T>) -> R<Vec<T>> {
    let mut list = Vec::new();
    items.into_iter().try_for_each(|item| push(&mut list, item))?;
    Ok(list)
}

/// `Box::new` that may fail. An array of one is what can be made without a panic in between.
pub(crate) fn boxed<T>(item: T) -> R<Box<[T; 1]>> {
    let mut list = Vec::new();
    list.try_reserve_exact(1)?;
    list.push(item);
    list.try_into().map_err(|_| OutOfMemory)
}

/// Room for more of a text.
#[inline]
fn room(text: &mut String, more: usize) -> R<()> {
    // A reply grows by single characters, in several texts at once. Calling `try_reserve` for each of them took an eighth of the
    // instructions of a parse.
    if text.capacity() - text.len() >= more { Ok(()) } else { grow(text, more) }
}

#[cold]
fn grow(text: &mut String, more: usize) -> R<()> {
    Ok(text.try_reserve(more)?)
}

/// `String::push_str` that may fail.
#[inline]
pub(crate) fn add(text: &mut String, more: &str) -> R<()> {
    room(text, more.len())?;
    text.push_str(more);
    Ok(())
}

/// `to_owned` that may fail.
pub(crate) fn copied(text: &str) -> R<String> {
    let mut copy = String::new();
    copy.try_reserve_exact(text.len())?;
    copy.push_str(text);
    Ok(copy)
}

/// As [`copied`], of a text that will grow: with room for a few bytes more.
pub(crate) fn begun(text: &str) -> R<String> {
    let mut copy = String::new();
    add(&mut copy, text)?;
    Ok(copy)
}

/// `format!` that fails if memory is refused.
macro_rules! text {
    ($($part:tt)*) => { $crate::memory::formatted(format_args!($($part)*)) };
}
pub(crate) use text;

/// The function that [`text!`] calls.
pub(crate) fn formatted(parts: fmt::Arguments<'_>) -> R<String> {
    let mut text = Text::default();
    text.write_fmt(parts).map_err(|_| OutOfMemory)?;
    Ok(text.0)
}

/// `[T]::join` that fails if memory is refused.
pub(crate) fn joined(texts: impl IntoIterator<Item = impl AsRef<str>>, between: &str) -> R<String> {
    let mut all = Text::default();
    for (i, text) in texts.into_iter().enumerate() {
        all.add(if i > 0 { between } else { "" })?;
        all.add(text.as_ref())?;
    }
    Ok(all.0)
}

/// Writes a value as compact JSON.
pub(crate) fn json_text(value: &(impl Serialize + ?Sized)) -> R<String> {
    let mut text = Text::default();
    serde_json::to_writer(&mut text, value).map_err(|_| OutOfMemory)?;
    Ok(text.0)
}

/// A text that grows fallibly, and in no other way.
#[derive(Debug, Default)]
pub(crate) struct Text(pub(crate) String);

impl Text {
    #[inline]
    pub(crate) fn add(&mut self, more: &str) -> R<()> {
        add(&mut self.0, more)
    }

    #[inline]
    pub(crate) fn add_char(&mut self, c: char) -> R<()> {
        room(&mut self.0, c.len_utf8())?;
        self.0.push(c);
        Ok(())
    }

    /// Empties it, and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        self.add(more).map_err(|_| fmt::Error)
    }
}

/// For `serde_json`, which writes whole characters.
impl io::Write for Text {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(more).map_err(|_| io::ErrorKind::InvalidData)?;
        self.add(text).map_err(|_| io::ErrorKind::OutOfMemory)?;
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
