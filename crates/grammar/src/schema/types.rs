//! JSON's types as a set of bits. Numbers and booleans have two bits each.

use super::decimal::Decimal;
use super::source::{Loc, Result};
use crate::error::SchemaErrorKind;
use serde_json::Value;

pub(super) const NULL: u8 = 1;
pub(super) const FALSE: u8 = 2;
pub(super) const TRUE: u8 = 4;
/// Whole numbers.
pub(super) const INTEGER: u8 = 8;
/// Numbers with a fraction.
pub(super) const FRACTION: u8 = 16;
pub(super) const STRING: u8 = 32;
pub(super) const ARRAY: u8 = 64;
pub(super) const OBJECT: u8 = 128;
pub(super) const NUMBER: u8 = INTEGER | FRACTION;
pub(super) const ALL: u8 = 255;

/// Keywords that tell which type a schema is about if it has no `type`.
const ABOUT: &[(&str, u8)] = &[
    ("properties", OBJECT),
    ("patternProperties", OBJECT),
    ("additionalProperties", OBJECT),
    ("unevaluatedProperties", OBJECT),
    ("propertyNames", OBJECT),
    ("required", OBJECT),
    ("minProperties", OBJECT),
    ("maxProperties", OBJECT),
    ("dependentRequired", OBJECT),
    ("dependentSchemas", OBJECT),
    ("dependencies", OBJECT),
    ("items", ARRAY),
    ("prefixItems", ARRAY),
    ("unevaluatedItems", ARRAY),
    ("minItems", ARRAY),
    ("maxItems", ARRAY),
    ("uniqueItems", ARRAY),
    ("contains", ARRAY),
    ("pattern", STRING),
    ("format", STRING),
    ("minLength", STRING),
    ("maxLength", STRING),
    ("minimum", NUMBER),
    ("maximum", NUMBER),
    ("exclusiveMinimum", NUMBER),
    ("exclusiveMaximum", NUMBER),
    ("multipleOf", NUMBER),
];

/// The type of a value.
pub(super) fn of(value: &Value) -> u8 {
    match value {
        Value::Null => NULL,
        Value::Bool(false) => FALSE,
        Value::Bool(true) => TRUE,
        Value::Number(n) if Decimal::new(n).is_integer() => INTEGER,
        Value::Number(_) => FRACTION,
        Value::String(_) => STRING,
        Value::Array(_) => ARRAY,
        Value::Object(_) => OBJECT,
    }
}

/// The types that `type` allows; all types if it is absent.
pub(super) fn stated(schema: &Loc<'_>) -> Result<u8> {
    let Some(value) = schema.get("type") else { return Ok(ALL) };
    let one = |value: &Value| {
        Ok(match value.as_str() {
            Some("null") => NULL,
            Some("boolean") => FALSE | TRUE,
            Some("integer") => INTEGER,
            Some("number") => NUMBER,
            Some("string") => STRING,
            Some("array") => ARRAY,
            Some("object") => OBJECT,
            Some(other) => {
                let message = format!("expected a JSON type, found {other:?}");
                return Err(schema.error("type", SchemaErrorKind::Malformed, message));
            }
            None => return Err(schema.malformed("type", "a JSON type or an array of them", value)),
        })
    };
    match value {
        Value::Array(list) => list.iter().try_fold(0, |all, value| Ok(all | one(value)?)),
        value => one(value),
    }
}

/// The types that a schema's keywords are about.
pub(super) fn about(schema: &Loc<'_>) -> u8 {
    let says = |keyword: &str| match keyword {
        "additionalProperties" => schema.get(keyword).is_some_and(|v| *v != Value::Bool(true)),
        keyword => schema.get(keyword).is_some(),
    };
    ABOUT.iter().filter(|(keyword, _)| says(keyword)).fold(0, |about, (_, ty)| about | ty)
}
