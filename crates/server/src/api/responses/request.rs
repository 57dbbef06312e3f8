//! Translates the input of a response into messages of the chat API.

use crate::api::form;
use crate::api::messages::{arguments, call_message, content, tool_choice};
use crate::ask::Chat;
use crate::error::ApiError;
use crate::fields::Fields;
use happy_engine::Form;
use serde_json::{Value as Json, json};

/// Reads instructions, input and tools.
pub(super) fn chat(fields: Fields<'_, '_>) -> Result<Chat, ApiError> {
    let mut messages = Vec::new();
    if let Some(text) = fields.text("instructions")?.filter(|text| !text.is_empty()) {
        messages.push(json!({ "role": "system", "content": text }));
    }
    match fields.get("input") {
        Some(Json::String(text)) => messages.push(json!({ "role": "user", "content": text })),
        Some(Json::Array(items)) if !items.is_empty() => {
            for (i, item) in items.iter().enumerate() {
                add(item, &format!("input.{i}"), &mut messages)?;
            }
        }
        _ => return Err(fields.wrong("input", "expected a string or an array of items")),
    }
    let think = match fields.get("reasoning") {
        Some(reasoning) => Fields::of(reasoning, "reasoning")?.text("effort")?.map(|effort| effort != "none"),
        None => None,
    };
    Ok(Chat { messages, tools: tools(fields)?, tool_choice: tool_choice(fields)?, think, ..Chat::default() })
}

/// Reads the form of the answer from `text.format`.
pub(super) fn form(fields: Fields<'_, '_>) -> Result<Option<Form>, ApiError> {
    match fields.get("text").and_then(|text| text.get("format")).filter(|format| !format.is_null()) {
        Some(format) => form::of_format(format, "text.format"),
        None => Ok(None),
    }
}

/// Adds an item to the messages. Calls and reasoning are separate items in this API, but templates expect them in the assistant's message.
fn add(item: &Json, path: &str, messages: &mut Vec<Json>) -> Result<(), ApiError> {
    let fields = Fields::of(item, path)?;
    match fields.text("type")?.unwrap_or("message") {
        "message" => {
            let role = match fields.need_text("role")? {
                "developer" => "system",
                role @ ("system" | "user" | "assistant") => role,
                other => {
                    let expected = "expected system, developer, user or assistant";
                    return Err(fields.wrong("role", format_args!("is {other:?}, {expected}")));
                }
            };
            let text = content(fields.get("content"), &format!("{path}.content"))?;
            // The order is reasoning, text, calls. Text that follows its reasoning belongs to the same message.
            match open_assistant(messages).filter(|open| role == "assistant" && open["content"] == "") {
                Some(open) => open["content"] = text.into(),
                None => messages.push(json!({ "role": role, "content": text })),
            }
        }
        "reasoning" => {
            let text = content(fields.get("content").map(parts).as_ref(), &format!("{path}.content"))?;
            if !text.is_empty() {
                let message = json!({ "role": "assistant", "content": "", "reasoning_content": text });
                messages.push(message);
            }
        }
        "function_call" => {
            let arguments = arguments(fields.get("arguments"), &format!("{path}.arguments"))?;
            let id = fields.text("call_id")?.or(fields.text("id")?).unwrap_or_default();
            let call = call_message(id, fields.need_text("name")?, arguments);
            if open_assistant(messages).is_none() {
                messages.push(json!({ "role": "assistant", "content": "" }));
            }
            if let Some(open) = open_assistant(messages) {
                match open["tool_calls"].as_array_mut() {
                    Some(calls) => calls.push(call),
                    None => open["tool_calls"] = json!([call]),
                }
            }
        }
        "function_call_output" => {
            let text = match fields.get("output") {
                Some(Json::String(text)) => text.clone(),
                other => content(other, &format!("{path}.output"))?,
            };
            let id = fields.need_text("call_id")?;
            messages.push(json!({ "role": "tool", "tool_call_id": id, "content": text }));
        }
        other => {
            let expected = "expected message, reasoning, function_call or function_call_output";
            return Err(fields.wrong("type", format_args!("is {other:?}, {expected}")));
        }
    }
    Ok(())
}

/// Returns the texts of a reasoning item.
fn parts(content: &Json) -> Json {
    let texts = content.as_array().into_iter().flatten().filter_map(|part| part.get("text"));
    Json::Array(texts.cloned().collect())
}

/// Returns the last message if it is the assistant's. Calls that follow it are added to it.
fn open_assistant(messages: &mut [Json]) -> Option<&mut Json> {
    messages.last_mut().filter(|message| message["role"] == "assistant")
}

/// Reads the tools. In this API, a function's name and parameters are fields of the tool itself.
fn tools(fields: Fields<'_, '_>) -> Result<Option<Vec<Json>>, ApiError> {
    let Some(tools) = fields.array("tools")?.filter(|tools| !tools.is_empty()) else { return Ok(None) };
    let mut all = Vec::new();
    for (i, tool) in tools.iter().enumerate() {
        let path = format!("tools.{i}");
        let tool = Fields::of(tool, &path)?;
        if tool.need_text("type")? != "function" {
            return Err(tool.wrong("type", "only tools of type \"function\" are supported"));
        }
        let mut function = json!({ "name": tool.need_text("name")? });
        for key in ["description", "parameters"] {
            if let Some(value) = tool.get(key) {
                function[key] = value.clone();
            }
        }
        all.push(json!({ "type": "function", "function": function }));
    }
    Ok(Some(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_become_messages() {
        let body = json!({
            "instructions": "be brief",
            "input": [
                { "role": "user", "content": [{ "type": "input_text", "text": "hi" }] },
                { "type": "reasoning", "id": "rs_1", "summary": [], "content": [{ "type": "reasoning_text", "text": "so" }] },
                { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "calling" }] },
                { "type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"a\":1}" },
                { "type": "function_call", "call_id": "c2", "name": "g", "arguments": "" },
                { "type": "function_call_output", "call_id": "c1", "output": "7" },
                { "role": "developer", "content": "now" },
            ],
        });
        let chat = chat(Fields::of(&body, "").unwrap()).unwrap();
        let call = |id: &str, name: &str, arguments: Json| call_message(id, name, arguments);
        let expected = [
            json!({ "role": "system", "content": "be brief" }),
            json!({ "role": "user", "content": "hi" }),
            json!({
                "role": "assistant", "content": "calling", "reasoning_content": "so",
                "tool_calls": [call("c1", "f", json!({ "a": 1 })), call("c2", "g", json!({}))],
            }),
            json!({ "role": "tool", "tool_call_id": "c1", "content": "7" }),
            json!({ "role": "system", "content": "now" }),
        ];
        assert_eq!(chat.messages, expected);
    }
}
