//! Ollama's API: `/api/chat`, `/api/generate`, `/api/embed` and the endpoints that describe models.

mod lines;
mod models;
mod pull;

pub(crate) use models::{ps, show, tags, version};
pub(crate) use pull::{Lines, catalog, pull};

use super::embeddings::{embed as vectors, read_texts, texts_of};
use super::plain::off_thread;
use super::{form, messages};
use crate::ask::{Ask, Chat, Prompt};
use crate::error::ApiError;
use crate::fields::Fields;
use crate::http::Call;
use crate::http::reply::Reply;
use crate::models::{KeepAlive, Lease};
use crate::stream::EventBody;
use lines::{Lines as AnswerLines, Shape};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Answers a conversation.
pub(crate) async fn chat(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    let model = lease(&call, fields).await?;
    if fields.array("messages")?.is_none_or(<[Json]>::is_empty) {
        return load_only(&call, fields, model, Shape::Chat).await;
    }
    answer(&model, fields, read(fields)?, Shape::Chat).await
}

/// Answers a text as the only message of a conversation, or continues it (`raw`).
pub(crate) async fn generate(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    let model = lease(&call, fields).await?;
    let has_template = model.engine.chat_template().is_ok_and(|template| template.is_some());
    match read_generate(fields, has_template)? {
        None => load_only(&call, fields, model, Shape::Generate).await,
        Some(ask) => answer(&model, fields, ask, Shape::Generate).await,
    }
}

/// Reads a request to `/api/generate`. Returns `None` if it has no prompt.
pub(crate) fn read_generate(fields: Fields<'_, '_>, has_template: bool) -> Result<Option<Ask>, ApiError> {
    let prompt = fields.text("prompt")?.unwrap_or_default();
    if prompt.is_empty() {
        return Ok(None);
    }
    if fields.array("images")?.is_some_and(|images| !images.is_empty()) {
        return Err(fields.wrong("images", "this model only reads text"));
    }
    let suffix = fields.text("suffix")?.filter(|suffix| !suffix.is_empty());
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
    let mut ask = Ask::new(prompt);
    read_options(fields, &mut ask)?;
    Ok(Some(ask))
}

async fn answer(
    model: &Arc<Lease>,
    fields: Fields<'_, '_>,
    ask: Ask,
    shape: Shape,
) -> Result<Reply, ApiError> {
    let started = Instant::now();
    let mut answers = model.answer(ask).await?;
    let lines = AnswerLines::new(model.name.clone(), shape, started);
    if fields.flag("stream")?.unwrap_or(true) {
        return Ok(Reply::Events(Box::new(EventBody::new(answers, Box::new(lines)))));
    }
    let answer = answers.pop().ok_or_else(|| ApiError::internal("no answer: please report it"))?;
    Ok(Reply::Json(lines.whole(answer.whole().await?)))
}

/// Reads a request to `/api/chat`.
pub(crate) fn read(fields: Fields<'_, '_>) -> Result<Ask, ApiError> {
    let messages = chat_messages(fields)?;
    let (tools, think) = (messages::tools(fields)?, think(fields)?);
    let mut ask = Ask::new(Prompt::Chat(Chat { messages, tools, think, ..Chat::default() }));
    keep_alive(fields)?;
    read_options(fields, &mut ask)?;
    Ok(ask)
}

/// Reads the settings: sampling, when to end, and the form.
fn read_options(fields: Fields<'_, '_>, ask: &mut Ask) -> Result<(), ApiError> {
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
    Ok(())
}

/// Answers a request without a prompt, which only loads the model, or unloads it if `keep_alive` is 0.
async fn load_only(
    call: &Call,
    fields: Fields<'_, '_>,
    model: Arc<Lease>,
    shape: Shape,
) -> Result<Reply, ApiError> {
    let mut line = shape.line(&model.name, "", None, Vec::new());
    line["done"] = true.into();
    let unload = keep_alive(fields)? == KeepAlive::For(Duration::ZERO);
    line["done_reason"] = if unload { "unload" } else { "load" }.into();
    if unload {
        let (models, index) = (call.state.models.clone(), model.index());
        drop(model);
        off_thread(move || {
            models.unload(index);
            Ok(())
        })
        .await?;
    }
    Ok(Reply::Json(line))
}

/// Returns the model that a request names. The request says how long it stays loaded.
async fn lease(call: &Call, fields: Fields<'_, '_>) -> Result<Arc<Lease>, ApiError> {
    let keep = keep_alive(fields)?;
    call.state.models.lease(fields.text("model")?, keep).await
}

