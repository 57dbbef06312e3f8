//! Messages and tools of OpenAI's chat API, as chat templates take them; the other APIs are translated into these.

use crate::error::ApiError;
use crate::fields::Fields;
use happy_engine::chat::ToolChoice;
use serde_json::{Map, Value as Json, json};

/// Maximum number of messages, and of tools.
const MAX_MESSAGES: usize = 10_000;
const MAX_TOOLS: usize = 512;

/// Reads the messages of a request.
pub(crate) fn read(fields: Fields<'_, '_>) -> Result<Vec<Json>, ApiError> {
    let all = fields.need_array("messages")?;
    if all.is_empty() {
        return Err(fields.wrong("messages", "is empty, expected at least one message"));
    }
    if all.len() > MAX_MESSAGES {
        let found = all.len();
        return Err(fields.wrong("messages", format_args!("{found}, expected at most {MAX_MESSAGES}")));
    }
    all.iter().enumerate().map(|(i, message)| one(message, &format!("messages.{i}"))).collect()
}

fn one(message: &Json, path: &str) -> Result<Json, ApiError> {
    let fields = Fields::of(message, path)?;
    let role = match fields.need_text("role")? {
        "developer" => "system",
        role @ ("system" | "user" | "assistant" | "tool") => role,
        "function" => "tool",
        other => {
            let expected = "expected system, developer, user, assistant or tool";
            return Err(fields.wrong("role", format_args!("is {other:?}, {expected}")));
        }
    };
    let mut out = Map::new();
    out.insert("role".into(), role.into());
    out.insert("content".into(), content(fields.get("content"), &format!("{path}.content"))?.into());
    for key in ["name", "tool_call_id"] {
        if let Some(text) = fields.text(key)? {
            out.insert(key.into(), text.into());
        }
    }
    let reasoning = fields.text("reasoning_content")?.or(fields.text("reasoning")?);
    if let Some(text) = reasoning.filter(|text| !text.is_empty()) {
        out.insert("reasoning_content".into(), text.into());
    }
    if let Some(calls) = fields.array("tool_calls")?.filter(|calls| !calls.is_empty()) {
        let calls = calls.iter().enumerate();
        let calls: Result<Vec<Json>, ApiError> =
            calls.map(|(i, call)| tool_call(call, &format!("{path}.tool_calls.{i}"))).collect();
        out.insert("tool_calls".into(), calls?.into());
    }
    Ok(Json::Object(out))
}

/// Returns the text of a message's content, which is a string or an array of text parts.
pub(crate) fn content(content: Option<&Json>, path: &str) -> Result<String, ApiError> {
    match content {
        None => Ok(String::new()),
        Some(Json::String(text)) => Ok(text.clone()),
        Some(Json::Array(parts)) => {
            let mut texts = Vec::new();
            for (i, part) in parts.iter().enumerate() {
                let path = format!("{path}.{i}");
                if let Json::String(text) = part {
                    texts.push(text.as_str());
                    continue;
                }
                let fields = Fields::of(part, &path)?;
                match fields.need_text("type")? {
                    "text" | "input_text" | "output_text" => texts.push(fields.need_text("text")?),
                    "refusal" => texts.push(fields.text("refusal")?.unwrap_or_default()),
                    other => {
                        let problem =
                            format_args!("a part of type {other:?}, but this model only reads text");
                        return Err(ApiError::field(&path, problem));
                    }
                }
            }
            Ok(texts.join("\n"))
        }
        Some(_) => Err(ApiError::field(path, "expected a string or an array of parts")),
    }
}

/// Reads a call of an earlier answer. Clients send its arguments as text, but templates expect an object.
fn tool_call(call: &Json, path: &str) -> Result<Json, ApiError> {
    let fields = Fields::of(call, path)?;
    let function = format!("{path}.function");
    let inner = Fields::of(fields.get("function").unwrap_or(&Json::Null), &function)?;
    let arguments = arguments(inner.get("arguments"), &format!("{function}.arguments"))?;
    Ok(call_message(fields.text("id")?.unwrap_or_default(), inner.need_text("name")?, arguments))
}

/// Returns the arguments of a call as an object.
pub(crate) fn arguments(found: Option<&Json>, path: &str) -> Result<Json, ApiError> {
    match found {
        None => Ok(json!({})),
        Some(object @ Json::Object(_)) => Ok(object.clone()),
        Some(Json::String(text)) if text.trim().is_empty() => Ok(json!({})),
        Some(Json::String(text)) => match serde_json::from_str(text) {
            Ok(object @ Json::Object(_)) => Ok(object),
            _ => Err(ApiError::field(path, "expected the text of a JSON object")),
        },
        Some(_) => Err(ApiError::field(path, "expected the text of a JSON object")),
    }
}

/// Returns a call in the form that templates expect.
pub(crate) fn call_message(id: &str, name: &str, arguments: Json) -> Json {
    json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } })
}

/// Reads the tools of a request. `None` for a request without tools.
pub(crate) fn tools(fields: Fields<'_, '_>) -> Result<Option<Vec<Json>>, ApiError> {
    let Some(tools) = fields.array("tools")?.filter(|tools| !tools.is_empty()) else { return Ok(None) };
    if tools.len() > MAX_TOOLS {
        return Err(fields.wrong("tools", format_args!("{}, expected at most {MAX_TOOLS}", tools.len())));
    }
    for (i, tool) in tools.iter().enumerate() {
        let path = format!("tools.{i}");
        let tool = Fields::of(tool, &path)?;
        let path = format!("{path}.function");
        let Some(function) = tool.get("function") else {
            return Err(tool.wrong("function", "is missing: only tools of type \"function\" are supported"));
        };
        Fields::of(function, &path)?.need_text("name")?;
    }
    Ok(Some(tools.to_vec()))
}

/// Reads `tool_choice`: a word, or `{"type": "function", "function": {"name": ..}}` with or without the inner object.
pub(crate) fn tool_choice(fields: Fields<'_, '_>) -> Result<ToolChoice, ApiError> {
    let expected = "expected \"none\", \"auto\", \"required\", or {\"type\": \"function\", \"function\": {\"name\": ..}}";
    match fields.get("tool_choice") {
        None => Ok(ToolChoice::Auto),
        Some(Json::String(word)) => match word.as_str() {
            "none" => Ok(ToolChoice::None),
            "auto" => Ok(ToolChoice::Auto),
            "required" | "any" => Ok(ToolChoice::Required),
            _ => Err(fields.wrong("tool_choice", format_args!("is {word:?}, {expected}"))),
        },
        Some(choice) => {
            let name = choice.get("function").unwrap_or(choice).get("name").and_then(Json::as_str);
            match name {
                Some(name) => Ok(ToolChoice::Named(name.to_owned())),
                None => Err(fields.wrong("tool_choice", expected)),
            }
        }
    }
}
