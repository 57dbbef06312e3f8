//! What makes a schema fail: one of its keywords fails, in one of a few ways.
//!
//! ```text
//! type           another type                        properties         a member is there whose value fails
//! enum, const    none of these values                additionalProperties, patternProperties, propertyNames
//! minimum ..     a number on the other side                             a member exists whose value (name) fails
//! multipleOf ..  a number, a string not in the       items, contains    another number of items fails
//!                language                            prefixItems        an item is there and fails
//! required       a member is absent                  allOf, anyOf       one fails; all fail
//! minItems ..    too few, too many                   oneOf              all fail; two hold
//! ```

use super::emit::Compiler;
use super::formats;
use super::goal::Goal;
use super::keywords::{self, Dependent};
use super::number::{self, Bound};
use super::shape::{Count, Exists, Items, Members, Shape, Span};
use super::source::{Loc, Result};
use super::types::*;
use serde_json::Value;
use std::rc::Rc;

/// A way to meet a choice: conditions, and goals about the same value that are still to be expanded.
#[derive(Debug, Clone)]
pub(super) struct Way<'a> {
    pub(super) shape: Shape<'a>,
    pub(super) goals: Vec<Goal<'a>>,
}

impl<'a> Way<'a> {
    pub(super) fn goals(goals: Vec<Goal<'a>>) -> Self {
        Self { shape: Shape::default(), goals }
    }

    pub(super) fn shape(shape: Shape<'a>) -> Self {
        Self { shape, goals: Vec::new() }
    }

    fn types(types: u8) -> Self {
        Self::shape(Shape::of_types(types))
    }
}

/// Keywords whose failure cannot be distinguished from their success here.
const ONE_SIDED: &[&str] =
    &["dependencies", "format", "unevaluatedItems", "unevaluatedProperties", "uniqueItems"];

/// All pairs of different indices below `n`.
pub(super) fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(|i| (0..i).map(move |j| (j, i)))
}

