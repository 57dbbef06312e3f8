//! Determines, from the tools' schemas, the value of a parameter that is written without quotes.
//!
//! ```text
//! keyword                  what the value may be
//! type, also a list        these types; `nullable` adds null
//! enum, const              these values; if none of them fits, values of their types
//! anyOf, oneOf             what one of them allows
//! allOf, and all together  what each of them allows
//! $ref                     what the place in the same schema allows (#, #/$defs/a, ..)
//! anything else            is not looked at
//!
//! null     if the text is `null` or `None`, and null is named in the schema
//! string   if strings are named and the text is one of those allowed
//! else     what the text looks like: a number, true, false, an array, an object; otherwise a string
//! ```

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde_json::{Map, Value as Json};

use super::fault::{Step, fault, if_right};
use super::grammar::Notation;
use super::literals::Literal;
use super::{MAX_DEPTH, literals, scan};
use crate::memory::{R, copied, json_text, push, text};
use crate::{digits, json};

/// Maximum number of schemas that are visited for one value.
const MAX_STEPS: usize = 1000;

/// The schema of a tool that declares no arguments.
const SILENT: &Json = &Json::Null;

/// The tools that were declared.
#[derive(Debug, Default)]
pub(super) struct Schema<'a>(Vec<Tool<'a>>);

/// A tool that was declared.
#[derive(Debug)]
pub(super) struct Tool<'a> {
    pub(super) name: Cow<'a, str>,
    parameters: Cow<'a, Json>,
}

impl Tool<'_> {
    /// Returns the schema of the arguments.
    pub(super) fn parameters(&self) -> &Json {
        &self.parameters
    }

    /// Returns whether the schema is `true`, which allows any arguments.
    pub(super) fn is_free(&self) -> bool {
        *self.parameters() == Json::Bool(true)
    }

    /// Returns whether the tool declares arguments. If not, a call has none.
    pub(super) fn has_parameters(&self) -> bool {
        let Json::Object(map) = self.parameters() else { return false };
        let silent = ["type", "title", "description", "required", "$schema"];
        map.iter().any(|(key, value)| match key.as_str() {
            "properties" => value.as_object().is_some_and(|map| !map.is_empty()),
            "additionalProperties" => *value != Json::Bool(false),
            key => !silent.contains(&key),
        })
    }

    /// Returns the parameters by name, in the schema's order.
    pub(super) fn properties(&self) -> impl Iterator<Item = (&str, &Json)> {
        let map = self.parameters.get("properties").and_then(Json::as_object);
        map.into_iter().flatten().map(|(key, schema)| (key.as_str(), schema))
    }

    /// Returns the schema of a parameter.
    pub(super) fn property(&self, key: &str) -> Option<&Json> {
        self.parameters.get("properties")?.get(key)
    }

    pub(super) fn is_required(&self, key: &str) -> bool {
        let required = self.parameters.get("required").and_then(Json::as_array);
        required.is_some_and(|keys| keys.iter().any(|k| k.as_str() == Some(key)))
    }

    fn into_owned(self) -> R<Tool<'static>> {
        let parameters = json::copied(&self.parameters)?;
        Ok(Tool { name: Cow::Owned(text!("{}", self.name)?), parameters: Cow::Owned(parameters) })
    }
}

impl<'a> Schema<'a> {
    /// Reads tools as templates take them: `{"type": "function", "function": {"name", "parameters"}}`, or the inner object alone.
    /// Anything else is ignored, and so are parameters that nest more than [`MAX_DEPTH`] deep.
    pub(super) fn new(tools: &'a [Json]) -> R<Self> {
        let mut all = Vec::new();
        for tool in tools {
            let tool = tool.get("function").unwrap_or(tool);
            let Some(name) = tool.get("name").and_then(Json::as_str) else { continue };
            let parameters = tool.get("parameters").filter(|schema| !is_deep(schema, 0));
            let parameters = Cow::Borrowed(parameters.unwrap_or(SILENT));
            push(&mut all, Tool { name: Cow::Borrowed(name), parameters })?;
        }
        Ok(Schema(all))
    }

