//! Exports and restores a sequence position by position. That lets a file grow with its sequence: what was written for earlier positions
//! needn't be written again.
//!
//! ```text
//! row of a group   K and V of one position: for each layer with its own, K [kv head][head_dim_k], then V [kv head][head_dim_v]
//! needed rows      of a group, at some length: from the first page that the next position sees to the end
//! state            the f32 values of the recurrent layers after the last position
//! ```
//!
//! Everything is little-endian. [`KvCache::export`](super::KvCache::export) writes the same in one piece.

use std::ops::Range;

use happy_kernels::ops::KV_PAGE;

use super::KvCache;
use super::export::fingerprint;
use super::layout::{KvLayout, KvType};
use super::pool::{read, write};
use crate::error::KvError;
use crate::reserve::collected;

/// What two caches must have in common, so that one can go on with what the other computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvShape {
    /// How keys and values are stored.
    pub kind: KvType,
    /// A number that differs between layouts with other layers, heads, windows or states.
    pub layout: u64,
    /// Whether keys are rotated with the factors for long contexts.
    pub long: bool,
}

/// Returns where the parts of a row are: ranges of values in the row's page.
fn parts(layout: &KvLayout, group: usize, slot: usize) -> impl Iterator<Item = Range<usize>> + '_ {
    let layers = layout.layers.iter().filter(move |l| l.owns && l.group == group);
    layers.flat_map(move |l| {
        let both = [(l.k_offset, l.head_dim_k), (l.v_offset, l.head_dim_v)].into_iter();
        let n = if l.v_offset == l.k_offset { 1 } else { 2 };
        both.take(n).flat_map(move |(offset, dim)| {
            (0..l.n_kv_heads).map(move |head| {
                let first = offset + (head * KV_PAGE + slot) * dim;
                first..first + dim
            })
        })
    })
}

impl KvCache {
    /// Returns what another cache must have in common with this one, to go on with its sequences.
    pub fn shape(&self) -> KvShape {
        KvShape { kind: self.options.kind, layout: fingerprint(&self.layout), long: self.long }
    }

    /// Returns the number of groups of layers that store keys and values. The layers of a group see the same positions.
    pub fn n_groups(&self) -> usize {
        self.groups.len()
    }

    /// Returns how many bytes a row has: the keys and values of one position in all layers of a group. For an unknown group, it is 0.
    pub fn row_bytes(&self, group: usize) -> usize {
        self.options.kind.bytes_of(parts(&self.layout, group, 0).map(|part| part.len()).sum())
    }

    /// Returns how many bytes the state of a sequence with at least one position has. For a model without recurrent layers, it is 0.
    pub fn state_bytes(&self) -> usize {
        self.layout.state_elements * size_of::<f32>()
    }

    /// Returns the positions that the layers of a group still need, in a sequence of `len` positions. For layers with a window they start
    /// at the beginning of a page, so that the sequence can still be shortened within that page.
    pub fn needed_rows(&self, group: usize, len: usize) -> Range<usize> {
        let first = self.groups.get(group).map_or(len, |group| group.seen_pages(len).start * KV_PAGE);
        first.min(len)..len
    }

    /// Appends rows of a sequence to `out`.
    ///
    /// # Errors
    /// If the sequence is unknown or no longer has these rows, or memory can't be reserved.
    pub fn export_rows(
        &self,
        sequence: u32,
        group: usize,
        rows: Range<usize>,
        out: &mut Vec<u8>,
    ) -> Result<(), KvError> {
        let len = self.sequence(sequence)?;
        let missing = KvError::Import { problem: "the sequence does not hold these positions" };
        let Some(found) = self.groups.get(group).filter(|_| rows.end <= len) else { return Err(missing) };
        let bytes = rows.len().saturating_mul(self.row_bytes(group));
        out.try_reserve(bytes).map_err(|_| KvError::Memory { bytes, what: "exported rows" })?;
        for position in rows {
            let Some(page) =
                found.table(sequence).get(position / KV_PAGE).filter(|p| **p != super::group::GONE)
            else {
                return Err(missing);
            };
            let base = *page as usize * found.pool.stride();
            for part in parts(&self.layout, group, position % KV_PAGE) {
                let part = base + part.start..base + part.end;
                found.pool.data().write(part, out);
            }
        }
        Ok(())
    }

    /// Appends a part of the state of a sequence after its first `len` positions to `out`: the f32 values with these indices.
    ///
    /// # Errors
    /// If the sequence is unknown or its state doesn't have these values, or memory can't be reserved.
    pub fn export_state(
        &self,
        sequence: u32,
        len: usize,
        values: Range<usize>,
        out: &mut Vec<u8>,
    ) -> Result<(), KvError> {
        self.sequence(sequence)?;
        let state = self.state_at(sequence, len);
        let state = state.and_then(|state| self.states.values(state).get(values.clone()));
        let Some(state) = state else {
            return Err(KvError::Import { problem: "the sequence has no such state" });
        };
        let bytes = size_of_val(state);
        out.try_reserve(bytes).map_err(|_| KvError::Memory { bytes, what: "exported state" })?;
        write(Some(state), f32::to_le_bytes, out);
        Ok(())
    }