impl<'a> Compiler<'a> {
    /// Returns the ways to meet a negated goal: a schema must fail, or a value must differ from the given one.
    pub(super) fn ways_to_fail(&mut self, goal: &Goal<'a>) -> Result<Vec<Way<'a>>> {
        if goal.is_value {
            return Ok(self.ways_to_differ(&goal.loc));
        }
        let schema = &goal.loc;
        for keyword in ONE_SIDED {
            let idle = match *keyword {
                "uniqueItems" => !schema.flag("uniqueItems")?,
                "format" => schema.text("format")?.is_some_and(|name| formats::pattern(name).is_none()),
                _ => false,
            };
            if schema.get(keyword).is_some() && !idle {
                let message = format!("'{keyword}' in a schema that must not hold is not supported");
                return Err(schema.unsupported(keyword, message));
            }
        }
        let mut ways = Vec::new();
        let types = stated(schema)?;
        if types != ALL {
            ways.push(Way::types(!types));
        }
        if let Some(values) = keywords::enumerated(schema, self.limits)? {
            let list = schema.below("enum");
            let values = (0..values.len()).filter_map(|i| list.as_ref()?.below(&i.to_string()));
            ways.push(Way::goals(values.map(Goal::differs).collect()));
        }
        if let Some(value) = schema.child("const") {
            ways.push(Way::goals(vec![Goal::differs(value)]));
        }
        self.number_fails(schema, &mut ways)?;
        self.string_fails(schema, &mut ways)?;
        self.array_fails(schema, &mut ways)?;
        self.object_fails(schema, &mut ways)?;
        self.applied_fails(schema, &mut ways)?;
        Ok(ways)
    }

    fn number_fails(&mut self, schema: &Loc<'a>, ways: &mut Vec<Way<'a>>) -> Result<()> {
        let mut side = |keyword: &str, exclusive: bool, below: bool| -> Result<()> {
            let Some(value) = keywords::bound(schema, keyword)? else { return Ok(()) };
            let mut shape = Shape::of_types(NUMBER);
            let bound = Bound { value, exclusive };
            if below {
                shape.at_most(bound)
            } else {
                shape.at_least(bound)
            }
            ways.push(Way::shape(shape));
            Ok(())
        };
        side("minimum", true, true)?;
        side("exclusiveMinimum", false, true)?;
        side("maximum", true, false)?;
        side("exclusiveMaximum", false, false)?;
        if let Some((modulus, places)) = keywords::multiple_of(schema)? {
            let multiple = number::multiple(modulus, places, &mut self.algebra);
            let numbers = vec![self.algebra.not(multiple)];
            ways.push(Way::shape(Shape { numbers, ..Shape::of_types(NUMBER) }));
        }
        Ok(())
    }

    fn string_fails(&mut self, schema: &Loc<'a>, ways: &mut Vec<Way<'a>>) -> Result<()> {
        for length in Span::new(schema, "Length")?.outside() {
            ways.push(Way::shape(Shape { length, ..Shape::of_types(STRING) }));
        }
        for term in keywords::string_terms(schema, self.limits, &mut self.algebra)? {
            let strings = vec![self.algebra.not(term)];
            ways.push(Way::shape(Shape { strings, ..Shape::of_types(STRING) }));
        }
        Ok(())
    }

    fn array_fails(&mut self, schema: &Loc<'a>, ways: &mut Vec<Way<'a>>) -> Result<()> {
        for item_count in Span::new(schema, "Items")?.outside() {
            ways.push(Way::shape(Shape { item_count, ..Shape::of_types(ARRAY) }));
        }
        let mut count = |from, goal, span| {
            let counts = vec![Count { from, goal, span }];
            ways.push(Way::shape(Shape { counts, ..Shape::of_types(ARRAY) }));
        };
        if let Some((goal, span)) = keywords::contains(schema)? {
            span.outside().for_each(|span| count(0, Goal::holds(goal.clone()), span));
        }
        let (first, rest) = keywords::items(schema)?;
        if let Some(rest) = rest {
            count(first.len(), Goal::fails(rest), Span { min: 1, max: None });
        }
        for (i, item) in first.into_iter().enumerate() {
            ways.push(Way::shape(item_at(i, Goal::fails(item))));
        }
        Ok(())
    }

    fn object_fails(&mut self, schema: &Loc<'a>, ways: &mut Vec<Way<'a>>) -> Result<()> {
        for member_count in Span::new(schema, "Properties")?.outside() {
            ways.push(Way::shape(Shape { member_count, ..Shape::of_types(OBJECT) }));
        }
        for name in schema.required()? {
            ways.push(Way::shape(Shape { absent: vec![name], ..Shape::of_types(OBJECT) }));
        }
        let properties = schema.members("properties")?;
        let mut exists = |names, value: Option<Goal<'a>>| {
            if value.as_ref().is_none_or(|goal| !goal.is_never()) {
                let exists = vec![Exists { names, value }];
                ways.push(Way::shape(Shape { exists, ..Shape::of_types(OBJECT) }));
            }
        };
        let mut known: Vec<_> = properties.iter().map(|(name, _)| self.algebra.literal(name)).collect();
        for (text, loc) in schema.members("patternProperties")? {
            let a = &mut self.algebra;
            let term = keywords::pattern_term(schema, "patternProperties", text, self.limits, a)?;
            known.push(term);
            exists(term, Some(Goal::fails(loc)));
        }
        if let Some(additional) = schema.child("additionalProperties") {
            let known = self.algebra.or(known);
            exists(self.algebra.not(known), Some(Goal::fails(additional)));
        }
        if let Some(names) = schema.child("propertyNames") {
            let term = self.strings(&[Goal::fails(names)])?;
            exists(term, None);
        }
        for (name, property) in properties {
            ways.push(Way::shape(member(name, Goal::fails(property))));
        }
        Ok(())
    }

