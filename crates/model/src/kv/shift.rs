//! Drops positions in the middle of a sequence, so that a full context has room again.
//!
//! ```text
//! before   [0 .. keep) [keep .. keep + dropped) [keep + dropped .. len)
//! after    [0 .. keep) [keep .. len - dropped)    keys turned back by `dropped` positions, values and states as they were
//! ```
//!
//! `keep` and `dropped` are whole pages, so pages leave the tables and no row is copied. A page that others share is copied before its
//! keys change. The order of the numbers is in docs/numerics.md.
//!
//! The sequence is then not what its tokens would compute: the keys and values that stay have seen the dropped positions.

use happy_kernels::ops::{KV_PAGE, Ops, RopePairing};

use super::KvCache;
use super::group::{GONE, Group};
use super::pool::Data;
use crate::error::KvError;

/// The rotation of a layer's keys: cosines and sines of a head, and its pairs.
pub(crate) type Turn<'a> = (&'a [f32], RopePairing);

impl Group {
    /// Returns whether the next position still sees all that it should after pages `keep .. keep + dropped` of a sequence are gone.
    fn can_drop(&self, sequence: u32, len: usize, keep: usize, dropped: usize) -> bool {
        let seen = self.seen_pages(len - dropped * KV_PAGE);
        let entry = if seen.start < keep { seen.start } else { seen.start + dropped };
        seen.is_empty() || self.table(sequence).get(entry).is_some_and(|page| *page != GONE)
    }

    /// Returns how many pages must be free to drop these, and how many become free.
    fn drop_needs(&self, sequence: u32, keep: usize, dropped: usize) -> (usize, usize) {
        let (_, rest) = self.table(sequence).split_at_checked(keep).unwrap_or_default();
        let (gone, moved) = rest.split_at_checked(dropped).unwrap_or_default();
        let owners = |pages: &[u32], fits: fn(usize) -> bool| {
            pages.iter().filter(|page| **page != GONE && fits(self.pool.owners(**page))).count()
        };
        (owners(moved, |n| n > 1), owners(gone, |n| n == 1))
    }

    /// Removes pages from a table, and copies those after them that others share. The caller has checked that there are enough.
    fn drop_pages(&mut self, sequence: u32, keep: usize, dropped: usize) {
        let Some(table) = self.tables.get_mut(sequence as usize) else { return };
        let end = table.len().min(keep + dropped);
        for page in table.drain(keep.min(end)..end).filter(|page| *page != GONE) {
            self.pool.release(page);
        }
        for page in table.iter_mut().skip(keep).filter(|page| **page != GONE) {
            if self.pool.owners(*page) > 1
                && let Some(own) = self.pool.take()
            {
                self.pool.copy(*page, own);
                self.pool.release(*page);
                *page = own;
            }
        }
    }
}

impl KvCache {
    /// Returns how many positions of a sequence can be dropped after its first page: about half of them, whole pages. 0 if there are too
    /// few, or windows reach so far back that they would miss positions.
    ///
    /// # Errors
    /// If the sequence is unknown.
    pub fn droppable(&self, sequence: u32) -> Result<usize, KvError> {
        let len = self.sequence(sequence)?;
        let after = (len / KV_PAGE).saturating_sub(1);
        let fits = |n: &usize| self.groups.iter().all(|group| group.can_drop(sequence, len, 1, *n));
        Ok((1..=after.div_ceil(2)).rev().find(fits).unwrap_or(0) * KV_PAGE)
    }

    /// Drops `dropped` positions of a sequence after its first page. `turn` has the rotation by `-dropped` of the keys of each layer
    /// that has one, `spare` has room for a row of keys. The sequence can no longer go back to snapshots of later positions.
    ///
    /// # Errors
    /// If the sequence is unknown, these positions can't be dropped ([`droppable`](Self::droppable)), or there are too few free pages
    /// for copies of those that other sequences share. The sequence then stays as it was, but for its snapshots.
    pub(crate) fn shift<'a>(
        &mut self,
        (sequence, dropped): (u32, usize),
        ops: &Ops,
        turn: impl Fn(usize) -> Option<Turn<'a>>,
        spare: &mut [f32],
    ) -> Result<(), KvError> {
        let (len, pages) = (self.sequence(sequence)?, dropped / KV_PAGE);
        if !dropped.is_multiple_of(KV_PAGE) || dropped > self.droppable(sequence)? {
            return Err(KvError::Truncate { sequence, len, to: len.saturating_sub(dropped) });
        }
        self.snapshots.drop_after(sequence, KV_PAGE, &mut self.groups, &mut self.states);
        self.states.drop_rows(sequence);
        for group in &self.groups {
            let (needed, freed) = group.drop_needs(sequence, 1, pages);
            let free = group.pool.n_free() + freed;
            if needed > free {
                return Err(KvError::Full { needed, free, total: group.pool.n(), page: KV_PAGE });
            }
        }
        self.groups.iter_mut().for_each(|group| group.drop_pages(sequence, 1, pages));
        self.set_len(sequence, len - dropped);
        for (index, layer) in self.layout.layers.iter().enumerate().filter(|(_, layer)| layer.owns) {
            let (Some(group), Some(turn)) = (self.groups.get_mut(layer.group), turn(index)) else { continue };
            let (n, dim) = (len - dropped, layer.head_dim_k);
            for entry in 1..n.div_ceil(KV_PAGE) {
                let page = group.table(sequence).get(entry).copied().filter(|page| *page != GONE);
                let Some(page) = page else { continue };
                let base = page as usize * group.pool.stride() + layer.k_offset;
                let rows = (n - entry * KV_PAGE).min(KV_PAGE);
                for head in 0..layer.n_kv_heads {
                    let first = base + head * KV_PAGE * dim;
                    turn_keys(group.pool.data_mut(), (first, rows * dim), dim, ops, turn, spare);
                }
            }
        }
        Ok(())
    }
}

/// Turns `n` values of consecutive rows of a head, from value `first` on.
fn turn_keys(
    data: &mut Data,
    (first, n): (usize, usize),
    dim: usize,
    ops: &Ops,
    (cos_sin, pairing): Turn<'_>,
    spare: &mut [f32],
) {
    match data {
        Data::F32(keys) => {
            if let Some(keys) = keys.get_mut(first..first + n) {
                (ops.rope)(keys, dim, cos_sin, pairing);
            }
        }
        Data::F16(keys) => {
            let whole = spare.len() / dim.max(1) * dim;
            let keys = keys.get_mut(first..first + n).unwrap_or_default();
            for keys in keys.chunks_mut(whole.max(1)) {
                let Some(spare) = spare.get_mut(..keys.len()) else { continue };
                (ops.from_f16)(keys, spare);
                (ops.rope)(spare, dim, cos_sin, pairing);
                (ops.to_f16)(spare, keys);
            }
        }
        // Models with such a cache are refused before.
        Data::Q8_0(_) => {}
    }
}
