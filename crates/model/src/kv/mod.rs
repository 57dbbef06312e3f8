//! The memory of sequences: keys and values in pages, and the states of recurrent layers.
//!
//! ```text
//! group:     the layers that see the same positions (all of them, or a window); each group has a pool of pages, and a page
//!            table for each sequence. A layer without attention, or that reads another layer's keys and values, owns nothing
//! page:      K and V of the group's layers, for KV_PAGE consecutive positions of one sequence
//!            in f32, f16 or blocks of int8 (a Q8_0 cache);
//!            layer l at k_offset(l):  K [kv head][KV_PAGE][head_dim_k],  at v_offset(l):  V [kv head][KV_PAGE][head_dim_v]
//! table:     table[sequence][i] is the page of the positions from i * KV_PAGE on. Pages count their owners, and forks share
//!            them. A page is released when no window sees its positions any longer, even after a rollback
//! state:     the f32 values of all recurrent layers of a sequence at one position. States count their owners too, and don't
//!            change once they belong to a sequence
//! snapshot:  the state at a position, and the pages that windows see there: what a sequence needs to go back to it
//! ```
//!
//! A page that several sequences share is never written to: a sequence that appends to a shared, partly filled page copies it first. Each
//! pool is reserved once, which may fail with an error, and becomes resident as it is used.

mod export;
mod group;
mod layout;
mod options;
mod pages;
mod pool;
mod rows;
mod shift;
mod snapshots;
mod states;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use happy_kernels::ops::KV_PAGE;

use crate::batch::Batch;
use crate::buffers::{Buffers, counted};
use crate::error::KvError;
use crate::spec::ModelSpec;
use group::Group;
pub use layout::KvType;
pub(crate) use layout::{GroupLayout, KvLayout, LayerLayout, groups, state_elements};
pub use options::KvOptions;
pub(crate) use pages::Pages;
pub use rows::{KvRestore, KvShape};
use snapshots::{INTERVAL, Snapshots};
use states::States;

/// Keys, values and states of all layers for several sequences.
pub struct KvCache {
    layout: KvLayout,
    options: KvOptions,
    groups: Vec<Group>,
    states: States,
    snapshots: Snapshots,
    /// The number of positions in each sequence.
    lens: Vec<usize>,
    /// Whether keys were rotated with the factors for long contexts.
    long: bool,
}

impl KvCache {
    /// Makes a cache for models with this specification.
    ///
    /// # Errors
    /// If memory cannot be reserved, or the model's keys and values can't be stored in this way ([`KvType::check`]).
    pub fn new(spec: &ModelSpec, options: KvOptions) -> Result<Self, KvError> {
        options.kind.check(spec)?;
        let mut cache = Self::build(spec, options, &mut Buffers::Reserved("kv cache"))?;
        cache.lens.resize(options.n_sequences, 0);
        cache.states.start();
        let pages = |group: &Group| group.window.map_or(0, |window| options.window_pages(window));
        cache.snapshots.start(cache.groups.iter().map(pages));
        Ok(cache)
    }

    /// Returns how many bytes such a cache reserves.
    pub(crate) fn bytes(spec: &ModelSpec, options: &KvOptions) -> usize {
        counted(|memory| Self::build(spec, *options, memory))
    }

    /// Lists all buffers, in one place: the plan counts their bytes, and a cache reserves them.
    fn build(spec: &ModelSpec, options: KvOptions, memory: &mut Buffers) -> Result<Self, KvError> {
        let (sizes, n_groups) = (options.sizes(spec), layout::groups(spec).count());
        let layers = spec.layers.len().saturating_mul(size_of::<LayerLayout>());
        let layout_bytes = layers.saturating_add(n_groups.saturating_mul(size_of::<GroupLayout>()));
        let mut groups: Vec<Group> = memory.list(n_groups)?;
        for layout in layout::groups(spec) {
            let group = Group::build(&layout, &sizes, memory)?;
            // if sizes are only counted, the list has no room
            if groups.len() < groups.capacity() {
                groups.push(group);
            }
        }
        Ok(KvCache {
            options,
            layout: memory.part(layout_bytes, || KvLayout::new(spec))?,
            groups,
            states: States::build(&sizes, memory)?,
            snapshots: Snapshots::build(&sizes, n_groups, memory)?,
            lens: memory.list(options.n_sequences)?,
            long: spec.long_context_above().is_some_and(|n| options.n_ctx > n as usize),
        })
    }

