//! Conditions on a value: that a schema holds or fails, or that the value equals or differs from another.

use super::source::Loc;
use crate::halt::{Halt, push};
use std::rc::Rc;

/// A condition.
#[derive(Debug, Clone)]
pub(super) struct Goal<'a> {
    /// A schema or, with `is_value`, a value in one.
    pub(super) loc: Loc<'a>,
    pub(super) is_value: bool,
    /// Whether the schema must hold (or the value be equal), or must not.
    pub(super) holds: bool,
}

/// Goals with the same key are the same goal.
pub(super) type GoalKey = (Rc<str>, bool, bool);

impl<'a> Goal<'a> {
    /// The schema must hold.
    pub(super) fn holds(loc: Loc<'a>) -> Self {
        Self { loc, is_value: false, holds: true }
    }

    /// The schema must not hold.
    pub(super) fn fails(loc: Loc<'a>) -> Self {
        Self { loc, is_value: false, holds: false }
    }

    /// The value must be a different one.
    pub(super) fn differs(loc: Loc<'a>) -> Self {
        Self { loc, is_value: true, holds: false }
    }

    pub(super) fn negated(&self) -> Self {
        Self { holds: !self.holds, ..self.clone() }
    }

    pub(super) fn key(&self) -> GoalKey {
        (Rc::clone(&self.loc.pointer), self.is_value, self.holds)
    }

    /// Whether nothing can satisfy the goal, as far as that is visible without examining it.
    pub(super) fn is_never(&self) -> bool {
        !self.is_value && self.loc.is_bool(!self.holds)
    }

    /// Whether everything satisfies the goal, as far as that is visible without examining it.
    pub(super) fn is_always(&self) -> bool {
        !self.is_value && self.loc.is_bool(self.holds)
    }
}

/// The key of goals that must be met together, in any order.
pub(super) fn keys(goals: &[Goal<'_>]) -> Vec<GoalKey> {
    let mut keys: Vec<GoalKey> = goals.iter().map(Goal::key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The conditions that led from a value's first condition to this one, all about the same value: the number of the last
/// link in [`Chains`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain(u32);

/// All links. Their number depends on the schema, so they are stored in a list, which no code walks recursively.
#[derive(Debug, Default)]
pub(super) struct Chains {
    links: Vec<(GoalKey, Option<Chain>)>,
}

impl Chains {
    /// Adds a condition after those that led to it.
    pub(super) fn link(&mut self, goal: &Goal<'_>, before: Option<Chain>) -> Result<Chain, Halt> {
        push(&mut self.links, (goal.key(), before))?;
        Ok(Chain((self.links.len() - 1) as u32))
    }

    /// The chain's conditions, from last to first.
    pub(super) fn keys(&self, chain: Option<Chain>) -> impl Iterator<Item = &GoalKey> {
        let link = |chain: Chain| &self.links[chain.0 as usize];
        core::iter::successors(chain.map(link), move |(_, before)| before.map(link)).map(|(key, _)| key)
    }
}
