//! Ollama's API: `/api/chat`, `/api/generate`, `/api/embed` and what its clients ask about models.

mod lines;
mod models;

pub(crate) use models::{ps, show, tags, version};

use super::embeddings::{embed as vectors, texts};
use super::{form, messages};
use crate::ask::{Ask, Chat, Prompt};
use crate::error::ApiError;
use crate::fields::Fields;
use crate::http::Call;
use crate::http::reply::Reply;
use crate::stream::EventBody;
use lines::{Lines, Shape};
use serde_json::{Value as Json, json};
use std::time::Instant;

/// Answers a conversation.
pub(crate) async fn chat(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    call.state.check_model(fields.text("model")?)?;
    if fields.array("messages")?.is_none_or(<[Json]>::is_empty) {
        return Ok(Reply::Json(loaded(&call, Shape::Chat)));
    }
    let chat = Chat {
        messages: chat_messages(fields)?,
        tools: messages::tools(fields)?,
        think: think(fields)?,
        ..Chat::default()
    };
    answer(&call, fields, Ask::new(Prompt::Chat(chat)), Shape::Chat).await
}

/// Continues a text, or answers it as the only message.
pub(crate) async fn generate(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    call.state.check_model(fields.text("model")?)?;
    let prompt = fields.text("prompt")?.unwrap_or_default();
    if prompt.is_empty() {
        // To load a model: it is loaded.
        return Ok(Reply::Json(loaded(&call, Shape::Generate)));
    }
    if fields.array("images")?.is_some_and(|images| !images.is_empty()) {
        return Err(fields.wrong("images", "this model reads text alone"));
    }
    let suffix = fields.text("suffix")?.filter(|suffix| !suffix.is_empty());
    let has_template = call.state.engine.chat_template().is_ok_and(|template| template.is_some());
    let prompt = match suffix {
        Some(after) => Prompt::Infill { before: prompt.to_owned(), after: after.to_owned() },
        None if fields.flag("raw")?.unwrap_or(false) || !has_template => Prompt::Text(prompt.to_owned()),
        None => {
            let system = fields.text("system")?.filter(|system| !system.is_empty());
            let system = system.map(|system| json!({ "role": "system", "content": system }));
            let user = json!({ "role": "user", "content": prompt });
            let messages = system.into_iter().chain([user]).collect();
            Prompt::Chat(Chat { messages, think: think(fields)?, ..Chat::default() })
        }
    };
    answer(&call, fields, Ask::new(prompt), Shape::Generate).await
}

async fn answer(call: &Call, fields: Fields<'_, '_>, mut ask: Ask, shape: Shape) -> Result<Reply, ApiError> {
    let started = Instant::now();
    if let Some(options) = fields.get("options") {
        let options = Fields::of(options, "options")?;
        ask.read_sampling(options)?;
        ask.read_stop(options, "stop")?;
        // -1 and -2: no limit.
        ask.max_tokens = options.integer("num_predict")?.and_then(|n| usize::try_from(n).ok());
        if ask.max_tokens == Some(0) {
            return Err(options.wrong("num_predict", "is 0, expected at least 1, or -1 for no limit"));
        }
    }
    ask.form = form::of_ollama(fields)?;
    let mut answers = call.state.answer(ask).await?;
    let lines = Lines::new(call.state.options.model_name.clone(), shape, started);
    if fields.flag("stream")?.unwrap_or(true) {
        return Ok(Reply::Events(Box::new(EventBody::new(answers, Box::new(lines)))));
    }
    let answer = answers.pop().ok_or_else(|| ApiError::internal("no answer: please report it"))?;
    Ok(Reply::Json(lines.whole(answer.whole().await?)))
}

/// What a request without a prompt gets.
fn loaded(call: &Call, shape: Shape) -> Json {
    let mut line = shape.line(&call.state.options.model_name, "", None, Vec::new());
    line["done"] = true.into();
    line["done_reason"] = "load".into();
    line
}

/// Whether to think: a flag, or a level.
fn think(fields: Fields<'_, '_>) -> Result<Option<bool>, ApiError> {
    match fields.get("think") {
        None => Ok(None),
        Some(Json::Bool(think)) => Ok(Some(*think)),
        Some(Json::String(level)) => Ok(Some(!matches!(level.as_str(), "" | "none" | "false"))),
        Some(_) => Err(fields.wrong("think", "expected true, false or a level")),
    }
}

/// Messages as OpenAI's API has them: calls have no ids, thinking and tools' names have other keys.
fn chat_messages(fields: Fields<'_, '_>) -> Result<Vec<Json>, ApiError> {
    let mut all = Json::Array(fields.need_array("messages")?.to_vec());
    for (i, message) in all.as_array_mut().into_iter().flatten().enumerate() {
        let Some(message) = message.as_object_mut() else { continue };
        if message.get("images").and_then(Json::as_array).is_some_and(|images| !images.is_empty()) {
            return Err(ApiError::field(&format!("messages.{i}.images"), "this model reads text alone"));
        }
        for (theirs, ours) in [("thinking", "reasoning_content"), ("tool_name", "name")] {
            if let Some(value) = message.remove(theirs) {
                message.insert(ours.to_owned(), value);
            }
        }
    }
    let body = json!({ "messages": all });
    messages::read(Fields::of(&body, "")?)
}

/// Texts to vectors.
pub(crate) async fn embed(call: Call) -> Result<Reply, ApiError> {
    let started = Instant::now();
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    call.state.check_model(fields.text("model")?)?;
    let texts = texts(&call, fields, "input")?;
    let truncate = fields.flag("truncate")?.unwrap_or(true);
    let dimensions = fields.count("dimensions", 1, usize::MAX)?;
    let found = vectors(&call, texts, dimensions, truncate).await?;
    let tokens: usize = found.iter().map(|one| one.tokens).sum();
    Ok(Reply::Json(json!({
        "model": call.state.options.model_name,
        "embeddings": found.into_iter().map(|one| one.values).collect::<Vec<_>>(),
        "total_duration": lines::nanos(started.elapsed()),
        "load_duration": 0,
        "prompt_eval_count": tokens,
    })))
}

/// The older form, of one text.
pub(crate) async fn embeddings(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    call.state.check_model(fields.text("model")?)?;
    let text = fields.need_text("prompt")?.to_owned();
    let found = vectors(&call, vec![text], None, true).await?;
    let vector = found.into_iter().next().map(|one| one.values).unwrap_or_default();
    Ok(Reply::Json(json!({ "embedding": vector })))
}
