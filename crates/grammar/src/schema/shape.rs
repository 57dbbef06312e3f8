//! A shape: conditions on a value that must all hold, grouped by type. It contains no more choices.

use super::decimal::Decimal;
use super::formats;
use super::goal::{Chain, Goal};
use super::keywords::{bound, contains, items, listed, multiple_of, pattern_term, string_terms};
use super::number::Bound;
use super::source::{Loc, Result};
use super::types::*;
use crate::charset::CharSet;
use crate::limits::Limits;
use crate::regular::{Algebra, NOTHING, Term};
use serde_json::Value;
use std::rc::Rc;

/// From `min` to `max`, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) min: u32,
    pub(super) max: Option<u32>,
}

impl Span {
    pub(super) const ANY: Self = Self { min: 0, max: None };

    /// Reads a schema's `min..` and `max..` of `Length`, `Items`, `Properties` or `Contains`.
    pub(super) fn new(schema: &Loc<'_>, what: &str) -> Result<Self> {
        let min = schema.count(&format!("min{what}"))?.unwrap_or(0);
        Ok(Self { min, max: schema.count(&format!("max{what}"))? })
    }

    pub(super) fn and(self, other: Self) -> Self {
        let max = [self.max, other.max].into_iter().flatten().min();
        Self { min: self.min.max(other.min), max }
    }

    pub(super) fn is_empty(self) -> bool {
        self.max.is_some_and(|max| max < self.min)
    }

    pub(super) fn contains(self, n: usize) -> bool {
        n >= self.min as usize && self.max.is_none_or(|max| n <= max as usize)
    }

    /// The spans below and above this one.
    pub(super) fn outside(self) -> impl Iterator<Item = Self> {
        let below = self.min.checked_sub(1).map(|max| Self { min: 0, max: Some(max) });
        let above = self.max.map(|max| Self { min: max.saturating_add(1), max: None });
        below.into_iter().chain(above)
    }
}

/// What one schema says about an object's members.
#[derive(Debug)]
pub(super) struct Members<'a> {
    pub(super) properties: Vec<(&'a str, Goal<'a>)>,
    pub(super) patterns: Vec<(Term, Goal<'a>)>,
    pub(super) additional: Option<Goal<'a>>,
    /// How the schema was reached; `None` for what follows from a schema that must fail.
    pub(super) chain: Option<Chain>,
}

/// What one schema says about an array's items.
#[derive(Debug)]
pub(super) struct Items<'a> {
    pub(super) first: Vec<Option<Goal<'a>>>,
    pub(super) rest: Option<Goal<'a>>,
    /// How the schema was reached; `None` for what follows from a schema that must fail.
    pub(super) chain: Option<Chain>,
}

/// How many items, from index `from`, must meet a goal.
#[derive(Debug, Clone)]
pub(super) struct Count<'a> {
    pub(super) from: usize,
    pub(super) goal: Goal<'a>,
    pub(super) span: Span,
}

/// A member that must exist: its name is one of a set, and its value meets a goal.
#[derive(Debug, Clone)]
pub(super) struct Exists<'a> {
    pub(super) names: Term,
    pub(super) value: Option<Goal<'a>>,
}

/// The conditions. A condition on one type does not affect values of other types.
#[derive(Debug, Clone)]
pub(super) struct Shape<'a> {
    pub(super) types: u8,
    /// The remaining values of a list; the other conditions may exclude some of them.
    pub(super) values: Option<Vec<&'a Value>>,
    /// The types that the keywords are about, and whether a `type` or a list of values was present.
    pub(super) about: u8,
    pub(super) stated: bool,

    pub(super) min: Option<Bound>,
    pub(super) max: Option<Bound>,
    /// `multipleOf`: each (n, p) stands for n times 10 to the power of -p.
    pub(super) multiples: Vec<(u64, u32)>,
    /// Other conditions on the spelling of a number.
    pub(super) numbers: Vec<Term>,

    pub(super) length: Span,
    pub(super) strings: Vec<Term>,

    pub(super) items: Vec<Rc<Items<'a>>>,
    pub(super) item_count: Span,
    pub(super) counts: Vec<Count<'a>>,
    pub(super) unique: Option<Loc<'a>>,

    pub(super) members: Vec<Rc<Members<'a>>>,
    pub(super) member_count: Span,
    pub(super) required: Vec<&'a str>,
    pub(super) absent: Vec<&'a str>,
    pub(super) names: Vec<Goal<'a>>,
    pub(super) exists: Vec<Exists<'a>>,
    /// Schemas with `unevaluatedProperties` or `unevaluatedItems`.
    pub(super) unevaluated: Vec<Goal<'a>>,
    /// Set if the conditions above are stricter than the schema: where, and what they leave out.
    pub(super) narrow: Option<(Loc<'a>, &'static str)>,
}

