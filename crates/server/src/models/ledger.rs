//! Counts the memory that models plan for, so that all of them together stay within the server's budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The anonymous memory that loaded models, and their copies that embed, plan for. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    taken: Arc<AtomicU64>,
    budget: Option<u64>,
}

/// Memory of a model. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    ledger: Ledger,
    bytes: u64,
}

impl Ledger {
    /// Makes a ledger for this budget in bytes. `None`: there is no limit for all models together.
    pub(crate) fn new(budget: Option<u64>) -> Self {
        Self { budget, ..Self::default() }
    }

    /// Returns the bytes that are taken.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Returns the bytes of the budget that are left.
    pub(crate) fn left(&self) -> Option<u64> {
        self.budget.map(|budget| budget.saturating_sub(self.taken()))
    }

    /// Counts the memory of a model that is loaded.
    pub(crate) fn take(&self, bytes: u64) -> Taken {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        Taken { ledger: self.clone(), bytes }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.ledger.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Ledger;

    #[test]
    fn memory_is_taken_and_given_back() {
        let ledger = Ledger::new(Some(100));
        let first = ledger.take(60);
        let second = ledger.clone().take(70);
        assert_eq!((ledger.taken(), ledger.left()), (130, Some(0)));
        drop(first);
        assert_eq!((ledger.taken(), ledger.left()), (70, Some(30)));
        drop(second);
        assert_eq!((ledger.taken(), ledger.left()), (0, Some(100)));
        assert_eq!(Ledger::new(None).left(), None);
    }
}
