//! Reads and copies JSON values without aborting if memory is refused.

mod read;

pub(crate) use read::object;
use serde::de::Error;
use serde_json::{Map, Value};

use crate::memory::{self, OutOfMemory, R};

/// Reads any JSON value, nested at most 128 deep.
///
/// # Errors
/// If the text is not valid JSON, or if memory is refused. In the second case, and only then, the error
/// [`is_data`](serde_json::Error::is_data).
pub fn parse(text: &str) -> serde_json::Result<Value> {
    read::parse(text)
}

/// A JSON value, or `None` if the text is not JSON.
pub(crate) fn read(text: &str) -> R<Option<Value>> {
    Ok(read::read(text)?)
}

/// As [`read()`], with what is wrong with a text that is not JSON.
pub(crate) fn attempt(text: &str) -> R<serde_json::Result<Value>> {
    if let Some(value) = read(text)? {
        return Ok(Ok(value));
    }
    match read::explained(text) {
        Err(error) if error.is_data() => Err(OutOfMemory),
        result => Ok(result),
    }
}

/// Copies a value.
///
/// # Errors
/// If memory is refused. The error [`is_data`](serde_json::Error::is_data).
pub fn copy(value: &Value) -> serde_json::Result<Value> {
    copied(value).map_err(refused)
}

/// Copies several values.
///
/// # Errors
/// As [`copy`].
pub fn copy_all(values: &[Value]) -> serde_json::Result<Vec<Value>> {
    copied_all(values).map_err(refused)
}

/// Copies an object.
///
/// # Errors
/// As [`copy`].
pub fn copy_object(members: &Map<String, Value>) -> serde_json::Result<Map<String, Value>> {
    copied_object(members).map_err(refused)
}

fn refused(_: OutOfMemory) -> serde_json::Error {
    Error::custom("out of memory")
}

/// As [`copy`].
pub(crate) fn copied(value: &Value) -> R<Value> {
    Ok(match value {
        Value::String(text) => Value::String(memory::copied(text)?),
        Value::Array(items) => Value::Array(copied_all(items)?),
        Value::Object(members) => Value::Object(copied_object(members)?),
        // Needs no memory.
        plain => plain.clone(),
    })
}

fn copied_all(values: &[Value]) -> R<Vec<Value>> {
    let mut list = Vec::new();
    list.try_reserve_exact(values.len())?;
    for value in values {
        list.push(copied(value)?);
    }
    Ok(list)
}

/// As [`copy_object`].
pub(crate) fn copied_object(members: &Map<String, Value>) -> R<Map<String, Value>> {
    let mut list = Vec::new();
    list.try_reserve_exact(members.len())?;
    for (key, value) in members {
        list.push((memory::copied(key)?, copied(value)?));
    }
    Ok(object(list)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_equal() {
        let text = r#"{"b":[null,true,-1,18446744073709551615,1.5e300,"é\n",[],{}],"a":{"":"x"}}"#;
        let value = parse(text).unwrap();
        assert_eq!(copy(&value).unwrap().to_string(), text.replace("1.5e300", "1.5e+300"));
        let object = value.as_object().unwrap();
        assert_eq!(Value::Object(copy_object(object).unwrap()).to_string(), value.to_string());
        assert_eq!(copy_all(&[value.clone(), 1.into()]).unwrap(), [value, 1.into()]);
    }
}
