//! Anthropic's `/v1/messages`.

mod events;
mod request;

use crate::ask::{Ask, Prompt};
use crate::delta::{Reason, Usage, Whole, fresh_id};
use crate::error::ApiError;
use crate::fields::Fields;
use crate::http::Call;
use crate::http::reply::Reply;
use crate::stream::EventBody;
use serde_json::{Value as Json, json};

/// Answers a request.
pub(crate) async fn create(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    let model = call.model(fields.text("model")?).await?;
    let ask = read(fields)?;
    let name = model.name.clone();
    let id = fresh_id("msg_");
    let mut answers = model.answer(ask).await?;
    if fields.flag("stream")?.unwrap_or(false) {
        let translator = Box::new(events::Events::new(id, name));
        return Ok(Reply::Events(Box::new(EventBody::new(answers, translator))));
    }
    let answer = answers.pop().ok_or_else(|| ApiError::internal("no answer: please report it"))?;
    let whole = answer.whole().await?;
    let ended = whole.reason();
    let (reason, stop) = stop_reason(&ended);
    Ok(Reply::Json(json!({
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": name,
        "stop_reason": reason,
        "stop_sequence": stop,
        "usage": usage_json(whole.usage()),
        "content": content(whole),
    })))
}

/// Reads a request.
pub(crate) fn read(fields: Fields<'_, '_>) -> Result<Ask, ApiError> {
    let mut ask = Ask::new(Prompt::Chat(request::chat(fields)?));
    ask.read_sampling(fields)?;
    ask.read_stop(fields, "stop_sequences")?;
    let Some(most) = fields.count("max_tokens", 1, usize::MAX)? else {
        return Err(fields.wrong("max_tokens", "is missing, expected a whole number"));
    };
    ask.max_tokens = Some(most);
    ask.form = request::form(fields)?;
    ask.one_call = request::one_call(fields)?;
    Ok(ask)
}

/// Counts the tokens of a request's prompt.
pub(crate) async fn count_tokens(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    let model = call.model(fields.text("model")?).await?;
    let chat = request::chat(fields)?;
    let count = super::plain::off_thread(move || Ok(chat.conversation(&model.engine)?.prompt_ids()?.len()));
    Ok(Reply::Json(json!({ "input_tokens": count.await? })))
}

/// Returns the API's name for why an answer ended, and the stop string.
fn stop_reason(reason: &Reason) -> (&'static str, Option<&str>) {
    match reason {
        Reason::Stop => ("end_turn", None),
        Reason::StopString(stop) => ("stop_sequence", Some(stop)),
        Reason::Length => ("max_tokens", None),
        Reason::Calls => ("tool_use", None),
    }
}

fn usage_json(usage: Usage) -> Json {
    json!({
        // In this API, cached tokens are not part of the input tokens.
        "input_tokens": usage.prompt - usage.cached,
        "cache_read_input_tokens": usage.cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": usage.generated,
    })
}

/// Returns the blocks of an answer: thinking, text and calls.
fn content(whole: Whole) -> Json {
    let mut blocks = Vec::new();
    if !whole.reasoning.is_empty() {
        blocks.push(json!({ "type": "thinking", "thinking": whole.reasoning, "signature": "" }));
    }
    if !whole.text.is_empty() || whole.calls.is_empty() {
        blocks.push(json!({ "type": "text", "text": whole.text }));
    }
    for call in whole.calls {
        let input: Json = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
        blocks.push(json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": input }));
    }
    blocks.into()
}
