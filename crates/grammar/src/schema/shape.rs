//! What a branch allows: its types, its values where they are listed, and the bounds of scalars.

use super::decimal::{Decimal, same};
use super::formats;
use super::number::{self, Bound};
use super::source::{Loc, Result};
use crate::limits::Limits;
use crate::regular::{Algebra, Term, pattern};
use serde_json::Value;

/// JSON's types, with numbers in two.
pub(super) mod types {
    pub(in super::super) const NULL: u8 = 1;
    pub(in super::super) const BOOL: u8 = 2;
    /// Whole numbers.
    pub(in super::super) const INTEGER: u8 = 4;
    /// Numbers with a fraction.
    pub(in super::super) const FRACTION: u8 = 8;
    pub(in super::super) const STRING: u8 = 16;
    pub(in super::super) const ARRAY: u8 = 32;
    pub(in super::super) const OBJECT: u8 = 64;
    pub(in super::super) const ALL: u8 = 127;
}
use types::*;

/// Keywords that say which type a schema is about when it has no `type`.
const ABOUT: &[(&str, u8)] = &[
    ("properties", OBJECT),
    ("patternProperties", OBJECT),
    ("additionalProperties", OBJECT),
    ("propertyNames", OBJECT),
    ("required", OBJECT),
    ("minProperties", OBJECT),
    ("maxProperties", OBJECT),
    ("items", ARRAY),
    ("prefixItems", ARRAY),
    ("minItems", ARRAY),
    ("maxItems", ARRAY),
    ("uniqueItems", ARRAY),
    ("pattern", STRING),
    ("format", STRING),
    ("minLength", STRING),
    ("maxLength", STRING),
    ("minimum", INTEGER | FRACTION),
    ("maximum", INTEGER | FRACTION),
    ("exclusiveMinimum", INTEGER | FRACTION),
    ("exclusiveMaximum", INTEGER | FRACTION),
    ("multipleOf", INTEGER | FRACTION),
];

/// The type of a value.
pub(super) fn type_of(value: &Value) -> u8 {
    match value {
        Value::Null => NULL,
        Value::Bool(_) => BOOL,
        Value::Number(n) => {
            if Decimal::new(n).is_integer() {
                INTEGER
            } else {
                FRACTION
            }
        }
        Value::String(_) => STRING,
        Value::Array(_) => ARRAY,
        Value::Object(_) => OBJECT,
    }
}

/// The types that `type` allows; all where it is absent.
pub(super) fn stated_types(schema: &Loc<'_>) -> Result<u8> {
    let Some(value) = schema.get("type") else { return Ok(ALL) };
    let one = |value: &Value| {
        Ok(match value.as_str() {
            Some("null") => NULL,
            Some("boolean") => BOOL,
            Some("integer") => INTEGER,
            Some("number") => INTEGER | FRACTION,
            Some("string") => STRING,
            Some("array") => ARRAY,
            Some("object") => OBJECT,
            Some(other) => {
                let message = format!("expected a JSON type, found {other:?}");
                return Err(schema.error("type", crate::SchemaErrorKind::Malformed, message));
            }
            None => return Err(schema.malformed("type", "a JSON type or an array of them", value)),
        })
    };
    match value {
        Value::Array(list) => list.iter().try_fold(0, |all, value| Ok(all | one(value)?)),
        value => one(value),
    }
}

/// The types of documents for schemas that must all hold. With `inferred`, and no `type` anywhere, the types that the
/// keywords are about: a schema of `properties` means objects to those who write it, though it allows 7.
pub(super) fn types_of(plain: &[Loc<'_>], inferred: bool) -> Result<u8> {
    let mut all = ALL;
    let mut about = 0;
    let mut stated = false;
    for schema in plain {
        all &= stated_types(schema)?;
        stated |= ["type", "enum", "const"].iter().any(|keyword| schema.get(keyword).is_some());
        for (keyword, ty) in ABOUT {
            let says = match *keyword {
                "additionalProperties" => schema.get(keyword).is_some_and(|v| *v != Value::Bool(true)),
                keyword => schema.get(keyword).is_some(),
            };
            about |= if says { *ty } else { 0 };
        }
    }
    Ok(if inferred && !stated && about != 0 { about } else { all })
}

/// The values of `enum` and `const` that are in all such lists; `None` without any.
pub(super) fn listed<'a>(plain: &[Loc<'a>], limits: &Limits) -> Result<Option<Vec<&'a Value>>> {
    let mut all: Option<Vec<&Value>> = None;
    for schema in plain {
        let mut lists: Vec<Vec<&Value>> = Vec::new();
        if let Some(value) = schema.get("enum") {
            let Some(values) = value.as_array() else {
                return Err(schema.malformed("enum", "an array", value));
            };
            if values.len() > limits.schema_values {
                let (found, limit) = (values.len(), limits.schema_values);
                let message = format!("{found} values are more than {limit} (Limits::schema_values)");
                return Err(schema.limit("enum", message));
            }
            lists.push(values.iter().collect());
        }
        lists.extend(schema.get("const").map(|value| vec![value]));
        for list in lists {
            let kept = match all {
                None => list,
                Some(all) => all.into_iter().filter(|a| list.iter().any(|b| same(a, b))).collect(),
            };
            let mut once: Vec<&Value> = Vec::new();
            for value in kept {
                if !once.iter().any(|known| same(known, value)) {
                    once.push(value);
                }
            }
            all = Some(once);
        }
    }
    Ok(all)
}

