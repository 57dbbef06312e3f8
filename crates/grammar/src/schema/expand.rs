//! From goals to shapes: following `$ref` and `allOf`, and taking one alternative at each choice.
//!
//! ```text
//! shapes(goals):
//!   work off all goals:  a schema that holds adds its conditions, and its anyOf, oneOf (this one and none of the others),
//!                        if and dependents as choices;  a schema that fails is put off
//!   if a list of values was found: done, its values are tried one by one
//!   otherwise the next choice: alternatives that contradict known conditions are dropped;  the others continue separately
//!   if no choice is left: the next schema that must fail.  If it cannot hold anyway it is dropped, otherwise it is a choice
//! ```

use super::emit::Compiler;
use super::goal::{Chain, Goal, GoalKey, keys};
use super::keywords::{self, Dependent};
use super::negate::Way;
use super::number;
use super::shape::{Items, Members, Shape};
use super::source::{Loc, Result};
use super::types::*;
use crate::error::{SchemaError, SchemaErrorKind};
use crate::halt::{Halt, push};
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;

/// How deeply members and items are examined to see that nothing satisfies a shape.
const DEPTH: usize = 4;
/// The maximum number of steps of all expansions together, for each branch that a schema may have.
const STEPS_PER_BRANCH: usize = 2_000;
/// The cost of branching, in addition to the size of what is copied.
const STEPS_PER_COPY: usize = 10;

/// What the unevaluated keywords leave out.
const UNEVALUATED: &str = "members and items that alternatives evaluate which were not taken";

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Sense {
    /// What documents are made of: if no type is stated, the types that the keywords are about.
    Made,
    /// Exactly what the schema states.
    Stated,
    /// What follows from the schemas that must hold, which may allow more than the schema does.
    Loose,
}

#[derive(Clone)]
struct Choice<'a> {
    ways: Vec<Way<'a>>,
    /// For the message about a limit.
    place: (Loc<'a>, &'static str),
    chain: Chain,
}

/// A goal, and how it was reached.
type Reached<'a> = (Goal<'a>, Option<Chain>);

#[derive(Clone)]
struct Partial<'a> {
    shape: Shape<'a>,
    met: HashSet<GoalKey>,
    goals: Vec<Reached<'a>>,
    choices: VecDeque<Choice<'a>>,
    fails: VecDeque<Reached<'a>>,
    inferred: bool,
}

impl<'a> Partial<'a> {
    /// The number of parts.
    fn size(&self) -> usize {
        self.met.len() + self.goals.len() + self.choices.len() + self.fails.len()
    }

    /// Pushes goals so that the first is examined first.
    fn push(
        &mut self,
        goals: impl IntoIterator<Item = Goal<'a>, IntoIter: DoubleEndedIterator>,
        chain: Chain,
    ) {
        self.goals.extend(goals.into_iter().rev().map(|goal| (goal, Some(chain))));
    }
}

