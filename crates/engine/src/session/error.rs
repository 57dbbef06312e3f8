//! Why a session cannot be written or continued.

use super::identity::Identity;
use crate::EngineError;
use happy_model::KvType;
use std::io;
use std::path::{Path, PathBuf};

/// Why a session could not be saved or restored. The sequence of the context is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The file system refuses.
    #[error("cannot {what} the session `{}`: {error}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The storage refuses. What was saved before is still there.
    #[error("cannot {what} the session: {error}")]
    Storage {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// The bytes are not a session, or its beginning is damaged.
    #[error("this is not a session: {problem}")]
    NotASession {
        /// What is wrong.
        problem: &'static str,
    },
    /// The session is sealed, and no key was given.
    #[error("the session is sealed: open it with its key")]
    Sealed,
    /// A key was given for a session that is not sealed: it might not be the one that was written with the key.
    #[error("the session is not sealed: open it without a key")]
    NotSealed,
    /// Another key sealed the session.
    #[error("the session was sealed with another key, or its beginning is damaged")]
    WrongKey,
    /// The file has another version of the format.
    #[error("the session has version {found} of the format, expected {expected}: update the app to read it")]
    Version {
        /// The file's.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// A record has the right checksum but impossible contents.
    #[error("the session's record at byte {offset}: {problem}; it was written by another or a newer program")]
    Record {
        /// Where the record begins.
        offset: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The session was computed with another model, or with other settings.
    #[error("the session cannot be continued here: {mismatch}{}", mismatch.advice())]
    Other {
        /// The first difference.
        mismatch: Mismatch,
    },
    /// The session is longer than the context.
    #[error(
        "the session has {tokens} tokens, the context holds {context}: load the model with a larger context"
    )]
    TooLong {
        /// Tokens of the session.
        tokens: usize,
        /// Positions of the context.
        context: usize,
    },
    /// An adapter of the sequence was not loaded by the engine, so a session cannot identify it.
    #[error(
        "the sequence has an adapter that `Engine::adapter` did not load, so a session cannot identify it"
    )]
    UnknownAdapter,
    /// An unfinished answer was begun with something else, so that its text cannot go on as it would have.
    #[error(
        "the unfinished answer cannot be continued: its {what} differs from the one that it was begun with; answer the message again"
    )]
    OtherAnswer {
        /// What differs: prompt, set of options, or sampler.
        what: &'static str,
    },
    /// Tokens were dropped from the context in the middle of the answer, so another process could not go on with it.
    #[error(
        "the unfinished answer cannot be saved: tokens were dropped since it was begun, because the context was full (context \
         policy `shift`); it can once it has ended"
    )]
    Shifted,
}

/// What differs between a session and the context that should go on with it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Mismatch {
    /// The vocabulary differs, so token ids mean something else.
    Vocabulary {
        /// The session's.
        found: Identity,
        /// The context's.
        expected: Identity,
    },
    /// Another model with the same vocabulary: another quantization, or other weights.
    Model {
        /// The session's.
        found: Identity,
        /// The context's.
        expected: Identity,
    },
    /// The bits of results have changed since: see [`NUMERICS_VERSION`](crate::model::NUMERICS_VERSION).
    Numerics {
        /// The session's.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// Another element type of the KV cache.
    KvType {
        /// The session's.
        found: KvType,
        /// The context's.
        expected: KvType,
    },
    /// One was computed with the rotary factors for long contexts, the other without.
    LongContext {
        /// Whether the session was computed with them.
        found: bool,
    },
    /// Other adapters or scales.
    Adapters {
        /// How many the session has.
        found: usize,
        /// How many the sequence has.
        expected: usize,
    },
    /// The memory of a sequence has another layout.
    Layout,
}

impl Mismatch {
    /// Returns whether the stored tokens can be computed again here.
    pub fn can_replay(&self) -> bool {
        !matches!(self, Mismatch::Vocabulary { .. })
    }

    fn advice(&self) -> &'static str {
        if self.can_replay() {
            "; its tokens can be computed again (`Session::replay`)"
        } else {
            "; only its messages can be used, in a new session"
        }
    }
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Mismatch::Vocabulary { found, expected } => {
                write!(f, "it belongs to a model with another vocabulary ({found}, expected {expected})")
            }
            Mismatch::Model { found, expected } => {
                write!(f, "it belongs to another model file ({found}, expected {expected})")
            }
            Mismatch::Numerics { found, expected } => {
                write!(f, "it was computed by version {found} of the numerics, expected {expected}")
            }
            Mismatch::KvType { found, expected } => {
                write!(f, "its kv cache is {}, expected {}", found.name(), expected.name())
            }
            Mismatch::LongContext { found: true } => f.write_str(
                "it was computed with the rotary factors of a long context, this context is short",
            ),
            Mismatch::LongContext { found: false } => f.write_str(
                "it was computed with the rotary factors of a short context, this context is long",
            ),
            Mismatch::Adapters { found, expected } => {
                write!(
                    f,
                    "it was computed with {found} adapters, the sequence has {expected} or different ones"
                )
            }
            Mismatch::Layout => f.write_str("its memory has another layout than the context's"),
        }
    }
}

impl SessionError {
    pub(super) fn io(path: &Path, what: &'static str, error: io::Error) -> Self {
        Self::File { what, path: path.to_owned(), error }
    }

    pub(super) fn storage(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Storage { what, error }
    }

    /// Returns whether memory could not be reserved.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        match self {
            Self::File { error, .. } | Self::Storage { error, .. } => {
                error.kind() == io::ErrorKind::OutOfMemory
            }
            _ => false,
        }
    }
}

impl From<SessionError> for EngineError {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}
