//! The stream of a message: events that start, extend and stop its blocks.

use super::{stop_reason, usage_json};
use crate::delta::{Delta, Usage};
use crate::http::reply::failure;
use crate::http::routes::Style;
use crate::stream::{Translator, sse};
use serde_json::{Value as Json, json};

/// The kind of a content block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Thinking,
    Text,
    Call,
}

/// Translates deltas into events.
pub(super) struct Events {
    id: String,
    model: String,
    /// The block that is being written.
    open: Option<Block>,
    /// Number of blocks that were started.
    blocks: usize,
}

impl Events {
    pub(super) fn new(id: String, model: String) -> Self {
        Self { id, model, open: None, blocks: 0 }
    }

    /// Returns the index of the block that is being written.
    fn index(&self) -> usize {
        self.blocks.saturating_sub(1)
    }

    /// Writes an event.
    fn event(out: &mut Vec<u8>, data: &Json) {
        sse(out, data.get("type").and_then(Json::as_str), data);
    }

    /// Stops the block that is being written, if there is one.
    fn stop(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            Self::event(out, &json!({ "type": "content_block_stop", "index": self.index() }));
        }
    }

    /// Starts a block, after stopping the one before it.
    fn start(&mut self, block: Block, content: Json, out: &mut Vec<u8>) {
        self.stop(out);
        self.open = Some(block);
        self.blocks += 1;
        let index = self.index();
        Self::event(out, &json!({ "type": "content_block_start", "index": index, "content_block": content }));
    }

    /// Extends the block that is being written.
    fn grow(&mut self, delta: Json, out: &mut Vec<u8>) {
        Self::event(out, &json!({ "type": "content_block_delta", "index": self.index(), "delta": delta }));
    }
}

impl Translator for Events {
    fn delta(&mut self, _: usize, delta: Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Begun { prompt, cached } => {
                let usage = usage_json(Usage { prompt, cached, ..Usage::default() });
                let message = json!({
                    "id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": [],
                    "stop_reason": null, "stop_sequence": null, "usage": usage,
                });
                Self::event(out, &json!({ "type": "message_start", "message": message }));
            }
            Delta::Text(text) => {
                if self.open != Some(Block::Text) {
                    self.start(Block::Text, json!({ "type": "text", "text": "" }), out);
                }
                self.grow(json!({ "type": "text_delta", "text": text }), out);
            }
            Delta::Reasoning(text) => {
                if self.open != Some(Block::Thinking) {
                    let block = json!({ "type": "thinking", "thinking": "", "signature": "" });
                    self.start(Block::Thinking, block, out);
                }
                self.grow(json!({ "type": "thinking_delta", "thinking": text }), out);
            }
            Delta::CallStart { id, name, .. } => {
                let block = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
                self.start(Block::Call, block, out);
            }
            Delta::CallArguments { text, .. } if self.open == Some(Block::Call) => {
                self.grow(json!({ "type": "input_json_delta", "partial_json": text }), out);
            }
            Delta::CallEnd { .. } | Delta::CallGone { .. } => self.stop(out),
            Delta::Done(summary) => {
                if self.blocks == 0 {
                    self.start(Block::Text, json!({ "type": "text", "text": "" }), out);
                }
                self.stop(out);
                let (reason, stop) = stop_reason(&summary.reason);
                let usage = usage_json(summary.usage);
                let delta = json!({ "stop_reason": reason, "stop_sequence": stop });
                Self::event(out, &json!({ "type": "message_delta", "delta": delta, "usage": usage }));
                Self::event(out, &json!({ "type": "message_stop" }));
            }
            Delta::Failed(error) => Self::event(out, &failure(Style::Anthropic, &error)),
            Delta::CallArguments { .. } | Delta::LogProb(_) => {}
        }
    }
}
