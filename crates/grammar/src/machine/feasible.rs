//! Whether an array whose items must differ can still be completed: the question that the guards of `unique.rs` ask.
//!
//! ```text
//! count_new(kind, seen):   counts the texts of a kind of items that were not seen: breadth first over the states of the
//!                          kind's rule, up to as many as matter
//! completion(plan, state): items that are still to come, with different texts for them.  A kind with more new texts than
//!                          items that may come never runs short.  For other kinds, items are matched with texts through
//!                          augmenting paths, along the plan's transitions, depth first, each (state, kinds so far) once
//! avoided(next item):      texts that it must not be: those seen, and those that an item after it needs
//! ```

use super::unique::{Texts, with};
use super::{DEAD, Machine, StateId};
use crate::error::MatchError;
use crate::halt::{Halt, Meter, filled, push};
use crate::program::Program;
use crate::rules::BY_COUNT;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// The maximum number of paths through a plan that are examined.
const WAYS: usize = 20_000;

/// Items matched with texts.
#[derive(Default)]
struct Matching {
    /// The texts of each kind, by number; `None` for kinds that have enough.
    texts: HashMap<u32, Option<Vec<usize>>>,
    numbers: HashMap<Vec<u8>, usize>,
    all: Vec<Vec<u8>>,
    /// Which item has each text.
    owner: Vec<Option<usize>>,
    items: Vec<u32>,
}

impl Matching {
    /// Adds an item. Returns `false` if no text is left for it, however the other items share theirs.
    fn add(&mut self, kind: u32, meter: &Meter<'_>) -> Result<bool, Halt> {
        let item = self.items.len();
        push(&mut self.items, kind)?;
        if self.texts[&kind].is_none() {
            return Ok(true);
        }
        let mut from: Vec<Option<usize>> = filled(None, self.all.len())?;
        let mut work = VecDeque::from([item]);
        while let Some(at) = work.pop_front() {
            for &text in self.texts[&self.items[at]].iter().flatten() {
                meter.step(1)?;
                if from[text].is_some() {
                    continue;
                }
                from[text] = Some(at);
                let Some(owner) = self.owner[text] else {
                    self.augment(text, &from);
                    return Ok(true);
                };
                work.try_reserve(1)?;
                work.push_back(owner);
            }
        }
        self.items.pop();
        Ok(false)
    }

    /// Passes texts on along a path that ends at a free one.
    fn augment(&mut self, free: usize, from: &[Option<usize>]) {
        let mut text = free;
        while let Some(item) = from[text] {
            let before = self.owner.iter().position(|owner| *owner == Some(item));
            self.owner[text] = Some(item);
            match before {
                Some(before) => {
                    self.owner[before] = None;
                    text = before;
                }
                None => return,
            }
        }
    }

    fn remove_last(&mut self) {
        self.items.pop();
        let last = self.items.len();
        self.owner.iter_mut().filter(|owner| **owner == Some(last)).for_each(|owner| *owner = None);
    }
}

impl Machine {
    /// The state at the beginning of a rule that is matched alone.
    pub(super) fn kind_start(&mut self, rule: u32, meter: &Meter<'_>) -> Result<StateId, MatchError> {
        if let Some(&known) = self.kinds.get(&rule) {
            return Ok(known);
        }
        let state = self.enter(rule, meter)?;
        self.kinds.insert(rule, state);
        Ok(state)
    }

    /// The bytes that may follow a state, ascending, and the states they lead to.
    fn live(&mut self, state: StateId, meter: &Meter<'_>) -> Result<Arc<Vec<(u8, StateId)>>, MatchError> {
        if let Some(known) = self.live.get(&state) {
            return Ok(Arc::clone(known));
        }
        let mut found = Vec::new();
        for byte in 0..=255u8 {
            let after = self.step(state, self.program.class_of[usize::from(byte)], meter)?;
            if after != DEAD {
                push(&mut found, (byte, after))?;
            }
        }
        let found = Arc::new(found);
        self.live.try_reserve(1).map_err(Halt::from)?;
        self.live.insert(state, Arc::clone(&found));
        Ok(found)
    }

