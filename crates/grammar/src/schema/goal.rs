//! Conditions on a value: that a schema holds or fails, that the value is another or not.

use super::source::Loc;
use crate::halt::{Halt, push};
use std::rc::Rc;

/// A condition.
#[derive(Debug, Clone)]
pub(super) struct Goal<'a> {
    /// A schema; with `is_value` a value that stands in one.
    pub(super) loc: Loc<'a>,
    pub(super) is_value: bool,
    /// Whether the schema must hold (the value be this one), or must not.
    pub(super) holds: bool,
}

/// Goals of one key are one goal.
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

    /// The value must be another.
    pub(super) fn differs(loc: Loc<'a>) -> Self {
        Self { loc, is_value: true, holds: false }
    }

    pub(super) fn negated(&self) -> Self {
        Self { holds: !self.holds, ..self.clone() }
    }

    pub(super) fn key(&self) -> GoalKey {
        (Rc::clone(&self.loc.pointer), self.is_value, self.holds)
    }

    /// Whether nothing can satisfy it, as far as one sees without looking into it.
    pub(super) fn is_never(&self) -> bool {
        !self.is_value && self.loc.is_bool(!self.holds)
    }

    /// Whether everything satisfies it, as far as one sees without looking into it.
    pub(super) fn is_always(&self) -> bool {
        !self.is_value && self.loc.is_bool(self.holds)
    }
}

/// The key of goals that must be met together, whatever their order.
pub(super) fn keys(goals: &[Goal<'_>]) -> Vec<GoalKey> {
    let mut keys: Vec<GoalKey> = goals.iter().map(Goal::key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The conditions by which one came from a value's first condition to this one, all of the same value: the last link's number
/// in [`Chains`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain(u32);

/// All links: how many there are follows the schema, so they are numbers in a list, which no code walks by recursion.
#[derive(Debug, Default)]
pub(super) struct Chains {
    links: Vec<(GoalKey, Option<Chain>)>,
}

impl Chains {
    /// A condition after those that led to it.
    pub(super) fn link(&mut self, goal: &Goal<'_>, before: Option<Chain>) -> Result<Chain, Halt> {
        push(&mut self.links, (goal.key(), before))?;
        Ok(Chain((self.links.len() - 1) as u32))
    }

    /// The chain's conditions, the last first.
    pub(super) fn keys(&self, chain: Option<Chain>) -> impl Iterator<Item = &GoalKey> {
        let link = |chain: Chain| &self.links[chain.0 as usize];
        core::iter::successors(chain.map(link), move |(_, before)| before.map(link)).map(|(key, _)| key)
    }
}