    /// Copies everything that is borrowed from the tools.
    pub(super) fn into_owned(self) -> R<Schema<'static>> {
        let mut all = Vec::new();
        for tool in self.0 {
            push(&mut all, tool.into_owned()?)?;
        }
        Ok(Schema(all))
    }

    pub(super) fn tools(&self) -> std::slice::Iter<'_, Tool<'a>> {
        self.0.iter()
    }

    pub(super) fn tool(&self, name: &str) -> Option<&Tool<'a>> {
        self.0.iter().find(|tool| tool.name == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|tool| &*tool.name)
    }

    /// Drops the tools for which `keep` returns false.
    pub(super) fn retain(&mut self, keep: impl FnMut(&Tool<'a>) -> bool) {
        self.0.retain(keep);
    }

    pub(super) fn has_tools(&self) -> bool {
        !self.0.is_empty()
    }

    pub(super) fn is_declared(&self, name: &str) -> bool {
        self.tool(name).is_some()
    }

    /// Returns whether some tool's name begins with `text`.
    pub(super) fn begins_name(&self, text: &str) -> bool {
        self.0.iter().any(|tool| tool.name.starts_with(text))
    }

    /// Returns the value of a parameter that is written without quotes, as JSON. The table above has the rules.
    pub(super) fn value(&self, tool: &str, parameter: &str, text: &str) -> R<String> {
        let schema = self.tool(tool).and_then(|tool| Some((tool.parameters(), tool.property(parameter)?)));
        let looks = looks_like(text)?;
        let string = || json_text(text);
        let found = || looks.as_ref().map_or_else(string, Literal::text);
        let Some((root, schema)) = schema else { return found() };
        let value = looks.as_ref().map_or(&Json::Null, |looks| &looks.value);
        for exact in [true, false] {
            let mut reader = Reader { root, text, value, exact, steps: MAX_STEPS };
            let allows = reader.allows(schema, 0);
            if value.is_null() && looks.is_some() && allows.null == Some(true) {
                return copied("null");
            }
            if allows.string == Some(true) {
                return string();
            }
            if allows.value != Some(false) {
                break;
            }
        }
        found()
    }
}

/// Reads a text without quotes as a value that is not a string, if it looks like one.
fn looks_like(original: &str) -> R<Option<Literal>> {
    let mended = if_right(scan::mended(original))?;
    let text = mended.as_deref().unwrap_or(original);
    match json::read(text)? {
        // A string has no quotes in these notations, so these quotes belong to it.
        Some(Json::String(_)) => Ok(None),
        Some(value) => {
            let mut numbers = Vec::new();
            for number in digits::numbers(text)? {
                push(&mut numbers, copied(number)?)?;
            }
            Ok(Some(Literal { value, numbers }))
        }
        // Models learn Python's notation from templates that print values as Python does.
        None => match original.trim_start().chars().next() {
            Some('[' | '{' | 'T' | 'F' | 'N') => if_right(literals::value(original.trim(), Notation::PYTHON)),
            _ => Ok(None),
        },
    }
}

/// Whether a schema allows a text as null, as a string, and as the other value that it looks like: yes, no, or undecided.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Allows {
    null: Option<bool>,
    string: Option<bool>,
    value: Option<bool>,
}

impl Allows {
    fn each(self, other: Self, join: fn(Option<bool>, Option<bool>) -> Option<bool>) -> Self {
        Allows {
            null: join(self.null, other.null),
            string: join(self.string, other.string),
            value: join(self.value, other.value),
        }
    }

    fn and(self, other: Self) -> Self {
        self.each(other, |a, b| match (a, b) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), _) | (_, Some(true)) => Some(true),
            _ => None,
        })
    }

    fn or(self, other: Self) -> Self {
        self.each(other, |a, b| match (a, b) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (None, _) | (_, None) => None,
            _ => Some(false),
        })
    }
}

