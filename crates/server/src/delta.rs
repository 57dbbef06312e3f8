//! What a generation sends to its client, in order. Each API translates it.

use crate::error::ApiError;
use happy_engine::{Event, Finish, FinishReason, Unfinished};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A part of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Delta {
    /// The generation starts: the number of prompt tokens, and how many of them were cached.
    Begun {
        prompt: usize,
        cached: usize,
    },
    Text(String),
    Reasoning(String),
    CallStart {
        index: usize,
        id: String,
        name: String,
    },
    CallArguments {
        index: usize,
        text: String,
    },
    /// The call is complete, with all of its arguments.
    CallEnd {
        index: usize,
        arguments: String,
    },
    /// What began as this call is not a call. It follows as text.
    CallGone {
        index: usize,
    },
    /// The probability of the next token, if the request asked for it.
    LogProb(TokenLogProb),
    /// The answer is complete.
    Done(Summary),
    /// The answer ends with an error.
    Failed(ApiError),
}

/// A token with its probability.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TokenLogProb {
    pub(crate) token: TokenText,
    /// The most probable tokens, best first.
    pub(crate) top: Vec<TokenText>,
}

/// A token's bytes and the natural logarithm of its probability.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TokenText {
    pub(crate) id: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) ln_p: f32,
}

impl TokenText {
    /// Returns the bytes as text. An incomplete character becomes U+FFFD.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Returns a number that JSON can represent, also for -inf.
    pub(crate) fn ln_p(&self) -> f32 {
        self.ln_p.max(-9999.0)
    }
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The model ended its text.
    Stop,
    /// It reached this stop string.
    StopString(String),
    /// It reached the limit of tokens or the end of the context.
    Length,
    /// It ended with tool calls.
    Calls,
}

/// How an answer ended and what it took.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) reason: Reason,
    pub(crate) usage: Usage,
    pub(crate) prefill: Duration,
    pub(crate) decode: Duration,
}

/// Token counts of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Tokens of the prompt.
    pub(crate) prompt: usize,
    /// Prompt tokens that were cached.
    pub(crate) cached: usize,
    pub(crate) generated: usize,
    /// Generated tokens of reasoning, with its markers.
    pub(crate) reasoning: usize,
}

/// The usage of several prompts with the same number of answers each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UsageOfPrompts {
    choices: usize,
    total: Usage,
}

impl UsageOfPrompts {
    pub(crate) fn new(choices: usize) -> Self {
        Self { choices: choices.max(1), total: Usage::default() }
    }

    /// Adds the usage of the answer with this index.
    pub(crate) fn add(&mut self, index: usize, usage: Usage) {
        self.total.generated += usage.generated;
        self.total.reasoning += usage.reasoning;
        // The first answer to a prompt counts it, and says how much of it was cached when it came.
        if index.is_multiple_of(self.choices) {
            self.total.prompt += usage.prompt;
            self.total.cached += usage.cached;
        }
    }

    pub(crate) fn total(&self) -> Usage {
        self.total
    }
}

/// Turns events into deltas.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    calls: usize,
    /// Generated tokens whose text was not sent yet.
    untold: usize,
    reasoning: usize,
}

impl Deltas {
    /// Returns what to send for an event, if anything.
    pub(crate) fn of(&mut self, event: Event) -> Option<Delta> {
        match &event {
            Event::Token(_) => self.untold += 1,
            Event::Reasoning(_) => self.reasoning += std::mem::take(&mut self.untold),
            Event::Text(_) | Event::CallStart { .. } | Event::CallArguments { .. } => self.untold = 0,
            _ => {}
        }
        Some(match event {
            Event::Text(text) => Delta::Text(text.to_string()),
            Event::Reasoning(text) => Delta::Reasoning(text.to_string()),
            Event::CallStart { index, name, id } => Delta::CallStart {
                index,
                id: id.unwrap_or_else(|| fresh_id("call_")),
                name: name.to_string(),
            },
            Event::CallArguments { index, text, .. } => {
                Delta::CallArguments { index, text: text.to_string() }
            }
            Event::Call { index, call } => {
                self.calls += 1;
                Delta::CallEnd { index, arguments: call.arguments_text }
            }
            Event::MalformedCall { index: Some(index), .. } => Delta::CallGone { index },
            Event::Done(finish) => Delta::Done(self.summary(finish)),
            _ => return None,
        })
    }

    fn summary(&self, finish: Finish) -> Summary {
        let usage = Usage {
            prompt: finish.reused_tokens + finish.prompt_tokens,
            cached: finish.reused_tokens,
            generated: finish.generated_tokens,
            reasoning: self.reasoning.min(finish.generated_tokens),
        };
        let reason = match finish.reason {
            FinishReason::StopString(stop) => Reason::StopString(stop),
            FinishReason::Length
            | FinishReason::ContextFull
            | FinishReason::Unfinished(Unfinished::Length | Unfinished::ContextFull | Unfinished::DeadEnd) => {
                Reason::Length
            }
            _ if self.calls > 0 => Reason::Calls,
            _ => Reason::Stop,
        };
        Summary { reason, usage, prefill: finish.prefill_time, decode: finish.decode_time }
    }
}

/// A whole answer.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) calls: Vec<Call>,
    pub(crate) log_probs: Vec<TokenLogProb>,
    pub(crate) summary: Option<Summary>,
}

/// A tool call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    /// A JSON object as text.
    pub(crate) arguments: String,
}

impl Whole {
    /// Adds a delta.
    ///
    /// # Errors
    /// If the delta is a failure.
    pub(crate) fn push(&mut self, delta: Delta) -> Result<(), ApiError> {
        match delta {
            Delta::Begun { .. } => {}
            Delta::Text(text) => self.text.push_str(&text),
            Delta::Reasoning(text) => self.reasoning.push_str(&text),
            Delta::CallStart { index, id, name } => {
                self.calls.truncate(index);
                self.calls.push(Call { id, name, arguments: String::new() });
            }
            Delta::CallArguments { index, text } => {
                if let Some(call) = self.calls.get_mut(index) {
                    call.arguments.push_str(&text);
                }
            }
            Delta::CallEnd { index, arguments } => {
                if let Some(call) = self.calls.get_mut(index) {
                    call.arguments = arguments;
                }
            }
            Delta::CallGone { index } => self.calls.truncate(index),
            Delta::LogProb(log_prob) => self.log_probs.push(log_prob),
            Delta::Done(summary) => self.summary = Some(summary),
            Delta::Failed(error) => return Err(error),
        }
        Ok(())
    }

    /// Why it ended.
    pub(crate) fn reason(&self) -> Reason {
        self.summary.as_ref().map_or(Reason::Stop, |summary| summary.reason.clone())
    }

    /// Its tokens.
    pub(crate) fn usage(&self) -> Usage {
        self.summary.as_ref().map_or_else(Usage::default, |summary| summary.usage)
    }
}

/// Returns an id that is unique among the answers of this server, and can't be guessed from another one.
pub(crate) fn fresh_id(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // The standard library's hash keys are random in each process.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(COUNT.fetch_add(1, Ordering::Relaxed));
    format!("{prefix}{:016x}{:08x}", hasher.finish(), COUNT.load(Ordering::Relaxed) as u32)
}

/// Returns a seed for a request that doesn't set one.
pub(crate) fn fresh_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