    /// Keywords that apply schemas to the same value.
    fn applied_fails(&mut self, schema: &Loc<'a>, ways: &mut Vec<Way<'a>>) -> Result<()> {
        for part in schema.children("allOf")?.unwrap_or_default() {
            ways.push(Way::goals(vec![Goal::fails(part)]));
        }
        if let Some(target) = self.references.target(schema)? {
            ways.push(Way::goals(vec![Goal::fails(target)]));
        }
        if let Some(parts) = schema.children("anyOf")? {
            ways.push(Way::goals(parts.into_iter().map(Goal::fails).collect()));
        }
        if let Some(parts) = schema.children("oneOf")? {
            ways.push(Way::goals(parts.iter().cloned().map(Goal::fails).collect()));
            if parts.len().pow(2) / 2 > self.limits.schema_branches {
                return Err(self.too_many_ways(schema, "oneOf"));
            }
            for (i, j) in pairs(parts.len()) {
                ways.push(Way::goals(vec![Goal::holds(parts[i].clone()), Goal::holds(parts[j].clone())]));
            }
        }
        if let Some(part) = schema.child("not") {
            ways.push(Way::goals(vec![Goal::holds(part)]));
        }
        if let Some(condition) = schema.child("if") {
            for (keyword, condition) in
                [("then", Goal::holds(condition.clone())), ("else", Goal::fails(condition))]
            {
                if let Some(part) = schema.child(keyword) {
                    ways.push(Way::goals(vec![condition, Goal::fails(part)]));
                }
            }
        }
        for Dependent { name, required, schema } in keywords::dependents(schema)? {
            let present = || Shape { required: vec![name], ..Shape::of_types(OBJECT) };
            for absent in required {
                ways.push(Way::shape(Shape { absent: vec![absent], ..present() }));
            }
            if let Some(part) = schema {
                ways.push(Way { shape: present(), goals: vec![Goal::fails(part)] });
            }
        }
        Ok(())
    }

    /// The ways to differ from the value at `loc`.
    fn ways_to_differ(&mut self, loc: &Loc<'a>) -> Vec<Way<'a>> {
        let ty = of(loc.value);
        match loc.value {
            Value::Null | Value::Bool(_) => vec![Way::types(!ty)],
            Value::Number(n) => {
                let equal = number::equal(&super::decimal::Decimal::new(n), &mut self.algebra);
                let numbers = vec![self.algebra.not(equal)];
                vec![Way::shape(Shape { numbers, ..Shape::default() })]
            }
            Value::String(text) => {
                let equal = self.algebra.literal(text);
                let strings = vec![self.algebra.not(equal)];
                vec![Way::shape(Shape { strings, ..Shape::default() })]
            }
            Value::Array(items) => {
                let len = u32::try_from(items.len()).unwrap_or(u32::MAX);
                let mut ways = vec![Way::types(!ARRAY)];
                for item_count in (Span { min: len, max: Some(len) }).outside() {
                    ways.push(Way::shape(Shape { item_count, ..Shape::of_types(ARRAY) }));
                }
                let items = (0..items.len()).filter_map(|i| loc.below(&i.to_string()));
                ways.extend(items.enumerate().map(|(i, item)| Way::shape(item_at(i, Goal::differs(item)))));
                ways
            }
            Value::Object(members) => {
                let mut ways = vec![Way::types(!OBJECT)];
                let mut names = Vec::new();
                for name in members.keys() {
                    names.push(self.algebra.literal(name));
                    ways.push(Way::shape(Shape { absent: vec![name], ..Shape::of_types(OBJECT) }));
                    if let Some(value) = loc.below(name) {
                        ways.push(Way::shape(member(name, Goal::differs(value))));
                    }
                }
                let names = self.algebra.or(names);
                let exists = vec![Exists { names: self.algebra.not(names), value: None }];
                ways.push(Way::shape(Shape { exists, ..Shape::of_types(OBJECT) }));
                ways
            }
        }
    }
}

/// Arrays that have an item at index `i` which meets a goal.
fn item_at<'a>(i: usize, goal: Goal<'a>) -> Shape<'a> {
    let mut first = vec![None; i];
    first.push(Some(goal));
    let items = vec![Rc::new(Items { first, rest: None, chain: None })];
    let min = u32::try_from(i + 1).unwrap_or(u32::MAX);
    Shape { items, item_count: Span { min, max: None }, ..Shape::of_types(ARRAY) }
}

/// Objects that have a member whose value meets a goal.
fn member<'a>(name: &'a str, goal: Goal<'a>) -> Shape<'a> {
    let members = vec![Rc::new(Members {
        properties: vec![(name, goal)],
        patterns: Vec::new(),
        additional: None,
        chain: None,
    })];
    Shape { members, required: vec![name], ..Shape::of_types(OBJECT) }
}
