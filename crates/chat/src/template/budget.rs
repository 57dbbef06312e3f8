//! The budget of a render, for work and memory.
//!
//! Code that makes or visits a value charges for it first. A unit of fuel pays for one instruction, one part of a value that is
//! visited, or 64 bytes of text. Whatever a unit pays for takes at most 256 bytes. So the fuel also bounds the memory, and a
//! program that needs more ends before the memory is reserved.

use std::cell::Cell;

use super::error::{Fail, R};

/// Reserves room for `more` items. It is an error if the system refuses the memory.
pub(super) fn reserve<T>(list: &mut Vec<T>, more: usize) -> R<()> {
    list.try_reserve(more).map_err(|_| Box::new(Fail::Memory))
}

/// Appends an item, or returns the error of [`reserve`].
pub(super) fn push<T>(list: &mut Vec<T>, item: T) -> R<()> {
    reserve(list, 1)?;
    list.push(item);
    Ok(())
}

/// Collects the items of an iterator that has at most `len`.
pub(super) fn gathered<T>(len: usize, items: impl Iterator<Item = T>) -> R<Vec<T>> {
    let mut out = Vec::new();
    reserve(&mut out, len)?;
    out.extend(items.take(len));
    Ok(out)
}

/// Bytes of text that one unit of fuel pays for.
pub(super) const BYTES_PER_FUEL: u64 = 64;

/// Number of units after which `cancelled` is called again: well below a millisecond of work.
const UNITS_PER_QUESTION: u64 = 2048;

pub(super) struct Budget<'a> {
    left: Cell<u64>,
    /// Bytes that were charged for and do not add up to a unit yet.
    bytes: Cell<u64>,
    unasked: Cell<u64>,
    cancelled: &'a dyn Fn() -> bool,
}

impl<'a> Budget<'a> {
    pub(super) fn new(fuel: u64, cancelled: &'a dyn Fn() -> bool) -> Self {
        Budget {
            left: Cell::new(fuel),
            bytes: Cell::new(0),
            unasked: Cell::new(UNITS_PER_QUESTION),
            cancelled,
        }
    }

    /// Charges units of work.
    pub(super) fn charge(&self, units: u64) -> R<()> {
        let Some(left) = self.left.get().checked_sub(units) else {
            self.left.set(0);
            return Err(Box::new(Fail::Fuel));
        };
        self.left.set(left);
        let unasked = self.unasked.get().saturating_add(units);
        if unasked < UNITS_PER_QUESTION {
            self.unasked.set(unasked);
            return Ok(());
        }
        self.unasked.set(0);
        if (self.cancelled)() { Err(Box::new(Fail::Cancelled)) } else { Ok(()) }
    }

    /// Charges for items of a list, fields of a format and the like.
    pub(super) fn items(&self, count: usize) -> R<()> {
        self.charge(count as u64)
    }

    /// Charges for bytes that are about to be written or compared.
    pub(super) fn bytes(&self, count: usize) -> R<()> {
        let bytes = self.bytes.get().saturating_add(count as u64);
        self.bytes.set(bytes % BYTES_PER_FUEL);
        match bytes / BYTES_PER_FUEL {
            0 => Ok(()),
            units => self.charge(units),
        }
    }
}
