//! Destinations for tokens: a list of ids, a count, or ids with the bytes of the text that they stand for.

use crate::reserve::Reserve;
use crate::{TokenId, TokenizerError};
use std::ops::Range;

/// Receives tokens in order.
pub(crate) trait Sink {
    /// Whether positions are kept; if not, they are not computed.
    const SPANS: bool;

    /// Adds a token, with the bytes of the fragment (as the kind's encoder sees it) that became it.
    fn push(&mut self, id: TokenId, start: usize, end: usize) -> Result<(), TokenizerError>;

    /// The number of tokens so far.
    fn count(&self) -> usize;

    /// Tells that the tokens from `from` on belong to a fragment that begins at `base` in the text. `origins` has an
    /// entry for each byte that the encoder saw, or is empty if it saw the text itself.
    fn place(&mut self, from: usize, base: usize, origins: &Origins) {
        let _ = (from, base, origins);
    }
}

/// For each byte that an encoder saw, the bytes of the fragment that it was made from.
#[derive(Debug, Default)]
pub(crate) struct Origins(Vec<(u32, u32)>);

impl Origins {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Records that `count` bytes were made from the fragment's bytes `start..end`.
    pub(crate) fn extend(&mut self, count: usize, start: usize, end: usize) -> Result<(), TokenizerError> {
        self.0.fill_to(self.0.len() + count, (start as u32, end as u32))
    }

    pub(crate) fn shrink(&mut self, keep: usize) {
        self.0.keep(keep);
    }
}

impl Sink for Vec<TokenId> {
    const SPANS: bool = false;

    #[inline]
    fn push(&mut self, id: TokenId, _start: usize, _end: usize) -> Result<(), TokenizerError> {
        self.add(id)
    }

    fn count(&self) -> usize {
        self.len()
    }
}

/// Only counts the tokens.
#[derive(Debug, Default)]
pub(crate) struct Count(pub(crate) usize);

impl Sink for Count {
    const SPANS: bool = false;

    #[inline]
    fn push(&mut self, _id: TokenId, _start: usize, _end: usize) -> Result<(), TokenizerError> {
        self.0 += 1;
        Ok(())
    }

    fn count(&self) -> usize {
        self.0
    }
}

/// Ids, each with its bytes of the text.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    pub(crate) ids: Vec<TokenId>,
    pub(crate) ranges: Vec<Range<usize>>,
}

impl Sink for Spans {
    const SPANS: bool = true;

    fn push(&mut self, id: TokenId, start: usize, end: usize) -> Result<(), TokenizerError> {
        self.ids.add(id)?;
        self.ranges.add(start..end)
    }

    fn count(&self) -> usize {
        self.ids.len()
    }

    fn place(&mut self, from: usize, base: usize, origins: &Origins) {
        for range in self.ranges.get_mut(from..).unwrap_or(&mut []) {
            if !origins.0.is_empty() {
                let start = origins.0.get(range.start).map_or(0, |o| o.0 as usize);
                let end = origins.0.get(range.end.saturating_sub(1)).map_or(start, |o| o.1 as usize);
                *range = start..end.max(start);
            }
            *range = base + range.start..base + range.end;
        }
    }
}
