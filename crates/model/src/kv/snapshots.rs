//! Snapshots: positions that a sequence can go back to even though its windows have moved on or its states have changed.
//!
//! A snapshot holds the states at its position and the pages that windows see there. It shares both with the sequence, which copies a
//! shared page before writing to it. Pages of layers that see every position are not in the snapshot, because the sequence still has
//! them.
//!
//! When all slots are taken, the least recently used snapshot is dropped; those at multiples of [`INTERVAL`] are dropped before those
//! that the caller asked for.

use super::group::{GONE, Group};
use super::options::Sizes;
use super::states::States;
use crate::buffers::Buffers;
use crate::error::KvError;
use crate::reserve::{NoMemory, reserved};

/// The number of positions between the snapshots that passes take by themselves.
pub(super) const INTERVAL: usize = 256;

#[derive(Clone, Copy, Default)]
struct Slot {
    /// How many sequences can go back to it; 0 if it is free or a pass is about to write it.
    holders: usize,
    position: usize,
    state: Option<u32>,
    /// Whether the caller asked for it.
    asked: bool,
    used: u64,
    /// Whether a pass is going to write it.
    pending: bool,
}

/// A snapshot that the prepared pass takes.
pub(super) struct Pending {
    pub(super) sequence: u32,
    pub(super) position: usize,
    asked: bool,
    slot: usize,
}

/// The snapshots of all sequences.
pub(super) struct Snapshots {
    slots: Vec<Slot>,
    /// The pages of each slot, group after group.
    pages: Vec<u32>,
    /// Number of pages in a slot.
    stride: usize,
    /// Number of pages in a slot, for each group.
    per_group: Vec<usize>,
    /// For each sequence, the slots that it can go back to, in ascending order of their positions.
    held: Vec<Vec<usize>>,
    pending: Vec<Pending>,
    clock: u64,
}

impl Snapshots {
    /// Lists the buffers of the snapshots, except for the pages and states, which are in their pools.
    pub(super) fn build(sizes: &Sizes, n_groups: usize, memory: &mut Buffers) -> Result<Self, KvError> {
        let (n, stride, n_sequences) = (sizes.n_snapshots, sizes.snapshot_pages, sizes.options.n_sequences);
        let lists = if n == 0 { 0 } else { n_sequences };
        let list_bytes = size_of::<Vec<usize>>().saturating_add(n.saturating_mul(size_of::<usize>()));
        Ok(Snapshots {
            slots: memory.list(n)?,
            pages: memory.list(n.saturating_mul(stride))?,
            stride,
            per_group: memory.list(n_groups)?,
            held: memory.part(lists.saturating_mul(list_bytes), || {
                let mut held = reserved(lists)?;
                for _ in 0..lists {
                    held.push(reserved(n)?);
                }
                Ok::<_, NoMemory>(held)
            })?,
            pending: memory.list(n)?,
            clock: 0,
        })
    }

    /// Starts without snapshots. `per_group` has the number of pages that the window of each group sees.
    pub(super) fn start(&mut self, per_group: impl Iterator<Item = usize>) {
        let n = self.slots.capacity();
        self.slots.resize(n, Slot::default());
        let n_pages = self.pages.capacity();
        self.pages.resize(n_pages, GONE);
        let n_groups = self.per_group.capacity();
        self.per_group.extend(per_group.take(n_groups));
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Returns the greatest position up to `len` that the sequence can go back to.
    pub(super) fn nearest(&self, sequence: u32, len: usize) -> Option<usize> {
        let held = self.held.get(sequence as usize)?;
        let positions = held.iter().rev().filter_map(|slot| Some(self.slots.get(*slot)?.position));
        positions.into_iter().find(|position| *position <= len)
    }

    /// Gives the sequence the states and the pages of its snapshot at `position`.
    pub(super) fn restore(
        &mut self,
        sequence: u32,
        position: usize,
        groups: &mut [Group],
        states: &mut States,
    ) {
        let used = self.tick();
        let Some(held) = self.held.get(sequence as usize) else { return };
        let at = |slot: &usize| self.slots.get(*slot).is_some_and(|s| s.position == position);
        let Some(slot) = held.iter().copied().find(at) else { return };
        let mut pages = self.pages.get(slot * self.stride..).unwrap_or(&[]);
        for (group, n) in groups.iter_mut().zip(&self.per_group) {
            let (own, rest) = pages.split_at_checked(*n).unwrap_or((&[], &[]));
            pages = rest;
            group.restore(sequence, position, own);
        }
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.used = used;
            states.restore(sequence, slot.state);
        }
    }

    /// Chooses the slot for a new snapshot: a free one, or else that of the least useful snapshot.
    fn choose(&self) -> Option<usize> {
        let open = self.slots.iter().enumerate().filter(|(_, slot)| !slot.pending);
        open.min_by_key(|(_, slot)| (slot.holders > 0, slot.asked, slot.used)).map(|(i, _)| i)
    }

    /// Drops a snapshot from every sequence that holds it.
    fn give_up(&mut self, slot: usize, groups: &mut [Group], states: &mut States) {
        for held in &mut self.held {
            held.retain(|other| *other != slot);
        }
        self.free(slot, groups, states);
    }