    /// Returns the options with which it was made.
    pub fn options(&self) -> &KvOptions {
        &self.options
    }

    /// Returns the number of positions of a sequence, or 0 for an unknown one.
    pub fn len(&self, sequence: u32) -> usize {
        self.lens.get(sequence as usize).copied().unwrap_or(0)
    }

    /// Returns whether a sequence has no positions.
    pub fn is_empty(&self, sequence: u32) -> bool {
        self.len(sequence) == 0
    }

    /// Returns the bytes of the keys and values of [`KV_PAGE`] positions in all layers.
    pub fn page_bytes(&self) -> usize {
        self.groups.iter().map(|group| group.pool.unit_bytes()).sum()
    }

    /// Returns the number of pages that no sequence uses, over all groups of layers.
    pub fn free_pages(&self) -> usize {
        self.groups.iter().map(|group| group.pool.n_free()).sum()
    }

    /// Returns the bytes of the pages and states in use.
    pub fn resident_bytes(&self) -> usize {
        self.pools().map(|pool| (pool.n() - pool.n_free()) * pool.unit_bytes()).sum()
    }

    /// Returns the bytes of the pages and states that have been used since the cache was made. Those of them that are free again stay
    /// with the process, for the next positions.
    pub fn held_bytes(&self) -> usize {
        self.pools().map(|pool| pool.n_used_before() * pool.unit_bytes()).sum()
    }

    /// Returns the bytes reserved for pages and states, in use or not.
    pub fn reserved_bytes(&self) -> usize {
        self.pools().map(|pool| pool.n() * pool.unit_bytes()).sum()
    }

    fn pools(&self) -> impl Iterator<Item = &pool::Pool> {
        self.groups.iter().map(|group| &group.pool).chain([&self.states.pool])
    }

    /// Returns the number of positions in a sequence.
    fn sequence(&self, id: u32) -> Result<usize, KvError> {
        let n_sequences = self.lens.len();
        self.lens.get(id as usize).copied().ok_or(KvError::Sequence { sequence: id, n_sequences })
    }

    fn set_len(&mut self, sequence: u32, len: usize) {
        if let Some(old) = self.lens.get_mut(sequence as usize) {
            *old = len;
        }
    }

    /// Shortens a sequence to `len` positions, or to fewer. Returns how many positions are left; the caller has to compute the others
    /// again.
    ///
    /// Exactly `len` positions are left if every layer of the model sees every position, or if only rows of the last
    /// pass are removed and that was a speculative batch. Otherwise, earlier positions may be gone: a window has moved
    /// on by more than [`KvOptions::rollback`], or a recurrent layer has another state. The sequence then goes back to
    /// the nearest snapshot at or before `len`, or to its beginning.
    ///
    /// # Errors
    /// If the sequence is unknown, or has fewer than `len` positions.
    pub fn truncate(&mut self, sequence: u32, len: usize) -> Result<usize, KvError> {
        let found = self.sequence(sequence)?;
        if len > found {
            return Err(KvError::Truncate { sequence, len: found, to: len });
        }
        if len == found {
            return Ok(len);
        }
        let (left, exact) = self.reach(sequence, len);
        let row = self.states.row(sequence, len);
        if exact || left == 0 {
            for group in &mut self.groups {
                group.shrink(sequence, left);
            }
            self.states.restore(sequence, row.filter(|_| left > 0));
        } else {
            self.snapshots.restore(sequence, left, &mut self.groups, &mut self.states);
        }
        self.snapshots.drop_after(sequence, left, &mut self.groups, &mut self.states);
        self.states.drop_rows(sequence);
        self.set_len(sequence, left);
        Ok(left)
    }

    /// Returns how many positions [`truncate`](Self::truncate) to `len` would leave.
    ///
    /// # Errors
    /// As for [`truncate`](Self::truncate).
    pub fn reachable(&self, sequence: u32, len: usize) -> Result<usize, KvError> {
        let found = self.sequence(sequence)?;
        match len.cmp(&found) {
            Ordering::Greater => Err(KvError::Truncate { sequence, len: found, to: len }),
            Ordering::Equal => Ok(len),
            Ordering::Less => Ok(self.reach(sequence, len).0),
        }
    }

