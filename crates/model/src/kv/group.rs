//! The pages of a group of layers that see the same positions.

use std::ops::Range;

use happy_kernels::ops::KV_PAGE;

use super::layout::GroupLayout;
use super::options::Sizes;
use super::pool::Pool;
use crate::buffers::Buffers;
use crate::error::KvError;
use crate::reserve::{NoMemory, reserved};

/// The entry in a page table of a page that was released because no window sees its positions any longer.
pub(super) const GONE: u32 = u32::MAX;

/// Pages and page tables of the layers that see the same positions.
pub(super) struct Group {
    pub(super) window: Option<u32>,
    pub(super) pool: Pool,
    /// `tables[sequence][i]` is the page of the positions from `i * KV_PAGE` on, or [`GONE`]. There is no gap between pages.
    pub(super) tables: Vec<Vec<u32>>,
}

impl Group {
    /// Lists the buffers of a group.
    pub(super) fn build(layout: &GroupLayout, sizes: &Sizes, memory: &mut Buffers) -> Result<Self, KvError> {
        let (n_pages, options) = (sizes.group_pages(layout.window), &sizes.options);
        let mut table = options.n_ctx.div_ceil(KV_PAGE);
        if layout.window.is_none() {
            table = table.min(n_pages);
        }
        let table_bytes = size_of::<Vec<u32>>().saturating_add(table.saturating_mul(size_of::<u32>()));
        Ok(Group {
            window: layout.window,
            pool: Pool::build(memory, options.kind, layout.page_elements, n_pages)?,
            tables: memory.part(options.n_sequences.saturating_mul(table_bytes), || {
                let mut tables = reserved(options.n_sequences)?;
                for _ in 0..options.n_sequences {
                    tables.push(reserved(table)?);
                }
                Ok::<_, NoMemory>(tables)
            })?,
        })
    }

    pub(super) fn table(&self, sequence: u32) -> &[u32] {
        self.tables.get(sequence as usize).map_or(&[], Vec::as_slice)
    }

    /// Returns the first position that a row at position `next` sees.
    fn seen_from(&self, next: usize) -> usize {
        self.window.map_or(0, |window| next.saturating_sub((window as usize).saturating_sub(1)))
    }

    /// Returns whether the sequence has every page with positions that a row at position `next` sees.
    pub(super) fn has_seen(&self, sequence: u32, next: usize) -> bool {
        let pages = self.seen_pages(next);
        pages.is_empty() || self.table(sequence).get(pages.start).is_some_and(|page| *page != GONE)
    }

    /// Returns the page that position `len` continues, if it is partly filled. If it is shared, it must be copied before it is
    /// written to.
    fn tail(&self, sequence: u32, len: usize) -> Option<u32> {
        self.table(sequence).get(len / KV_PAGE).copied().filter(|_| !len.is_multiple_of(KV_PAGE))
    }

    /// Returns how many pages must be taken before each sequence's positions (`(sequence, len .. end)`) can be written.
    pub(super) fn needed(&self, rows: impl Iterator<Item = (u32, Range<usize>)> + Clone) -> usize {
        let count = |(i, (sequence, positions)): (usize, (u32, Range<usize>))| {
            let more = positions.end.div_ceil(KV_PAGE).saturating_sub(self.table(sequence).len());
            let copied = self.tail(sequence, positions.start).is_some_and(|page| {
                // Each sequence of the batch that comes before has taken a copy, and left the page to one owner fewer. The
                // last owner writes in place.
                let same = |(of, at): &(u32, Range<usize>)| self.tail(*of, at.start) == Some(page);
                self.pool.owners(page) > 1 + rows.clone().take(i).filter(same).count()
            });
            more + usize::from(copied)
        };
        rows.clone().enumerate().map(count).sum()
    }

