//! What a generation yields: the one list of events, which every binding passes on.

use crate::chat::{Reply, ToolCall};
use crate::{Finish, TextPiece};
use happy_tokenizer::TokenId;
use std::sync::Arc;

/// Something that happened while generating.
///
/// ```text
/// Prefill, once or more
/// Token, and what it completed: Text, or in a conversation also Reasoning and events of calls
/// Reply, in a conversation
/// Done
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// `done` of the `total` prompt tokens are computed. Comes after each chunk of a long prompt; the last one has
    /// `done == total`.
    Prefill {
        /// Prompt tokens that are computed.
        done: usize,
        /// Prompt tokens that have to be computed.
        total: usize,
    },
    /// A token was chosen. Its text may come later, together with that of the next tokens.
    Token(TokenId),
    /// The next piece of the text or the answer: whole characters, and no part of a stop string.
    Text(TextPiece),
    /// The next piece of what the model thinks before it answers.
    Reasoning(TextPiece),
    /// The model begins to call a tool.
    CallStart {
        /// The call's place among the reply's calls, from 0.
        index: usize,
        /// The tool's name.
        name: Arc<str>,
        /// The call's id, if it stands before the arguments.
        id: Option<String>,
    },
    /// The next piece of a call's arguments.
    CallArguments {
        /// The call's place.
        index: usize,
        /// The tool's name.
        name: Arc<str>,
        /// The next part of the text of a JSON object.
        text: TextPiece,
    },
    /// A call is complete.
    Call {
        /// The call's place.
        index: usize,
        /// The whole call.
        call: ToolCall,
    },
    /// A text that looked like a call is not a valid call. It follows as [`Event::Text`].
    MalformedCall {
        /// The place of the call, if its start was announced. That call is withdrawn, and the next call takes its place.
        index: Option<usize>,
        /// What is wrong with it.
        reason: String,
    },
    /// The whole reply of a [`Conversation`](crate::Conversation); only [`Event::Done`] follows.
    Reply(Reply),
    /// The end; nothing follows.
    Done(Finish),
}
