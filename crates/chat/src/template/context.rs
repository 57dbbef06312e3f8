//! The caller's variables, which are converted when the template first reads them.

use serde_json::{Map, Value as Json};

use super::budget::{push, reserve};
use super::error::R;
use super::heap::Cx;
use super::text::Origin;
use super::value::Value;
use super::{Message, TemplateInput};

/// The source of variables.
#[derive(Clone, Copy)]
pub(super) enum Context<'a> {
    Input(&'a TemplateInput),
    Json(&'a Map<String, Json>),
}

impl Context<'_> {
    /// Returns the variable `name`. Its texts get their origin.
    pub(super) fn get(&self, cx: &mut Cx<'_>, name: &str) -> R<Option<Value>> {
        let input = match self {
            Context::Json(map) => return map.get(name).map(|json| variable(cx, name, json)).transpose(),
            Context::Input(input) => input,
        };
        if let Some(json) = input.vars.get(name) {
            return variable(cx, name, json).map(Some);
        }
        Ok(Some(match name {
            "messages" => list(cx, &input.messages, Some(Origin::Message))?,
            "tools" => match &input.tools {
                Some(tools) => list(cx, tools, None)?,
                None => Value::None,
            },
            "documents" => Value::None,
            "add_generation_prompt" => Value::Bool(input.add_generation_prompt),
            "bos_token" => Value::Str(cx.text(&input.bos_token, None)?),
            "eos_token" => Value::Str(cx.text(&input.eos_token, None)?),
            _ => return Ok(None),
        }))
    }

    /// Returns the approximate size of the variables as JSON, in bytes.
    pub(super) fn size(&self) -> R<u64> {
        let names = |map: &Map<String, Json>| map.keys().map(|key| key.len() as u64 + 6).sum::<u64>();
        Ok(match self {
            Context::Json(map) => size(map.values())? + names(map),
            Context::Input(input) => {
                let tools = input.tools.iter().flatten();
                size(input.messages.iter().chain(tools).chain(input.vars.values()))?
                    + names(&input.vars)
                    + (input.bos_token.len() + input.eos_token.len()) as u64
                    + 120
            }
        })
    }
}

fn variable(cx: &mut Cx<'_>, name: &str, json: &Json) -> R<Value> {
    match (name, json) {
        ("messages", Json::Array(messages)) => list(cx, messages, Some(Origin::Message)),
        ("messages", json) => cx.json_value(json, Some(Origin::Message(0)), 0),
        ("tools", json) => cx.json_value(json, Some(Origin::Tools), 0),
        ("documents", json) => cx.json_value(json, Some(Origin::Documents), 0),
        ("bos_token" | "eos_token", json) => cx.json_value(json, None, 0),
        (_, json) => cx.json_value(json, Some(Origin::Variable), 0),
    }
}

/// Converts messages, each with its index as origin, or tools.
fn list(cx: &mut Cx<'_>, items: &[Json], message: Option<fn(usize) -> Origin>) -> R<Value> {
    let mut out = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let origin = message.map_or(Origin::Tools, |message| message(i));
        push(&mut out, cx.json_value(item, Some(origin), 1)?)?;
    }
    cx.list(out)
}

/// Returns the size of values, without recursion, since they may be deep.
fn size<'j>(values: impl Iterator<Item = &'j Json>) -> R<u64> {
    let mut todo: Vec<&Json> = Vec::new();
    let mut bytes = 0;
    for value in values {
        push(&mut todo, value)?;
        while let Some(value) = todo.pop() {
            bytes += match value {
                Json::String(s) => s.len() as u64 + 4,
                Json::Array(items) => {
                    reserve(&mut todo, items.len())?;
                    todo.extend(items);
                    2
                }
                Json::Object(map) => {
                    reserve(&mut todo, map.len())?;
                    todo.extend(map.values());
                    map.keys().map(|key| key.len() as u64 + 6).sum::<u64>() + 2
                }
                _ => 7,
            };
        }
    }
    Ok(bytes)
}

impl From<Message> for Json {
    fn from(message: Message) -> Json {
        let mut map = Map::new();
        map.insert("role".into(), Json::String(message.role));
        map.insert("content".into(), Json::String(message.content));
        Json::Object(map)
    }
}
