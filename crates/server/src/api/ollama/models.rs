//! Endpoints that describe models. They don't reveal paths.

use super::super::plain::off_thread;
use super::lines::date;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::http::Call;
use crate::http::reply::Reply;
use crate::models::{Entry, Loaded};
use crate::state::State;
use happy_engine::gguf::Value;
use serde_json::{Map, Value as Json, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Answers `/api/version` with the version of this program.
pub(crate) async fn version(_: Call) -> Result<Reply, ApiError> {
    Ok(Reply::Json(json!({ "version": env!("CARGO_PKG_VERSION") })))
}

/// Returns a text of the model's metadata.
fn text(model: &Loaded, key: &str) -> Option<String> {
    let view = model.engine.file().view();
    view.metadata().optional::<&str>(key).ok().flatten().map(str::to_owned)
}

/// Returns the details of a model. They are empty if it is not loaded.
fn details(model: Option<&Loaded>) -> Json {
    let family = model.and_then(|model| text(model, "general.architecture")).unwrap_or_default();
    let size = model.and_then(|model| text(model, "general.size_label")).unwrap_or_default();
    json!({
        "parent_model": "",
        "format": "gguf",
        "family": family,
        "families": [family],
        "parameter_size": size,
        "quantization_level": "",
    })
}

/// Returns a model as an entry of a list.
fn entry(state: &State, entry: &Entry, bytes: u64) -> Json {
    let name = &entry.name;
    json!({
        "name": name,
        "model": name,
        "modified_at": date(UNIX_EPOCH + Duration::from_secs(state.started)),
        "size": bytes,
        "digest": "",
        "details": details(entry.loaded().as_deref()),
    })
}

/// Answers `/api/tags` with all models.
pub(crate) async fn tags(call: Call) -> Result<Reply, ApiError> {
    off_thread(move || {
        let (state, models) = (&call.state, &call.state.models);
        let bytes = |e: &Entry| e.verdict(models.budget()).map_or(0, |plan| plan.weight_bytes);
        let all: Vec<Json> = models.entries().iter().map(|e| entry(state, e, bytes(e))).collect();
        Ok(Reply::Json(json!({ "models": all })))
    })
    .await
}

/// Answers `/api/ps` with the loaded models.
pub(crate) async fn ps(call: Call) -> Result<Reply, ApiError> {
    let state = &call.state;
    let entries = state.models.entries();
    let loaded = entries.iter().filter_map(|e| Some((e, e.loaded()?)));
    let all = loaded.map(|(e, model)| {
        let plan = model.engine.plan();
        let mut line = entry(state, e, plan.weight_bytes);
        line["size_vram"] = 0.into();
        line["context_length"] = plan.context.into();
        // Clients expect a time. Without a limit, it is one that never comes.
        let left = e.time_left().unwrap_or(Duration::from_secs(100 * 365 * 86_400));
        line["expires_at"] = date(SystemTime::now() + left).into();
        line
    });
    Ok(Reply::Json(json!({ "models": all.collect::<Vec<_>>() })))
}

/// Answers `/api/show`: template, metadata and capabilities of a model.
pub(crate) async fn show(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    let model = call.model(fields.text("model")?.or(fields.text("name")?)).await?;
    let template = model.engine.chat_template().ok().flatten();
    let source = template.as_ref().map(|template| template.source()).unwrap_or_default();
    let embeds = model.scheduler.is_none();
    let mut capabilities = vec![if embeds { "embedding" } else { "completion" }];
    if source.contains("tools") {
        capabilities.push("tools");
    }
    if source.contains("<think>") || source.contains("enable_thinking") {
        capabilities.push("thinking");
    }
    let view = model.engine.file().view();
    let mut info = Map::new();
    for (key, value) in view.metadata().iter() {
        // Arrays and long texts are left out: a vocabulary has megabytes, and the template is a field of its own.
        let short = match value {
            Value::String(text) => match text.to_str().ok().filter(|text| text.len() <= 256) {
                Some(text) => json!(text),
                None => continue,
            },
            Value::Bool(flag) => json!(flag),
            Value::F32(x) => json!(x),
            Value::U32(n) => json!(n),
            Value::U64(n) => json!(n),
            Value::I32(n) => json!(n),
            _ => continue,
        };
        info.insert(key.to_owned(), short);
    }
    Ok(Reply::Json(json!({
        "license": text(&model, "general.license").unwrap_or_default(),
        "modelfile": "",
        "parameters": "",
        "template": source,
        "details": details(Some(&model)),
        "model_info": Json::Object(info),
        "capabilities": capabilities,
        "modified_at": date(UNIX_EPOCH + Duration::from_secs(call.state.started)),
    })))
}
