//! Whether a value satisfies a schema: for the values of `enum` and `const`, and names under `propertyNames`.

use super::decimal::same;
use super::emit::Compiler;
use super::shape;
use super::source::{Loc, Result};
use crate::regular::Term;
use serde_json::Value;

impl<'a> Compiler<'a> {
    /// Whether the value satisfies all of the schemas, as JSON Schema has it.
    pub(super) fn is_valid(&mut self, schemas: &[Loc<'a>], value: &Value) -> Result<bool> {
        'branches: for branch in self.branches(schemas)? {
            for schema in &branch.plain {
                if !self.is_valid_plain(schema, value)? {
                    continue 'branches;
                }
            }
            // Another schema of a `oneOf` that holds too makes the value wrong.
            for (schema, taken) in &branch.choices {
                for (i, other) in schema.children("oneOf")?.unwrap_or_default().into_iter().enumerate() {
                    if i != *taken && self.is_valid(&[other], value)? {
                        continue 'branches;
                    }
                }
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether a value that all lists of a branch have satisfies the branch's other keywords.
    pub(super) fn satisfies_branch(&mut self, plain: &[Loc<'a>], value: &Value) -> Result<bool> {
        for schema in plain {
            if !self.is_valid_unlisted(schema, value)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The keywords of one schema, without those that lead to others in place.
    fn is_valid_plain(&mut self, schema: &Loc<'a>, value: &Value) -> Result<bool> {
        let values = shape::listed(core::slice::from_ref(schema), self.limits)?;
        let is_listed = values.is_none_or(|values| values.iter().any(|known| same(known, value)));
        Ok(is_listed && self.is_valid_unlisted(schema, value)?)
    }

    /// The same without `enum` and `const`.
    fn is_valid_unlisted(&mut self, schema: &Loc<'a>, value: &Value) -> Result<bool> {
        let plain = core::slice::from_ref(schema);
        if shape::stated_types(schema)? & shape::type_of(value) == 0 {
            return Ok(false);
        }
        let within = |len: usize, (min, max): (u32, Option<u32>)| {
            len >= min as usize && max.is_none_or(|max| len <= max as usize)
        };
        match value {
            Value::Number(_) => {
                // Without bounds any spelling will do, also one with more digits than documents may have.
                let bounds = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
                if bounds.iter().all(|keyword| schema.get(keyword).is_none()) {
                    return Ok(true);
                }
                let whole = shape::type_of(value) == shape::types::INTEGER;
                let text = value.to_string();
                let text = if whole { text.trim_end_matches(".0") } else { &text };
                let term = shape::numbers(plain, false, &mut self.algebra)?;
                Ok(self.algebra.matches(term, text))
            }
            Value::String(text) => {
                let term = shape::string_term(plain, self.limits, &mut self.algebra)?;
                Ok(self.algebra.matches(term, text))
            }
            Value::Array(items) => {
                if !within(items.len(), shape::lengths(plain, "Items")?) {
                    return Ok(false);
                }
                let differ = || items.iter().enumerate().all(|(i, a)| !items[..i].iter().any(|b| same(a, b)));
                if schema.flag("uniqueItems")? && !differ() {
                    return Ok(false);
                }
                let layout = self.array_layout(plain)?;
                for (i, item) in items.iter().enumerate() {
                    let schemas = layout.item(i);
                    if !self.is_valid(&schemas, item)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Value::Object(members) => {
                let required = schema.required()?.into_iter().all(|name| members.contains_key(name));
                if !required || !within(members.len(), shape::lengths(plain, "Properties")?) {
                    return Ok(false);
                }
                let layout = self.object_layout(plain)?;
                for (name, value) in members {
                    let schemas = layout.member(name, &mut self.algebra);
                    if !self.name_is_valid(&layout.names, name)? || !self.is_valid(&schemas, value)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Value::Null | Value::Bool(_) => Ok(true),
        }
    }

    pub(super) fn name_is_valid(&mut self, names: &[Loc<'a>], name: &str) -> Result<bool> {
        Ok(names.is_empty() || self.is_valid(names, &Value::from(name))?)
    }

    /// The strings that satisfy all of the schemas.
    pub(super) fn strings(&mut self, schemas: &[Loc<'a>]) -> Result<Term> {
        let mut ways = Vec::new();
        let branches = self.branches(schemas)?;
        self.check_choices(&branches, 0)?;
        for branch in branches {
            if shape::types_of(&branch.plain, false)? & shape::types::STRING == 0 {
                continue;
            }
            let term = shape::string_term(&branch.plain, self.limits, &mut self.algebra)?;
            match shape::listed(&branch.plain, self.limits)? {
                None => ways.push(term),
                Some(values) => {
                    for text in values.into_iter().filter_map(Value::as_str) {
                        let text = self.algebra.literal(text);
                        ways.push(self.algebra.and([term, text]));
                    }
                }
            }
        }
        Ok(self.algebra.or(ways))
    }
}
