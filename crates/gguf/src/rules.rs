//! The parser's parameters: bounds, strictness, and the length of the file.

use alloc::format;
use alloc::vec::Vec;

use crate::error::{ParseError, ParseErrorKind as Kind};
use crate::limits::Limits;

/// How to read; passed to every step of a parse.
#[derive(Clone, Debug)]
pub(crate) struct Rules<'l> {
    pub(crate) limits: &'l Limits,
    /// Accepts bools other than 0 and 1, and misaligned tensors.
    pub(crate) lenient: bool,
    /// The length of the file, of which the available bytes may be only the beginning; `None` if it is unknown.
    pub(crate) file_len: Option<u64>,
}

impl Rules<'static> {
    /// For walking over bytes that were parsed before.
    pub(crate) const PARSED: Self = Rules { limits: &Limits::UNBOUNDED, lenient: true, file_len: None };
}

pub(crate) fn within(n: u64, limit: u64, offset: u64, what: &str) -> Result<(), ParseError> {
    if n > limit {
        let expected = format!("at most {limit} {what}");
        return Err(ParseError::new(Kind::LimitExceeded, offset, expected, format!("{n}")));
    }
    Ok(())
}

/// A vector with room for exactly `n` items. Fails instead of aborting if memory is refused.
pub(crate) fn reserve<T>(n: u64) -> Result<Vec<T>, ParseError> {
    let mut items = Vec::new();
    let reserved = usize::try_from(n).ok().and_then(|n| items.try_reserve_exact(n).ok());
    reserved.map(|()| items).ok_or_else(|| {
        let expected = format!("memory for {n} index entries of {} bytes", size_of::<T>());
        ParseError::new(Kind::OutOfMemory, 0, expected, "none")
    })
}