    /// Takes the pages for positions `len .. end`. The caller has checked that there are enough.
    pub(super) fn grow(&mut self, sequence: u32, len: usize, end: usize) {
        let shared = self.tail(sequence, len).is_some_and(|page| self.pool.owners(page) > 1);
        let Some(table) = self.tables.get_mut(sequence as usize) else { return };
        if shared
            && let Some(slot) = table.get_mut(len / KV_PAGE)
            && let Some(own) = self.pool.take()
        {
            self.pool.copy(*slot, own);
            self.pool.release(*slot);
            *slot = own;
        }
        for _ in table.len()..end.div_ceil(KV_PAGE) {
            if let Some(page) = self.pool.take() {
                table.push(page);
            }
        }
    }

    /// Releases the pages that `len` positions don't need.
    pub(super) fn shrink(&mut self, sequence: u32, len: usize) {
        let Some(table) = self.tables.get_mut(sequence as usize) else { return };
        let keep = len.div_ceil(KV_PAGE).min(table.len());
        for page in table.drain(keep..).filter(|page| *page != GONE) {
            self.pool.release(page);
        }
    }

    /// Releases the pages that no row can see any longer if the sequence is never shortened to fewer than `len` positions.
    pub(super) fn slide(&mut self, sequence: u32, len: usize) {
        let gone = self.seen_from(len) / KV_PAGE;
        let Some(table) = self.tables.get_mut(sequence as usize) else { return };
        let pages = table.iter_mut().take(gone).rev().take_while(|page| **page != GONE);
        for page in pages {
            self.pool.release(*page);
            *page = GONE;
        }
    }

    /// Gives sequence `to`, which is empty, the pages of `from`.
    pub(super) fn fork(&mut self, from: u32, to: u32) {
        let Ok([from, to]) = self.tables.get_disjoint_mut([from as usize, to as usize]) else { return };
        for page in from.iter().filter(|page| **page != GONE) {
            self.pool.share(*page);
        }
        to.extend_from_slice(from);
    }

    /// Returns the indices in the page table of the pages with earlier positions that a row at position `next` sees. If that row continues
    /// a page, the page is among them.
    pub(super) fn seen_pages(&self, next: usize) -> Range<usize> {
        self.seen_from(next) / KV_PAGE..next.div_ceil(KV_PAGE)
    }

    /// Writes the pages that the window sees before position `next` to `pages`, and adds an owner to each; other entries of `pages` become
    /// [`GONE`]. A group that sees every position shares no pages.
    pub(super) fn share_seen(&mut self, sequence: u32, next: usize, pages: &mut [u32]) {
        pages.fill(GONE);
        let seen = self.seen_pages(next);
        let Some(seen) = self.tables.get(sequence as usize).and_then(|table| table.get(seen)) else { return };
        for (to, page) in pages.iter_mut().zip(seen) {
            self.pool.share(*page);
            *to = *page;
        }
    }

    /// Takes the sequence back to `position` positions; `pages` has the pages that the window sees there. A group that sees every position
    /// still has its pages.
    pub(super) fn restore(&mut self, sequence: u32, position: usize, pages: &[u32]) {
        if self.window.is_none() {
            return self.shrink(sequence, position);
        }
        self.shrink(sequence, 0);
        let seen = self.seen_pages(position);
        let Some(table) = self.tables.get_mut(sequence as usize) else { return };
        table.resize(seen.start, GONE);
        for page in pages.iter().take(seen.len()) {
            self.pool.share(*page);
            table.push(*page);
        }
    }

    /// Gives an empty sequence new pages for the positions that a row at position `next` sees. The caller has checked that there are
    /// enough.
    pub(super) fn take_seen(&mut self, sequence: u32, next: usize) {
        let seen = self.seen_pages(next);
        let Some(table) = self.tables.get_mut(sequence as usize) else { return };
        table.resize(seen.start, GONE);
        for _ in seen {
            if let Some(page) = self.pool.take() {
                table.push(page);
            }
        }
    }

    /// Returns how many pages would be free if the sequence were cleared.
    pub(super) fn free_without(&self, sequence: u32) -> usize {
        let own = self.table(sequence).iter().filter(|page| **page != GONE && self.pool.owners(**page) <= 1);
        self.pool.n_free() + own.count()
    }
}
