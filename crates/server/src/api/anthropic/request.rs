//! Translates messages and tools of Anthropic's API into those of OpenAI's.

use crate::api::form;
use crate::api::messages::{call_message, content};
use crate::ask::Chat;
use crate::error::ApiError;
use crate::fields::Fields;
use happy_engine::Form;
use happy_engine::chat::ToolChoice;
use serde_json::{Value as Json, json};

/// Reads the system text, messages and tools.
pub(super) fn chat(fields: Fields<'_, '_>) -> Result<Chat, ApiError> {
    let mut messages = Vec::new();
    let system = content(fields.get("system"), "system")?;
    if !system.is_empty() {
        messages.push(json!({ "role": "system", "content": system }));
    }
    let all = fields.need_array("messages")?;
    if all.is_empty() {
        return Err(fields.wrong("messages", "is empty, expected at least one message"));
    }
    for (i, message) in all.iter().enumerate() {
        let path = format!("messages.{i}");
        let message = Fields::of(message, &path)?;
        match message.need_text("role")? {
            "user" => user(message, &path, &mut messages)?,
            "assistant" => messages.push(assistant(message, &path)?),
            "system" => {
                let text = content(message.get("content"), &format!("{path}.content"))?;
                messages.push(json!({ "role": "system", "content": text }));
            }
            other => {
                return Err(message.wrong("role", format_args!("is {other:?}, expected user or assistant")));
            }
        }
    }
    let (tool_choice, tools) = (tool_choice(fields)?, tools(fields)?);
    let think = match fields.get("thinking") {
        Some(thinking) => Some(Fields::of(thinking, "thinking")?.text("type")? != Some("disabled")),
        None => None,
    };
    Ok(Chat { messages, tools, tool_choice, think, ..Chat::default() })
}

/// Reads the form of the answer from `output_config.format`, or from `output_format`, its older name.
pub(super) fn form(fields: Fields<'_, '_>) -> Result<Option<Form>, ApiError> {
    let inner = fields.get("output_config").and_then(|config| config.get("format"));
    match inner.or_else(|| fields.get("output_format")).filter(|format| !format.is_null()) {
        Some(format) => form::of_format(format, "output_config.format"),
        None => Ok(None),
    }
}

/// Returns the blocks of a message. A content that is a string counts as one block.
fn blocks<'a>(message: Fields<'a, '_>) -> Result<Vec<&'a Json>, ApiError> {
    match message.get("content") {
        Some(Json::Array(blocks)) => Ok(blocks.iter().collect()),
        Some(text @ Json::String(_)) => Ok(vec![text]),
        _ => Err(message.wrong("content", "expected a string or an array of blocks")),
    }
}

/// Adds a user's message. Results of tools become messages before it, since templates expect them right after the calls.
fn user(message: Fields<'_, '_>, path: &str, out: &mut Vec<Json>) -> Result<(), ApiError> {
    let mut texts = Vec::new();
    for (i, block) in blocks(message)?.into_iter().enumerate() {
        let path = format!("{path}.content.{i}");
        if block.get("type").and_then(Json::as_str) == Some("tool_result") {
            let fields = Fields::of(block, &path)?;
            let id = fields.need_text("tool_use_id")?;
            let text = content(fields.get("content"), &format!("{path}.content"))?;
            out.push(json!({ "role": "tool", "tool_call_id": id, "content": text }));
        } else {
            texts.push(content(Some(&Json::Array(vec![block.clone()])), &path)?);
        }
    }
    if !texts.is_empty() {
        out.push(json!({ "role": "user", "content": texts.join("\n") }));
    }
    Ok(())
}

/// Translates an assistant's message.
fn assistant(message: Fields<'_, '_>, path: &str) -> Result<Json, ApiError> {
    let (mut texts, mut thoughts, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    for (i, block) in blocks(message)?.into_iter().enumerate() {
        let path = format!("{path}.content.{i}");
        match block.get("type").and_then(Json::as_str) {
            Some("thinking") => thoughts.push(Fields::of(block, &path)?.need_text("thinking")?),
            // Only the provider that wrote it can decrypt it.
            Some("redacted_thinking") => {}
            Some("tool_use") => {
                let fields = Fields::of(block, &path)?;
                let input = fields.get("input").cloned().unwrap_or_else(|| json!({}));
                let id = fields.text("id")?.unwrap_or_default();
                calls.push(call_message(id, fields.need_text("name")?, input));
            }
            _ => texts.push(content(Some(&Json::Array(vec![block.clone()])), &path)?),
        }
    }
    let mut out = json!({ "role": "assistant", "content": texts.join("\n") });
    if !thoughts.is_empty() {
        out["reasoning_content"] = thoughts.join("\n").into();
    }
    if !calls.is_empty() {
        out["tool_calls"] = calls.into();
    }
    Ok(out)
}

/// Reads the tools.
fn tools(fields: Fields<'_, '_>) -> Result<Option<Vec<Json>>, ApiError> {
    let Some(tools) = fields.array("tools")?.filter(|tools| !tools.is_empty()) else { return Ok(None) };
    let mut all = Vec::new();
    for (i, tool) in tools.iter().enumerate() {
        let path = format!("tools.{i}");
        let tool = Fields::of(tool, &path)?;
        let name = tool.need_text("name")?;
        let Some(schema) = tool.object("input_schema")? else {
            return Err(tool.wrong(
                "input_schema",
                "is missing: tools that run on the provider's servers are not supported",
            ));
        };
        let description = tool.text("description")?.unwrap_or_default();
        let function = json!({ "name": name, "description": description, "parameters": schema });
        all.push(json!({ "type": "function", "function": function }));
    }
    Ok(Some(all))
}

/// Reads whether the answer may call at most one tool.
pub(super) fn one_call(fields: Fields<'_, '_>) -> Result<bool, ApiError> {
    match fields.get("tool_choice") {
        Some(choice) => {
            Ok(Fields::of(choice, "tool_choice")?.flag("disable_parallel_tool_use")?.unwrap_or(false))
        }
        None => Ok(false),
    }
}

/// Reads which tools the answer may or must call.
fn tool_choice(fields: Fields<'_, '_>) -> Result<ToolChoice, ApiError> {
    let Some(choice) = fields.get("tool_choice") else { return Ok(ToolChoice::Auto) };
    let choice = Fields::of(choice, "tool_choice")?;
    match choice.need_text("type")? {
        "auto" => Ok(ToolChoice::Auto),
        "any" => Ok(ToolChoice::Required),
        "none" => Ok(ToolChoice::None),
        "tool" => Ok(ToolChoice::Named(choice.need_text("name")?.to_owned())),
        other => Err(choice.wrong("type", format_args!("is {other:?}, expected auto, any, none or tool"))),
    }
}
