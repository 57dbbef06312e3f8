//! Endpoints that compute nothing: the page, health, counters, the list of models, tokens and templates.

use super::chat::read_chat;
use crate::error::{ApiError, Kind};
use crate::fields::Fields;
use crate::http::Call;
use crate::http::reply::Reply;
use crate::models::Entry;
use crate::state::State;
use happy_engine::tokenizer::EncodeOptions;
use serde_json::{Value as Json, json};

/// Returns the web page.
pub(crate) async fn page(_: Call) -> Result<Reply, ApiError> {
    Ok(Reply::Page(&crate::page::PAGE))
}

/// Tells that the server runs.
pub(crate) async fn health(_: Call) -> Result<Reply, ApiError> {
    Ok(Reply::Json(json!({ "status": "ok" })))
}

/// Returns the counters for Prometheus.
pub(crate) async fn metrics(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::Text("text/plain; version=0.0.4; charset=utf-8", call.state.metrics.text()))
}

/// Describes a model: the memory that it needs, or why it can't run here.
fn model_json(entry: &Entry, state: &State) -> Json {
    let loaded = entry.loaded();
    let mut meta = json!({ "loaded": loaded.is_some() });
    match entry.verdict(state.models.budget()) {
        Ok(plan) => {
            meta["runs"] = true.into();
            meta["n_ctx"] = plan.context.into();
            meta["slots"] = plan.sequences.into();
            meta["weight_bytes"] = plan.weight_bytes.into();
            meta["memory_bytes"] = plan.anon_bytes().into();
        }
        Err(problem) => {
            meta["runs"] = false.into();
            meta["problem"] = problem.into();
        }
    }
    if let Some(loaded) = &loaded {
        meta["n_ctx_train"] = loaded.engine.model().spec().n_ctx_train.into();
        meta["n_vocab"] = loaded.engine.model().n_vocab().into();
        meta["n_embd"] = loaded.engine.model().n_embd().into();
    }
    json!({ "id": entry.name, "object": "model", "created": state.started, "owned_by": "happy", "meta": meta })
}

/// Answers `/v1/models`.
pub(crate) async fn models(call: Call) -> Result<Reply, ApiError> {
    off_thread(move || {
        let entries = call.state.models.entries();
        let data: Vec<Json> = entries.iter().map(|entry| model_json(entry, &call.state)).collect();
        Ok(Reply::Json(json!({ "object": "list", "data": data })))
    })
    .await
}

/// Answers `/v1/models/NAME`.
pub(crate) async fn model(call: Call) -> Result<Reply, ApiError> {
    let index = call.state.models.find(Some(&call.rest))?;
    off_thread(move || {
        let entry = call.state.models.entry(index)?;
        Ok(Reply::Json(model_json(&entry, &call.state)))
    })
    .await
}

/// Turns a text into token ids, in the form of llama.cpp's server.
pub(crate) async fn tokenize(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    let text = fields.need_text("content")?.to_owned();
    let options = EncodeOptions {
        add_special: fields.flag("add_special")?.unwrap_or(false),
        parse_special: fields.flag("parse_special")?.unwrap_or(true),
    };
    let pieces = fields.flag("with_pieces")?.unwrap_or(false);
    let model = call.model(fields.text("model")?).await?;
    off_thread(move || {
        let tokenizer = model.engine.require_tokenizer()?;
        let ids = tokenizer.encode(&text, options).map_err(|e| ApiError::invalid(e.to_string()))?;
        if !pieces {
            return Ok(Reply::Json(json!({ "tokens": ids })));
        }
        let piece = |id: &u32| {
            let bytes = tokenizer.piece(*id).map(|piece| piece.to_vec()).unwrap_or_default();
            // A token that is not valid UTF-8 is shown as its bytes.
            let piece = String::from_utf8(bytes).map_or_else(|error| json!(error.into_bytes()), Json::String);
            json!({ "id": id, "piece": piece })
        };
        Ok(Reply::Json(json!({ "tokens": ids.iter().map(piece).collect::<Vec<_>>() })))
    })
    .await
}

/// Turns token ids into text.
pub(crate) async fn detokenize(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    let model = call.model(fields.text("model")?).await?;
    let tokenizer = model.engine.require_tokenizer()?;
    let mut bytes = Vec::new();
    for id in fields.need_array("tokens")? {
        let known = id.as_u64().and_then(|id| u32::try_from(id).ok());
        match known.and_then(|id| tokenizer.piece(id).ok()) {
            Some(piece) => bytes.extend_from_slice(&piece),
            None => {
                let n = tokenizer.vocab_size();
                return Err(fields
                    .wrong("tokens", format_args!("{id} is not a valid token id, expected 0 to {}", n - 1)));
            }
        }
    }
    Ok(Reply::Json(json!({ "content": String::from_utf8_lossy(&bytes) })))
}

/// Renders messages into the prompt that the model would get.
pub(crate) async fn apply_template(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    let chat = read_chat(fields)?;
    let model = call.model(fields.text("model")?).await?;
    off_thread(move || {
        let prompt = chat.conversation(&model.engine)?.prompt()?;
        Ok(Reply::Json(json!({ "prompt": prompt })))
    })
    .await
}

/// Runs work that takes long on another thread than the one that serves all requests.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ApiError::new(Kind::Internal, "a task of the server failed: please report it"))?
}