    /// Starts to replace a sequence by one of `len` positions, whose rows and state are passed to the returned value. The sequence is empty
    /// until [`KvRestore::finish`].
    ///
    /// # Errors
    /// If the sequence is unknown, `len` is longer than the context, or there are too few pages. The sequence then stays as it was.
    pub fn restore(&mut self, sequence: u32, len: usize) -> Result<KvRestore<'_>, KvError> {
        let found = self.sequence(sequence)?;
        let n_ctx = self.options.n_ctx;
        if len > n_ctx {
            return Err(KvError::Context { sequence, len: found, needed: len, n_ctx });
        }
        for group in &self.groups {
            let (needed, free) = (group.seen_pages(len).len(), group.free_without(sequence));
            if needed > free {
                return Err(KvError::Full { needed, free, total: group.pool.n(), page: KV_PAGE });
            }
        }
        let first = (0..self.groups.len()).map(|group| self.needed_rows(group, len).start);
        let next = collected(self.groups.len(), first).map_err(|e| e.of("restored rows"))?;
        self.clear(sequence)?;
        for group in &mut self.groups {
            group.take_seen(sequence, len);
        }
        let state = if len > 0 && self.layout.state_elements > 0 { self.states.pool.take() } else { None };
        Ok(KvRestore { kv: self, sequence, len, next, state, state_bytes: 0, done: false })
    }
}

/// A sequence whose rows are being restored one after the other: see [`KvCache::restore`]. If it is dropped before
/// [`finish`](Self::finish), the sequence is empty.
pub struct KvRestore<'a> {
    kv: &'a mut KvCache,
    sequence: u32,
    len: usize,
    /// The next position of each group.
    next: Vec<usize>,
    state: Option<u32>,
    /// How many bytes of the state have been restored.
    state_bytes: usize,
    done: bool,
}

impl KvRestore<'_> {
    /// Restores the next rows of a group. They come in ascending order, from the first [needed](KvCache::needed_rows) row on.
    ///
    /// # Errors
    /// If the bytes are not full rows, or there are more rows than positions.
    pub fn rows(&mut self, group: usize, bytes: &[u8]) -> Result<(), KvError> {
        let row_bytes = self.kv.row_bytes(group);
        let problem = KvError::Import { problem: "its rows do not fit its positions" };
        let (Some(next), false) = (self.next.get_mut(group), row_bytes == 0) else { return Err(problem) };
        let end = *next + bytes.len() / row_bytes;
        if !bytes.len().is_multiple_of(row_bytes) || end > self.len {
            return Err(problem);
        }
        let KvCache { groups, layout, .. } = &mut *self.kv;
        let Some(group_of) = groups.get_mut(group) else { return Err(problem) };
        let mut rest = bytes;
        for position in *next..end {
            let page = group_of.table(self.sequence).get(position / KV_PAGE).copied().unwrap_or(0);
            let base = page as usize * group_of.pool.stride();
            for part in parts(layout, group, position % KV_PAGE) {
                let part = base + part.start..base + part.end;
                rest = group_of.pool.data_mut().read(part, rest);
            }
        }
        *next = end;
        Ok(())
    }

    /// Restores the next bytes of the state.
    ///
    /// # Errors
    /// If there are more bytes than the state has, or the last value is incomplete.
    pub fn state(&mut self, bytes: &[u8]) -> Result<(), KvError> {
        let (first, n) = (self.state_bytes / size_of::<f32>(), bytes.len() / size_of::<f32>());
        let to = self.state.map(|state| self.kv.states.values_mut(state));
        let to = to.and_then(|values| values.get_mut(first..first + n));
        if to.is_none() || !bytes.len().is_multiple_of(size_of::<f32>()) {
            return Err(KvError::Import { problem: "its state does not fit the model" });
        }
        read(bytes, to, f32::from_le_bytes);
        self.state_bytes += bytes.len();
        Ok(())
    }

    /// Ends the restoration: from now on, the sequence has its positions.
    ///
    /// # Errors
    /// If rows or values of the state are missing. The sequence is then empty.
    pub fn finish(mut self) -> Result<(), KvError> {
        let state_bytes = if self.len == 0 { 0 } else { self.kv.state_bytes() };
        if self.next.iter().any(|next| *next != self.len) || self.state_bytes != state_bytes {
            return Err(KvError::Import { problem: "some of its rows are missing" });
        }
        self.kv.states.set(self.sequence, self.state.take());
        self.kv.set_len(self.sequence, self.len);
        self.done = true;
        Ok(())
    }
}

impl Drop for KvRestore<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        for group in &mut self.kv.groups {
            group.shrink(self.sequence, 0);
        }
        if let Some(state) = self.state.take() {
            self.kv.states.pool.release(state);
        }
    }
}
