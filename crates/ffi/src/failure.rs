//! Why a call failed: a status and a message.

use crate::status::Status;
use happy_engine::EngineError;
use happy_engine::chat::TemplateError;
use happy_engine::session::SessionError;
use happy_gguf::FileError;
use happy_kernels::isa::IsaError;
use happy_model::{BatchError, ForwardError, KvError};
use happy_tokenizer::TokenizerError;
use std::fmt;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the caller can do.
    pub status: Status,
    /// The message: what, where, expected, found.
    pub message: String,
}

/// The result of everything here.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// Makes a failure.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// A wrong argument.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(Status::InvalidArgument, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        use EngineError as E;
        let status = match &error {
            error if error.is_out_of_memory() => Status::Memory,
            E::File(file) => status_of_file(file),
            E::Load { .. } | E::VocabularySize { .. } | E::Adapter { .. } => Status::Model,
            E::Tokenizer(_) | E::NoTokenizer { .. } => Status::Tokenizer,
            E::Template(_) | E::Unused { .. } => Status::Template,
            E::AdapterOption { .. } | E::AdapterSet(_) => Status::InvalidArgument,
            E::NoPooling
            | E::NotForEmbeddings
            | E::OnlyEmbeddings
            | E::Dimensions { .. }
            | E::NotRanking
            | E::EmptyText { .. } => Status::InvalidArgument,
            E::Option { .. } | E::EmptyPrompt | E::Sampler(_) | E::Tools(_) => Status::InvalidArgument,
            E::Governor(_) | E::Reference(_) => Status::InvalidArgument,
            E::Isa(_) => Status::Unsupported,
            E::Pool(_) => Status::System,
            E::Kv(kv) | E::Forward(ForwardError::Kv(kv)) => status_of_kv(kv),
            E::Forward(ForwardError::NonFinite { .. } | ForwardError::NoClassifier { .. }) => Status::Model,
            E::Grammar(_) | E::Parts(_) | E::Schema(_) | E::Match(_) | E::Vocabulary(_) => Status::Grammar,
            E::PromptTooLong { .. } | E::TextTooLong { .. } => Status::ContextFull,
            E::Cancelled => Status::Cancelled,
            E::Session(session) => status_of_session(session),
            // An id that somebody gave, or that a text became.
            E::Batch(
                BatchError::Token { .. } | BatchError::AdapterRank { .. } | BatchError::OtherAdapters,
            )
            | E::Forward(ForwardError::Batch(BatchError::Token { .. })) => Status::InvalidArgument,
            // The library makes the batches: what else is wrong with one is its own mistake.
            _ => Status::Internal,
        };
        Self::new(status, error.to_string())
    }
}

impl From<TokenizerError> for Failure {
    fn from(error: TokenizerError) -> Self {
        EngineError::from(error).into()
    }
}

impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Self {
        EngineError::from(error).into()
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        EngineError::from(error).into()
    }
}

impl From<IsaError> for Failure {
    fn from(error: IsaError) -> Self {
        EngineError::from(error).into()
    }
}

fn status_of_file(error: &FileError) -> Status {
    match error {
        FileError::Io { .. } | FileError::Map { .. } => Status::File,
        FileError::Cancelled { .. } => Status::Cancelled,
        _ => Status::Model,
    }
}

fn status_of_session(error: &SessionError) -> Status {
    match error {
        SessionError::File { .. } | SessionError::Storage { .. } => Status::File,
        SessionError::Other { mismatch } if mismatch.can_replay() => Status::Replay,
        SessionError::TooLong { .. } => Status::ContextFull,
        SessionError::UnknownAdapter => Status::Internal,
        _ => Status::SessionFile,
    }
}

fn status_of_kv(error: &KvError) -> Status {
    match error {
        KvError::Context { .. } | KvError::Full { .. } => Status::ContextFull,
        KvError::Quantized { .. } | KvError::Shift { .. } => Status::InvalidArgument,
        _ => Status::Internal,
    }
}
