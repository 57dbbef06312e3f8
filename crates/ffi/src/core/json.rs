//! Parses JSON from callers. An error says what the JSON was for.

use crate::failure::{Failure, Outcome};
use crate::status::Status;
use happy_engine::chat::{json, messages_from_json};
use serde_json::{Map, Value};

/// Parses any value, nested at most 128 deep.
///
/// # Errors
/// If it is not JSON, with line and column; if memory is refused, with [`Status::Memory`].
pub fn parse(text: &str, what: &str) -> Outcome<Value> {
    json::parse(text).map_err(|e| failure(&e, what))
}

fn failure(error: &serde_json::Error, what: &str) -> Failure {
    let status = if error.is_data() { Status::Memory } else { Status::InvalidArgument };
    Failure::new(status, format!("{what}: {error}"))
}

/// Parses an array; `None` for an empty text.
///
/// # Errors
/// If it is not a JSON array.
pub fn array(text: &str, what: &str) -> Outcome<Option<Vec<Value>>> {
    match text {
        "" => Ok(None),
        text => items(parse(text, what)?, what).map(Some),
    }
}

/// Parses a message, or an array of messages, in which arguments of calls keep the digits of their numbers.
///
/// # Errors
/// As [`parse`].
pub fn messages(text: &str, what: &str) -> Outcome<Value> {
    messages_from_json(text).map_err(|e| failure(&e, what))
}

/// Returns the items of an array.
///
/// # Errors
/// If it is not an array.
pub fn items(value: Value, what: &str) -> Outcome<Vec<Value>> {
    match value {
        Value::Array(array) => Ok(array),
        other => Err(Failure::argument(format!("{what}: expected a JSON array, found {}", kind(&other)))),
    }
}

/// Parses an object, which has no members for an empty text.
///
/// # Errors
/// If it is not a JSON object.
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