/// Reads `keep_alive`: seconds, or a text like `5m`. A negative value keeps the model until its memory is needed.
fn keep_alive(fields: Fields<'_, '_>) -> Result<KeepAlive, ApiError> {
    let wrong = || fields.wrong("keep_alive", "expected seconds, or a text like \"5m\"; -1 for no limit");
    let seconds = match fields.get("keep_alive") {
        None => return Ok(KeepAlive::Usual),
        Some(Json::String(text)) if text.is_empty() => return Ok(KeepAlive::Usual),
        Some(Json::String(text)) => duration(text).ok_or_else(wrong)?,
        Some(value) => value.as_f64().ok_or_else(wrong)?,
    };
    if seconds < 0.0 {
        return Ok(KeepAlive::Forever);
    }
    // A longer time than a year is cut to a year: the clock could overflow.
    Ok(KeepAlive::For(Duration::from_secs_f64(seconds.min(3.2e7))))
}

/// Parses a duration in Go's form, such as `1h30m`, or a number of seconds.
fn duration(text: &str) -> Option<f64> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    if let Ok(seconds) = rest.parse::<f64>() {
        return Some(sign * seconds).filter(|seconds| seconds.is_finite());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, unit) = rest.split_at_checked(digits)?;
        let end = unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len());
        let (unit, next) = unit.split_at_checked(end)?;
        let scale = match unit {
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        rest = next;
    }
    Some(sign * seconds).filter(|seconds| seconds.is_finite() && !text.is_empty())
}

/// Reads `think`: a flag or a level.
fn think(fields: Fields<'_, '_>) -> Result<Option<bool>, ApiError> {
    match fields.get("think") {
        None => Ok(None),
        Some(Json::Bool(think)) => Ok(Some(*think)),
        Some(Json::String(level)) => Ok(Some(!matches!(level.as_str(), "" | "none" | "false"))),
        Some(_) => Err(fields.wrong("think", "expected true, false or a level")),
    }
}

/// Translates messages into those of OpenAI's API. In Ollama's, calls have no ids, and thinking and tool names have other keys.
fn chat_messages(fields: Fields<'_, '_>) -> Result<Vec<Json>, ApiError> {
    let mut all = Json::Array(fields.need_array("messages")?.to_vec());
    for (i, message) in all.as_array_mut().into_iter().flatten().enumerate() {
        let Some(message) = message.as_object_mut() else { continue };
        if message.get("images").and_then(Json::as_array).is_some_and(|images| !images.is_empty()) {
            return Err(ApiError::field(&format!("messages.{i}.images"), "this model only reads text"));
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

/// Turns texts into vectors.
pub(crate) async fn embed(call: Call) -> Result<Reply, ApiError> {
    let started = Instant::now();
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    let model = lease(&call, fields).await?;
    let texts = texts_of(&model, fields, read_texts(fields)?)?;
    let truncate = fields.flag("truncate")?.unwrap_or(true);
    let dimensions = fields.count("dimensions", 1, usize::MAX)?;
    let found = vectors(&model, texts, dimensions, truncate).await?;
    let tokens: usize = found.iter().map(|one| one.tokens).sum();
    Ok(Reply::Json(json!({
        "model": model.name,
        "embeddings": found.into_iter().map(|one| one.values).collect::<Vec<_>>(),
        "total_duration": lines::nanos(started.elapsed()),
        "load_duration": 0,
        "prompt_eval_count": tokens,
    })))
}

/// Turns one text into a vector, in the older form of the API.
pub(crate) async fn embeddings(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    let model = lease(&call, fields).await?;
    let text = fields.need_text("prompt")?.to_owned();
    let found = vectors(&model, vec![text], None, true).await?;
    let vector = found.into_iter().next().map(|one| one.values).unwrap_or_default();
    Ok(Reply::Json(json!({ "embedding": vector })))
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_are_gos() {
        for (text, seconds) in [
            ("5m", Some(300.0)),
            ("1h30m", Some(5400.0)),
            ("250ms", Some(0.25)),
            ("-1", Some(-1.0)),
            ("-1s", Some(-1.0)),
            ("0", Some(0.0)),
            ("1.5s", Some(1.5)),
            ("", None),
            ("m", None),
            ("5 parsecs", None),
            ("inf", None),
        ] {
            assert_eq!(duration(text), seconds, "{text}");
        }
    }
}
