//! The machine: sets of positions in the program, followed byte by byte. Every set and every step is cached.
//!
//! A state is a sorted list of items (node, frame). A frame is the list of items to continue with when a rule ends: all
//! callers of the rule that called it at the same place in the text share one frame (as in Earley's chart and Tomita's
//! graph-structured stack, but without the position, so that equal futures are one state):
//!
//! ```text
//! step(state, byte):
//!   take every item whose node accepts the byte to its next node, then settle:
//!     split: follow all;   accept: follow the items of the frame;   call: note (rule, caller); skip if it can be empty
//!     then rule by rule, callers before callees:  frame := number(callers);  follow the rule's start with that frame
//!   keep the items at bytes, tokens and the accepting end; number the list
//! ```
//!
//! Nothing here recurses or loops forever: each position is followed once per step, and rules that begin with one
//! another (left recursion) were refused. A call in last position passes on its caller's frame, so right recursion
//! takes no depth.

mod feasible;
mod free;
mod intern;
mod unique;

use crate::error::MatchError;
use crate::halt::{Halt, Meter, push};
use crate::limits::Limits;
use crate::program::{ACCEPT, NAMED_TOKEN, Node, Program};
use intern::{Item, Lists, ROOT};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use unique::Guards;

/// A state's number.
pub(crate) type StateId = u32;

/// The state without positions: nothing can follow, and the text does not match.
pub(crate) const DEAD: StateId = 0;

/// A step that has not been computed yet.
const UNKNOWN: StateId = u32::MAX;

/// Properties of a state beside its items.
#[derive(Debug, Clone, Copy, Default)]
struct Traits {
    /// Whether the text may end here.
    accepting: bool,
    /// Whether whole tokens are named here.
    tokens: bool,
    /// Whether an item of an array of different items has just begun (`fresh`), is being written (`inside`), or has
    /// ended (`ended`).
    fresh: bool,
    inside: bool,
    ended: bool,
}

/// A program with its caches.
#[derive(Debug)]
pub(crate) struct Machine {
    program: Arc<Program>,
    /// The ids of the program's named tokens.
    named: Vec<u32>,
    max_states: usize,
    max_items: usize,
    frames: Lists,
    states: Lists,
    traits: Vec<Traits>,
    /// Steps: one row for each state, with an entry per byte class.
    rows: Vec<StateId>,
    guards: Guards,
    /// The states after plain characters, for states where that was needed.
    after_plain: HashMap<StateId, Option<Vec<StateId>>>,
    /// The states at the beginning of rules that match items which must differ.
    kinds: HashMap<u32, StateId>,
    /// For their states: the bytes that may follow, and the states they lead to.
    live: HashMap<StateId, Arc<Vec<(u8, StateId)>>>,
    start: StateId,
    scratch: Scratch,
}

/// Buffers of `settle`.
#[derive(Debug, Default)]
struct Scratch {
    work: Vec<Item>,
    seen: HashSet<Item>,
    kept: Vec<Item>,
    /// Callers of rules, by (rank of the rule, guard).
    calls: BTreeMap<(u32, u32), (u32, Vec<Item>)>,
}

/// The position in a text: the state and, inside an array whose items must differ, the text of the current item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) state: StateId,
    item: Vec<u8>,
}

impl Machine {
    /// Makes a machine at the beginning of a text. `named` has the ids of the program's named tokens.
    pub(crate) fn new(
        program: Arc<Program>,
        named: Vec<u32>,
        limits: &Limits,
        meter: &Meter<'_>,
    ) -> Result<Self, MatchError> {
        let mut machine = Self {
            program,
            named,
            max_states: limits.states,
            max_items: limits.state_items,
            frames: Lists::new(),
            states: Lists::new(),
            traits: vec![Traits::default()],
            rows: Vec::new(),
            guards: Guards::new(),
            after_plain: HashMap::new(),
            kinds: HashMap::new(),
            live: HashMap::new(),
            start: DEAD,
            scratch: Scratch::default(),
        };
        machine.rows.resize(machine.alphabet(), DEAD);
        machine.start = machine.enter(machine.program.root, meter)?;
        Ok(machine)
    }

    /// The state at the beginning of a rule that is matched alone.
    fn enter(&mut self, rule: u32, meter: &Meter<'_>) -> Result<StateId, MatchError> {
        let node = self.program.starts[rule as usize];
        self.scratch.work.clear();
        push(&mut self.scratch.work, Item { node, frame: ROOT, guard: unique::NONE })?;
        self.settle(meter)
    }

    /// The position at which every text begins.
    pub(crate) fn start(&self) -> Position {
        Position { state: self.start, item: Vec::new() }
    }

    /// The number of byte classes.
    pub(crate) fn alphabet(&self) -> usize {
        self.program.members.len()
    }

    /// The class of each byte.
    pub(crate) fn classes(&self) -> [u8; 256] {
        self.program.class_of
    }

    /// Whether the text may end here.
    pub(crate) fn is_accepting(&self, state: StateId) -> bool {
        self.traits[state as usize].accepting
    }