impl Default for Shape<'_> {
    fn default() -> Self {
        Self {
            types: ALL,
            values: None,
            about: 0,
            stated: false,
            min: None,
            max: None,
            multiples: Vec::new(),
            numbers: Vec::new(),
            length: Span::ANY,
            strings: Vec::new(),
            items: Vec::new(),
            item_count: Span::ANY,
            counts: Vec::new(),
            unique: None,
            members: Vec::new(),
            member_count: Span::ANY,
            required: Vec::new(),
            absent: Vec::new(),
            names: Vec::new(),
            exists: Vec::new(),
            unevaluated: Vec::new(),
            narrow: None,
        }
    }
}

fn both<T: Clone>(all: &mut Vec<T>, more: &[T]) {
    all.extend_from_slice(more);
}

impl<'a> Shape<'a> {
    /// A shape with no conditions except the types.
    pub(super) fn of_types(types: u8) -> Self {
        Self { types, ..Self::default() }
    }

    /// The conditions of one schema, from keywords that do not lead to other schemas of the same value.
    pub(super) fn of(schema: &Loc<'a>, chain: Chain, limits: &Limits, a: &mut Algebra) -> Result<Self> {
        let mut shape = Self::of_types(stated(schema)?);
        shape.about = about(schema);
        shape.stated = ["type", "enum", "const"].iter().any(|keyword| schema.get(keyword).is_some());
        shape.values = listed(schema, limits)?;
        shape.add_bounds(schema)?;
        shape.length = Span::new(schema, "Length")?;
        if schema.text("format")?.is_some_and(formats::is_narrow) {
            shape.narrow = Some((schema.clone(), formats::LEFT_OUT));
        }
        if shape.types & STRING != 0 {
            shape.strings = string_terms(schema, limits, a)?;
        }
        shape.item_count = Span::new(schema, "Items")?;
        shape.add_items(schema, chain)?;
        shape.member_count = Span::new(schema, "Properties")?;
        shape.required = schema.required()?;
        shape.names.extend(schema.child("propertyNames").map(Goal::holds));
        shape.add_members(schema, chain, limits, a)?;
        if ["unevaluatedProperties", "unevaluatedItems"].iter().any(|keyword| schema.get(keyword).is_some()) {
            shape.unevaluated.push(Goal::holds(schema.clone()));
        }
        shape.settle();
        Ok(shape)
    }

    /// Adds the conditions of another shape.
    pub(super) fn and(&mut self, other: &Self) {
        self.types &= other.types;
        // One list is enough, since its values are checked one by one.
        if self.values.is_none() {
            self.values.clone_from(&other.values);
        }
        self.about |= other.about;
        self.stated |= other.stated;
        if let Some(bound) = &other.min {
            self.at_least(bound.clone());
        }
        if let Some(bound) = &other.max {
            self.at_most(bound.clone());
        }
        both(&mut self.multiples, &other.multiples);
        both(&mut self.numbers, &other.numbers);
        self.length = self.length.and(other.length);
        both(&mut self.strings, &other.strings);
        both(&mut self.items, &other.items);
        self.item_count = self.item_count.and(other.item_count);
        both(&mut self.counts, &other.counts);
        if self.unique.is_none() {
            self.unique.clone_from(&other.unique);
        }
        both(&mut self.members, &other.members);
        self.member_count = self.member_count.and(other.member_count);
        both(&mut self.required, &other.required);
        both(&mut self.absent, &other.absent);
        both(&mut self.names, &other.names);
        both(&mut self.exists, &other.exists);
        both(&mut self.unevaluated, &other.unevaluated);
        if self.narrow.is_none() {
            self.narrow.clone_from(&other.narrow);
        }
        self.settle();
    }

    /// Removes types that contradictions rule out.
    fn settle(&mut self) {
        if self.length.is_empty() {
            self.types &= !STRING;
        }
        if self.item_count.is_empty() {
            self.types &= !ARRAY;
        }
        if self.member_count.is_empty() || self.required.iter().any(|name| self.absent.contains(name)) {
            self.types &= !OBJECT;
        }
    }

    /// If there is no `type`, restricts the shape to the types that the keywords are about: with `properties`, writers
    /// mean objects, though the schema also allows 7.
    pub(super) fn infer(&mut self) {
        if !self.stated && self.about != 0 {
            self.types &= self.about;
        }
    }

    /// Whether the shape adds no condition to values of another shape.
    pub(super) fn says_nothing_of(&self, other: &Self) -> bool {
        let mut about = 0;
        let mut says = |something: bool, types: u8| about |= if something { types } else { 0 };
        says(self.bounds_numbers(), NUMBER);
        says(self.length != Span::ANY || !self.strings.is_empty(), STRING);
        says(self.item_count != Span::ANY || self.unique.is_some(), ARRAY);
        says(!self.items.is_empty() || !self.counts.is_empty(), ARRAY);
        says(self.member_count != Span::ANY || !self.members.is_empty(), OBJECT);
        says(!self.required.is_empty() || !self.absent.is_empty(), OBJECT);
        says(!self.names.is_empty() || !self.exists.is_empty(), OBJECT);
        self.values.is_none() && other.types & !self.types == 0 && other.types & about == 0
    }

