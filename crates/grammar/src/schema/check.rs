//! Whether a value satisfies a schema: for the values of `enum` and `const`, which are complete documents.

use super::decimal::{Decimal, canonical, same};
use super::emit::Compiler;
use super::goal::Goal;
use super::keywords::{self, Dependent};
use super::number;
use super::shape::Span;
use super::source::{Loc, Result};
use super::types;
use crate::halt::Halt;
use crate::regular::Term;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::rc::Rc;

/// The maximum number of schemas of the same value that may lead to one another.
const DEPTH: usize = 200;
/// The cost of examining one schema, in steps of an expansion.
const STEPS: usize = 5;

impl<'a> Compiler<'a> {
    /// Whether the value meets all of the goals, as defined by JSON Schema.
    pub(super) fn is_valid(&mut self, goals: &[Goal<'a>], value: &Value) -> Result<bool> {
        for goal in goals {
            let found =
                if goal.is_value { same(goal.loc.value, value) } else { self.holds(&goal.loc, value, 0)? };
            if found != goal.holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn holds(&mut self, schema: &Loc<'a>, value: &Value, depth: usize) -> Result<bool> {
        self.step(STEPS)?;
        if depth > DEPTH {
            return Err(schema.circle());
        }
        if schema.keywords()?.is_none() {
            return Ok(schema.is_bool(true));
        }
        if types::stated(schema)? & types::of(value) == 0 {
            return Ok(false);
        }
        let listed = keywords::enumerated(schema, self.limits)?;
        if let Some(values) = listed
            && !self.enumerates(schema, values, value)?
        {
            return Ok(false);
        }
        if schema.get("const").is_some_and(|known| !same(known, value)) {
            return Ok(false);
        }
        let own = match value {
            Value::Null | Value::Bool(_) => true,
            Value::Number(number) => self.number_holds(schema, &Decimal::new(number))?,
            Value::String(text) => {
                let fits = Span::new(schema, "Length")?.contains(text.chars().count());
                let terms = keywords::string_terms(schema, self.limits, &mut self.algebra)?;
                let all = terms.into_iter().all(|term| self.algebra.matches(term, text));
                if !all && schema.text("format")?.is_some_and(super::formats::is_narrow) {
                    self.leave_out_at(schema, super::formats::LEFT_OUT);
                }
                fits && all
            }
            Value::Array(items) => self.array_holds(schema, items)?,
            Value::Object(members) => self.object_holds(schema, members, value, depth)?,
        };
        Ok(own && self.applied_hold(schema, value, depth + 1)?)
    }

    /// Whether a value is one of an `enum`. Uses a table that is made once, since thousands of values may each be
    /// checked.
    fn enumerates(&mut self, schema: &Loc<'a>, values: &[Value], value: &Value) -> Result<bool> {
        if let Some(known) = self.enums.get(&schema.pointer) {
            return Ok(known.contains(&canonical(value)));
        }
        let mut known = HashSet::new();
        known.try_reserve(values.len()).map_err(Halt::from)?;
        for value in values {
            self.step(1)?;
            known.insert(canonical(value));
        }
        let found = known.contains(&canonical(value));
        self.enums.insert(Rc::clone(&schema.pointer), Rc::new(known));
        Ok(found)
    }

    fn number_holds(&mut self, schema: &Loc<'a>, number: &Decimal) -> Result<bool> {
        let bound = |keyword| keywords::bound(schema, keyword);
        let within = bound("minimum")?.is_none_or(|bound| *number >= bound)
            && bound("exclusiveMinimum")?.is_none_or(|bound| *number > bound)
            && bound("maximum")?.is_none_or(|bound| *number <= bound)
            && bound("exclusiveMaximum")?.is_none_or(|bound| *number < bound);
        let Some((modulus, places)) = keywords::multiple_of(schema)? else { return Ok(within) };
        let term = number::multiple(modulus, places, &mut self.algebra);
        Ok(within && self.algebra.matches(term, &number.to_string()))
    }

    fn array_holds(&mut self, schema: &Loc<'a>, items: &[Value]) -> Result<bool> {
        if schema.get("unevaluatedItems").is_some() {
            return Err(schema.unsupported("unevaluatedItems", "not supported for listed values"));
        }
        let unique = !schema.flag("uniqueItems")?
            || items.iter().map(canonical).collect::<HashSet<_>>().len() == items.len();
        if !unique || !Span::new(schema, "Items")?.contains(items.len()) {
            return Ok(false);
        }
        let (first, rest) = keywords::items(schema)?;
        for (i, item) in items.iter().enumerate() {
            if let Some(goal) = first.get(i).or(rest.as_ref())
                && !self.holds(goal, item, 0)?
            {
                return Ok(false);
            }
        }
        let Some((goal, span)) = keywords::contains(schema)? else { return Ok(true) };
        let mut count = 0;
        for item in items {
            count += usize::from(self.holds(&goal, item, 0)?);
        }
        Ok(span.contains(count))
    }

    fn object_holds(
        &mut self,
        schema: &Loc<'a>,
        members: &Map<String, Value>,
        whole: &Value,
        depth: usize,
    ) -> Result<bool> {
        if schema.get("unevaluatedProperties").is_some() {
            return Err(schema.unsupported("unevaluatedProperties", "not supported for listed values"));
        }
        let complete = schema.required()?.into_iter().all(|name| members.contains_key(name));
        if !complete || !Span::new(schema, "Properties")?.contains(members.len()) {
            return Ok(false);
        }
        let properties = schema.members("properties")?;
        let mut patterns = Vec::new();
        for (text, loc) in schema.members("patternProperties")? {
            let a = &mut self.algebra;
            patterns.push((keywords::pattern_term(schema, "patternProperties", text, self.limits, a)?, loc));
        }
        let additional = schema.child("additionalProperties");
        let names = schema.child("propertyNames");
        for (name, value) in members {
            let named = properties.iter().filter(|(known, _)| known == name).map(|(_, goal)| goal);
            let matching =
                patterns.iter().filter(|(term, _)| self.algebra.matches(*term, name)).map(|(_, goal)| goal);
            let mut goals: Vec<Loc<'a>> = named.chain(matching).cloned().collect();
            if goals.is_empty() {
                goals.extend(additional.clone());
            }
            for goal in &goals {
                if !self.holds(goal, value, 0)? {
                    return Ok(false);
                }
            }
            if let Some(names) = &names
                && !self.holds(names, &Value::from(name.as_str()), 0)?
            {
                return Ok(false);
            }
        }
        for Dependent { name, required, schema } in keywords::dependents(schema)? {
            if !members.contains_key(name) {
                continue;
            }
            if !required.iter().all(|name| members.contains_key(*name)) {
                return Ok(false);
            }
            if let Some(schema) = schema
                && !self.holds(&schema, whole, depth + 1)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Checks the keywords that apply schemas to the same value.
    fn applied_hold(&mut self, schema: &Loc<'a>, value: &Value, depth: usize) -> Result<bool> {
        let all = schema.children("allOf")?.unwrap_or_default();
        for part in all.into_iter().chain(self.references.target(schema)?) {
            if !self.holds(&part, value, depth)? {
                return Ok(false);
            }
        }
        for keyword in ["anyOf", "oneOf"] {
            let Some(parts) = schema.children(keyword)? else { continue };
            let mut count = 0;
            for part in parts {
                count += usize::from(self.holds(&part, value, depth)?);
            }
            if count == 0 || (count > 1 && keyword == "oneOf") {
                return Ok(false);
            }
        }
        if let Some(part) = schema.child("not")
            && self.holds(&part, value, depth)?
        {
            return Ok(false);
        }
        let Some(condition) = schema.child("if") else { return Ok(true) };
        let keyword = if self.holds(&condition, value, depth)? { "then" } else { "else" };
        match schema.child(keyword) {
            Some(part) => self.holds(&part, value, depth),
            None => Ok(true),
        }
    }

    /// The strings that meet all of the goals.
    pub(super) fn strings(&mut self, goals: &[Goal<'a>]) -> Result<Term> {
        let mut ways = Vec::new();
        for shape in self.shapes(goals, super::expand::Sense::Stated)?.iter() {
            match &shape.values {
                None if shape.types & types::STRING != 0 => ways.push(shape.string_term(&mut self.algebra)),
                None => {}
                Some(values) => {
                    for value in values {
                        if let Some(text) = value.as_str()
                            && self.is_valid(goals, value)?
                        {
                            ways.push(self.algebra.literal(text));
                        }
                    }
                }
            }
        }
        Ok(self.algebra.or(ways))
    }
}
