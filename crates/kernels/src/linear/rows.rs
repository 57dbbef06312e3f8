//! The rows of a matrix whose blocks portable code unpacks, one unit at a time.

use super::source::Source;
use super::unit::Unit;
use crate::acts::Acts;

/// Rows of blocks, and where the units lie in them.
pub(crate) struct Rows<'a, S> {
    blocks: &'a [S],
    /// Blocks in a row.
    row: usize,
    last: usize,
}

impl<'a, S: Source> Rows<'a, S> {
    /// Makes rows `0 .. count` of `w`, each as long as those of `x`.
    #[inline(always)]
    pub(crate) fn new(w: &'a [u8], x: Acts<'_>, count: usize) -> Self {
        let row = (x.k / S::Unit::LEN).saturating_mul(S::Unit::REPEAT) / S::PARTS;
        x.assert_fits(S::Unit::KIND, w, count, row.saturating_mul(size_of::<S>()));
        Self { blocks: S::blocks(w), row, last: count.saturating_sub(1) }
    }

    /// Returns the number of units in a row.
    #[inline(always)]
    pub(crate) fn units(&self) -> usize {
        self.row * S::PARTS
    }

    /// Returns unit `u` of a row. Rows past the end repeat the last one; their results are not stored.
    #[inline(always)]
    pub(crate) fn unit(&self, row: usize, u: usize) -> S::Unit {
        self.blocks[row.min(self.last) * self.row + u / S::PARTS].unit(u % S::PARTS)
    }
}