    /// Whether the limit of states is reached.
    pub(crate) fn is_full(&self) -> bool {
        self.states.len() + self.frames.len() + self.guards.len() >= self.max_states
    }

    /// Whether nothing can follow.
    pub(crate) fn is_stuck(&self, state: StateId) -> bool {
        self.states.get(state).iter().all(|item| self.program.nodes[item.node as usize] == Node::Accept)
    }

    /// The number of states created so far.
    pub(crate) fn states(&self) -> usize {
        self.states.len()
    }

    /// The state after a byte of a class.
    #[inline]
    pub(crate) fn step(
        &mut self,
        state: StateId,
        class: u8,
        meter: &Meter<'_>,
    ) -> Result<StateId, MatchError> {
        let known = self.rows[state as usize * self.program.members.len() + usize::from(class)];
        if known != UNKNOWN { Ok(known) } else { self.new_step(state, class, meter) }
    }

    #[cold]
    fn new_step(&mut self, state: StateId, class: u8, meter: &Meter<'_>) -> Result<StateId, MatchError> {
        let byte = self.program.members[usize::from(class)];
        // A guard may need steps of its own.
        let mut work = core::mem::take(&mut self.scratch.work);
        work.clear();
        for item in self.states.get(state).iter() {
            meter.step(1)?;
            if let Node::Bytes { set, next } = self.program.nodes[item.node as usize]
                && self.program.sets[set as usize].contains(byte)
            {
                let Some(guard) = self.guard_byte(item.guard, byte, meter)? else { continue };
                push(&mut work, Item { node: next, frame: item.frame, guard })?;
            }
        }
        self.scratch.work = work;
        let next = self.settle(meter)?;
        let place = state as usize * self.alphabet() + usize::from(class);
        self.rows[place] = next;
        Ok(next)
    }

    /// The state after these bytes, which belong to one token; dead for no bytes.
    pub(crate) fn walk(
        &mut self,
        state: StateId,
        bytes: &[u8],
        meter: &Meter<'_>,
    ) -> Result<StateId, MatchError> {
        let mut at = if bytes.is_empty() { DEAD } else { state };
        for &byte in bytes {
            if at == DEAD {
                break;
            }
            at = self.step(at, self.program.class_of[usize::from(byte)], meter)?;
        }
        Ok(at)
    }

    /// The tokens that the state names, each with whether it is negated.
    pub(crate) fn named_tokens(&self, state: StateId) -> Vec<(u32, bool)> {
        if !self.traits[state as usize].tokens {
            return Vec::new();
        }
        let items = self.states.get(state);
        let tokens = items.iter().filter_map(|item| match self.program.nodes[item.node as usize] {
            Node::Token { token, negated, .. } => Some((self.token_id(token), negated)),
            _ => None,
        });
        tokens.collect()
    }

    fn token_id(&self, token: u32) -> u32 {
        match token.checked_sub(NAMED_TOKEN) {
            Some(i) => self.named.get(i as usize).copied().unwrap_or(u32::MAX),
            None => token,
        }
    }

    /// Advances by one byte.
    pub(crate) fn advance(
        &mut self,
        at: &mut Position,
        byte: u8,
        meter: &Meter<'_>,
    ) -> Result<(), MatchError> {
        meter.step(1)?;
        let state = self.step(at.state, self.program.class_of[usize::from(byte)], meter)?;
        if self.traits[at.state as usize].inside {
            push(&mut at.item, byte)?;
        }
        self.commit(at, state, meter)
    }

    /// Advances by one token, which the state accepts by its bytes, by its name, or both.
    pub(crate) fn advance_token(
        &mut self,
        at: &mut Position,
        token: Option<u32>,
        bytes: &[u8],
        meter: &Meter<'_>,
    ) -> Result<(), MatchError> {
        let mut state = self.walk(at.state, bytes, meter)?;
        let mut after = at.clone();
        if state != DEAD {
            // Following the token byte by byte allows at least as much, and records the items of arrays.
            for &byte in bytes {
                self.advance(&mut after, byte, meter)?;
            }
            state = after.state;
        }
        if self.traits[at.state as usize].tokens {
            self.scratch.work.clear();
            for item in self.states.get(at.state).iter() {
                if let Node::Token { token: named, negated, next } = self.program.nodes[item.node as usize]
                    && (token == Some(self.token_id(named))) != negated
                {
                    push(&mut self.scratch.work, Item { node: next, ..*item })?;
                }
            }
            let named = self.settle(meter)?;
            let mut items = copied(&self.states.get(state))?;
            let more = self.states.get(named);
            items.try_reserve(more.len()).map_err(Halt::from)?;
            items.extend_from_slice(&more);
            state = self.state(&mut items)?;
        }
        after.state = state;
        *at = after;
        Ok(())
    }