impl<'a> Compiler<'a> {
    /// All shapes that meet the goals.
    pub(super) fn shapes(&mut self, goals: &[Goal<'a>], sense: Sense) -> Result<Rc<[Shape<'a>]>> {
        let key = (keys(goals), sense);
        if let Some(known) = self.expanded.get(&key) {
            return Ok(Rc::clone(known));
        }
        let reached = goals.iter().rev().map(|goal| (goal.clone(), None)).collect();
        let around = core::mem::take(&mut self.around);
        let found = self.expand(Shape::default(), reached, sense);
        self.around = around;
        let found: Rc<[Shape<'a>]> = found?.into();
        self.expanded.try_reserve(1).map_err(Halt::from)?;
        self.expanded.insert(key, Rc::clone(&found));
        Ok(found)
    }

    /// Expands goals to shapes; the last goal is examined first.
    fn expand(&mut self, shape: Shape<'a>, goals: Vec<Reached<'a>>, sense: Sense) -> Result<Vec<Shape<'a>>> {
        let first = Partial {
            shape,
            met: HashSet::new(),
            goals,
            choices: VecDeque::new(),
            fails: VecDeque::new(),
            inferred: sense != Sense::Made,
        };
        let mut work = vec![first];
        let mut found = Vec::new();
        'partials: while let Some(mut partial) = work.pop() {
            loop {
                self.step(1)?;
                if partial.shape.types == 0 {
                    continue 'partials;
                }
                if partial.shape.values.is_some() {
                    break;
                }
                if let Some((goal, before)) = partial.goals.pop() {
                    if !self.take(&mut partial, goal, before)? {
                        continue 'partials;
                    }
                    continue;
                }
                let choice = match partial.choices.pop_front() {
                    Some(choice) => choice,
                    None if !partial.inferred => {
                        partial.shape.infer();
                        partial.inferred = true;
                        continue;
                    }
                    None => {
                        let Some((goal, chain)) = partial.fails.pop_front() else { break };
                        if sense == Sense::Loose || self.is_refuted(&partial, &goal, chain)? {
                            continue;
                        }
                        let ways = self.ways_to_fail(&goal)?;
                        let chain = self.chains.link(&goal, chain)?;
                        Choice { ways, place: (goal.loc, ""), chain }
                    }
                };
                let Choice { ways, place, chain } = choice;
                // If one alternative holds in any case, the choice is settled.
                if ways.iter().any(|way| way.goals.is_empty() && way.shape.says_nothing_of(&partial.shape)) {
                    continue;
                }
                let mut open = Vec::new();
                for way in ways {
                    let mut next = partial.clone();
                    next.shape.and(&way.shape);
                    next.push(way.goals, chain);
                    self.step(STEPS_PER_COPY + next.size())?;
                    if !self.is_visibly_empty(&next.shape)? {
                        open.push(next);
                    }
                }
                let Some(first) = open.pop() else { continue 'partials };
                if open.is_empty() {
                    partial = first;
                    continue;
                }
                work.push(first);
                work.extend(open.into_iter().rev());
                if work.len() + found.len() > self.limits.schema_branches {
                    return Err(self.too_many_ways(&place.0, place.1));
                }
                continue 'partials;
            }
            let mut shape = partial.shape;
            self.evaluate(&mut shape)?;
            push(&mut found, shape)?;
        }
        Ok(found)
    }

    /// Works off one goal; `false` if nothing can meet it.
    fn take(&mut self, to: &mut Partial<'a>, goal: Goal<'a>, before: Option<Chain>) -> Result<bool> {
        let key = goal.key();
        if goal.is_never() || to.met.contains(&goal.negated().key()) {
            return Ok(false);
        }
        let schema = &goal.loc;
        if goal.is_always() || (!goal.is_value && schema.keywords()?.is_none()) {
            return Ok(true);
        }
        // A chain leads through conditions that were met here, or through those around this expansion.
        if to.met.contains(&key) || self.around.contains(&key) {
            let steps = self.chains.keys(before).take_while(|met| **met != key).count();
            let is_circle = self.chains.keys(before).nth(steps).is_some();
            self.step(1 + steps / 8)?;
            if is_circle {
                return Err(schema.circle());
            }
        }
        if to.met.contains(&key) {
            return Ok(true);
        }
        to.met.try_reserve(1).map_err(Halt::from)?;
        to.met.insert(key);
        if !goal.holds {
            to.fails.push_back((goal, before));
            return Ok(true);
        }
        if goal.is_value {
            to.shape.values = Some(vec![schema.value]);
            return Ok(true);
        }
        let chain = self.chains.link(&goal, before)?;
        let shape = Shape::of(schema, chain, self.limits, &mut self.algebra)?;
        to.shape.and(&shape);
        for (keyword, ways) in self.choices(schema)? {
            let place = (schema.clone(), keyword);
            to.choices.push_back(Choice { ways, place, chain });
        }
        to.push(schema.child("not").map(Goal::fails), chain);
        to.push(schema.children("allOf")?.unwrap_or_default().into_iter().map(Goal::holds), chain);
        to.push(self.references.target(schema)?.map(Goal::holds), chain);
        Ok(true)
    }

    /// The choices of a schema that must hold.
    fn choices(&mut self, schema: &Loc<'a>) -> Result<Vec<(&'static str, Vec<Way<'a>>)>> {
        let mut found = Vec::new();
        for keyword in ["anyOf", "oneOf"] {
            let Some(parts) = schema.children(keyword)? else { continue };
            if parts.is_empty() {
                let message = "expected at least one schema";
                return Err(schema.error(keyword, SchemaErrorKind::Malformed, message));
            }
            if keyword == "oneOf" && parts.len() > self.limits.schema_branches {
                return Err(self.too_many_ways(schema, keyword));
            }
            let way = |i: usize| {
                let mut goals = vec![Goal::holds(parts[i].clone())];
                if keyword == "oneOf" {
                    let others = parts.iter().enumerate().filter(|(j, _)| i != *j);
                    goals.extend(others.map(|(_, part)| Goal::fails(part.clone())));
                }
                Way::goals(goals)
            };
            found.push((keyword, (0..parts.len()).map(way).collect()));
        }
        if let Some(condition) = schema.child("if") {
            let part = |keyword: &str| schema.child(keyword).map(Goal::holds);
            let (then, other) = (part("then"), part("else"));
            if then.is_some() || other.is_some() {
                let holds = [Some(Goal::holds(condition.clone())), then].into_iter().flatten().collect();
                let fails = [Some(Goal::fails(condition)), other].into_iter().flatten().collect();
                found.push(("if", vec![Way::goals(holds), Way::goals(fails)]));
            }
        }
        for Dependent { name, required, schema } in keywords::dependents(schema)? {
            let absent = Way::shape(Shape { absent: vec![name], ..Shape::default() });
            let required = [name].into_iter().chain(required).collect();
            let present = Way {
                shape: Shape { required, ..Shape::of_types(OBJECT) },
                goals: schema.into_iter().map(Goal::holds).collect(),
            };
            found.push(("dependentSchemas", vec![absent, present]));
        }
        Ok(found)
    }

    /// Whether a schema that must fail cannot hold in any case.
    fn is_refuted(&mut self, partial: &Partial<'a>, goal: &Goal<'a>, chain: Option<Chain>) -> Result<bool> {
        if goal.is_value || self.depth >= DEPTH {
            return Ok(false);
        }
        self.depth += 1;
        let around: HashSet<GoalKey> = self.chains.keys(chain).cloned().collect();
        self.step(1 + around.len() / 8)?;
        let around = core::mem::replace(&mut self.around, around);
        let held = self.expand(partial.shape.clone(), vec![(goal.negated(), chain)], Sense::Loose);
        self.around = around;
        let mut empty = true;
        for shape in held? {
            // Only the shape counts: the schemas met so far may themselves say that this goal must fail.
            let values = match &shape.values {
                None => {
                    empty = empty && self.is_visibly_empty(&shape)?;
                    continue;
                }
                Some(values) => values.iter().filter(|value| partial.shape.may_be(value, &mut self.algebra)),
            };
            for value in values.copied().collect::<Vec<_>>() {
                empty = empty && !self.is_valid(&[goal.negated()], value)?;
            }
        }
        self.depth -= 1;
        Ok(empty)
    }

    /// Whether it is easy to see that nothing satisfies a shape.
    pub(super) fn is_visibly_empty(&mut self, shape: &Shape<'a>) -> Result<bool> {
        let empty = self.looks_empty(shape)?;
        if let Some((schema, what)) = shape.narrow.as_ref().filter(|_| empty) {
            self.leave_out_at(schema, what);
        }
        Ok(empty)
    }

    fn looks_empty(&mut self, shape: &Shape<'a>) -> Result<bool> {
        if shape.values.is_some() || shape.types & (NULL | FALSE | TRUE) != 0 {
            return Ok(shape.types == 0);
        }
        let mut open = shape.types;
        if open & STRING != 0 && !shape.strings.is_empty() {
            let term = shape.string_term(&mut self.algebra);
            open &= if self.is_nothing(term) { !STRING } else { ALL };
        }
        if open & NUMBER != 0 && shape.bounds_numbers() {
            let term = number::numbers(shape, true, &mut self.algebra);
            if self.is_nothing(term) {
                self.look_beyond(shape);
                open &= !NUMBER;
            }
        }
        if open & !(ARRAY | OBJECT) != 0 || self.depth >= DEPTH {
            return Ok(open == 0);
        }
        self.depth += 1;
        let empty = self.has_empty_part(shape, open);
        self.depth -= 1;
        empty
    }

    /// Whether a required item or member is impossible.
    fn has_empty_part(&mut self, shape: &Shape<'a>, types: u8) -> Result<bool> {
        if types & ARRAY != 0 {
            let layout = self.array_layout(shape);
            let mut empty = false;
            for i in 0..shape.item_count.min.min(layout.prefix as u32 + 1) {
                empty = empty || self.is_nobody(&layout.item(i as usize))?;
            }
            if !empty {
                return Ok(false);
            }
        }
        if types & OBJECT != 0 {
            let layout = self.object_layout(shape);
            let mut empty = false;
            for name in &layout.required {
                let goals = layout.member(name, &mut self.algebra);
                empty = empty || self.is_nobody(&goals)?;
            }
            return Ok(empty);
        }
        Ok(true)
    }

    /// Whether it is easy to see that no value meets the goals.
    fn is_nobody(&mut self, goals: &[Goal<'a>]) -> Result<bool> {
        if goals.is_empty() {
            return Ok(false);
        }
        for shape in self.shapes(goals, Sense::Loose)?.iter() {
            let empty = match &shape.values {
                None => self.is_visibly_empty(shape)?,
                Some(values) => {
                    let mut none = true;
                    for value in values {
                        none = none && !self.is_valid(goals, value)?;
                    }
                    none
                }
            };
            if !empty {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn too_many_ways(&self, schema: &Loc<'a>, keyword: &str) -> SchemaError {
        let limit = self.limits.schema_branches;
        schema.limit(
            keyword,
            format!("more than {limit} combinations of alternatives (Limits::schema_branches)"),
        )
    }

    /// Counts steps of the work on a schema.
    pub(super) fn step(&mut self, steps: usize) -> Result<()> {
        self.check()?;
        self.meter.step(steps)?;
        self.steps += steps;
        if self.steps <= STEPS_PER_BRANCH * self.limits.schema_branches {
            return Ok(());
        }
        let message = "too many combinations of alternatives in all (Limits::schema_branches)";
        Err(self.error_here(SchemaErrorKind::Limit, message))
    }

    /// Turns `unevaluatedProperties` and `unevaluatedItems` into conditions on what the schemas that were taken do not
    /// describe. A document may satisfy other schemas too, which would allow it more; those documents are left out.
    fn evaluate(&mut self, shape: &mut Shape<'a>) -> Result<()> {
        for goal in core::mem::take(&mut shape.unevaluated) {
            let key: GoalKey = goal.key();
            let chains = shape.members.iter().map(|members| members.chain);
            let chains = chains.chain(shape.items.iter().map(|items| items.chain));
            self.step(chains.map(|chain| 1 + self.chains.keys(chain).count() / 8).sum())?;
            if let Some(rest) = goal.loc.child("unevaluatedProperties").map(Goal::holds) {
                let below: Vec<Rc<Members<'a>>> = shape
                    .members
                    .iter()
                    .filter(|members| self.leads_through(members.chain, &key))
                    .cloned()
                    .collect();
                if below.iter().all(|members| members.additional.is_none()) {
                    // The same goals again: their conditions are already known, what counts is which names they
                    // describe.
                    let properties = below.iter().flat_map(|m| m.properties.iter().cloned()).collect();
                    let patterns = below.iter().flat_map(|m| m.patterns.iter().cloned()).collect();
                    shape.narrow = Some((goal.loc.clone(), UNEVALUATED));
                    shape.members.push(Rc::new(Members {
                        properties,
                        patterns,
                        additional: Some(rest),
                        chain: None,
                    }));
                }
            }
            if let Some(rest) = goal.loc.child("unevaluatedItems").map(Goal::holds) {
                let below = shape.items.iter().filter(|items| self.leads_through(items.chain, &key));
                let (mut prefix, mut open) = (0, true);
                for items in below {
                    prefix = prefix.max(items.first.len());
                    open &= items.rest.is_none();
                }
                if open {
                    shape.narrow = Some((goal.loc.clone(), UNEVALUATED));
                    let first = vec![None; prefix];
                    shape.items.push(Rc::new(Items { first, rest: Some(rest), chain: None }));
                }
            }
        }
        Ok(())
    }

    /// Whether a chain leads through a condition.
    fn leads_through(&self, chain: Option<Chain>, key: &GoalKey) -> bool {
        self.chains.keys(chain).any(|met| met == key)
    }
}
