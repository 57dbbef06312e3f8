//! Rules: the common form of GBNF and JSON Schema, from which the program is compiled.

use crate::charset::CharSet;
use crate::error::Place;
use crate::halt::{Halt, copied};

/// A rule's number.
pub(crate) type RuleId = u32;

/// What a rule matches.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    /// These characters, one after the other.
    Literal(String),
    /// One character of a set.
    Class(CharSet),
    /// One whole token, by id or name; with `negated`, any other token.
    Token { token: TokenRef, negated: bool, place: Option<Place> },
    /// The language of another rule.
    Rule(RuleId),
    /// One after the other. An empty list matches the empty string.
    Seq(Vec<Expr>),
    /// One of these. An empty list matches nothing.
    Alt(Vec<Expr>),
    /// The body, `min` to `max` times.
    Repeat { body: Box<Expr>, min: u32, max: Option<u32> },
    /// A step of the check that the items of an array differ.
    Unique(UniqueStep),
}

/// An event in an array whose items must differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum UniqueStep {
    /// The array begins; `plan` describes it.
    Enter { plan: u32 },
    /// An item begins, of the kind that the rule `kind` matches. After it, the array is at state `next` of its plan, or
    /// at [`BY_COUNT`].
    Begin { plan: u32, kind: RuleId, next: u32 },
    /// The separator before an item comes. Not allowed if no such item can begin.
    Follow { plan: u32, kind: RuleId, next: u32 },
    /// An item ends. Its text must be new.
    End,
    /// The array is over.
    Leave,
}

/// The array's state in its plan is the number of its items so far, capped at the last state.
pub(crate) const BY_COUNT: u32 = u32::MAX;

/// What an array whose items must differ still needs: an automaton over kinds of items that starts in state 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    pub(crate) states: Vec<PlanState>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PlanState {
    /// Whether the array may end here.
    pub(crate) ends: bool,
    pub(crate) ways: Vec<PlanWay>,
}

impl Plan {
    /// Copies the plan, with fallible allocation.
    pub(crate) fn copied(&self) -> Result<Self, Halt> {
        let mut states = Vec::new();
        states.try_reserve_exact(self.states.len())?;
        for PlanState { ends, ways } in &self.states {
            states.push(PlanState { ends: *ends, ways: copied(ways)? });
        }
        Ok(Self { states })
    }
}

/// A transition: an item of a kind leads to another state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlanWay {
    /// The rule that matches the item's text, which must be new.
    pub(crate) kind: RuleId,
    /// A rule that must also have texts for the transition to be possible.
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

    /// Renumbers all rules from `base` on, and all plans from `plans` on.
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
    /// Where the rule is defined, if its source is a text with lines.
    pub(crate) place: Option<Place>,
}

/// Valid texts that the rules do not match. They matter if a rule matches nothing: that is no proof then.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LeftOut {
    /// The rule that matches less than it should; `None` if that is not a single rule.
    pub(crate) rule: Option<RuleId>,
    /// The place in the schema, as in [`SchemaError::pointer`](crate::SchemaError::pointer).
    pub(crate) pointer: String,
    pub(crate) what: &'static str,
}

/// A grammar. Every [`Expr::Rule`] is an index into `rules`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rules {
    pub(crate) rules: Vec<Rule>,
    pub(crate) root: RuleId,
    /// The plans of arrays whose items must differ.
    pub(crate) plans: Vec<Plan>,
    pub(crate) left_out: Vec<LeftOut>,
    /// Constraints that the grammar does not check, though the schema's writer may expect it.
    pub(crate) ignored: Vec<String>,
}
