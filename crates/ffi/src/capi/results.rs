//! The core's results as C's structs.

use super::types::{
    EventKind, FinishReason, HappyEmbedderInfo, HappyEmbedding, HappyEvent, HappyFinish, HappyMemory,
    HappyPlan, HappyReuse, HappyText, PoolingKind,
};
use crate::core::embedder::EmbedderInfo;
use crate::core::model::Planned;
use crate::core::session::{Reuse, SessionMemory};
use happy_engine::{Embedding, Event, Finish, FinishReason as Reason};
use std::mem::size_of;

/// A count in 32 bits, at most the largest.
pub(super) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl From<Planned> for HappyPlan {
    fn from(planned: Planned) -> Self {
        let plan = planned.plan;
        Self {
            size: size_of::<Self>() as u32,
            fits: u32::from(planned.fits),
            anon_bytes: plan.anon_bytes(),
            budget_bytes: planned.budget(),
            weight_bytes: plan.weight_bytes,
            kv_bytes: plan.kv_bytes,
            scratch_bytes: plan.scratch_bytes,
            tokenizer_bytes: plan.tokenizer_bytes,
            context: count(plan.context),
            fitting_context: count(planned.fitting.unwrap_or(0)),
            batch: count(plan.batch),
            threads: count(plan.threads),
            weights_copied: u32::from(plan.weights_copied),
            shrunk_from: count(plan.shrunk_from.unwrap_or(0)),
            table_bytes: plan.table_bytes,
            grammar_bytes: plan.grammar_bytes,
            state_bytes: plan.state_bytes,
            snapshot_bytes: plan.snapshot_bytes,
        }
    }
}

impl From<SessionMemory> for HappyMemory {
    fn from(memory: SessionMemory) -> Self {
        let (plan, process) = (memory.plan, memory.process);
        Self {
            size: size_of::<Self>() as u32,
            weights_copied: u32::from(plan.weights_copied),
            weight_bytes: plan.weight_bytes,
            kv_bytes: plan.kv_bytes,
            kv_resident_bytes: memory.kv_resident as u64,
            scratch_bytes: plan.scratch_bytes,
            tokenizer_bytes: plan.tokenizer_bytes,
            process_anon_bytes: process.anon_bytes,
            process_file_bytes: process.file_bytes,
            process_peak_bytes: process.peak_bytes,
            positions: memory.positions as u64,
        }
    }
}

impl From<Reuse> for HappyReuse {
    fn from(reuse: Reuse) -> Self {
        Self {
            size: size_of::<Self>() as u32,
            branches: count(reuse.kept),
            prompts: reuse.stats.prompts,
            prompt_tokens: reuse.stats.tokens,
            reused_tokens: reuse.stats.reused,
            evicted_branches: reuse.stats.evicted,
            dropped_messages: reuse.dropped as u64,
            guessed_tokens: reuse.speculation.guessed,
            accepted_tokens: reuse.speculation.accepted,
            shifted_tokens: reuse.shifted as u64,
        }
    }
}

impl From<EmbedderInfo> for HappyEmbedderInfo {
    fn from(info: EmbedderInfo) -> Self {
        Self {
            size: size_of::<Self>() as u32,
            pooling: PoolingKind::from(Some(info.pooling)) as i32,
            width: count(info.width),
            most_tokens: count(info.most_tokens),
        }
    }
}

impl HappyEmbedding {
    /// Borrowed by the struct: valid as long as the text's vectors.
    pub(super) fn new(text: &Embedding, width: usize) -> Self {
        Self {
            size: size_of::<Self>() as u32,
            width: count(width),
            values: text.values.as_ptr(),
            count: text.values.len(),
            tokens: text.tokens as u64,
            left_out: text.left_out as u64,
        }
    }
}