    /// Enters a state, and records the text of an array item that has ended.
    fn commit(&mut self, at: &mut Position, state: StateId, meter: &Meter<'_>) -> Result<(), MatchError> {
        at.state = state;
        let Traits { fresh, inside, ended, .. } = self.traits[state as usize];
        if ended {
            let mut items = copied(&self.states.get(state))?;
            let mut left = Vec::new();
            left.try_reserve(items.len()).map_err(Halt::from)?;
            for item in items.drain(..) {
                if let Some(guard) = self.commit_guard(item.guard, &at.item, meter)? {
                    left.push(Item { guard, ..item });
                }
            }
            at.state = self.state(&mut left)?;
        }
        if fresh || !inside {
            at.item.clear();
        }
        Ok(())
    }

    /// Follows everything that takes no byte, from the items in `scratch.work`.
    fn settle(&mut self, meter: &Meter<'_>) -> Result<StateId, MatchError> {
        let program = Arc::clone(&self.program);
        let mut scratch = core::mem::take(&mut self.scratch);
        scratch.seen.clear();
        scratch.kept.clear();
        scratch.calls.clear();
        // The first round ends rules. Rules that were called in this same step and could end at once have been skipped
        // over instead.
        let mut first_round = true;
        loop {
            while let Some(item) = scratch.work.pop() {
                meter.step(1)?;
                scratch.seen.try_reserve(1).map_err(Halt::from)?;
                if !scratch.seen.insert(item) {
                    continue;
                }
                if scratch.seen.len() > self.max_items {
                    let (what, name) = ("positions at one place", "state_items");
                    return Err(MatchError::Limit { what, name, limit: self.max_items });
                }
                let to = |node: u32| Item { node, ..item };
                match &program.nodes[item.node as usize] {
                    Node::Accept if item.frame == ROOT => push(&mut scratch.kept, item)?,
                    Node::Accept if first_round => {
                        let callers = self.frames.get(item.frame);
                        scratch.work.try_reserve(callers.len()).map_err(Halt::from)?;
                        let with = |caller: &Item| Item { guard: item.guard, ..*caller };
                        scratch.work.extend(callers.iter().map(with));
                    }
                    Node::Accept => {}
                    Node::Bytes { .. } | Node::Token { .. } => push(&mut scratch.kept, item)?,
                    Node::Split(nodes) => {
                        scratch.work.try_reserve(nodes.len()).map_err(Halt::from)?;
                        scratch.work.extend(nodes.iter().map(|&node| to(node)));
                    }
                    Node::Unique { step, next } => {
                        if let Some(guard) = self.guard_step(item.guard, *step, meter)? {
                            push(&mut scratch.work, Item { node: *next, guard, ..item })?;
                        }
                    }
                    Node::Call { rule, next, skip } => {
                        let key = (program.rank[*rule as usize], item.guard);
                        let callers = &mut scratch.calls.entry(key).or_insert((*rule, Vec::new())).1;
                        if *next == ACCEPT && item.frame != ROOT {
                            let around = self.frames.get(item.frame);
                            callers.try_reserve(around.len()).map_err(Halt::from)?;
                            callers.extend_from_slice(&around);
                        } else {
                            push(callers, Item { guard: unique::NONE, ..to(*next) })?;
                        }
                        if *skip && program.nullable[*rule as usize] {
                            push(&mut scratch.work, to(*next))?;
                        }
                    }
                }
            }
            first_round = false;
            let Some(((_, guard), (rule, mut callers))) = scratch.calls.pop_first() else { break };
            let frame = self.frames.number(&mut callers)?;
            push(&mut scratch.work, Item { node: program.starts[rule as usize], frame, guard })?;
        }
        let mut kept = core::mem::take(&mut scratch.kept);
        self.scratch = scratch;
        let state = self.state(&mut kept);
        self.scratch.kept = kept;
        state
    }

    /// The number of a state, creating a row for its steps if it is new.
    fn state(&mut self, items: &mut Vec<Item>) -> Result<StateId, MatchError> {
        if self.is_full() && self.states.find(items).is_none() {
            let limit = self.max_states;
            return Err(MatchError::Limit { what: "states", name: "states", limit });
        }
        // The row is made before the number, so that every number has a row.
        let alphabet = self.program.members.len();
        self.traits.try_reserve(1).map_err(Halt::from)?;
        self.rows.try_reserve(alphabet).map_err(Halt::from)?;
        let number = self.states.number(items)?;
        if number as usize == self.traits.len() {
            let node = |item: &Item| &self.program.nodes[item.node as usize];
            self.traits.push(Traits {
                accepting: items.iter().any(|item| *node(item) == Node::Accept),
                tokens: items.iter().any(|item| matches!(node(item), Node::Token { .. })),
                fresh: items.iter().any(|item| self.guards.is_fresh(item.guard)),
                inside: items.iter().any(|item| self.guards.is_inside(item.guard)),
                ended: items.iter().any(|item| self.guards.has_ended(item.guard)),
            });
            self.rows.resize(self.rows.len() + alphabet, UNKNOWN);
        }
        Ok(number)
    }
}

/// A list's items as a copy that can be changed.
fn copied(items: &[Item]) -> Result<Vec<Item>, Halt> {
    let mut copy = Vec::new();
    copy.try_reserve(items.len())?;
    copy.extend_from_slice(items);
    Ok(copy)
}