    /// Whether a value may be of the shape, as far as that is visible without looking inside the value.
    pub(super) fn may_be(&self, value: &Value, a: &mut Algebra) -> bool {
        let fits = match value {
            Value::Null | Value::Bool(_) => true,
            Value::Number(number) => {
                let value = Decimal::new(number);
                self.min.as_ref().is_none_or(|min| value >= min.value)
                    && self.max.as_ref().is_none_or(|max| value <= max.value)
            }
            Value::String(text) => {
                let term = self.string_term(a);
                a.matches(term, text)
            }
            Value::Array(items) => self.item_count.contains(items.len()),
            Value::Object(members) => {
                self.required.iter().all(|name| members.contains_key(*name))
                    && !self.absent.iter().any(|name| members.contains_key(*name))
                    && self.member_count.contains(members.len())
            }
        };
        fits && self.types & of(value) != 0
    }

    /// Whether there are conditions on numbers.
    pub(super) fn bounds_numbers(&self) -> bool {
        self.min.is_some() || self.max.is_some() || !self.numbers.is_empty() || !self.multiples.is_empty()
    }

    pub(super) fn at_least(&mut self, bound: Bound) {
        let tighter = |old: &Bound| {
            let order = bound.value.cmp(&old.value);
            order.is_gt() || (order.is_eq() && bound.exclusive)
        };
        if self.min.as_ref().is_none_or(tighter) {
            self.min = Some(bound);
        }
    }

    pub(super) fn at_most(&mut self, bound: Bound) {
        let tighter = |old: &Bound| {
            let order = bound.value.cmp(&old.value);
            order.is_lt() || (order.is_eq() && bound.exclusive)
        };
        if self.max.as_ref().is_none_or(tighter) {
            self.max = Some(bound);
        }
    }

    fn add_bounds(&mut self, schema: &Loc<'a>) -> Result<()> {
        for (keyword, exclusive) in [("minimum", false), ("exclusiveMinimum", true)] {
            if let Some(value) = bound(schema, keyword)? {
                self.at_least(Bound { value, exclusive });
            }
        }
        for (keyword, exclusive) in [("maximum", false), ("exclusiveMaximum", true)] {
            if let Some(value) = bound(schema, keyword)? {
                self.at_most(Bound { value, exclusive });
            }
        }
        self.multiples.extend(multiple_of(schema)?);
        Ok(())
    }

    fn add_items(&mut self, schema: &Loc<'a>, chain: Chain) -> Result<()> {
        let (first, rest) = items(schema)?;
        if schema.get("prefixItems").is_some_and(Value::is_object) {
            // This `prefixItems` is not an array, so no item can be checked against it.
            self.item_count.max = Some(0);
            self.narrow = Some((schema.clone(), "items where `prefixItems` is an object"));
        }
        if !first.is_empty() || rest.is_some() {
            let first = first.into_iter().map(|schema| Some(Goal::holds(schema))).collect();
            let chain = Some(chain);
            self.items.push(Rc::new(Items { first, rest: rest.map(Goal::holds), chain }));
        }
        if let Some((goal, span)) = contains(schema)? {
            self.counts.push(Count { from: 0, goal: Goal::holds(goal), span });
        }
        self.unique = schema.flag("uniqueItems")?.then(|| schema.clone());
        Ok(())
    }

    fn add_members(
        &mut self,
        schema: &Loc<'a>,
        chain: Chain,
        limits: &Limits,
        a: &mut Algebra,
    ) -> Result<()> {
        let goals = |(name, schema)| (name, Goal::holds(schema));
        let properties: Vec<(&'a str, Goal<'a>)> =
            schema.members("properties")?.into_iter().map(goals).collect();
        self.absent.extend(properties.iter().filter(|(_, goal)| goal.is_never()).map(|(name, _)| *name));
        let mut patterns = Vec::new();
        for (text, loc) in schema.members("patternProperties")? {
            patterns.push((pattern_term(schema, "patternProperties", text, limits, a)?, Goal::holds(loc)));
        }
        let additional = schema.child("additionalProperties").map(Goal::holds);
        if !properties.is_empty() || !patterns.is_empty() || additional.is_some() {
            let chain = Some(chain);
            self.members.push(Rc::new(Members { properties, patterns, additional, chain }));
        }
        Ok(())
    }

    /// The conditions on a string, as one term.
    pub(super) fn string_term(&self, a: &mut Algebra) -> Term {
        let mut terms = self.strings.clone();
        if self.length != Span::ANY {
            let any = a.class(CharSet::any());
            let Span { min, max } = self.length;
            terms.push(if self.length.is_empty() { NOTHING } else { a.repeat(any, min, max) });
        }
        if terms.is_empty() { a.anything() } else { a.and(terms) }
    }
}
