//! JSON from callers: an error says what it was for.

use crate::failure::{Failure, Outcome};
use crate::status::Status;
use happy_engine::chat::json;
use serde_json::{Map, Value};

/// Any value; nested at most 128 deep.
///
/// # Errors
/// If it is no JSON, with line and column; if memory is refused, with [`Status::Memory`].
pub fn parse(text: &str, what: &str) -> Outcome<Value> {
    json::parse(text).map_err(|e| {
        let status = if e.is_data() { Status::Memory } else { Status::InvalidArgument };
        Failure::new(status, format!("{what}: {e}"))
    })
}

/// An array; `None` for an empty text.
///
/// # Errors
/// If it is no JSON array.
pub fn array(text: &str, what: &str) -> Outcome<Option<Vec<Value>>> {
    match text {
        "" => Ok(None),
        text => match parse(text, what)? {
            Value::Array(array) => Ok(Some(array)),
            other => Err(Failure::argument(format!("{what}: expected a JSON array, found {}", kind(&other)))),
        },
    }
}

/// An object; without members for an empty text.
///
/// # Errors
/// If it is no JSON object.
pub fn object(text: &str, what: &str) -> Outcome<Map<String, Value>> {
    match text {
        "" => Ok(Map::new()),
        text => match parse(text, what)? {
            Value::Object(object) => Ok(object),
            other => {
                Err(Failure::argument(format!("{what}: expected a JSON object, found {}", kind(&other))))
            }
        },
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
