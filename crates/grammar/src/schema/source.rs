//! Places in a schema, their values, and the schemas next to and below them.

use crate::error::{SchemaError, SchemaErrorKind};
use serde_json::{Map, Value};
use std::rc::Rc;

pub(super) type Result<T> = core::result::Result<T, SchemaError>;

/// A schema inside the document. Equal pointers mean the same schema.
#[derive(Debug, Clone)]
pub(super) struct Loc<'a> {
    pub(super) value: &'a Value,
    /// `#`, `#/properties/a`, ...
    pub(super) pointer: Rc<str>,
}

/// Keywords whose meaning depends on how a schema was reached.
const DYNAMIC: &[&str] = &["$dynamicRef", "$recursiveRef"];

impl<'a> Loc<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self { value, pointer: "#".into() }
    }

    fn step(&self, name: &str) -> Rc<str> {
        let name = name.replace('~', "~0").replace('/', "~1");
        format!("{}/{name}", self.pointer).into()
    }

    pub(super) fn error(
        &self,
        keyword: &str,
        kind: SchemaErrorKind,
        message: impl Into<String>,
    ) -> SchemaError {
        let pointer = if keyword.is_empty() { Rc::clone(&self.pointer) } else { self.step(keyword) };
        SchemaError::new(kind, Some(pointer.to_string()), message)
    }

    pub(super) fn malformed(&self, keyword: &str, expected: &str, found: &Value) -> SchemaError {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "a bool",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        let message = format!("expected {expected}, found {found}");
        self.error(keyword, SchemaErrorKind::Malformed, message)
    }

    pub(super) fn unsupported(&self, keyword: &str, message: impl Into<String>) -> SchemaError {
        self.error(keyword, SchemaErrorKind::Unsupported, message)
    }

    /// The schema leads back to itself without descending into a value.
    pub(super) fn circle(&self) -> SchemaError {
        let message = "the schema refers back to itself without a property or an item between";
        self.error("", SchemaErrorKind::Reference, message)
    }

    pub(super) fn limit(&self, keyword: &str, message: impl Into<String>) -> SchemaError {
        self.error(keyword, SchemaErrorKind::Limit, message)
    }

    /// The value of a keyword.
    pub(super) fn get(&self, keyword: &str) -> Option<&'a Value> {
        self.value.as_object()?.get(keyword)
    }

    /// The schema that is the value of a keyword.
    pub(super) fn child(&self, keyword: &str) -> Option<Self> {
        let value = self.get(keyword)?;
        Some(Self { value, pointer: self.step(keyword) })
    }

    /// The schemas in the array that is the value of a keyword.
    pub(super) fn children(&self, keyword: &str) -> Result<Option<Vec<Self>>> {
        let Some(list) = self.child(keyword) else { return Ok(None) };
        let Some(values) = list.value.as_array() else {
            return Err(self.malformed(keyword, "an array of schemas", list.value));
        };
        let child = |(i, value)| Loc { value, pointer: format!("{}/{i}", list.pointer).into() };
        Ok(Some(values.iter().enumerate().map(child).collect()))
    }

    /// The schemas in the object that is the value of a keyword.
    pub(super) fn members(&self, keyword: &str) -> Result<Vec<(&'a str, Self)>> {
        let Some(object) = self.child(keyword) else { return Ok(Vec::new()) };
        let Some(values) = object.value.as_object() else {
            return Err(self.malformed(keyword, "an object of schemas", object.value));
        };
        Ok(values.iter().map(|(k, value)| (k.as_str(), Loc { value, pointer: object.step(k) })).collect())
    }

    /// A count: `minItems` and the like.
    pub(super) fn count(&self, keyword: &str) -> Result<Option<u32>> {
        let Some(value) = self.get(keyword) else { return Ok(None) };
        let float = value.as_f64().filter(|n| *n >= 0.0 && n.fract() == 0.0);
        match value.as_u64().or(float.map(|n| n as u64)) {
            Some(n) => Ok(Some(u32::try_from(n).unwrap_or(u32::MAX))),
            None => Err(self.malformed(keyword, "a number 0, 1, 2, ..", value)),
        }
    }

    /// A bool; `false` if the keyword is absent.
    pub(super) fn flag(&self, keyword: &str) -> Result<bool> {
        match self.get(keyword) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.malformed(keyword, "true or false", other)),
        }
    }

    /// A string.
    pub(super) fn text(&self, keyword: &str) -> Result<Option<&'a str>> {
        match self.get(keyword) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.malformed(keyword, "a string", other)),
        }
    }

    /// The names in `required`.
    pub(super) fn required(&self) -> Result<Vec<&'a str>> {
        let Some(value) = self.get("required") else { return Ok(Vec::new()) };
        let names = value.as_array().map(|names| names.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        names.flatten().ok_or_else(|| self.malformed("required", "an array of strings", value))
    }

    /// The schema's object; `None` for `true` and `false`.
    pub(super) fn keywords(&self) -> Result<Option<&'a Map<String, Value>>> {
        let object = match self.value {
            Value::Object(object) => object,
            Value::Bool(_) => return Ok(None),
            other => return Err(self.malformed("", "a schema (an object, true or false)", other)),
        };
        for keyword in DYNAMIC {
            if object.contains_key(*keyword) {
                return Err(self.unsupported(keyword, format!("'{keyword}' is not supported")));
            }
        }
        Ok(Some(object))
    }

    /// Whether the schema is the bool `value`.
    pub(super) fn is_bool(&self, value: bool) -> bool {
        *self.value == Value::Bool(value)
    }

    /// The value below this one, by name or index.
    pub(super) fn below(&self, part: &str) -> Option<Self> {
        let value = match self.value {
            Value::Object(object) => object.get(part),
            Value::Array(items) => part.parse::<usize>().ok().and_then(|i| items.get(i)),
            _ => None,
        };
        value.map(|value| Self { value, pointer: self.step(part) })
    }
}
