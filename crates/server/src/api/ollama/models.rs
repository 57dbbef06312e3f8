//! What Ollama's clients ask about models. Paths and files are not told.

use super::lines::date;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::http::Call;
use crate::http::reply::Reply;
use happy_engine::gguf::Value;
use serde_json::{Map, Value as Json, json};
use std::time::{Duration, UNIX_EPOCH};

/// The version of this program, which is not one of Ollama's.
pub(crate) async fn version(_: Call) -> Result<Reply, ApiError> {
    Ok(Reply::Json(json!({ "version": env!("CARGO_PKG_VERSION") })))
}

fn text(call: &Call, key: &str) -> Option<String> {
    let view = call.state.engine.file().view();
    view.metadata().optional::<&str>(key).ok().flatten().map(str::to_owned)
}

fn details(call: &Call) -> Json {
    let family = text(call, "general.architecture").unwrap_or_default();
    let size = text(call, "general.size_label").unwrap_or_default();
    json!({
        "parent_model": "",
        "format": "gguf",
        "family": family,
        "families": [family],
        "parameter_size": size,
        "quantization_level": "",
    })
}

/// The model as an entry of a list.
fn entry(call: &Call) -> Json {
    let state = &call.state;
    let name = &state.options.model_name;
    json!({
        "name": name,
        "model": name,
        "modified_at": date(UNIX_EPOCH + Duration::from_secs(state.started)),
        "size": state.engine.plan().weight_bytes,
        "digest": "",
        "details": details(call),
    })
}

/// The models that there are.
pub(crate) async fn tags(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::Json(json!({ "models": [entry(&call)] })))
}

/// The models that are loaded.
pub(crate) async fn ps(call: Call) -> Result<Reply, ApiError> {
    let mut entry = entry(&call);
    entry["size_vram"] = 0.into();
    entry["context_length"] = call.state.engine.plan().context.into();
    Ok(Reply::Json(json!({ "models": [entry] })))
}

/// What is known of the model.
pub(crate) async fn show(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    call.state.check_model(fields.text("model")?.or(fields.text("name")?))?;
    let template = call.state.engine.chat_template().ok().flatten();
    let source = template.as_ref().map(|template| template.source()).unwrap_or_default();
    let embeds = call.state.scheduler.is_none();
    let mut capabilities = vec![if embeds { "embedding" } else { "completion" }];
    if source.contains("tools") {
        capabilities.push("tools");
    }
    if source.contains("<think>") || source.contains("enable_thinking") {
        capabilities.push("thinking");
    }
    let view = call.state.engine.file().view();
    let mut info = Map::new();
    for (key, value) in view.metadata().iter() {
        // Vocabularies have megabytes; the template stands beside.
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
        "license": text(&call, "general.license").unwrap_or_default(),
        "modelfile": "",
        "parameters": "",
        "template": source,
        "details": details(&call),
        "model_info": Json::Object(info),
        "capabilities": capabilities,
        "modified_at": date(UNIX_EPOCH + Duration::from_secs(call.state.started)),
    })))
}
