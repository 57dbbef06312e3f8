//! What a turn tells, and what it took.

use happy_engine::{Finish, FinishReason};

/// Something that happened in a turn.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TurnEvent {
    /// Of the prompt, so many of so many tokens are computed.
    Prefill {
        /// Computed.
        done: usize,
        /// To be computed.
        total: usize,
    },
    /// More of the answer.
    Text(String),
    /// More of what the model thinks.
    Reasoning(String),
    /// A call begins.
    CallStart {
        /// The call's number.
        call: usize,
        /// The tool.
        name: String,
        /// The call's id, or nothing.
        id: String,
    },
    /// More of a call's arguments.
    CallArguments {
        /// The call's number.
        call: usize,
        /// The tool.
        name: String,
        /// A part of the JSON.
        text: String,
    },
    /// A call is complete.
    Call {
        /// The call's number.
        call: usize,
        /// The tool.
        name: String,
        /// The call's id, or nothing.
        id: String,
        /// The arguments: a JSON object.
        arguments: String,
    },
    /// What looked like a call is none.
    Malformed {
        /// The number of the call that is withdrawn, if it had started.
        call: Option<usize>,
        /// What is wrong with it.
        reason: String,
    },
    /// The end.
    Done(TurnFinish),
}

/// What a turn took.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnFinish {
    /// Why it ended, and what that took.
    pub finish: Finish,
    /// Tokens of the prompt that the KV cache held.
    pub reused: usize,
}

impl TurnFinish {
    /// Whether it was ended from outside.
    pub fn is_cancelled(&self) -> bool {
        self.finish.reason == FinishReason::Cancelled
    }
}