    /// Returns how many positions are left when a sequence that is longer than `len` is shortened to `len`, and whether it still has all
    /// pages and states at exactly `len`.
    fn reach(&self, sequence: u32, len: usize) -> (usize, bool) {
        let stateless = self.layout.state_elements == 0;
        let seen = self.groups.iter().all(|group| group.has_seen(sequence, len));
        let exact = len == 0 || seen && (stateless || self.states.row(sequence, len).is_some());
        (if exact { len } else { self.snapshots.nearest(sequence, len).unwrap_or(0) }, exact)
    }

    /// Returns the state of a sequence after its first `len` positions: the current one, or that of a row of the last pass, if that pass
    /// was speculative.
    fn state_at(&self, sequence: u32, len: usize) -> Option<u32> {
        if len == self.len(sequence) {
            self.states.current(sequence)
        } else {
            self.states.row(sequence, len).filter(|_| len > 0)
        }
    }

    /// Returns whether another `n` positions of a sequence fit in its context and in the free pages. Layers with a window always have room.
    pub fn has_room(&self, sequence: u32, n: usize) -> bool {
        let (len, n_ctx) = (self.len(sequence), self.options.n_ctx);
        let fits =
            |group: &Group| group.needed([(sequence, len..len + n)].into_iter()) <= group.pool.n_free();
        len.saturating_add(n) <= n_ctx
            && self.groups.iter().all(|group| group.window.is_some() || fits(group))
    }

    /// Checks whether a batch fits in the contexts of its sequences and in the free pages, as the pass itself does.
    ///
    /// # Errors
    /// [`KvError::Full`] if there are too few free pages; [`KvError::Context`], [`KvError::Sequence`] or [`KvError::Speculative`] if no
    /// number of free pages would help.
    pub fn check_room(&self, batch: &Batch) -> Result<(), KvError> {
        let (n_ctx, planned) = (self.options.n_ctx, self.options.n_speculative);
        if batch.is_speculative() && self.layout.state_elements > 0 && batch.len() > planned {
            return Err(KvError::Speculative { found: batch.len(), planned });
        }
        for (sequence, rows) in batch.groups() {
            let len = self.sequence(sequence)?;
            let needed = len + rows.len();
            if needed > n_ctx {
                return Err(KvError::Context { sequence, len, needed, n_ctx });
            }
        }
        for group in &self.groups {
            let positions = |(sequence, rows): (u32, std::ops::Range<usize>)| {
                let len = self.len(sequence);
                (sequence, len..len + rows.len())
            };
            let (needed, free) = (group.needed(batch.groups().map(positions)), group.pool.n_free());
            if needed > free {
                return Err(KvError::Full { needed, free, total: group.pool.n(), page: KV_PAGE });
            }
        }
        Ok(())
    }

    /// Takes a snapshot of a sequence, to which [`truncate`](Self::truncate) can go back. Call it at the end of a prompt or a turn. Passes
    /// also take snapshots by themselves, at multiples of 256 positions.
    ///
    /// Returns whether there is one now. That takes [`KvOptions::snapshot_bytes`], and a model that needs snapshots.
    ///
    /// # Errors
    /// If the sequence is unknown.
    pub fn snapshot(&mut self, sequence: u32) -> Result<bool, KvError> {
        let len = self.sequence(sequence)?;
        let state = self.states.current(sequence);
        let what = (sequence, len, true);
        Ok(len > 0 && self.snapshots.take(what, state, &mut self.groups, &mut self.states))
    }

    /// Forgets the snapshots of all sequences. What their pages and states held is free for others.
    pub fn drop_snapshots(&mut self) {
        for sequence in (0..).take(self.lens.len()) {
            self.snapshots.drop_after(sequence, 0, &mut self.groups, &mut self.states);
        }
    }

    /// Removes all positions of a sequence.
    ///
    /// # Errors
    /// If the sequence is unknown.
    pub fn clear(&mut self, sequence: u32) -> Result<(), KvError> {
        self.truncate(sequence, 0).map(|_| ())
    }

