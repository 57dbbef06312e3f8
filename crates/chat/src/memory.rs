//! Memory that may be refused, for what grows with the tools.

use std::collections::TryReserveError;
use std::fmt::{self, Write as _};
use std::io;

use serde::Serialize;

/// The system refused memory for what is made of the tools. More may be free later; fewer or shorter tools need less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "out of memory for the tools' schemas and the grammar of their calls: free some, or give fewer or shorter tools"
)]
pub struct OutOfMemory;

impl From<TryReserveError> for OutOfMemory {
    fn from(_: TryReserveError) -> Self {
        Self
    }
}

/// A result of what may be refused memory.
pub(crate) type R<T> = Result<T, OutOfMemory>;

/// `Vec::push` that may fail.
pub(crate) fn push<T>(list: &mut Vec<T>, item: T) -> R<()> {
    list.try_reserve(1)?;
    list.push(item);
    Ok(())
}

/// `Iterator::collect` that may fail.
pub(crate) fn gathered<T>(items: impl IntoIterator<Item = T>) -> R<Vec<T>> {
    let mut list = Vec::new();
    items.into_iter().try_for_each(|item| push(&mut list, item))?;
    Ok(list)
}

/// `format!` that may fail.
macro_rules! text {
    ($($part:tt)*) => { $crate::memory::formatted(format_args!($($part)*)) };
}
pub(crate) use text;

/// What [`text!`] calls.
pub(crate) fn formatted(parts: fmt::Arguments<'_>) -> R<String> {
    let mut text = Text::default();
    text.write_fmt(parts).map_err(|_| OutOfMemory)?;
    Ok(text.0)
}

/// `[T]::join` that may fail.
pub(crate) fn joined(texts: impl IntoIterator<Item = impl AsRef<str>>, between: &str) -> R<String> {
    let mut all = Text::default();
    for (i, text) in texts.into_iter().enumerate() {
        all.add(if i > 0 { between } else { "" })?;
        all.add(text.as_ref())?;
    }
    Ok(all.0)
}

/// A value as compact JSON.
pub(crate) fn json_text(value: &(impl Serialize + ?Sized)) -> R<String> {
    let mut text = Text::default();
    serde_json::to_writer(&mut text, value).map_err(|_| OutOfMemory)?;
    Ok(text.0)
}

/// A text that grows fallibly.
#[derive(Debug, Default)]
pub(crate) struct Text(pub(crate) String);

impl Text {
    pub(crate) fn add(&mut self, more: &str) -> R<()> {
        self.0.try_reserve(more.len())?;
        self.0.push_str(more);
        Ok(())
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        self.add(more).map_err(|_| fmt::Error)
    }
}

/// For serde_json, which writes whole characters.
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
