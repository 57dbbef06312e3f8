//! Places in a schema, what stands there, and where references lead.

use crate::error::{SchemaError, SchemaErrorKind};
use serde_json::{Map, Value};
use std::rc::Rc;

pub(super) type Result<T> = core::result::Result<T, SchemaError>;

/// A schema inside the document; equal pointers are the same schema.
#[derive(Debug, Clone)]
pub(super) struct Loc<'a> {
    pub(super) value: &'a Value,
    /// `#`, `#/properties/a`, ...
    pub(super) pointer: Rc<str>,
}

/// Keywords that constrain documents in ways that no rule here expresses.
const UNSUPPORTED: &[&str] = &[
    "$dynamicRef",
    "$recursiveRef",
    "contains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "not",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];

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

    pub(super) fn limit(&self, keyword: &str, message: impl Into<String>) -> SchemaError {
        self.error(keyword, SchemaErrorKind::Limit, message)
    }

    /// The value of a keyword.
    pub(super) fn get(&self, keyword: &str) -> Option<&'a Value> {
        self.value.as_object()?.get(keyword)
    }

    /// The schema that a keyword holds.
    pub(super) fn child(&self, keyword: &str) -> Option<Self> {
        let value = self.get(keyword)?;
        Some(Self { value, pointer: self.step(keyword) })
    }

    /// The schemas of a keyword that holds an array of them.
    pub(super) fn children(&self, keyword: &str) -> Result<Option<Vec<Self>>> {
        let Some(list) = self.child(keyword) else { return Ok(None) };
        let Some(values) = list.value.as_array() else {
            return Err(self.malformed(keyword, "an array of schemas", list.value));
        };
        let child = |(i, value)| Loc { value, pointer: format!("{}/{i}", list.pointer).into() };
        Ok(Some(values.iter().enumerate().map(child).collect()))
    }

    /// The schemas of a keyword that holds an object of them.
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

    /// A bool; absent is `false`.
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

    /// The object that the schema is, with nothing in it that is not supported; `None` for `true`.
    pub(super) fn keywords(&self) -> Result<Option<&'a Map<String, Value>>> {
        let object = match self.value {
            Value::Object(object) => object,
            Value::Bool(_) => return Ok(None),
            other => return Err(self.malformed("", "a schema (an object, true or false)", other)),
        };
        for keyword in UNSUPPORTED {
            // `if` alone and `then` or `else` without `if` mean nothing.
            let idle = match *keyword {
                "if" => !object.contains_key("then") && !object.contains_key("else"),
                "then" | "else" => !object.contains_key("if"),
                _ => false,
            };
            if object.contains_key(*keyword) && !idle {
                return Err(self.unsupported(keyword, format!("'{keyword}' is not supported")));
            }
        }
        Ok(Some(object))
    }

    /// Where a `$ref` of this schema leads.
    pub(super) fn reference(&self, root: &Loc<'a>) -> Result<Option<Self>> {
        let Some(text) = self.text("$ref")? else { return Ok(None) };
        let wrong = |kind, message: String| self.error("$ref", kind, message);
        let base = root.get("$id").and_then(Value::as_str).unwrap_or("").trim_end_matches('#');
        let fragment = match text.split_once('#') {
            Some((document, fragment)) if document.is_empty() || document == base => fragment,
            None if !base.is_empty() && text == base => "",
            _ => {
                let message = format!("expected a reference into this document ('#..'), found {text:?}");
                return Err(wrong(SchemaErrorKind::Unsupported, message));
            }
        };
        if let Some(id) = self.inner_id(root) {
            let message = format!("a reference inside the schema with the $id {id:?} is not supported");
            return Err(wrong(SchemaErrorKind::Unsupported, message));
        }
        if !fragment.is_empty() && !fragment.starts_with('/') {
            let message = format!("expected a JSON pointer ('#/..'), found {text:?}");
            return Err(wrong(SchemaErrorKind::Unsupported, message));
        }
        let missing = || wrong(SchemaErrorKind::Reference, format!("nothing is at {text:?}"));
        let mut at = root.clone();
        for part in fragment.split('/').skip(1) {
            let part = percent_decoded(part).ok_or_else(missing)?.replace("~1", "/").replace("~0", "~");
            let value = match at.value {
                Value::Object(object) => object.get(&part),
                Value::Array(items) => part.parse::<usize>().ok().and_then(|i| items.get(i)),
                _ => None,
            };
            at = Loc { value: value.ok_or_else(missing)?, pointer: at.step(&part) };
        }
        if let Some(id) = at.inner_id(root) {
            let message = format!("a reference into the schema with the $id {id:?} is not supported");
            return Err(wrong(SchemaErrorKind::Unsupported, message));
        }
        Ok(Some(at))
    }

    /// The `$id` of a schema inside the document that this one belongs to: references count from there.
    fn inner_id(&self, root: &Loc<'a>) -> Option<&'a str> {
        let mut at = root.value;
        for part in self.pointer.split('/').skip(1) {
            let part = part.replace("~1", "/").replace("~0", "~");
            at = match at {
                Value::Object(object) => object.get(&part)?,
                Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
                _ => return None,
            };
            if let Some(id) = at.get("$id").and_then(Value::as_str) {
                return Some(id);
            }
        }
        None
    }
}

/// `%41` and the like in a URI fragment.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
        bytes.push((digit()? * 16 + digit()?) as u8);
    }
    String::from_utf8(bytes).ok()
}