fn reason(finish: &Finish) -> i32 {
    let reason = match finish.reason {
        Reason::EndOfGeneration(_) => FinishReason::End,
        Reason::StopString(_) => FinishReason::StopString,
        Reason::Length => FinishReason::Length,
        Reason::ContextFull => FinishReason::ContextFull,
        Reason::GrammarEnd => FinishReason::GrammarEnd,
        Reason::Cancelled => FinishReason::Cancelled,
        Reason::Unfinished(_) => FinishReason::Unfinished,
        // Reasons that the engine may get later are ends all the same.
        _ => FinishReason::End,
    };
    reason as i32
}

impl From<&Finish> for HappyFinish {
    fn from(finish: &Finish) -> Self {
        Self {
            size: size_of::<Self>() as u32,
            reason: reason(finish),
            prompt_tokens: finish.prompt_tokens as u64,
            reused_tokens: finish.reused_tokens as u64,
            generated_tokens: finish.generated_tokens as u64,
            prefill_seconds: finish.prefill_time.as_secs_f64(),
            decode_seconds: finish.decode_time.as_secs_f64(),
            prefill_rate: finish.prefill_rate(),
            decode_rate: finish.decode_rate(),
        }
    }
}

/// An event as it crosses to other languages: one flat record, of which [`HappyEvent`] and Java's array are two
/// spellings.
pub(crate) struct EventFields<'a> {
    pub(crate) kind: EventKind,
    /// -1 without a call.
    pub(crate) call: i32,
    pub(crate) done: u64,
    pub(crate) total: u64,
    pub(crate) text: &'a str,
    pub(crate) name: &'a str,
    pub(crate) id: &'a str,
    /// Of the last event.
    pub(crate) finish: Option<&'a Finish>,
}

impl EventFields<'_> {
    fn of(kind: EventKind) -> Self {
        Self { kind, call: -1, done: 0, total: 0, text: "", name: "", id: "", finish: None }
    }
}

impl<'a> From<&'a Event> for EventFields<'a> {
    fn from(event: &'a Event) -> Self {
        let number = |call: usize| i32::try_from(call).unwrap_or(i32::MAX);
        let of_call = |kind, index: &usize| Self { call: number(*index), ..Self::of(kind) };
        match event {
            Event::Prefill { done, total } => {
                Self { done: *done as u64, total: *total as u64, ..Self::of(EventKind::Prefill) }
            }
            Event::Text(text) => Self { text, ..Self::of(EventKind::Text) },
            Event::Reasoning(text) => Self { text, ..Self::of(EventKind::Reasoning) },
            Event::CallStart { index, name, id } => {
                let id = id.as_deref().unwrap_or_default();
                Self { name, id, ..of_call(EventKind::ToolCallStart, index) }
            }
            Event::CallArguments { index, name, text } => {
                Self { name, text, ..of_call(EventKind::ToolCallArguments, index) }
            }
            Event::Call { index, call } => {
                let (name, id) = (&call.name, call.id.as_deref().unwrap_or_default());
                Self { name, id, text: &call.arguments_text, ..of_call(EventKind::ToolCall, index) }
            }
            Event::MalformedCall { index, reason } => {
                Self { call: index.map_or(-1, number), text: reason, ..Self::of(EventKind::MalformedCall) }
            }
            Event::Done(finish) => Self { finish: Some(finish), ..Self::of(EventKind::Done) },
            // A turn keeps tokens and the reply to itself; of what the engine may tell later nothing is shown.
            _ => Self::of(EventKind::Text),
        }
    }
}

/// Borrowed by the event: valid as long as what it was made of.
fn text(text: &str) -> HappyText {
    HappyText { data: text.as_ptr().cast(), len: text.len() }
}

impl From<&Event> for HappyEvent {
    fn from(event: &Event) -> Self {
        let fields = EventFields::from(event);
        Self {
            size: size_of::<Self>() as u32,
            kind: fields.kind as i32,
            finish: fields.finish.map_or(0, reason),
            call: fields.call,
            done: fields.done,
            total: fields.total,
            text: text(fields.text),
            name: text(fields.name),
            id: text(fields.id),
        }
    }
}
