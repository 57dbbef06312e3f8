//! A pool of units of equal size, each of which may have several owners: the pages of a group of layers, or recurrent states.

use std::ops::Range;

use happy_kernels::ops::KvBlock;

use super::layout::KvType;
use crate::buffers::Buffers;
use crate::error::KvError;

/// The values of all units. It grows, within its reservation, when a unit is used for the first time.
pub(super) enum Data {
    F32(Vec<f32>),
    F16(Vec<u16>),
    Q8_0(Vec<KvBlock>),
}

impl Data {
    /// Appends the values of `range` to `out`, little-endian. The caller has reserved the bytes.
    pub(super) fn write(&self, range: Range<usize>, out: &mut Vec<u8>) {
        match self {
            Data::F32(d) => write(d.get(range), f32::to_le_bytes, out),
            Data::F16(d) => write(d.get(range), u16::to_le_bytes, out),
            Data::Q8_0(d) => write(d.get(blocks(range)), KvBlock::to_le_bytes, out),
        }
    }

    /// Reads the values of `range`, and returns the bytes after them.
    pub(super) fn read<'a>(&mut self, range: Range<usize>, bytes: &'a [u8]) -> &'a [u8] {
        match self {
            Data::F32(d) => read(bytes, d.get_mut(range), f32::from_le_bytes),
            Data::F16(d) => read(bytes, d.get_mut(range), u16::from_le_bytes),
            Data::Q8_0(d) => read(bytes, d.get_mut(blocks(range)), KvBlock::from_le_bytes),
        }
    }
}

/// The blocks of the values of `range`, which are whole blocks.
pub(super) fn blocks(range: Range<usize>) -> Range<usize> {
    KvType::Q8_0.units(range.start)..KvType::Q8_0.units(range.end)
}

/// Appends values to `out`, in which the caller has reserved the bytes.
pub(super) fn write<T: Copy, const N: usize>(
    values: Option<&[T]>,
    bytes_of: fn(T) -> [u8; N],
    out: &mut Vec<u8>,
) {
    let values = values.unwrap_or(&[]);
    let start = out.len();
    out.resize(start + values.len() * N, 0);
    let to = out.get_mut(start..).unwrap_or(&mut []);
    for (to, x) in to.as_chunks_mut::<N>().0.iter_mut().zip(values) {
        *to = bytes_of(*x);
    }
}

/// Reads the values of `to`, and returns the bytes after them.
pub(super) fn read<'a, T, const N: usize>(
    bytes: &'a [u8],
    to: Option<&mut [T]>,
    get: fn([u8; N]) -> T,
) -> &'a [u8] {
    let to = to.unwrap_or(&mut []);
    let (own, rest) = bytes.split_at_checked(to.len() * N).unwrap_or((&[], &[]));
    for (to, bytes) in to.iter_mut().zip(own.as_chunks::<N>().0) {
        *to = get(*bytes);
    }
    rest
}

/// Units with counted owners. A unit with several owners is never written to, and one without owners is free.
///
/// The memory is reserved once, and that can fail with an error. It becomes resident one unit at a time; units that were used before
/// and are free again are used first.
pub(super) struct Pool {
    kind: KvType,
    /// Values of a unit.
    stride: usize,
    /// Number of units.
    n: usize,
    data: Data,
    /// The number of owners of each unit that has ever been used.
    counts: Vec<u32>,
    /// Units that were used and are free again. They are used next.
    free: Vec<u32>,
}

impl Pool {
    /// Reserves `n` units of `stride` values.
    pub(super) fn build(
        memory: &mut Buffers,
        kind: KvType,
        stride: usize,
        n: usize,
    ) -> Result<Self, KvError> {
        let elements = kind.units(stride).saturating_mul(n);
        Ok(Pool {
            kind,
            stride,
            n,
            data: match kind {
                KvType::F32 => Data::F32(memory.list(elements)?),
                KvType::F16 => Data::F16(memory.list(elements)?),
                KvType::Q8_0 => Data::Q8_0(memory.list(elements)?),
            },
            counts: memory.list(n)?,
            free: memory.list(n)?,
        })
    }

    /// Values of a unit.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// Returns the number of units.
    pub(super) fn n(&self) -> usize {
        self.n
    }

    /// Returns the number of units without an owner.
    pub(super) fn n_free(&self) -> usize {
        self.free.len() + (self.n - self.counts.len())
    }

    /// Returns the number of units that have had an owner at some time.
    pub(super) fn n_used_before(&self) -> usize {
        self.counts.len()
    }

    /// Returns how many bytes a unit takes.
    pub(super) fn unit_bytes(&self) -> usize {
        self.kind.bytes_of(self.stride)
    }

    /// Returns all values.
    pub(super) fn data(&self) -> &Data {
        &self.data
    }

    /// Returns all values, to write to.
    pub(super) fn data_mut(&mut self) -> &mut Data {
        &mut self.data
    }

    /// Takes a free unit, which then has one owner. It holds leftovers of an earlier use.
    pub(super) fn take(&mut self) -> Option<u32> {
        if let Some(unit) = self.free.pop() {
            *self.counts.get_mut(unit as usize)? = 1;
            return Some(unit);
        }
        if self.counts.len() >= self.n {
            return None;
        }
        let unit = u32::try_from(self.counts.len()).ok()?;
        // this is within the reservation, so it doesn't allocate
        self.counts.push(1);
        let elements = self.counts.len() * self.kind.units(self.stride);
        match &mut self.data {
            Data::F32(d) => d.resize(elements, 0.0),
            Data::F16(d) => d.resize(elements, 0),
            Data::Q8_0(d) => d.resize(elements, KvBlock::default()),
        }
        Some(unit)
    }

    /// Adds an owner to the unit.
    pub(super) fn share(&mut self, unit: u32) {
        if let Some(count) = self.counts.get_mut(unit as usize) {
            *count += 1;
        }
    }

    /// Removes an owner from the unit.
    pub(super) fn release(&mut self, unit: u32) {
        let Some(count) = self.counts.get_mut(unit as usize) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.free.push(unit);
        }
    }

    /// Returns the number of owners of the unit.
    pub(super) fn owners(&self, unit: u32) -> usize {
        self.counts.get(unit as usize).map_or(0, |count| *count as usize)
    }

    /// Copies the values of one unit to another.
    pub(super) fn copy(&mut self, from: u32, to: u32) {
        let n = self.kind.units(self.stride);
        let (from, to) = (from as usize * n, to as usize * n);
        match &mut self.data {
            Data::F32(d) => d.copy_within(from..from + n, to),
            Data::F16(d) => d.copy_within(from..from + n, to),
            Data::Q8_0(d) => d.copy_within(from..from + n, to),
        }
    }
}
