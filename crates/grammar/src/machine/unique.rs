//! The check that an array's items, or an object's names, differ. No context-free grammar can express it.
//!
//! Each item has only one spelling, so items differ if their texts differ. Positions inside such an array carry a
//! guard: the texts seen so far, and how far the current item agrees with a text that it must not be.
//!
//! ```text
//! none --enter--> between(seen) --begin--> same(seen, avoid, "") --byte--> same(seen, avoid, prefix) or new(seen)
//! same(text in avoid) --end--> dead;  same, new --end--> ended(seen) --commit(text)--> between(seen + text)
//! between, ended --leave--> the enclosing guard;  ended --follow--> ended, or asking until the text is known
//!
//! avoid:         the texts that were seen, and those that items still to come need (`feasible.rs`)
//! same(prefix):  only if some text of the item's language begins with the prefix and need not be avoided
//! ```
//!
//! A mask is computed without the text at hand, so after an item that ends inside a token, another item cannot begin in
//! the same token: `ended --begin--> dead`. `accept` follows the same rule, and records the texts afterwards.

use super::{Machine, StateId};
use crate::error::MatchError;
use crate::halt::{Halt, Meter, push};
use crate::rules::UniqueStep;
use std::collections::HashMap;
use std::sync::Arc;

/// Texts, in ascending order.
pub(super) type Texts = Arc<Vec<Vec<u8>>>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Guard {
    None,
    Between {
        outer: u32,
        seen: Texts,
    },
    Same {
        outer: u32,
        seen: Texts,
        avoid: Texts,
        item: StateId,
        prefix: Vec<u8>,
    },
    New {
        outer: u32,
        seen: Texts,
    },
    Ended {
        outer: u32,
        seen: Texts,
    },
    /// An item has ended; whether one of a certain kind may follow depends on its text.
    Asking {
        outer: u32,
        seen: Texts,
        plan: u32,
        kind: u32,
        next: u32,
    },
}

/// Outside any array whose items must differ.
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

    fn number(&mut self, guard: Guard) -> Result<u32, Halt> {
        if let Some(&number) = self.numbers.get(&guard) {
            return Ok(number);
        }
        let number = self.guards.len() as u32;
        self.numbers.try_reserve(1)?;
        push(&mut self.guards, guard.clone())?;
        self.numbers.insert(guard, number);
        Ok(number)
    }

    /// The number of guards.
    pub(super) fn len(&self) -> usize {
        self.guards.len()
    }

    /// Whether an item has just begun.
    pub(super) fn is_fresh(&self, guard: u32) -> bool {
        matches!(&self.guards[guard as usize], Guard::Same { prefix, .. } if prefix.is_empty())
    }

    /// Whether an item has begun and not ended.
    pub(super) fn is_inside(&self, guard: u32) -> bool {
        matches!(&self.guards[guard as usize], Guard::Same { .. } | Guard::New { .. })
    }

    /// Whether an item has ended and waits for its text.
    pub(super) fn has_ended(&self, guard: u32) -> bool {
        matches!(&self.guards[guard as usize], Guard::Ended { .. } | Guard::Asking { .. })
    }
}

/// The texts and one more.
pub(super) fn with(texts: &Texts, text: &[u8]) -> Result<Texts, Halt> {
    let Err(place) = texts.binary_search_by(|known| known.as_slice().cmp(text)) else {
        return Ok(Arc::clone(texts));
    };
    let mut all = Vec::new();
    all.try_reserve_exact(texts.len() + 1)?;
    for known in
        texts[..place].iter().map(Vec::as_slice).chain([text]).chain(texts[place..].iter().map(Vec::as_slice))
    {
        let mut copy = Vec::new();
        copy.try_reserve_exact(known.len())?;
        copy.extend_from_slice(known);
        all.push(copy);
    }
    Ok(Arc::new(all))
}

/// The texts of an ascending list that begin with a prefix.
pub(super) fn beginning<'t>(texts: &'t [Vec<u8>], prefix: &[u8]) -> &'t [Vec<u8>] {
    let from = texts.partition_point(|text| text.as_slice() < prefix);
    let rest = &texts[from..];
    &rest[..rest.partition_point(|text| text.starts_with(prefix))]
}

