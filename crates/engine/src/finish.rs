//! What generation yields and why it ends.

use crate::TextPiece;
use core::fmt;
use happy_tokenizer::TokenId;
use std::time::Duration;

/// Something that happened while generating.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A chunk of a long prompt has been computed; more follow.
    Prefilling {
        /// Tokens that are done.
        done: usize,
        /// Tokens of the prompt.
        total: usize,
    },
    /// The prompt has been computed; the first token follows.
    Prefilled {
        /// Tokens that were computed.
        tokens: usize,
        /// How long it took.
        time: Duration,
    },
    /// A token was chosen; its text may come later, or with the next token's.
    Token(TokenId),
    /// Text, in order; never a part of a character, never a part of a stop string.
    Text(TextPiece),
    /// The end; nothing follows.
    Done(Finish),
}

/// Why generation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinishReason {
    /// The model chose a token that ends generation.
    EndOfGeneration(TokenId),
    /// The text reached this stop string.
    StopString(String),
    /// As many tokens as were asked for.
    Length,
    /// The context is full.
    ContextFull,
    /// The grammar allows nothing more, not even a token that ends generation.
    GrammarEnd,
    /// The caller's [`Cancel`](crate::Cancel) was raised.
    Cancelled,
}

impl fmt::Display for FinishReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FinishReason::EndOfGeneration(token) => write!(f, "end of generation (token {token})"),
            FinishReason::StopString(stop) => write!(f, "stop string {stop:?}"),
            FinishReason::Length => f.write_str("length"),
            FinishReason::ContextFull => f.write_str("the context is full"),
            FinishReason::GrammarEnd => f.write_str("the grammar, which allows nothing more"),
            FinishReason::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// The end of a generation and what it took.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Finish {
    /// Why it ended.
    pub reason: FinishReason,
    /// Tokens of the prompt that were computed.
    pub prompt_tokens: usize,
    /// Tokens that were generated, one that ended generation included.
    pub generated_tokens: usize,
    /// Tokens that were computed one at a time: the last one chosen never is.
    pub decoded_tokens: usize,
    /// Time for the prompt.
    pub prefill_time: Duration,
    /// Time for the tokens computed one at a time, choosing included.
    pub decode_time: Duration,
}

impl Finish {
    /// Prompt tokens per second.
    pub fn prefill_rate(&self) -> f64 {
        self.prompt_tokens as f64 / self.prefill_time.as_secs_f64().max(1e-9)
    }

    /// Generated tokens per second.
    pub fn decode_rate(&self) -> f64 {
        self.decoded_tokens as f64 / self.decode_time.as_secs_f64().max(1e-9)
    }
}
