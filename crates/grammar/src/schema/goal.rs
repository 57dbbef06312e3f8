//! Conditions on a value: that a schema holds or fails, that the value is another or not.

use super::source::Loc;
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

/// The conditions by which one came from a value's first condition to this one, all of the same value.
#[derive(Debug)]
pub(super) struct Chain {
    key: GoalKey,
    before: Option<Rc<Chain>>,
}

impl Chain {
    pub(super) fn new(goal: &Goal<'_>, before: Option<Rc<Chain>>) -> Rc<Self> {
        Rc::new(Self { key: goal.key(), before })
    }

    /// Whether the chain leads through this condition.
    pub(super) fn contains(chain: Option<&Rc<Chain>>, key: &GoalKey) -> bool {
        let mut link = chain;
        while let Some(chain) = link {
            if chain.key == *key {
                return true;
            }
            link = chain.before.as_ref();
        }
        false
    }
}