    /// How many texts a state leads to, other than those in a given list, of which the first `depth` bytes are already
    /// consumed. Counts up to `most`.
    pub(super) fn count_new(
        &mut self,
        state: StateId,
        avoid: &[Vec<u8>],
        depth: usize,
        most: usize,
        meter: &Meter<'_>,
    ) -> Result<usize, MatchError> {
        if state == DEAD {
            return Ok(0);
        }
        let (mut near, mut free) = (Vec::new(), BTreeMap::new());
        match avoid.is_empty() {
            true => drop(free.insert(state, 1usize)),
            false => near.push((state, avoid)),
        }
        let (mut depth, mut done) = (depth, 0usize);
        loop {
            let mut open = 0usize;
            let ends = |(state, texts): &&(StateId, &[Vec<u8>])| {
                self.is_accepting(*state) && texts.first().is_some_and(|text| text.len() > depth)
            };
            done += near.iter().filter(ends).count();
            for (&state, &ways) in &free {
                // A state that can continue can also be completed, so it stands for at least one text.
                let count = if self.is_accepting(state) { &mut done } else { &mut open };
                *count = count.saturating_add(ways);
            }
            if done.saturating_add(open) >= most {
                return Ok(most);
            }
            if near.is_empty() && free.is_empty() {
                return Ok(done);
            }
            let mut next_near = Vec::new();
            let mut next_free: BTreeMap<StateId, usize> = BTreeMap::new();
            for &(state, texts) in &near {
                for &(byte, after) in self.live(state, meter)?.iter() {
                    meter.step(1)?;
                    let from = texts.partition_point(|text| text.get(depth).is_none_or(|b| *b < byte));
                    let to = texts.partition_point(|text| text.get(depth).is_none_or(|b| *b <= byte));
                    if from == to {
                        *next_free.entry(after).or_default() += 1;
                    } else {
                        push(&mut next_near, (after, &texts[from..to]))?;
                    }
                }
            }
            for (&state, &ways) in &free {
                for &(_, after) in self.live(state, meter)?.iter() {
                    meter.step(1)?;
                    let count = next_free.entry(after).or_default();
                    *count = count.saturating_add(ways);
                }
            }
            (near, free) = (next_near, next_free);
            depth += 1;
        }
    }

    /// The texts of a kind that are not in a given list. There must be few.
    fn new_texts(&mut self, kind: u32, avoid: &Texts, meter: &Meter<'_>) -> Result<Vec<Vec<u8>>, MatchError> {
        let mut found = Vec::new();
        let mut work: Vec<(StateId, Vec<u8>)> = vec![(self.kind_start(kind, meter)?, Vec::new())];
        while let Some((state, text)) = work.pop() {
            meter.step(4)?;
            for &(byte, after) in self.live(state, meter)?.iter() {
                let mut text = text.clone();
                text.push(byte);
                push(&mut work, (after, text))?;
            }
            if self.is_accepting(state) && avoid.binary_search(&text).is_err() {
                push(&mut found, text)?;
            }
        }
        Ok(found)
    }

    /// Texts that complete an array from a state of its plan, as far as they are scarce; `None` if the array cannot be
    /// completed.
    fn completion(
        &mut self,
        plan: u32,
        state: usize,
        seen: &Texts,
        meter: &Meter<'_>,
    ) -> Result<Option<Vec<Vec<u8>>>, MatchError> {
        let program = Arc::clone(&self.program);
        let states = &program.plans[plan as usize].states;
        let state = state.min(states.len() - 1);
        let Some((items, kinds)) = shortest(&program, plan, state)? else { return Ok(None) };
        let mut enough = true;
        for &kind in &kinds {
            let start = self.kind_start(kind, meter)?;
            enough = enough && self.count_new(start, seen, 0, items + 1, meter)? > items;
        }
        if enough {
            return Ok(Some(Vec::new()));
        }
        let mut matching = Matching::default();
        let mut tried: HashSet<(usize, BTreeMap<u32, usize>)> = HashSet::new();
        // The states on the path, and the transition that each takes next.
        let mut path = vec![(state, 0)];
        while let Some(&(at, way)) = path.last() {
            if states[at].ends {
                let taken = matching.owner.iter().zip(&matching.all).filter(|(owner, _)| owner.is_some());
                return Ok(Some(taken.map(|(_, text)| text.clone()).collect()));
            }
            let Some(way) = states[at].ways.get(way).copied() else {
                path.pop();
                if !path.is_empty() {
                    matching.remove_last();
                }
                continue;
            };
            if let Some((_, next)) = path.last_mut() {
                *next += 1;
            }
            if !matching.texts.contains_key(&way.kind) {
                self.add_kind(&mut matching, way.kind, states.len(), seen, meter)?;
            }
            if !matching.add(way.kind, meter)? {
                continue;
            }
            let mut so_far = BTreeMap::new();
            matching.items.iter().for_each(|kind| *so_far.entry(*kind).or_insert(0) += 1);
            meter.step(matching.items.len())?;
            if tried.len() >= WAYS {
                let (what, name) = ("ways to fill an array of different items", "states");
                return Err(MatchError::Limit { what, name, limit: WAYS });
            }
            tried.try_reserve(1).map_err(Halt::from)?;
            if tried.insert((way.next as usize, so_far)) && matching.items.len() < states.len() {
                push(&mut path, (way.next as usize, 0))?;
            } else {
                matching.remove_last();
            }
        }
        Ok(None)
    }

