//! Rules as both languages write them: what GBNF and JSON Schema are turned into, and what the program is compiled from.

use crate::charset::CharSet;
use crate::error::Place;
use crate::halt::{Halt, copied};

/// A rule's number.
pub(crate) type RuleId = u32;

/// What a rule matches.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    /// These characters in a row.
    Literal(String),
    /// One character of a set.
    Class(CharSet),
    /// One whole token, by what it is called; with `negated` any other token.
    Token { token: TokenRef, negated: bool, place: Option<Place> },
    /// What another rule matches.
    Rule(RuleId),
    /// One after the other; an empty list matches the empty string.
    Seq(Vec<Expr>),
    /// One of these; an empty list matches nothing.
    Alt(Vec<Expr>),
    /// The body, `min` to `max` times.
    Repeat { body: Box<Expr>, min: u32, max: Option<u32> },
    /// A step of the check that an array's items differ.
    Unique(UniqueStep),
}

/// What happens at a place in an array whose items must differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum UniqueStep {
    /// The array begins, which a plan describes.
    Enter { plan: u32 },
    /// An item begins, of the kind that a rule matches; after it the array is at `next` in its plan, or [`BY_COUNT`].
    Begin { plan: u32, kind: RuleId, next: u32 },
    /// What stands before an item comes, which must not be where none can begin.
    Follow { plan: u32, kind: RuleId, next: u32 },
    /// An item ends: its text must be new.
    End,
    /// The array is over.
    Leave,
}

/// An array's place in its plan is the number of its items so far, or the last one.
pub(crate) const BY_COUNT: u32 = u32::MAX;

/// What an array whose items must differ still needs: an automaton of kinds of items, from state 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    pub(crate) states: Vec<PlanState>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PlanState {
    /// The array may end.
    pub(crate) ends: bool,
    pub(crate) ways: Vec<PlanWay>,
}

impl Plan {
    /// A copy that may fail.
    pub(crate) fn copied(&self) -> Result<Self, Halt> {
        let mut states = Vec::new();
        states.try_reserve_exact(self.states.len())?;
        for PlanState { ends, ways } in &self.states {
            states.push(PlanState { ends: *ends, ways: copied(ways)? });
        }
        Ok(Self { states })
    }
}

/// An item of a kind leads to another state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlanWay {
    /// The rule that matches the text which must be new.
    pub(crate) kind: RuleId,
    /// The rule that must have texts, too, for the way to be gone.
    pub(crate) needs: RuleId,
    pub(crate) next: u32,
}

/// How a grammar names a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenRef {
    /// `<[1000]>`
    Id(u32),
    /// `<think>`, with its angle brackets.
    Text(String),
}

impl Expr {
    /// The empty string.
    pub(crate) const EMPTY: Expr = Expr::Seq(Vec::new());

    pub(crate) fn literal(text: impl Into<String>) -> Self {
        Self::Literal(text.into())
    }

    pub(crate) fn repeat(body: Expr, min: u32, max: Option<u32>) -> Self {
        Self::Repeat { body: Box::new(body), min, max }
    }

    /// Numbers all rules from `base` on, and all plans from `plans` on.
    pub(crate) fn shift(&mut self, base: RuleId, plans: u32) {
        match self {
            Self::Rule(id) => *id += base,
            Self::Seq(parts) | Self::Alt(parts) => parts.iter_mut().for_each(|part| part.shift(base, plans)),
            Self::Repeat { body, .. } => body.shift(base, plans),
            Self::Unique(UniqueStep::Enter { plan }) => *plan += plans,
            Self::Unique(UniqueStep::Begin { plan, kind, .. } | UniqueStep::Follow { plan, kind, .. }) => {
                *plan += plans;
                *kind += base;
            }
            Self::Literal(_) | Self::Class(_) | Self::Token { .. } | Self::Unique(_) => {}
        }
    }

    pub(crate) fn optional(body: Expr) -> Self {
        Self::repeat(body, 0, Some(1))
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) expr: Expr,
    /// Where it is defined, in a text that has lines.
    pub(crate) place: Option<Place>,
}

/// Valid texts that rules do not match, which matters where a rule matches nothing: that is no proof then.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LeftOut {
    /// The rule that matches less than it might; `None` where that is not one of the rules.
    pub(crate) rule: Option<RuleId>,
    /// Where, as in [`SchemaError::pointer`](crate::SchemaError::pointer).
    pub(crate) pointer: String,
    pub(crate) what: &'static str,
}

/// A grammar: every [`Expr::Rule`] is an index of `rules`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rules {
    pub(crate) rules: Vec<Rule>,
    pub(crate) root: RuleId,
    /// What arrays whose items must differ need.
    pub(crate) plans: Vec<Plan>,
    pub(crate) left_out: Vec<LeftOut>,
    /// What was met on the way and constrains nothing, though its writer may think so.
    pub(crate) ignored: Vec<String>,
}
