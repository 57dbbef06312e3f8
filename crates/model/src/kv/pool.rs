//! A pool of units of one size that several owners may share: the pages of a group of layers, or recurrent states.

use super::layout::KvType;
use crate::buffers::Buffers;
use crate::error::KvError;

/// The elements of all units; grows within its reservation as units are first used.
pub(super) enum Data {
    F32(Vec<f32>),
    F16(Vec<u16>),
}

/// Units that are counted: one that has several owners is not written, and one without an owner is free.
///
/// Reserved once, fallibly; memory becomes resident unit by unit as they are used, and a free unit is used again first.
pub(super) struct Pool {
    /// Elements of a unit.
    stride: usize,
    /// Units.
    n: usize,
    data: Data,
    /// Owners of the units that were ever used.
    counts: Vec<u32>,
    /// Units that were used and are free again, to be used next.
    free: Vec<u32>,
}

impl Pool {
    /// `n` units of `stride` elements.
    pub(super) fn build(
        memory: &mut impl Buffers,
        kind: KvType,
        stride: usize,
        n: usize,
    ) -> Result<Self, KvError> {
        let elements = stride.saturating_mul(n);
        Ok(Pool {
            stride,
            n,
            data: match kind {
                KvType::F32 => Data::F32(memory.list(elements)?),
                KvType::F16 => Data::F16(memory.list(elements)?),
            },
            counts: memory.list(n)?,
            free: memory.list(n)?,
        })
    }

    /// Elements of a unit.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// Units in all.
    pub(super) fn n(&self) -> usize {
        self.n
    }

    /// Units without an owner.
    pub(super) fn n_free(&self) -> usize {
        self.free.len() + (self.n - self.counts.len())
    }

    /// Bytes of a unit.
    pub(super) fn unit_bytes(&self) -> usize {
        self.stride
            * match self.data {
                Data::F32(_) => size_of::<f32>(),
                Data::F16(_) => size_of::<u16>(),
            }
    }

    /// All elements.
    pub(super) fn data(&self) -> &Data {
        &self.data
    }

    /// All elements, to write.
    pub(super) fn data_mut(&mut self) -> &mut Data {
        &mut self.data
    }

    /// A free unit, which now has one owner. What it holds is left over.
    pub(super) fn take(&mut self) -> Option<u32> {
        if let Some(unit) = self.free.pop() {
            *self.counts.get_mut(unit as usize)? = 1;
            return Some(unit);
        }
        if self.counts.len() >= self.n {
            return None;
        }
        let unit = u32::try_from(self.counts.len()).ok()?;
        // within the reservation: no allocation
        self.counts.push(1);
        let elements = self.counts.len() * self.stride;
        match &mut self.data {
            Data::F32(d) => d.resize(elements, 0.0),
            Data::F16(d) => d.resize(elements, 0),
        }
        Some(unit)
    }

    /// The unit gets one more owner.
    pub(super) fn share(&mut self, unit: u32) {
        if let Some(count) = self.counts.get_mut(unit as usize) {
            *count += 1;
        }
    }

    /// The unit loses an owner.
    pub(super) fn release(&mut self, unit: u32) {
        let Some(count) = self.counts.get_mut(unit as usize) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.free.push(unit);
        }
    }

    /// Whether the unit has several owners.
    pub(super) fn is_shared(&self, unit: u32) -> bool {
        self.counts.get(unit as usize).is_some_and(|count| *count > 1)
    }

    /// Copies the elements of a unit.
    pub(super) fn copy(&mut self, from: u32, to: u32) {
        let n = self.stride;
        let (from, to) = (from as usize * n, to as usize * n);
        match &mut self.data {
            Data::F32(d) => d.copy_within(from..from + n, to),
            Data::F16(d) => d.copy_within(from..from + n, to),
        }
    }
}
