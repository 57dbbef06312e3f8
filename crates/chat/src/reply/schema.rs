//! Which parameters of which tool are strings.

use serde_json::{Map, Value as Json};

use super::grammar::Notation;
use super::literals;

/// The types of the tools' parameters.
#[derive(Debug, Default)]
pub(super) struct Schema(Vec<Json>);

impl Schema {
    /// From tools as templates take them: `{"type": "function", "function": {"name", "parameters"}}`, or the inner
    /// object alone. Anything else is of no use and no error.
    pub(super) fn new(tools: &[Json]) -> Self {
        Schema(tools.iter().map(|tool| tool.get("function").unwrap_or(tool)).cloned().collect())
    }

    /// Whether the parameter is a string: `None` if the schema does not tell.
    fn is_string(&self, tool: &str, parameter: &str) -> Option<bool> {
        let tool = self.0.iter().find(|t| t.get("name").and_then(Json::as_str) == Some(tool))?;
        match tool.get("parameters")?.get("properties")?.get(parameter)?.get("type")? {
            Json::String(kind) => Some(kind == "string"),
            _ => None,
        }
    }

    /// The value of a parameter that is written without quotes: a string where the schema says so, else what it looks
    /// like.
    pub(super) fn value(&self, tool: &str, parameter: &str, text: &str) -> Json {
        if self.is_string(tool, parameter) == Some(true) {
            return text.into();
        }
        match serde_json::from_str(text) {
            // A string would stand without quotes; these belong to it.
            Ok(Json::String(_)) => text.into(),
            Ok(value) => value,
            // Templates that print values as Python does leave their mark on models.
            Err(_) => match text.chars().next() {
                Some('[' | '{' | 'T' | 'F' | 'N') => {
                    literals::value(text, Notation::PYTHON).unwrap_or_else(|_| text.into())
                }
                _ => text.into(),
            },
        }
    }
}

/// Adds a member to the text of an object that is being written.
pub(super) fn member(empty: bool, key: &str, value: &Json) -> String {
    format!("{}{}: {value}", if empty { "{" } else { ", " }, Json::from(key))
}

/// An object from the text of one.
pub(super) fn object(text: &str) -> Result<Map<String, Json>, String> {
    match serde_json::from_str(text) {
        Ok(Json::Object(map)) => Ok(map),
        Ok(_) => Err("the arguments are no JSON object".to_owned()),
        Err(e) => Err(format!("the arguments are not valid JSON: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_decide_and_looks_where_there_is_none() {
        let tool = serde_json::json!({"type": "function", "function": {"name": "f", "parameters": {
            "properties": {"s": {"type": "string"}, "n": {"type": "integer"}, "u": {}}}}});
        let schema = Schema::new(&[tool, Json::Null]);
        let cases = [
            ("f", "s", "12", "\"12\""),
            ("f", "s", "{'a': True}", "\"{'a': True}\""),
            ("f", "n", "12", "12"),
            ("f", "u", "12", "12"),
            ("g", "s", "12", "12"),
            ("g", "s", "\"12\"", r#""\"12\"""#),
            ("g", "s", "True", "true"),
            ("g", "s", "None of it", "\"None of it\""),
            ("g", "s", "{'a': True, 'b': [None]}", r#"{"a":true,"b":[null]}"#),
            ("g", "s", "[broken", "\"[broken\""),
            ("g", "s", "", "\"\""),
        ];
        for (tool, parameter, text, expect) in cases {
            assert_eq!(schema.value(tool, parameter, text).to_string(), expect, "{tool} {parameter} {text}");
        }
    }
}