    /// Adds the texts of a kind to a matching: all new ones, if they are fewer than the items that may come.
    fn add_kind(
        &mut self,
        matching: &mut Matching,
        kind: u32,
        most: usize,
        seen: &Texts,
        meter: &Meter<'_>,
    ) -> Result<(), MatchError> {
        let start = self.kind_start(kind, meter)?;
        let mut texts = None;
        if self.count_new(start, seen, 0, most + 1, meter)? <= most {
            let mut numbers = Vec::new();
            for text in self.new_texts(kind, seen, meter)? {
                let new = matching.all.len();
                let number = *matching.numbers.entry(text.clone()).or_insert(new);
                if number == new {
                    push(&mut matching.all, text)?;
                    push(&mut matching.owner, None)?;
                }
                push(&mut numbers, number)?;
            }
            texts = Some(numbers);
        }
        matching.texts.insert(kind, texts);
        Ok(())
    }

    /// The texts that the next item, of a given kind, must not be, so that enough texts remain for the items after it.
    /// `None` if there are not enough in any case.
    fn avoided(
        &mut self,
        plan: u32,
        kind: u32,
        next: usize,
        seen: &Texts,
        meter: &Meter<'_>,
    ) -> Result<Option<Texts>, MatchError> {
        let Some(taken) = self.completion(plan, next, seen, meter)? else { return Ok(None) };
        let mut avoid = Arc::clone(seen);
        let start = self.kind_start(kind, meter)?;
        for text in taken {
            let end = self.walk(start, &text, meter)?;
            if self.is_accepting(end) && self.completion(plan, next, &with(seen, &text)?, meter)?.is_none() {
                avoid = with(&avoid, &text)?;
            }
        }
        Ok(Some(avoid))
    }

    /// Whether an item of a kind may begin after some texts so that the array can still be completed. Returns the texts
    /// that the item must not be.
    pub(super) fn may_begin(
        &mut self,
        plan: u32,
        kind: u32,
        next: u32,
        seen: &Texts,
        meter: &Meter<'_>,
    ) -> Result<Option<Texts>, MatchError> {
        let next = if next == BY_COUNT { seen.len() + 1 } else { next as usize };
        let Some(avoid) = self.avoided(plan, kind, next, seen, meter)? else { return Ok(None) };
        let start = self.kind_start(kind, meter)?;
        let some = self.count_new(start, &avoid, 0, 1, meter)? > 0;
        Ok(Some(avoid).filter(|_| some))
    }

    /// Whether this holds whatever one more text is.
    pub(super) fn surely_begins(
        &mut self,
        plan: u32,
        kind: u32,
        next: u32,
        seen: &Texts,
        meter: &Meter<'_>,
    ) -> Result<bool, MatchError> {
        let program = Arc::clone(&self.program);
        let last = program.plans[plan as usize].states.len() - 1;
        let next = if next == BY_COUNT { seen.len() + 2 } else { next as usize };
        let Some((items, mut kinds)) = shortest(&program, plan, next.min(last))? else { return Ok(false) };
        kinds.insert(kind);
        for kind in kinds {
            let start = self.kind_start(kind, meter)?;
            if self.count_new(start, seen, 0, items + 2, meter)? < items + 2 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The plans of the program that no items can fill.
    pub(crate) fn empty_plans(&mut self, meter: &Meter<'_>) -> Result<Vec<bool>, MatchError> {
        let mut empty = Vec::new();
        for plan in 0..self.program.plans.len() as u32 {
            let found = self.completion(plan, 0, &Texts::default(), meter)?;
            push(&mut empty, found.is_none())?;
        }
        Ok(empty)
    }
}

/// The fewest items from a state of a plan to its end, and the kinds that occur on such paths.
fn shortest(program: &Program, plan: u32, state: usize) -> Result<Option<(usize, HashSet<u32>)>, Halt> {
    let states = &program.plans[plan as usize].states;
    let mut from: Vec<Option<(usize, u32)>> = filled(None, states.len())?;
    let mut work = VecDeque::from([state]);
    let mut seen = filled(false, states.len())?;
    seen[state] = true;
    while let Some(at) = work.pop_front() {
        if states[at].ends {
            let (mut items, mut kinds, mut at) = (0, HashSet::new(), at);
            while let Some((before, kind)) = from[at] {
                items += 1;
                kinds.insert(kind);
                at = before;
            }
            return Ok(Some((items, kinds)));
        }
        for way in &states[at].ways {
            if !core::mem::replace(&mut seen[way.next as usize], true) {
                from[way.next as usize] = Some((at, way.kind));
                work.try_reserve(1)?;
                work.push_back(way.next as usize);
            }
        }
    }
    Ok(None)
}
