//! OpenAI's `/v1/responses`. Responses are not stored: a request carries the whole conversation.

mod events;
mod request;

use crate::ask::{Ask, Prompt};
use crate::delta::{Reason, Usage, Whole, fresh_id};
use crate::error::ApiError;
use crate::fields::Fields;
use crate::http::Call;
use crate::http::reply::Reply;
use crate::state::now;
use crate::stream::EventBody;
use serde_json::{Value as Json, json};

/// Answers a request.
pub(crate) async fn create(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    let model = call.model(fields.text("model")?).await?;
    if fields.text("previous_response_id")?.is_some() {
        let problem = "responses are not stored: send the whole conversation as `input`";
        return Err(fields.wrong("previous_response_id", problem));
    }
    let ask = read(fields)?;
    let head = Head::new(fields, model.name.clone());
    let mut answers = model.answer(ask).await?;
    if fields.flag("stream")?.unwrap_or(false) {
        let translator = Box::new(events::Events::new(head));
        return Ok(Reply::Events(Box::new(EventBody::new(answers, translator))));
    }
    let answer = answers.pop().ok_or_else(|| ApiError::internal("no answer: please report it"))?;
    let whole = answer.whole().await?;
    let (reason, usage) = (whole.reason(), whole.usage());
    Ok(Reply::Json(head.ended(&reason, usage, output(whole))))
}

/// Reads a request.
pub(crate) fn read(fields: Fields<'_, '_>) -> Result<Ask, ApiError> {
    let mut ask = Ask::new(Prompt::Chat(request::chat(fields)?));
    ask.read_sampling(fields)?;
    ask.max_tokens = fields.count("max_output_tokens", 1, usize::MAX)?;
    ask.form = request::form(fields)?;
    ask.one_call = fields.flag("parallel_tool_calls")? == Some(false);
    Ok(ask)
}

/// The fields that are the same in all events of a response.
struct Head {
    id: String,
    created: u64,
    model: String,
    /// Fields of the request that the response repeats.
    echoed: Json,
}

/// Returns the fields of a response that repeat fields of the request, or their defaults.
fn echoed(fields: Fields<'_, '_>) -> Json {
    let or = |key: &str, default: Json| fields.get(key).cloned().unwrap_or(default);
    json!({
        "instructions": or("instructions", Json::Null),
        "metadata": or("metadata", json!({})),
        "parallel_tool_calls": or("parallel_tool_calls", json!(true)),
        "temperature": or("temperature", Json::Null),
        "top_p": or("top_p", Json::Null),
        "tool_choice": or("tool_choice", json!("auto")),
        "tools": or("tools", json!([])),
        "max_output_tokens": or("max_output_tokens", Json::Null),
        "text": or("text", json!({ "format": { "type": "text" } })),
        "truncation": or("truncation", json!("disabled")),
        "previous_response_id": null,
        "store": false,
    })
}

impl Head {
    fn new(fields: Fields<'_, '_>, model: String) -> Self {
        Self { id: fresh_id("resp_"), created: now(), model, echoed: echoed(fields) }
    }

    /// Returns the response with this status and output.
    fn response(&self, status: &str, output: Json, usage: Json, incomplete: Json, error: Json) -> Json {
        let mut response = json!({
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "model": self.model,
            "output": output,
            "usage": usage,
            "incomplete_details": incomplete,
            "error": error,
        });
        if let (Some(response), Some(echoed)) = (response.as_object_mut(), self.echoed.as_object()) {
            response.extend(echoed.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        response
    }

    /// Returns the response before anything was generated.
    fn begun(&self) -> Json {
        self.response("in_progress", json!([]), Json::Null, Json::Null, Json::Null)
    }

    /// Returns the complete response.
    fn ended(&self, reason: &Reason, usage: Usage, output: Vec<Json>) -> Json {
        let usage = json!({
            "input_tokens": usage.prompt,
            "input_tokens_details": { "cached_tokens": usage.cached },
            "output_tokens": usage.generated,
            "output_tokens_details": { "reasoning_tokens": usage.reasoning },
            "total_tokens": usage.prompt + usage.generated,
        });
        let (status, incomplete) = match reason {
            Reason::Length => ("incomplete", json!({ "reason": "max_output_tokens" })),
            _ => ("completed", Json::Null),
        };
        self.response(status, output.into(), usage, incomplete, Json::Null)
    }
}

/// Returns the items of an output: reasoning, the message and calls.
fn output(whole: Whole) -> Vec<Json> {
    let mut items = Vec::new();
    if !whole.reasoning.is_empty() {
        items.push(reasoning_item(&fresh_id("rs_"), &whole.reasoning));
    }
    if !whole.text.is_empty() || whole.calls.is_empty() {
        items.push(message_item(&fresh_id("msg_"), "completed", Some(&whole.text)));
    }
    for call in whole.calls {
        items.push(call_item(&fresh_id("fc_"), "completed", &call.id, &call.name, &call.arguments));
    }
    items
}

fn reasoning_item(id: &str, text: &str) -> Json {
    let content =
        if text.is_empty() { json!([]) } else { json!([{ "type": "reasoning_text", "text": text }]) };
    json!({ "id": id, "type": "reasoning", "summary": [], "content": content })
}

fn text_part(text: &str) -> Json {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
}

fn message_item(id: &str, status: &str, text: Option<&str>) -> Json {
    let content: Vec<Json> = text.into_iter().map(text_part).collect();
    json!({ "id": id, "type": "message", "role": "assistant", "status": status, "content": content })
}

fn call_item(id: &str, status: &str, call_id: &str, name: &str, arguments: &str) -> Json {
    json!({
        "id": id,
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    })
}