struct Reader<'a> {
    root: &'a Json,
    text: &'a str,
    /// The value that the text looks like.
    value: &'a Json,
    /// Whether `enum` and `const` require their values, or only the types of their values.
    exact: bool,
    steps: usize,
}

impl<'a> Reader<'a> {
    fn allows(&mut self, schema: &'a Json, depth: usize) -> Allows {
        let Json::Object(map) = schema else { return Allows::default() };
        if depth > MAX_DEPTH || self.steps == 0 {
            return Allows::default();
        }
        self.steps -= 1;
        let nullable = map.get("nullable") == Some(&Json::Bool(true));
        let mut all = Allows::default();
        match map.get("type") {
            Some(kind @ Json::String(_)) => all = all.and(self.types(std::slice::from_ref(kind), nullable)),
            Some(Json::Array(kinds)) => all = all.and(self.types(kinds, nullable)),
            _ => {}
        }
        if let Some(Json::Array(values)) = map.get("enum") {
            all = all.and(self.values(values, nullable));
        }
        if let Some(value) = map.get("const") {
            all = all.and(self.values(std::slice::from_ref(value), nullable));
        }
        for key in ["anyOf", "oneOf"] {
            let Some(Json::Array(schemas)) = map.get(key) else { continue };
            let any = schemas.iter().map(|schema| self.allows(schema, depth + 1)).reduce(Allows::or);
            all = all.and(any.unwrap_or_default());
        }
        if let Some(Json::Array(schemas)) = map.get("allOf") {
            for schema in schemas {
                all = all.and(self.allows(schema, depth + 1));
            }
        }
        if let Some(Json::String(reference)) = map.get("$ref") {
            let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            if let Some(target) = target {
                all = all.and(self.allows(target, depth + 1));
            }
        }
        all
    }

    fn types(&self, kinds: &[Json], nullable: bool) -> Allows {
        let has = |name: &str| kinds.iter().any(|kind| kind == name);
        let value = match self.value {
            Json::Null => has("null") || nullable,
            Json::Bool(_) => has("boolean"),
            Json::Number(n) => has("number") || has("integer") && is_whole(n),
            Json::String(_) => has("string"),
            Json::Array(_) => has("array"),
            Json::Object(_) => has("object"),
        };
        Allows { null: Some(has("null") || nullable), string: Some(has("string")), value: Some(value) }
    }

    fn values(&self, values: &[Json], nullable: bool) -> Allows {
        let is = |value: &Json| match self.exact {
            true => value == self.value,
            false => std::mem::discriminant(value) == std::mem::discriminant(self.value),
        };
        let string = |value: &Json| value.as_str().is_some_and(|s| !self.exact || s == self.text);
        Allows {
            null: Some(nullable || values.contains(&Json::Null)),
            string: Some(values.iter().any(string)),
            value: Some(values.iter().any(is)),
        }
    }
}

fn is_whole(number: &serde_json::Number) -> bool {
    number.is_i64() || number.is_u64() || write!(Digits, "{number}").is_ok()
}

/// Takes what is written of a number without fraction and exponent, and keeps nothing.
struct Digits;

