//! Events as Java reads them: one array each, so that an event is one call. The form stands in `HappyEvent.java`.

use crate::capi::results::EventFields;
use crate::capi::types::HappyFinish;
use happy_engine::{Event, Finish};

/// The record of an event, little-endian.
pub(super) fn encode(event: &Event) -> Vec<u8> {
    let fields = EventFields::from(event);
    let mut out = Vec::new();
    out.extend((fields.kind as i32).to_le_bytes());
    if let Some(finish) = fields.finish {
        encode_finish(finish, &mut out);
        return out;
    }
    out.extend(fields.call.to_le_bytes());
    out.extend(fields.done.to_le_bytes());
    out.extend(fields.total.to_le_bytes());
    let texts = [fields.text, fields.name, fields.id];
    for text in texts {
        // A text of an event is far below 2 GiB.
        out.extend(i32::try_from(text.len()).unwrap_or(i32::MAX).to_le_bytes());
    }
    for text in texts {
        out.extend(text.bytes());
    }
    out
}

fn encode_finish(finish: &Finish, out: &mut Vec<u8>) {
    let finish = HappyFinish::from(finish);
    out.extend(finish.reason.to_le_bytes());
    for count in [finish.prompt_tokens, finish.reused_tokens, finish.generated_tokens] {
        out.extend(count.to_le_bytes());
    }
    for value in [finish.prefill_seconds, finish.decode_seconds, finish.prefill_rate, finish.decode_rate] {
        out.extend(value.to_le_bytes());
    }
}
