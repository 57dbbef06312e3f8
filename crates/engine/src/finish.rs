//! Why a generation ended, and what it took.

use core::fmt;
use happy_tokenizer::TokenId;
use std::time::Duration;

/// Why a generation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinishReason {
    /// The model chose a token that ends generation.
    EndOfGeneration(TokenId),
    /// The text reached this stop string.
    StopString(String),
    /// The limit of tokens was reached ([`GenerateOptions::max_tokens`](crate::GenerateOptions::max_tokens)).
    Length,
    /// The context is full.
    ContextFull,
    /// The text is complete: the grammar allows nothing more, not even a token that ends generation.
    GrammarEnd,
    /// The text ended before what was asked for was complete: a form, or a call that had begun.
    Unfinished(Unfinished),
    /// The caller's [`Cancel`](crate::Cancel) was raised.
    Cancelled,
}

/// What ended a text before it was complete.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unfinished {
    /// The limit of tokens.
    Length,
    /// The full context.
    ContextFull,
    /// No token of the vocabulary continues the text as the grammar wants it.
    DeadEnd,
}

impl FinishReason {
    /// Returns whether the text ended before a form or a call was complete.
    pub fn is_unfinished(&self) -> bool {
        matches!(self, FinishReason::Unfinished(_))
    }
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfinished::Length => f.write_str("the limit of tokens"),
            Unfinished::ContextFull => f.write_str("the end of the context"),
            Unfinished::DeadEnd => {
                f.write_str("a dead end: no token continues the text as the grammar wants it")
            }
        }
    }
}

impl fmt::Display for FinishReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FinishReason::EndOfGeneration(_) => f.write_str("the model ended its answer"),
            FinishReason::StopString(stop) => write!(f, "stopped at the stop string {stop:?}"),
            FinishReason::Length => f.write_str("stopped at the limit of tokens"),
            FinishReason::ContextFull => f.write_str("stopped because the context is full"),
            FinishReason::GrammarEnd => f.write_str("the text is complete"),
            FinishReason::Unfinished(cut) => write!(f, "incomplete: cut off by {cut}"),
            FinishReason::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// The end of a generation, and what it cost.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Finish {
    /// Why it ended.
    pub reason: FinishReason,
    /// Prompt tokens that were computed.
    pub prompt_tokens: usize,
    /// Tokens that the sequence held before the prompt, which were not computed again.
    pub reused_tokens: usize,
    /// Generated tokens, including a token that ended the generation.
    pub generated_tokens: usize,
    /// Generated tokens that were computed, each to choose the next one. The last token of a generation is never computed.
    pub decoded_tokens: usize,
    /// Tokens that were dropped from the middle of the context when it was full: see
    /// [`ContextPolicy::Shift`](crate::ContextPolicy::Shift). Mostly 0.
    pub shifted_tokens: usize,
    /// Time for the prompt.
    pub prefill_time: Duration,
    /// Time for computing these tokens and choosing the next ones.
    pub decode_time: Duration,
}

impl Finish {
    /// The end of a generation that was cancelled before anything was computed.
    pub fn cancelled() -> Self {
        Self {
            reason: FinishReason::Cancelled,
            prompt_tokens: 0,
            reused_tokens: 0,
            generated_tokens: 0,
            decoded_tokens: 0,
            shifted_tokens: 0,
            prefill_time: Duration::ZERO,
            decode_time: Duration::ZERO,
        }
    }

    /// Computed prompt tokens per second; 0 if nothing was computed.
    pub fn prefill_rate(&self) -> f64 {
        self.prompt_tokens as f64 / self.prefill_time.as_secs_f64().max(1e-9)
    }

    /// Decoded tokens per second: [`decoded_tokens`](Self::decoded_tokens) in [`decode_time`](Self::decode_time). 0 if nothing was
    /// decoded.
    pub fn decode_rate(&self) -> f64 {
        self.decoded_tokens as f64 / self.decode_time.as_secs_f64().max(1e-9)
    }
}
