//! The core's results as C's structs.

use super::types::{EventKind, FinishReason, HappyEvent, HappyFinish, HappyMemory, HappyPlan, HappyText};
use crate::core::event::{TurnEvent, TurnFinish};
use crate::core::model::Planned;
use crate::core::session::SessionMemory;
use happy_engine::FinishReason as Reason;
use std::mem::size_of;
use std::ptr;

/// A count in 32 bits; more than that there is not.
fn count(n: usize) -> u32 {
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

fn reason(done: &TurnFinish) -> i32 {
    let reason = match done.finish.reason {
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

impl From<TurnFinish> for HappyFinish {
    fn from(done: TurnFinish) -> Self {
        let finish = &done.finish;
        Self {
            size: size_of::<Self>() as u32,
            reason: reason(&done),
            prompt_tokens: finish.prompt_tokens as u64,
            reused_tokens: done.reused as u64,
            generated_tokens: finish.generated_tokens as u64,
            prefill_seconds: finish.prefill_time.as_secs_f64(),
            decode_seconds: finish.decode_time.as_secs_f64(),
            prefill_rate: finish.prefill_rate(),
            decode_rate: finish.decode_rate(),
        }
    }
}

/// Borrowed by the event: valid as long as what it was made of.
fn text(text: &str) -> HappyText {
    HappyText { data: text.as_ptr().cast(), len: text.len() }
}

impl From<&TurnEvent> for HappyEvent {
    fn from(event: &TurnEvent) -> Self {
        let none = HappyText { data: ptr::null(), len: 0 };
        let kind_of = |kind: EventKind| HappyEvent {
            size: size_of::<HappyEvent>() as u32,
            kind: kind as i32,
            finish: 0,
            call: -1,
            done: 0,
            total: 0,
            text: none,
            name: none,
            id: none,
        };
        let number = |call: usize| i32::try_from(call).unwrap_or(i32::MAX);
        match event {
            TurnEvent::Prefill { done, total } => {
                HappyEvent { done: *done as u64, total: *total as u64, ..kind_of(EventKind::Prefill) }
            }
            TurnEvent::Text(said) => HappyEvent { text: text(said), ..kind_of(EventKind::Text) },
            TurnEvent::Reasoning(thought) => {
                HappyEvent { text: text(thought), ..kind_of(EventKind::Reasoning) }
            }
            TurnEvent::CallStart { call, name, id } => HappyEvent {
                call: number(*call),
                name: text(name),
                id: text(id),
                ..kind_of(EventKind::ToolCallStart)
            },
            TurnEvent::CallArguments { call, name, text: part } => HappyEvent {
                call: number(*call),
                name: text(name),
                text: text(part),
                ..kind_of(EventKind::ToolCallArguments)
            },
            TurnEvent::Call { call, name, id, arguments } => HappyEvent {
                call: number(*call),
                name: text(name),
                id: text(id),
                text: text(arguments),
                ..kind_of(EventKind::ToolCall)
            },
            TurnEvent::Malformed { call, reason } => HappyEvent {
                call: call.map_or(-1, number),
                text: text(reason),
                ..kind_of(EventKind::MalformedCall)
            },
            TurnEvent::Done(done) => HappyEvent { finish: reason(done), ..kind_of(EventKind::Done) },
        }
    }
}
