//! Events as Java reads them: one array each, so that an event is one call. The form stands in `HappyEvent.java`.

use crate::capi::types::{EventKind, HappyFinish};
use crate::core::event::{TurnEvent, TurnFinish};

/// The record of an event, little-endian.
pub(super) fn encode(event: &TurnEvent) -> Vec<u8> {
    use EventKind as Kind;
    let none = -1;
    match event {
        TurnEvent::Done(done) => finish(done),
        TurnEvent::Prefill { done, total } => record(Kind::Prefill, none, [*done, *total], ["", "", ""]),
        TurnEvent::Text(text) => record(Kind::Text, none, [0, 0], [text, "", ""]),
        TurnEvent::Reasoning(text) => record(Kind::Reasoning, none, [0, 0], [text, "", ""]),
        TurnEvent::CallStart { call, name, id } => {
            record(Kind::ToolCallStart, number(*call), [0, 0], ["", name, id])
        }
        TurnEvent::CallArguments { call, name, text } => {
            record(Kind::ToolCallArguments, number(*call), [0, 0], [text, name, ""])
        }
        TurnEvent::Call { call, name, id, arguments } => {
            record(Kind::ToolCall, number(*call), [0, 0], [arguments, name, id])
        }
        TurnEvent::Malformed { call, reason } => {
            record(Kind::MalformedCall, call.map_or(none, number), [0, 0], [reason, "", ""])
        }
    }
}

fn record(kind: EventKind, call: i32, counts: [usize; 2], texts: [&str; 3]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend((kind as i32).to_le_bytes());
    out.extend(call.to_le_bytes());
    for count in counts {
        out.extend((count as u64).to_le_bytes());
    }
    for text in texts {
        out.extend(number(text.len()).to_le_bytes());
    }
    for text in texts {
        out.extend(text.bytes());
    }
    out
}

fn finish(done: &TurnFinish) -> Vec<u8> {
    let finish = HappyFinish::from(done.clone());
    let mut out = Vec::new();
    out.extend((EventKind::Done as i32).to_le_bytes());
    out.extend(finish.reason.to_le_bytes());
    for count in [finish.prompt_tokens, finish.reused_tokens, finish.generated_tokens] {
        out.extend(count.to_le_bytes());
    }
    for value in [finish.prefill_seconds, finish.decode_seconds, finish.prefill_rate, finish.decode_rate] {
        out.extend(value.to_le_bytes());
    }
    out
}

/// A count as Java's int; a text of an event is far below that.
fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
