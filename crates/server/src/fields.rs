//! Reads JSON objects field by field. Absent fields and `null` are the same. Unknown fields are ignored, since
//! clients send fields of other servers, too.

use crate::error::ApiError;
use serde_json::{Map, Value as Json};

/// The fields of an object, and the path of the object in the body.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a, 'p> {
    map: &'a Map<String, Json>,
    path: &'p str,
}

/// Returns a value as text for an error, shortened.
fn shown(value: &Json) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text,
    }
}

impl<'a, 'p> Fields<'a, 'p> {
    /// Returns the fields of a value that must be an object. `path` names it in errors; it is empty for the body.
    pub(crate) fn of(value: &'a Json, path: &'p str) -> Result<Self, ApiError> {
        match value {
            Json::Object(map) => Ok(Self { map, path }),
            other if path.is_empty() => {
                Err(ApiError::invalid(format!("the body is {}, expected a JSON object", shown(other))))
            }
            other => Err(ApiError::field(path, format_args!("expected an object, found {}", shown(other)))),
        }
    }

    fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Returns the error for a field.
    pub(crate) fn wrong(&self, key: &str, problem: impl std::fmt::Display) -> ApiError {
        ApiError::field(&self.name(key), problem)
    }

    /// Returns the value of a field, unless it is `null`.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Json> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn typed<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'a Json) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match read(value) {
            Some(found) => Ok(Some(found)),
            None => Err(self.wrong(key, format_args!("expected {expected}, found {}", shown(value)))),
        }
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>, ApiError> {
        self.typed(key, "a string", Json::as_str)
    }

    pub(crate) fn need_text(&self, key: &str) -> Result<&'a str, ApiError> {
        self.text(key)?.ok_or_else(|| self.wrong(key, "is missing, expected a string"))
    }

    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, ApiError> {
        self.typed(key, "true or false", Json::as_bool)
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<f32>, ApiError> {
        self.typed(key, "a number", |value| value.as_f64().map(|x| x as f32))
    }

    /// Returns a whole number.
    pub(crate) fn integer(&self, key: &str) -> Result<Option<i64>, ApiError> {
        let whole = |value: &Json| {
            let float = || value.as_f64().filter(|x| x.fract() == 0.0 && x.abs() < 9e15).map(|x| x as i64);
            value.as_i64().or_else(float)
        };
        self.typed(key, "a whole number", whole)
    }

    /// Returns a whole number within bounds.
    pub(crate) fn count(&self, key: &str, least: usize, most: usize) -> Result<Option<usize>, ApiError> {
        let Some(found) = self.integer(key)? else { return Ok(None) };
        match usize::try_from(found) {
            Ok(n) if (least..=most).contains(&n) => Ok(Some(n)),
            _ => {
                let most = if most == usize::MAX { String::new() } else { format!(" and at most {most}") };
                Err(self.wrong(key, format_args!("is {found}, expected at least {least}{most}")))
            }
        }
    }

    pub(crate) fn array(&self, key: &str) -> Result<Option<&'a [Json]>, ApiError> {
        self.typed(key, "an array", |value| value.as_array().map(Vec::as_slice))
    }

    pub(crate) fn need_array(&self, key: &str) -> Result<&'a [Json], ApiError> {
        self.array(key)?.ok_or_else(|| self.wrong(key, "is missing, expected an array"))
    }

    pub(crate) fn object(&self, key: &str) -> Result<Option<&'a Map<String, Json>>, ApiError> {
        self.typed(key, "an object", Json::as_object)
    }

    /// Returns the strings of a field that is a string or an array of strings.
    pub(crate) fn texts(&self, key: &str) -> Result<Vec<String>, ApiError> {
        let read = |value: &Json| match value {
            Json::String(text) => Some(vec![text.clone()]),
            Json::Array(all) => all.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        Ok(self.typed(key, "a string or an array of strings", read)?.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_say_what_was_found() {
        let body = json!({ "n": "x", "f": 1.5, "t": 7, "s": ["a", 1], "null": null });
        let fields = Fields::of(&body, "options").unwrap();
        let cases = [
            (fields.integer("n").map(drop), "`options.n`: expected a whole number, found \"x\""),
            (fields.integer("f").map(drop), "`options.f`: expected a whole number, found 1.5"),
            (fields.text("t").map(drop), "`options.t`: expected a string, found 7"),
            (
                fields.texts("s").map(drop),
                "`options.s`: expected a string or an array of strings, found [\"a\",1]",
            ),
            (fields.need_text("null").map(drop), "`options.null`: is missing, expected a string"),
            (fields.count("t", 1, 5).map(drop), "`options.t`: is 7, expected at least 1 and at most 5"),
        ];
        for (found, expected) in cases {
            assert_eq!(found.unwrap_err().message, expected);
        }
        assert_eq!(fields.count("t", 1, usize::MAX).unwrap(), Some(7));
        assert_eq!(fields.text("null").unwrap(), None);
        let long = Json::from("ä".repeat(200));
        assert!(Fields::of(&long, "").err().unwrap().message.len() < 200);
    }
}
