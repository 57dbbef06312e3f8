//! The keywords of one schema, read and checked.

use super::decimal::Decimal;
use super::formats;
use super::shape::Span;
use super::source::{Loc, Result};
use crate::error::SchemaErrorKind;
use crate::halt::Halt;
use crate::limits::Limits;
use crate::regular::{Algebra, Term, pattern};
use serde_json::Value;

/// The values that both `enum` and `const` allow; `None` if the schema has neither.
pub(super) fn listed<'a>(schema: &Loc<'a>, limits: &Limits) -> Result<Option<Vec<&'a Value>>> {
    let Some(values) = enumerated(schema, limits)? else {
        return Ok(schema.get("const").map(|value| vec![value]));
    };
    let mut all = Vec::new();
    all.try_reserve_exact(values.len()).map_err(Halt::from)?;
    all.extend(values);
    Ok(Some(all))
}

/// The values of `enum`.
pub(super) fn enumerated<'a>(schema: &Loc<'a>, limits: &Limits) -> Result<Option<&'a Vec<Value>>> {
    let Some(value) = schema.get("enum") else { return Ok(None) };
    let Some(values) = value.as_array() else { return Err(schema.malformed("enum", "an array", value)) };
    if values.len() > limits.schema_values {
        let (found, limit) = (values.len(), limits.schema_values);
        let message = format!("{found} values are more than {limit} (Limits::schema_values)");
        return Err(schema.limit("enum", message));
    }
    Ok(Some(values))
}

/// The number given as a bound.
pub(super) fn bound(schema: &Loc<'_>, keyword: &str) -> Result<Option<Decimal>> {
    match schema.get(keyword) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(Some(Decimal::new(number))),
        Some(value) => Err(schema.malformed(keyword, "a number", value)),
    }
}

/// `multipleOf` as a whole number and a power of ten: (25, 2) is 0.25.
pub(super) fn multiple_of(schema: &Loc<'_>) -> Result<Option<(u64, u32)>> {
    const MOST: u64 = 1_000_000;
    const PLACES: usize = 10;
    let Some(value) = schema.get("multipleOf") else { return Ok(None) };
    let number = value.as_number().map(Decimal::new).filter(|n| !n.negative && !n.is_zero());
    let Some(number) = number else {
        return Err(schema.malformed("multipleOf", "a number above 0", value));
    };
    let places = number.fraction.len();
    match number.scaled(places).filter(|n| *n <= MOST && places <= PLACES) {
        Some(modulus) => Ok(Some((modulus, places as u32))),
        None => {
            let message = format!(
                "only numbers of at most {MOST} without the point, and {PLACES} places, are supported"
            );
            Err(schema.unsupported("multipleOf", message))
        }
    }
}

/// The terms of `pattern` and `format`.
pub(super) fn string_terms(schema: &Loc<'_>, limits: &Limits, a: &mut Algebra) -> Result<Vec<Term>> {
    let mut terms = Vec::new();
    if let Some(text) = schema.text("pattern")? {
        terms.push(pattern_term(schema, "pattern", text, limits, a)?);
    }
    // The specification treats an unknown format as an annotation.
    if let Some(text) = schema.text("format")?.and_then(formats::pattern) {
        terms.push(pattern_term(schema, "format", &text, limits, a)?);
    }
    Ok(terms)
}

/// The term of the pattern at `keyword`.
pub(super) fn pattern_term(
    schema: &Loc<'_>,
    keyword: &str,
    text: &str,
    limits: &Limits,
    a: &mut Algebra,
) -> Result<Term> {
    if text.len() > limits.pattern_bytes {
        let (found, limit) = (text.len(), limits.pattern_bytes);
        let message = format!("{found} bytes are more than {limit} (Limits::pattern_bytes)");
        return Err(schema.limit(keyword, message));
    }
    pattern(text, a, limits.nesting, limits.max_repetitions).map_err(|error| {
        let kind = if error.malformed { SchemaErrorKind::Malformed } else { SchemaErrorKind::Unsupported };
        schema.error(keyword, kind, error.to_string())
    })
}

/// The schemas of the first items, and of all others. An array as `items` is what newer drafts call `prefixItems`, with
/// `additionalItems` for the rest.
pub(super) fn items<'a>(schema: &Loc<'a>) -> Result<(Vec<Loc<'a>>, Option<Loc<'a>>)> {
    if schema.get("items").is_some_and(Value::is_array) {
        return Ok((schema.children("items")?.unwrap_or_default(), schema.child("additionalItems")));
    }
    let first = match schema.get("prefixItems") {
        Some(Value::Object(_)) => Vec::new(),
        _ => schema.children("prefixItems")?.unwrap_or_default(),
    };
    Ok((first, schema.child("items")))
}

/// `contains`, and how many such items are required.
pub(super) fn contains<'a>(schema: &Loc<'a>) -> Result<Option<(Loc<'a>, Span)>> {
    let Some(goal) = schema.child("contains") else { return Ok(None) };
    let mut span = Span::new(schema, "Contains")?;
    if schema.get("minContains").is_none() {
        span.min = 1;
    }
    Ok(Some((goal, span)))
}

/// `dependentRequired`, `dependentSchemas`, and `dependencies` of older drafts, which combines both.
pub(super) struct Dependent<'a> {
    /// The member whose presence triggers it.
    pub(super) name: &'a str,
    pub(super) required: Vec<&'a str>,
    pub(super) schema: Option<Loc<'a>>,
}

pub(super) fn dependents<'a>(schema: &Loc<'a>) -> Result<Vec<Dependent<'a>>> {
    let mut found = Vec::new();
    for keyword in ["dependentRequired", "dependencies", "dependentSchemas"] {
        for (name, held) in schema.members(keyword)? {
            let Some(names) = held.value.as_array().filter(|_| keyword != "dependentSchemas") else {
                if keyword == "dependentRequired" {
                    return Err(held.malformed("", "an array of strings", held.value));
                }
                found.push(Dependent { name, required: Vec::new(), schema: Some(held) });
                continue;
            };
            let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
            let required = names.ok_or_else(|| held.malformed("", "an array of strings", held.value))?;
            found.push(Dependent { name, required, schema: None });
        }
    }
    Ok(found)
}
