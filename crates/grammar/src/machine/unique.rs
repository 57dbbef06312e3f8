//! The check that an array's items differ, which no context-free grammar can make.
//!
//! Items are scalars that have one spelling each, so they differ when their texts do. A guard rides with the positions inside
//! such an array: the texts seen so far, and how far the current item agrees with one of them.
//!
//! ```text
//! none --enter--> between(seen) --begin--> same(seen, "") --byte--> same(seen, prefix) or new(seen)
//! same(seen, text in seen) --end--> dead;  same, new --end--> ended(seen) --commit(text)--> between(seen + text)
//! between, ended --leave--> none
//! ```
//!
//! While a mask is walked no text is at hand, so an item that ends inside a token cannot be followed by the beginning of
//! another in the same token: `ended --begin--> dead`. `accept` follows the same rule and commits afterwards.

use crate::rules::UniqueStep;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

type Seen = Arc<BTreeSet<Vec<u8>>>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Guard {
    None,
    Between(Seen),
    Same(Seen, Vec<u8>),
    New(Seen),
    Ended(Seen),
}

/// Outside of any array whose items must differ.
pub(super) const NONE: u32 = 0;

/// Guards by number.
#[derive(Debug)]
pub(super) struct Guards {
    numbers: HashMap<Guard, u32>,
    guards: Vec<Guard>,
}

impl Guards {
    pub(super) fn new() -> Self {
        Self { numbers: HashMap::from([(Guard::None, NONE)]), guards: vec![Guard::None] }
    }

    fn number(&mut self, guard: Guard) -> u32 {
        if let Some(&number) = self.numbers.get(&guard) {
            return number;
        }
        let number = self.guards.len() as u32;
        self.numbers.insert(guard.clone(), number);
        self.guards.push(guard);
        number
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.guards.len()
    }

    /// After a byte.
    pub(super) fn byte(&mut self, guard: u32, byte: u8) -> u32 {
        let Guard::Same(seen, prefix) = &self.guards[guard as usize] else { return guard };
        let (seen, mut prefix) = (Arc::clone(seen), prefix.clone());
        prefix.push(byte);
        let known = seen.range(prefix.clone()..).next().is_some_and(|text| text.starts_with(&prefix));
        self.number(if known { Guard::Same(seen, prefix) } else { Guard::New(seen) })
    }

    /// After a step; `None` where it is not allowed.
    pub(super) fn step(&mut self, guard: u32, step: UniqueStep) -> Option<u32> {
        let next = match (&self.guards[guard as usize], step) {
            (Guard::None, UniqueStep::Enter) => Guard::Between(Seen::default()),
            (Guard::Between(seen), UniqueStep::Begin) => Guard::Same(Arc::clone(seen), Vec::new()),
            (Guard::Same(seen, text), UniqueStep::End) if !seen.contains(text) => {
                Guard::Ended(Arc::clone(seen))
            }
            (Guard::New(seen), UniqueStep::End) => Guard::Ended(Arc::clone(seen)),
            (Guard::Between(_) | Guard::Ended(_), UniqueStep::Leave) => Guard::None,
            _ => return None,
        };
        Some(self.number(next))
    }

    /// Whether an item has just begun.
    pub(super) fn is_fresh(&self, guard: u32) -> bool {
        matches!(&self.guards[guard as usize], Guard::Same(_, text) if text.is_empty())
    }

    /// Whether an item has ended and waits for its text.
    pub(super) fn has_ended(&self, guard: u32) -> bool {
        matches!(&self.guards[guard as usize], Guard::Ended(_))
    }

    /// With the text of the item that has ended.
    pub(super) fn commit(&mut self, guard: u32, text: &[u8]) -> u32 {
        let Guard::Ended(seen) = &self.guards[guard as usize] else { return guard };
        let mut seen = BTreeSet::clone(seen);
        seen.insert(text.to_vec());
        self.number(Guard::Between(Arc::new(seen)))
    }
}