/// The least and the greatest number allowed.
pub(super) fn bounds(plain: &[Loc<'_>]) -> Result<(Option<Bound>, Option<Bound>)> {
    let (mut min, mut max): (Option<Bound>, Option<Bound>) = (None, None);
    for schema in plain {
        for (keyword, lower, exclusive) in [
            ("minimum", true, false),
            ("exclusiveMinimum", true, true),
            ("maximum", false, false),
            ("exclusiveMaximum", false, true),
        ] {
            let Some(value) = schema.get(keyword) else { continue };
            let Value::Number(number) = value else {
                return Err(schema.malformed(keyword, "a number", value));
            };
            let bound = Bound { value: Decimal::new(number), exclusive };
            let place = if lower { &mut min } else { &mut max };
            let tighter = place.as_ref().is_none_or(|old| {
                let order = bound.value.cmp(&old.value);
                let inside = if lower { order.is_gt() } else { order.is_lt() };
                inside || (order.is_eq() && exclusive)
            });
            if tighter {
                *place = Some(bound);
            }
        }
    }
    Ok((min, max))
}

/// The spellings of the numbers allowed; `integer` for whole ones only.
pub(super) fn numbers(plain: &[Loc<'_>], integer: bool, a: &mut Algebra) -> Result<Term> {
    let (min, max) = bounds(plain)?;
    let (mut multiples, mut decimals) = (Vec::new(), None);
    let mut whole = integer;
    for schema in plain {
        let Some(value) = schema.get("multipleOf") else { continue };
        let number = value.as_number().map(Decimal::new).filter(|n| !n.negative && !n.is_zero());
        let Some(number) = number else {
            return Err(schema.malformed("multipleOf", "a number above 0", value));
        };
        if let Some(modulus) = number.scaled(0).filter(|n| *n <= 1_000_000) {
            multiples.push(modulus);
            whole = true;
        } else if number.whole.is_empty() && number.fraction.trim_start_matches('0') == "1" {
            let places = number.fraction.len() as u32;
            decimals = Some(decimals.map_or(places, |old: u32| old.min(places)));
        } else {
            return Err(schema.unsupported(
                "multipleOf",
                "only whole numbers up to 1000000 and 0.1, 0.01, .. are supported",
            ));
        }
    }
    Ok(number::range(min.as_ref(), max.as_ref(), whole, &multiples, decimals, a))
}

/// The least and the greatest length of strings (`Length`), arrays (`Items`) or objects (`Properties`).
pub(super) fn lengths(plain: &[Loc<'_>], what: &str) -> Result<(u32, Option<u32>)> {
    let (mut min, mut max): (u32, Option<u32>) = (0, None);
    for schema in plain {
        if let Some(n) = schema.count(&format!("min{what}"))? {
            min = min.max(n);
        }
        if let Some(n) = schema.count(&format!("max{what}"))? {
            max = Some(max.map_or(n, |max| max.min(n)));
        }
    }
    Ok((min, max))
}

/// What is asked of a string beside its length: patterns and formats.
pub(super) fn string_terms(plain: &[Loc<'_>], limits: &Limits, a: &mut Algebra) -> Result<Vec<Term>> {
    let mut terms = Vec::new();
    for schema in plain {
        if let Some(text) = schema.text("pattern")? {
            terms.push(pattern_term(schema, "pattern", text, limits, a)?);
        }
        if let Some(name) = schema.text("format")? {
            let Some(text) = formats::pattern(name) else {
                return Err(schema.unsupported("format", format!("the format {name:?} is not supported")));
            };
            terms.push(pattern_term(schema, "format", &text, limits, a)?);
        }
    }
    Ok(terms)
}

/// A pattern that stands at `keyword`.
pub(super) fn pattern_term(
    schema: &Loc<'_>,
    keyword: &str,
    text: &str,
    limits: &Limits,
    a: &mut Algebra,
) -> Result<Term> {
    if text.len() > limits.pattern_bytes {
        let (found, limit) = (text.len(), limits.pattern_bytes);
        return Err(
            schema.limit(keyword, format!("{found} bytes are more than {limit} (Limits::pattern_bytes)"))
        );
    }
    pattern(text, a, limits.nesting, limits.max_repetitions).map_err(|error| {
        let kind = if error.malformed {
            crate::SchemaErrorKind::Malformed
        } else {
            crate::SchemaErrorKind::Unsupported
        };
        schema.error(keyword, kind, error.to_string())
    })
}

/// All of a string's conditions as one term.
pub(super) fn string_term(plain: &[Loc<'_>], limits: &Limits, a: &mut Algebra) -> Result<Term> {
    let mut terms = string_terms(plain, limits, a)?;
    let (min, max) = lengths(plain, "Length")?;
    if (min, max) != (0, None) {
        let any = a.class(crate::charset::CharSet::any());
        terms.push(if max.is_some_and(|max| max < min) {
            crate::regular::NOTHING
        } else {
            a.repeat(any, min, max)
        });
    }
    if terms.is_empty() {
        return Ok(a.anything());
    }
    Ok(a.and(terms))
}