impl Machine {
    /// The guard after the text of the ended item is known; `None` if another item should follow but none can.
    pub(super) fn commit_guard(
        &mut self,
        guard: u32,
        text: &[u8],
        meter: &Meter<'_>,
    ) -> Result<Option<u32>, MatchError> {
        let (outer, seen) = match &self.guards.guards[guard as usize] {
            Guard::Ended { outer, seen } => (*outer, with(seen, text)?),
            Guard::Asking { outer, seen, plan, kind, next } => {
                let (outer, plan, kind, next) = (*outer, *plan, *kind, *next);
                let seen = with(seen, text)?;
                if self.may_begin(plan, kind, next, &seen, meter)?.is_none() {
                    return Ok(None);
                }
                (outer, seen)
            }
            _ => return Ok(Some(guard)),
        };
        meter.step(1 + seen.len())?;
        Ok(Some(self.guards.number(Guard::Between { outer, seen })?))
    }

    /// The guard after a byte; `None` if the item cannot become a new one.
    pub(super) fn guard_byte(
        &mut self,
        guard: u32,
        byte: u8,
        meter: &Meter<'_>,
    ) -> Result<Option<u32>, MatchError> {
        let Guard::Same { outer, seen, avoid, item, prefix } = &self.guards.guards[guard as usize] else {
            let asks = matches!(&self.guards.guards[guard as usize], Guard::Asking { .. });
            return Ok(Some(guard).filter(|_| !asks));
        };
        let (outer, item, mut prefix) = (*outer, *item, prefix.clone());
        let (seen, avoid) = (Arc::clone(seen), Arc::clone(avoid));
        prefix.push(byte);
        let near = beginning(&avoid, &prefix);
        meter.step(1 + prefix.len() / 8)?;
        if near.is_empty() {
            return Ok(Some(self.guards.number(Guard::New { outer, seen })?));
        }
        let item = self.step(item, self.program.class_of[usize::from(byte)], meter)?;
        if self.count_new(item, near, prefix.len(), 1, meter)? == 0 {
            return Ok(None);
        }
        Ok(Some(self.guards.number(Guard::Same { outer, seen, avoid, item, prefix })?))
    }

    /// The guard after a step; `None` if the step is not allowed.
    pub(super) fn guard_step(
        &mut self,
        guard: u32,
        step: UniqueStep,
        meter: &Meter<'_>,
    ) -> Result<Option<u32>, MatchError> {
        let next = match (&self.guards.guards[guard as usize], step) {
            (Guard::None | Guard::Between { .. } | Guard::Ended { .. }, UniqueStep::Enter { .. }) => {
                Guard::Between { outer: guard, seen: Texts::default() }
            }
            (Guard::Between { outer, seen }, UniqueStep::Begin { plan, kind, next }) => {
                let (outer, seen) = (*outer, Arc::clone(seen));
                let Some(avoid) = self.may_begin(plan, kind, next, &seen, meter)? else { return Ok(None) };
                let item = self.kind_start(kind, meter)?;
                Guard::Same { outer, seen, avoid, item, prefix: Vec::new() }
            }
            (Guard::Between { seen, .. }, UniqueStep::Follow { plan, kind, next }) => {
                let seen = Arc::clone(seen);
                return Ok(self.may_begin(plan, kind, next, &seen, meter)?.map(|_| guard));
            }
            (Guard::Ended { outer, seen }, UniqueStep::Follow { plan, kind, next }) => {
                let (outer, seen) = (*outer, Arc::clone(seen));
                if self.surely_begins(plan, kind, next, &seen, meter)? {
                    return Ok(Some(guard));
                }
                Guard::Asking { outer, seen, plan, kind, next }
            }
            (Guard::Same { outer, seen, avoid, prefix, .. }, UniqueStep::End)
                if avoid.binary_search(prefix).is_err() =>
            {
                Guard::Ended { outer: *outer, seen: Arc::clone(seen) }
            }
            (Guard::New { outer, seen }, UniqueStep::End) => {
                Guard::Ended { outer: *outer, seen: Arc::clone(seen) }
            }
            (Guard::Between { outer, .. } | Guard::Ended { outer, .. }, UniqueStep::Leave) => {
                return Ok(Some(*outer));
            }
            _ => return Ok(None),
        };
        Ok(Some(self.guards.number(next)?))
    }
}
