//! Endpoints that compute nothing: the page, health, counters, the list of models, tokens and templates.

use super::chat::read_chat;
use crate::error::{ApiError, Kind};
use crate::fields::Fields;
use crate::http::Call;
use crate::http::reply::Reply;
use happy_engine::tokenizer::EncodeOptions;
use serde_json::{Value as Json, json};

/// The page for people.
pub(crate) async fn page(_: Call) -> Result<Reply, ApiError> {
    Ok(Reply::Page(&crate::page::PAGE))
}

/// Whether the server answers.
pub(crate) async fn health(_: Call) -> Result<Reply, ApiError> {
    Ok(Reply::Json(json!({ "status": "ok" })))
}

/// Counters for Prometheus.
pub(crate) async fn metrics(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::Text("text/plain; version=0.0.4; charset=utf-8", call.state.metrics.text()))
}

fn model_json(call: &Call) -> Json {
    let state = &call.state;
    let plan = state.engine.plan();
    let meta = json!({
        "n_ctx": plan.context,
        "n_ctx_train": state.engine.model().spec().n_ctx_train,
        "n_vocab": state.engine.model().n_vocab(),
        "n_embd": state.engine.model().n_embd(),
        "slots": plan.sequences,
        "weight_bytes": plan.weight_bytes,
        "memory_bytes": plan.anon_bytes(),
    });
    json!({
        "id": state.options.model_name,
        "object": "model",
        "created": state.started,
        "owned_by": "happy",
        "meta": meta,
    })
}

/// `/v1/models`.
pub(crate) async fn models(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::Json(json!({ "object": "list", "data": [model_json(&call)] })))
}

/// `/v1/models/NAME`.
pub(crate) async fn model(call: Call) -> Result<Reply, ApiError> {
    call.state.check_model(Some(&call.rest))?;
    Ok(Reply::Json(model_json(&call)))
}

/// Text to token ids, as llama.cpp's server has it.
pub(crate) async fn tokenize(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    let text = fields.need_text("content")?.to_owned();
    let options = EncodeOptions {
        add_special: fields.flag("add_special")?.unwrap_or(false),
        parse_special: fields.flag("parse_special")?.unwrap_or(true),
    };
    let pieces = fields.flag("with_pieces")?.unwrap_or(false);
    off_thread(call, move |call| {
        let tokenizer = call.state.engine.require_tokenizer()?;
        let ids = tokenizer.encode(&text, options).map_err(|e| ApiError::invalid(e.to_string()))?;
        if !pieces {
            return Ok(Reply::Json(json!({ "tokens": ids })));
        }
        let piece = |id: &u32| {
            let bytes = tokenizer.piece(*id).map(|piece| piece.to_vec()).unwrap_or_default();
            // What is no whole character is shown as its bytes.
            let piece = String::from_utf8(bytes).map_or_else(|error| json!(error.into_bytes()), Json::String);
            json!({ "id": id, "piece": piece })
        };
        Ok(Reply::Json(json!({ "tokens": ids.iter().map(piece).collect::<Vec<_>>() })))
    })
    .await
}

/// Token ids to text.
pub(crate) async fn detokenize(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    let tokenizer = call.state.engine.require_tokenizer()?;
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

/// Messages to the prompt that the model would see.
pub(crate) async fn apply_template(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let chat = read_chat(Fields::of(&body, "")?)?;
    off_thread(call, move |call| {
        let prompt = chat.conversation(&call.state.engine)?.prompt()?;
        Ok(Reply::Json(json!({ "prompt": prompt })))
    })
    .await
}

/// Does what takes long beside the thread that all requests share.
pub(crate) async fn off_thread<T: Send + 'static>(
    call: Call,
    work: impl FnOnce(&Call) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(move || work(&call)).await;
    done.map_err(|_| ApiError::new(Kind::Internal, "the work could not be done"))?
}