impl fmt::Write for Digits {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_whole = text.bytes().all(|b| b == b'-' || b.is_ascii_digit());
        if is_whole { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Returns whether a value that is `depth` levels deep in another one exceeds [`MAX_DEPTH`].
fn is_deep(value: &Json, depth: usize) -> bool {
    let below = |value| is_deep(value, depth + 1);
    depth > MAX_DEPTH
        || match value {
            Json::Array(items) => items.iter().any(below),
            Json::Object(map) => map.values().any(below),
            _ => false,
        }
}

/// Adds a member to the text of an object that is being written; `value` is JSON.
pub(super) fn member(empty: bool, key: &str, value: &str) -> R<String> {
    text!("{}{}: {value}", if empty { "{" } else { ", " }, json_text(key)?)
}

/// Reads an object.
pub(super) fn object(text: &str) -> Step<Map<String, Json>> {
    match json::attempt(text)? {
        Ok(Json::Object(map)) => Ok(map),
        Ok(_) => Err("the arguments are not a JSON object".into()),
        Err(e) => Err(fault!("the arguments are not valid JSON: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_decide_and_otherwise_the_text_itself() {
        let parameters = serde_json::json!({
        "$defs": {"id": {"type": "string"}, "loop": {"$ref": "#/$defs/loop"},
            "wide": {"anyOf": [{"$ref": "#/$defs/wide"}, {"$ref": "#/$defs/wide"}]}},
        "properties": {
            "s": {"type": "string"}, "n": {"type": "integer"}, "u": {},
            "optional": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "list": {"type": ["string", "null"]},
            "either": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
            "all": {"allOf": [{"type": "string"}, {"maxLength": 3}]},
            "choice": {"enum": ["1", "2", 3, null]},
            "const": {"const": "3"}, "number": {"const": 3},
            "ref": {"$ref": "#/$defs/id"},
            "deep": {"anyOf": [{"allOf": [{"$ref": "#/$defs/id"}]}, {"type": "null"}]},
            "nullable": {"type": "string", "nullable": true},
            "both": {"type": ["integer", "string"], "enum": [1, 2]},
            "loop": {"$ref": "#/$defs/loop"}, "wide": {"$ref": "#/$defs/wide"},
            "array": {"type": "array"}, "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]}
        }});
        let tool =
            serde_json::json!({"type": "function", "function": {"name": "f", "parameters": parameters}});
        let tools = [tool, Json::Null];
        let schema = Schema::new(&tools).unwrap();
        let cases = [
            ("s", "12", "\"12\""),
            ("s", "null", "\"null\""),
            ("s", "{'a': True}", "\"{'a': True}\""),
            ("n", "12", "12"),
            ("n", "18446744073709551615", "18446744073709551615"),
            ("n", "123456789012345678901234567890", "123456789012345678901234567890"),
            ("u", "1.10", "1.10"),
            ("other", "{'a': 1.10}", r#"{"a":1.10}"#),
            ("other", "{\"a\": 1.10}", r#"{"a":1.10}"#),
            ("n", "no", "\"no\""),
            ("u", "12", "12"),
            ("u", "0.5", "0.5"),
            ("optional", "417", "\"417\""),
            ("optional", "true", "\"true\""),
            ("optional", "null", "null"),
            ("optional", "None", "null"),
            ("list", "1e5", "\"1e5\""),
            ("list", "null", "null"),
            ("either", "89410200001234567890", "\"89410200001234567890\""),
            ("all", "007", "\"007\""),
            ("choice", "2", "\"2\""),
            ("choice", "3", "3"),
            ("choice", "null", "null"),
            ("choice", "9", "\"9\""),
            ("const", "3", "\"3\""),
            ("const", "4", "\"4\""),
            ("number", "3", "3"),
            ("ref", "1", "\"1\""),
            ("deep", "1", "\"1\""),
            ("deep", "null", "null"),
            ("nullable", "null", "null"),
            ("nullable", "5", "\"5\""),
            ("both", "2", "2"),
            ("loop", "5", "5"),
            ("wide", "5", "5"),
            ("array", "[1, 'a']", "[1,\"a\"]"),
            ("maybe", "5", "5"),
            ("maybe", "None", "null"),
            ("other", "12", "12"),
            ("other", "\"12\"", r#""\"12\"""#),
            ("other", "True", "true"),
            ("other", "None of it", "\"None of it\""),
            ("other", "{'a': True, 'b': [None]}", r#"{"a":true,"b":[null]}"#),
            ("other", "{\"a\": \"one\ntwo\"}", r#"{"a":"one\ntwo"}"#),
            ("other", "[broken", "\"[broken\""),
            ("other", "", "\"\""),
        ];
        let wrong: Vec<String> = cases
            .iter()
            .filter_map(|(parameter, text, expect)| {
                let got = schema.value("f", parameter, text).unwrap();
                (got != *expect).then(|| format!("{parameter} {text}: got {got}, expected {expect}"))
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(schema.value("g", "s", "12").unwrap(), "12");
    }
}