    /// Releases the pages and the state of a slot.
    fn free(&mut self, slot: usize, groups: &mut [Group], states: &mut States) {
        let mut pages = self.pages.get_mut(slot * self.stride..).unwrap_or(&mut []);
        for (group, n) in groups.iter_mut().zip(&self.per_group) {
            let Some((own, rest)) = pages.split_at_mut_checked(*n) else { break };
            pages = rest;
            for page in own {
                group.pool.release(std::mem::replace(page, GONE));
            }
        }
        if let Some(slot) = self.slots.get_mut(slot) {
            if let Some(state) = slot.state {
                states.pool.release(state);
            }
            *slot = Slot::default();
        }
    }

    /// Drops the snapshots of a sequence after position `len`.
    pub(super) fn drop_after(
        &mut self,
        sequence: u32,
        len: usize,
        groups: &mut [Group],
        states: &mut States,
    ) {
        while let Some(held) = self.held.get_mut(sequence as usize)
            && let Some(slot) = held.last().copied()
            && let Some(found) = self.slots.get_mut(slot)
            && found.position > len
        {
            held.pop();
            found.holders = found.holders.saturating_sub(1);
            if found.holders == 0 {
                self.free(slot, groups, states);
            }
        }
    }

    /// Lets sequence `to`, which holds no snapshots, go back to every position that `from` can.
    pub(super) fn fork(&mut self, from: u32, to: u32) {
        let Ok([from, to]) = self.held.get_disjoint_mut([from as usize, to as usize]) else { return };
        for slot in from.iter() {
            if let Some(slot) = self.slots.get_mut(*slot) {
                slot.holders += 1;
            }
        }
        to.extend_from_slice(from);
    }

    /// Takes a snapshot of the sequence as it is now: at `position`, with `state`.
    pub(super) fn take(
        &mut self,
        (sequence, position, asked): (u32, usize, bool),
        state: Option<u32>,
        groups: &mut [Group],
        states: &mut States,
    ) -> bool {
        if self.nearest(sequence, position) == Some(position) {
            self.refresh(sequence, position, asked);
            return true;
        }
        let Some(slot) = self.choose() else { return false };
        self.give_up(slot, groups, states);
        if let Some(state) = state {
            states.pool.share(state);
        }
        self.write(slot, (sequence, position, asked), state, groups);
        true
    }

    /// If there is a snapshot at this position already, marks it as just used.
    fn refresh(&mut self, sequence: u32, position: usize, asked: bool) {
        let used = self.tick();
        let Some(held) = self.held.get(sequence as usize) else { return };
        for slot in held {
            if let Some(slot) = self.slots.get_mut(*slot).filter(|slot| slot.position == position) {
                (slot.used, slot.asked) = (used, slot.asked || asked);
            }
        }
    }

    /// Fills a free slot. The snapshot becomes an owner of `state`: the caller gives its own share to it.
    fn write(
        &mut self,
        slot: usize,
        (sequence, position, asked): (u32, usize, bool),
        state: Option<u32>,
        groups: &mut [Group],
    ) {
        let used = self.tick();
        let mut pages = self.pages.get_mut(slot * self.stride..).unwrap_or(&mut []);
        for (group, n) in groups.iter_mut().zip(&self.per_group) {
            let Some((own, rest)) = pages.split_at_mut_checked(*n) else { break };
            pages = rest;
            group.share_seen(sequence, position, own);
        }
        if let Some(found) = self.slots.get_mut(slot) {
            *found = Slot { holders: 1, position, state, asked, used, pending: false };
        }
        if let Some(held) = self.held.get_mut(sequence as usize) {
            let before = |other: &usize| self.slots.get(*other).is_some_and(|s| s.position < position);
            held.insert(held.partition_point(before), slot);
        }
    }

    /// Makes room, if possible, for a snapshot that the coming pass is going to take at a position.
    pub(super) fn reserve(
        &mut self,
        (sequence, position, asked): (u32, usize, bool),
        groups: &mut [Group],
        states: &mut States,
    ) {
        if self.pending.iter().any(|p| (p.sequence, p.position) == (sequence, position)) {
            return;
        }
        let Some(slot) = self.choose() else { return };
        self.give_up(slot, groups, states);
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.pending = true;
        }
        self.pending.push(Pending { sequence, position, asked, slot });
    }

    /// Returns the number of slots.
    pub(super) fn n(&self) -> usize {
        self.slots.len()
    }

    /// Returns the snapshots that the prepared pass takes.
    pub(super) fn pending(&self) -> &[Pending] {
        &self.pending
    }

    /// Takes the snapshots of the pass, each with the state that `state_at` returns for its sequence and position.
    pub(super) fn commit(
        &mut self,
        groups: &mut [Group],
        mut state_at: impl FnMut(u32, usize) -> Option<u32>,
    ) {
        while let Some(Pending { sequence, position, asked, slot }) = self.pending.pop() {
            self.write(slot, (sequence, position, asked), state_at(sequence, position), groups);
        }
    }

    /// Drops the snapshots of a pass that failed.
    pub(super) fn roll_back(&mut self) {
        while let Some(pending) = self.pending.pop() {
            if let Some(slot) = self.slots.get_mut(pending.slot) {
                slot.pending = false;
            }
        }
    }
}
