//! The stream of a response: events that begin, extend and complete its items. The events are numbered.

use super::{Head, call_item, message_item, reasoning_item, text_part};
use crate::delta::{Delta, Summary, fresh_id};
use crate::error::ApiError;
use crate::stream::{Translator, sse};
use serde_json::{Value as Json, json};

/// The item that is being written.
enum Item {
    Reasoning { id: String, text: String },
    Message { id: String, text: String },
    Call { id: String, call_id: String, name: String, arguments: String },
}

/// Translates deltas into events.
pub(super) struct Events {
    head: Head,
    /// The number of the next event.
    number: usize,
    open: Option<Item>,
    /// The complete items.
    output: Vec<Json>,
}

impl Events {
    pub(super) fn new(head: Head) -> Self {
        Self { head, number: 0, open: None, output: Vec::new() }
    }

    /// Writes an event.
    fn event(&mut self, kind: &str, mut data: Json, out: &mut Vec<u8>) {
        data["type"] = kind.into();
        data["sequence_number"] = self.number.into();
        self.number += 1;
        sse(out, Some(kind), &data);
    }

    /// Writes an event about the item that is being written.
    fn of_item(&mut self, kind: &str, id: &str, mut data: Json, out: &mut Vec<u8>) {
        data["item_id"] = id.into();
        data["output_index"] = self.output.len().into();
        self.event(kind, data, out);
    }

    /// Writes the event that begins an item.
    fn add(&mut self, item: &Json, out: &mut Vec<u8>) {
        let index = self.output.len();
        self.event("response.output_item.added", json!({ "output_index": index, "item": item }), out);
    }

    /// Begins a message, after completing the item before it.
    fn begin_message(&mut self, out: &mut Vec<u8>) {
        self.close(out);
        let id = fresh_id("msg_");
        self.add(&message_item(&id, "in_progress", None), out);
        let part = json!({ "content_index": 0, "part": text_part("") });
        self.of_item("response.content_part.added", &id, part, out);
        self.open = Some(Item::Message { id, text: String::new() });
    }

    /// Completes the item that is being written, if there is one.
    fn close(&mut self, out: &mut Vec<u8>) {
        let item = match self.open.take() {
            None => return,
            Some(Item::Reasoning { id, text }) => {
                let done = json!({ "content_index": 0, "text": text });
                self.of_item("response.reasoning_text.done", &id, done, out);
                reasoning_item(&id, &text)
            }
            Some(Item::Message { id, text }) => {
                let done = json!({ "content_index": 0, "text": text, "logprobs": [] });
                self.of_item("response.output_text.done", &id, done, out);
                let done = json!({ "content_index": 0, "part": text_part(&text) });
                self.of_item("response.content_part.done", &id, done, out);
                message_item(&id, "completed", Some(&text))
            }
            Some(Item::Call { id, call_id, name, arguments }) => {
                let done = json!({ "name": name, "arguments": arguments });
                self.of_item("response.function_call_arguments.done", &id, done, out);
                call_item(&id, "completed", &call_id, &name, &arguments)
            }
        };
        let index = self.output.len();
        self.event("response.output_item.done", json!({ "output_index": index, "item": item }), out);
        self.output.push(item);
    }

    /// Completes the response.
    fn done(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        if self.open.is_none() && self.output.is_empty() {
            self.begin_message(out);
        }
        self.close(out);
        let response = self.head.ended(&summary.reason, summary.usage, std::mem::take(&mut self.output));
        let kind =
            if response["status"] == "incomplete" { "response.incomplete" } else { "response.completed" };
        self.event(kind, json!({ "response": response }), out);
    }

    /// Ends the response with an error.
    fn fail(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        let error = json!({ "code": "server_error", "message": error.message });
        let output = Json::from(std::mem::take(&mut self.output));
        let response = self.head.response("failed", output, Json::Null, Json::Null, error);
        self.event("response.failed", json!({ "response": response }), out);
    }
}

impl Translator for Events {
    fn begin(&mut self, out: &mut Vec<u8>) {
        for kind in ["response.created", "response.in_progress"] {
            let response = self.head.begun();
            self.event(kind, json!({ "response": response }), out);
        }
    }

    fn delta(&mut self, _: usize, delta: Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Text(more) => {
                if !matches!(self.open, Some(Item::Message { .. })) {
                    self.begin_message(out);
                }
                if let Some(Item::Message { id, text }) = &mut self.open {
                    text.push_str(&more);
                    let id = id.clone();
                    let data = json!({ "content_index": 0, "delta": more, "logprobs": [] });
                    self.of_item("response.output_text.delta", &id, data, out);
                }
            }
            Delta::Reasoning(more) => {
                if !matches!(self.open, Some(Item::Reasoning { .. })) {
                    self.close(out);
                    let id = fresh_id("rs_");
                    self.add(&reasoning_item(&id, ""), out);
                    self.open = Some(Item::Reasoning { id, text: String::new() });
                }
                if let Some(Item::Reasoning { id, text }) = &mut self.open {
                    text.push_str(&more);
                    let id = id.clone();
                    let data = json!({ "content_index": 0, "delta": more });
                    self.of_item("response.reasoning_text.delta", &id, data, out);
                }
            }
            Delta::CallStart { id: call_id, name, .. } => {
                self.close(out);
                let id = fresh_id("fc_");
                self.add(&call_item(&id, "in_progress", &call_id, &name, ""), out);
                self.open = Some(Item::Call { id, call_id, name, arguments: String::new() });
            }
            Delta::CallArguments { text, .. } => {
                if let Some(Item::Call { id, arguments, .. }) = &mut self.open {
                    arguments.push_str(&text);
                    let id = id.clone();
                    self.of_item(
                        "response.function_call_arguments.delta",
                        &id,
                        json!({ "delta": text }),
                        out,
                    );
                }
            }
            Delta::CallEnd { arguments: whole, .. } => {
                if let Some(Item::Call { arguments, .. }) = &mut self.open {
                    *arguments = whole;
                }
                self.close(out);
            }
            Delta::CallGone { .. } => self.close(out),
            Delta::Done(summary) => self.done(&summary, out),
            Delta::Failed(error) => self.fail(&error, out),
            Delta::Begun { .. } | Delta::LogProb(_) => {}
        }
    }
}