    /// Gives sequence `to` the positions of `from`. The previous positions of `to` are removed. Pages are shared until one of the
    /// sequences appends to them.
    ///
    /// If the last page is only partly filled, a sequence that shares it copies it before appending. A batch that appends to all the
    /// sequences at once needs a free page for each of them, so plan a sequence more if all of them may become full.
    ///
    /// # Errors
    /// If a sequence is unknown.
    pub fn fork(&mut self, from: u32, to: u32) -> Result<(), KvError> {
        let len = self.sequence(from)?;
        self.sequence(to)?;
        if from == to {
            return Ok(());
        }
        self.clear(to)?;
        for group in &mut self.groups {
            group.fork(from, to);
        }
        self.states.fork(from, to);
        self.snapshots.fork(from, to);
        self.set_len(to, len);
        Ok(())
    }

    /// Makes room for a batch whose positions have been checked. If there is too little, nothing changes. Lengths stay the same until
    /// [`KvCache::commit`].
    pub(crate) fn prepare(&mut self, batch: &Batch) -> Result<(), KvError> {
        self.check_room(batch)?;
        for (sequence, rows) in batch.groups() {
            let len = self.len(sequence);
            for group in &mut self.groups {
                group.grow(sequence, len, len + rows.len());
            }
        }
        self.reserve_snapshots(batch);
        let lens = &self.lens;
        let len = |sequence: u32| lens.get(sequence as usize).copied().unwrap_or(0);
        if self.states.prepare(batch, len, self.snapshots.pending()) {
            return Ok(());
        }
        self.roll_back(batch);
        Err(KvError::Full { needed: 1, free: 0, total: self.states.pool.n(), page: KV_PAGE })
    }

    /// Makes room for the snapshots that the pass takes: those that the caller asked for, and those at multiples of [`INTERVAL`]. If
    /// these are too many, the pass takes the last ones.
    fn reserve_snapshots(&mut self, batch: &Batch) {
        let n = self.snapshots.n();
        if n == 0 {
            return;
        }
        // Those that the caller asked for come first, so that the others don't take their slots.
        for (sequence, at) in batch.snapshots() {
            self.snapshots.reserve((sequence, at as usize, true), &mut self.groups, &mut self.states);
        }
        let left = n.saturating_sub(batch.snapshots().count());
        for (sequence, rows) in batch.groups() {
            let len = self.len(sequence);
            let (first, last) = (len / INTERVAL + 1, (len + rows.len()) / INTERVAL);
            for i in first.max((last + 1).saturating_sub(left))..=last {
                self.snapshots.reserve((sequence, i * INTERVAL, false), &mut self.groups, &mut self.states);
            }
        }
    }

    /// Makes the positions of the batch those of its sequences.
    pub(crate) fn commit(&mut self, batch: &Batch) {
        let states = &mut self.states;
        self.snapshots
            .commit(&mut self.groups, |sequence, position| states.share_written(sequence, position));
        for (sequence, rows) in batch.groups() {
            let len = self.len(sequence) + rows.len();
            self.set_len(sequence, len);
            for group in &mut self.groups {
                group.slide(sequence, len.saturating_sub(self.options.rollback));
            }
        }
        self.states.commit(batch);
    }

    /// Releases what [`KvCache::prepare`] took for a batch that didn't run to its end.
    pub(crate) fn roll_back(&mut self, batch: &Batch) {
        for (sequence, _) in batch.groups() {
            let len = self.len(sequence);
            for group in &mut self.groups {
                group.shrink(sequence, len);
            }
        }
        self.states.roll_back();
        self.snapshots.roll_back();
    }

    /// Checks that the cache's pages and states have the layout of a model.
    pub(crate) fn check(&self, layout: &KvLayout) -> Result<(), KvError> {
        if self.layout != *layout {
            return Err(KvError::Layout { expected: layout.elements(), found: self.layout.elements() });
        }
        Ok(())
    }

    /// Returns the page tables, to read, and the contents of pages and states, to write.
    pub(crate) fn pages(&mut self) -> Pages<'_> {
        Pages { layout: &self.layout, groups: &mut self.groups, states: &mut self.states }
    }
}
