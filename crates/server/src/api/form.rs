//! The fields that constrain the form of an answer: schemas and grammars.

use crate::error::ApiError;
use crate::fields::Fields;
use happy_engine::Form;
use serde_json::Value as Json;

/// Reads the form from `response_format`, or from llama.cpp's `grammar` and `json_schema`.
pub(crate) fn of_openai(fields: Fields<'_, '_>) -> Result<Option<Form>, ApiError> {
    if let Some(text) = fields.text("grammar")? {
        return Ok(Some(Form::gbnf(text)));
    }
    if let Some(schema) = fields.get("json_schema") {
        return Ok(Some(Form::json_schema(schema.to_string())));
    }
    match fields.get("response_format") {
        None => Ok(None),
        Some(format) => of_format(format, "response_format"),
    }
}

/// Reads the form from an object with a `type`: `text`, `json_object` or `json_schema`. The schema is in the object itself, or in an object
/// `json_schema` within it.
pub(crate) fn of_format(format: &Json, path: &str) -> Result<Option<Form>, ApiError> {
    let fields = Fields::of(format, path)?;
    match fields.need_text("type")? {
        "text" => Ok(None),
        "json_object" => match fields.get("schema") {
            Some(schema) => Ok(Some(Form::json_schema(schema.to_string()))),
            None => Ok(Some(any_object())),
        },
        "json_schema" => {
            let schema = fields.get("json_schema").and_then(|inner| inner.get("schema"));
            match schema.or_else(|| fields.get("schema")).filter(|schema| schema.is_object()) {
                Some(schema) => Ok(Some(Form::json_schema(schema.to_string()))),
                None => Err(fields.wrong("json_schema", "expected an object with a `schema`")),
            }
        }
        "grammar" => Ok(Some(Form::gbnf(fields.need_text("grammar")?))),
        other => {
            let expected = "expected text, json_object, json_schema or grammar";
            Err(fields.wrong("type", format_args!("is {other:?}, {expected}")))
        }
    }
}

/// Returns the form of any JSON object.
pub(crate) fn any_object() -> Form {
    Form::json_schema(r#"{"type":"object"}"#)
}

/// Reads Ollama's `format`: the word `json`, or a schema.
pub(crate) fn of_ollama(fields: Fields<'_, '_>) -> Result<Option<Form>, ApiError> {
    match fields.get("format") {
        None => Ok(None),
        Some(Json::String(word)) if word.is_empty() => Ok(None),
        Some(Json::String(word)) if word == "json" => Ok(Some(any_object())),
        Some(schema @ Json::Object(_)) => Ok(Some(Form::json_schema(schema.to_string()))),
        Some(_) => Err(fields.wrong("format", "expected \"json\" or a JSON schema")),
    }
}
