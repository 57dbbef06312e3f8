//! How many plain characters may surely follow, whatever they are. Inside a JSON string it is any number.

use super::{DEAD, Machine, StateId};
use crate::error::MatchError;
use crate::halt::{Halt, Meter, push};
use crate::program::sequences;
use std::collections::HashSet;

/// Looking further is not worthwhile: longer tokens are examined one by one, unless any number may follow.
const ENOUGH: u16 = 16;

impl Machine {
    /// A number of plain characters (no quote, backslash or control character) such that every sequence of them may
    /// follow. At most [`ENOUGH`], or `u16::MAX` if any number may follow.
    pub(crate) fn free_characters(&mut self, state: StateId, meter: &Meter<'_>) -> Result<u16, MatchError> {
        let mut seen = HashSet::from([state]);
        let mut front = vec![state];
        for count in 0..ENOUGH {
            let mut next = Vec::new();
            for state in front {
                let Some(after) = self.after_plain(state, meter)? else { return Ok(count) };
                next.extend(after.into_iter().filter(|state| seen.insert(*state)));
            }
            if next.is_empty() {
                return Ok(u16::MAX);
            }
            front = next;
        }
        Ok(ENOUGH)
    }

    /// The states after each plain character; `None` if one of them cannot follow.
    fn after_plain(&mut self, state: StateId, meter: &Meter<'_>) -> Result<Option<Vec<StateId>>, MatchError> {
        if let Some(known) = self.after_plain.get(&state) {
            return Ok(known.clone());
        }
        let found = self.find_after_plain(state, meter)?;
        self.after_plain.try_reserve(1).map_err(Halt::from)?;
        self.after_plain.insert(state, found.clone());
        Ok(found)
    }

    fn find_after_plain(
        &mut self,
        state: StateId,
        meter: &Meter<'_>,
    ) -> Result<Option<Vec<StateId>>, MatchError> {
        let mut found = Vec::new();
        // In most states, one of these ranges fails at once.
        for (low, high) in [(0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0x80, 0x10_FFFF)] {
            for sequence in sequences(low, high) {
                let mut front = vec![state];
                for (low, high) in sequence {
                    let mut next = Vec::new();
                    for state in front {
                        let mut before = None;
                        for byte in low..=high {
                            let class = self.program.class_of[usize::from(byte)];
                            if before.replace(class) == Some(class) {
                                continue;
                            }
                            meter.step(1)?;
                            match self.step(state, class, meter)? {
                                DEAD => return Ok(None),
                                after => push(&mut next, after)?,
                            }
                        }
                    }
                    next.sort_unstable();
                    next.dedup();
                    front = next;
                }
                found.try_reserve(front.len()).map_err(Halt::from)?;
                found.extend(front);
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(Some(found))
    }
}
