//! From a term to the automaton of its derivatives.

use super::algebra::{Algebra, NOTHING, Term};
use crate::charset::CharSet;
use crate::halt::push;
use std::collections::HashMap;

/// A deterministic automaton over characters. State 0 is the start; every state can reach an accepting one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Automaton {
    pub(crate) states: Vec<State>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) accepting: bool,
    /// Disjoint sets of characters, each with the state that it leads to. No two lead to the same state.
    pub(crate) next: Vec<(CharSet, usize)>,
}

/// The average cost that a state may have: some patterns with few states have terms of many parts.
const WORK_PER_STATE: usize = 200;

/// A term has too many states or is too costly, memory was refused, or the work was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyStates;

impl Automaton {
    /// The automaton of a term; `None` if the term matches nothing.
    pub(crate) fn new(
        algebra: &mut Algebra,
        term: Term,
        max_states: usize,
    ) -> Result<Option<Self>, TooManyStates> {
        let mut numbers = HashMap::from([(term, 0usize)]);
        let mut terms = vec![term];
        let mut states: Vec<State> = Vec::new();
        let budget = algebra.work() + WORK_PER_STATE * max_states;
        while let Some(&term) = terms.get(states.len()) {
            let mut next: Vec<(CharSet, usize)> = Vec::new();
            for class in algebra.classes(term) {
                let Some(&(c, _)) = class.ranges().first() else { continue };
                let after = algebra.derivative(term, c);
                if after == NOTHING {
                    continue;
                }
                if let Err(error) = numbers.try_reserve(1).and_then(|()| terms.try_reserve(1)) {
                    algebra.stop(error.into());
                    return Err(TooManyStates);
                }
                let number = *numbers.entry(after).or_insert_with(|| {
                    terms.push(after);
                    terms.len() - 1
                });
                match next.iter_mut().find(|(_, to)| *to == number) {
                    Some((set, _)) => *set = set.union(&class),
                    None => next.push((class, number)),
                }
            }
            let state = State { accepting: algebra.is_nullable(term), next };
            if let Err(halt) = push(&mut states, state) {
                algebra.stop(halt);
            }
            if algebra.check().is_err() {
                return Err(TooManyStates);
            }
            if terms.len() > max_states || algebra.work() > budget {
                return Err(TooManyStates);
            }
        }
        Ok(Self { states }.trimmed())
    }

    /// Removes the states from which no accepting state can be reached.
    fn trimmed(self) -> Option<Self> {
        let mut callers = vec![Vec::new(); self.states.len()];
        let mut work = Vec::new();
        let mut alive = vec![false; self.states.len()];
        for (i, state) in self.states.iter().enumerate() {
            state.next.iter().for_each(|(_, to)| callers[*to].push(i));
            if state.accepting {
                alive[i] = true;
                work.push(i);
            }
        }
        while let Some(state) = work.pop() {
            for &caller in &callers[state] {
                if !alive[caller] {
                    alive[caller] = true;
                    work.push(caller);
                }
            }
        }
        if !alive[0] {
            return None;
        }
        let mut numbers = vec![0; alive.len()];
        let mut count = 0;
        for (i, alive) in alive.iter().enumerate() {
            numbers[i] = count;
            count += usize::from(*alive);
        }
        let states =
            self.states.into_iter().zip(&alive).filter(|(_, alive)| **alive).map(|(state, _)| State {
                accepting: state.accepting,
                next: state
                    .next
                    .into_iter()
                    .filter(|(_, to)| alive[*to])
                    .map(|(set, to)| (set, numbers[to]))
                    .collect(),
            });
        Some(Self { states: states.collect() })
    }
}
