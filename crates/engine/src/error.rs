//! Everything that can go wrong between a file and its text.

use crate::chat::{ConstraintError, OutOfMemory, TemplateError};
use crate::memory::Budget;
use crate::plan::{OverBudget, human};
use crate::reserve::text_of;
use crate::session::SessionError;
use crate::verify::ReferenceError;
use happy_gguf::FileError;
use happy_governor::ConfigError;
use happy_grammar::{
    GrammarError, GrammarErrorKind, MatchError, PartsError, SchemaError, SchemaErrorKind, VocabularyError,
};
use happy_kernels::PoolError;
use happy_kernels::isa::IsaError;
use happy_model::{AdapterError, BatchError, ForwardError, KvError, LoadError, LoadErrorKind};
use happy_sampler::SamplerError;
use happy_tokenizer::TokenizerError;

/// Why the engine could not do what it was asked for. Nothing that was there before is lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The file cannot be read or is not a GGUF file.
    #[error(transparent)]
    File(FileError),
    /// The file's model cannot be loaded.
    #[error("cannot load the model of `{path}`: {error}")]
    Load {
        /// The file.
        path: String,
        /// What is wrong with it.
        error: LoadError,
    },
    /// A file is not an adapter of the model.
    #[error("cannot load the adapter `{path}`: {error}")]
    Adapter {
        /// The file.
        path: String,
        /// What is wrong with it.
        error: AdapterError,
    },
    /// Adapters do not make a set.
    #[error(transparent)]
    AdapterSet(AdapterError),
    /// An adapter that is not written as `FILE` or `FILE=SCALE`.
    #[error("`{found}` is not FILE or FILE=SCALE: {problem}")]
    AdapterOption {
        /// What was given.
        found: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A model cannot guess what another says.
    #[error("not a draft model for this one: {problem}; both need the same vocabulary")]
    DraftModel {
        /// What is in the way.
        problem: String,
    },
    /// The file's tokenizer cannot be built.
    #[error("the tokenizer: {0}")]
    Tokenizer(TokenizerError),
    /// The model was asked for text but its file has no tokenizer.
    #[error("`{path}` has no tokenizer: token ids can be computed, text cannot")]
    NoTokenizer {
        /// The file.
        path: String,
    },
    /// A conversation was asked for but the file has no chat template.
    #[error(
        "`{path}` has no chat template, which a conversation needs: it is a base model, which continues text"
    )]
    NoTemplate {
        /// The file.
        path: String,
    },
    /// The tokenizer belongs to another model, or the file is damaged: an id could be chosen that is not a token, or a text
    /// become an id that has no embedding.
    #[error(
        "`{path}`: the tokenizer has {tokens} tokens, expected {rows}, as many as the token embedding has rows"
    )]
    VocabularySize {
        /// The file.
        path: String,
        /// Tokens of the tokenizer.
        tokens: usize,
        /// Rows of the embedding.
        rows: usize,
    },
    /// The chat template cannot be used.
    #[error("the chat template: {0}")]
    Template(TemplateError),
    /// An option has an impossible value.
    #[error("{what} is {found}, expected {expected}")]
    Option {
        /// The option.
        what: &'static str,
        /// Its value.
        found: usize,
        /// What it may be.
        expected: &'static str,
    },
    /// The instruction set cannot be used here.
    #[error(transparent)]
    Isa(#[from] IsaError),
    /// The threads could not be started.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The plan needs more memory than it may take.
    #[error(transparent)]
    OverBudget(Box<OverBudget>),
    /// The KV cache refuses.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The batch is wrong.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A step was given several tokens of a sequence.
    #[error("token {index} is another one of sequence {sequence}, expected one of each sequence")]
    SequenceRepeated {
        /// Index of the token.
        index: usize,
        /// The sequence.
        sequence: u32,
    },
    /// The model could not compute the tokens.
    #[error(transparent)]
    Forward(ForwardError),
    /// The sampler could not choose a token.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// The grammar does not fit the model's vocabulary.
    #[error("the grammar: {0}")]
    Grammar(GrammarError),
    /// The grammar cannot be followed any further within its limits.
    #[error("the grammar: {0}")]
    Match(MatchError),
    /// The vocabulary is too large for grammars.
    #[error("the grammar: {0}")]
    Vocabulary(VocabularyError),
    /// The grammar of a form or of a reply's calls is not valid.
    #[error("the grammar: {0}")]
    Parts(PartsError),
    /// The JSON schema is not valid or not supported.
    #[error("the JSON schema: {0}")]
    Schema(SchemaError),
    /// The choice of tools cannot be met.
    #[error("{0}")]
    Tools(String),
    /// There is no memory for what is made of the tools, or for the reply.
    #[error(transparent)]
    ToolMemory(#[from] OutOfMemory),
    /// The template has no place for something that was given: it would be dropped.
    #[error(
        "the chat template of `{path}` has no place for {what}, which the model would never see; leave it out, use another \
         model, or ignore what is unused (--ignore-unused)"
    )]
    Unused {
        /// The file.
        path: String,
        /// What was given.
        what: String,
    },
    /// The vocabulary that forms and tools need does not fit the memory that is left.
    #[error(
        "grammars need {} of memory, {} are left ({}); use a smaller context, or neither grammar, JSON schema nor tools",
        human(*needed), human(left.bytes), left.bound
    )]
    GrammarMemory {
        /// [`Plan::grammar_bytes`](crate::Plan::grammar_bytes).
        needed: u64,
        /// What is left, and what bounds it.
        left: Budget,
    },
    /// Nothing says how the hidden states of a text become one vector.
    #[error(
        "neither the file (key `{{architecture}}.pooling_type`) nor the options say how to pool: choose none, mean, cls, last or rank"
    )]
    NoPooling,
    /// The engine was loaded to generate text.
    #[error(
        "the model was loaded to generate text: load it with the option `embeddings` to embed or rank texts"
    )]
    NotForEmbeddings,
    /// The engine was loaded for embeddings, or its model sees texts as a whole.
    #[error(
        "the model sees texts as a whole and cannot generate: it is an encoder, or was loaded with the option `embeddings`"
    )]
    OnlyEmbeddings,
    /// A row of a batch has no logits, although it wants them.
    #[error("row {row} of the batch has no logits: please report it")]
    NoLogits {
        /// The row.
        row: usize,
    },
    /// More values of a vector were asked for than it has.
    #[error("{found} dimensions of an embedding, expected 1 to {width}")]
    Dimensions {
        /// Asked for.
        found: usize,
        /// Values of a vector.
        width: usize,
    },
    /// Documents were to be ranked by vectors.
    #[error("the embedder does not pool by `rank`: it gives vectors, and cannot rank")]
    NotRanking,
    /// A text became no tokens.
    #[error("text {index} has no tokens: at least one is needed")]
    EmptyText {
        /// Its place in what was given, from 0.
        index: usize,
    },
    /// A text has more tokens than the context.
    #[error(
        "text {index} has {tokens} tokens, the context holds {most}: truncate it, or load with a larger context if the model \
         was made for it"
    )]
    TextTooLong {
        /// Its place in what was given, from 0.
        index: usize,
        /// Its tokens.
        tokens: usize,
        /// The most tokens of a text.
        most: usize,
    },
    /// A session cannot be saved or restored.
    #[error(transparent)]
    Session(SessionError),
    /// A setting of the governor is out of range.
    #[error("the governor: {0}")]
    Governor(ConfigError),
    /// A verification file cannot be used.
    #[error(transparent)]
    Reference(ReferenceError),
    /// There is nothing to compute.
    #[error("the prompt is empty: at least one token is needed")]
    EmptyPrompt,
    /// The prompt is longer than the context has room for.
    #[error(
        "the prompt of {tokens} tokens does not fit: the context holds {context} positions, {used} of them are taken"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Positions of a sequence.
        context: usize,
        /// Positions that hold earlier tokens.
        used: usize,
    },
    /// The caller's [`Cancel`](crate::Cancel) was raised.
    #[error("cancelled")]
    Cancelled,
}

impl EngineError {
    /// Whether memory was missing: more may be free later, or a smaller context or file may fit.
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::OverBudget(_) | Self::GrammarMemory { .. } | Self::ToolMemory(_) => true,
            Self::Template(error) => matches!(error, TemplateError::OutOfMemory { .. }),
            Self::File(FileError::Io { error, .. }) => error.kind() == std::io::ErrorKind::OutOfMemory,
            Self::Load { error, .. } => error.kind() == LoadErrorKind::Memory,
            Self::Adapter { error, .. } | Self::AdapterSet(error) => {
                matches!(error, AdapterError::Memory { .. })
            }
            Self::Kv(error) | Self::Forward(ForwardError::Kv(error)) => {
                matches!(error, KvError::Memory { .. })
            }
            Self::Tokenizer(error) => matches!(error, TokenizerError::OutOfMemory { .. }),
            Self::Vocabulary(error) => matches!(error, VocabularyError::OutOfMemory),
            Self::Match(error) => matches!(error, MatchError::OutOfMemory),
            Self::Session(error) => error.is_out_of_memory(),
            Self::Grammar(error)
            | Self::Parts(
                PartsError::Grammar(error) | PartsError::Gbnf { error, .. } | PartsError::Until { error, .. },
            ) => error.kind() == GrammarErrorKind::OutOfMemory,
            Self::Schema(error) | Self::Parts(PartsError::Schema { error, .. }) => {
                error.kind() == SchemaErrorKind::OutOfMemory
            }
            _ => false,
        }
    }
}

/// What was cancelled in another crate is [`EngineError::Cancelled`]; every other error of it is in a variant of its own.
macro_rules! from {
    ($($variant:ident($error:ty) unless $is_cancelled:expr;)*) => {$(
        impl From<$error> for EngineError {
            fn from(error: $error) -> Self {
                let is_cancelled: fn(&$error) -> bool = $is_cancelled;
                if is_cancelled(&error) { Self::Cancelled } else { Self::$variant(error) }
            }
        }
    )*};
}

from! {
    File(FileError) unless |error| matches!(error, FileError::Cancelled { .. });
    Tokenizer(TokenizerError) unless |error| matches!(error, TokenizerError::Cancelled);
    Template(TemplateError) unless |error| matches!(error, TemplateError::Cancelled);
    Vocabulary(VocabularyError) unless |error| matches!(error, VocabularyError::Cancelled);
    Grammar(GrammarError) unless |error| error.kind() == GrammarErrorKind::Cancelled;
    Schema(SchemaError) unless |error| error.kind() == SchemaErrorKind::Cancelled;
    Parts(PartsError) unless PartsError::is_cancelled;
    Match(MatchError) unless |error| matches!(error, MatchError::Cancelled);
    Forward(ForwardError) unless |error| matches!(error, ForwardError::Cancelled);
}

impl From<ConstraintError> for EngineError {
    fn from(error: ConstraintError) -> Self {
        match error {
            ConstraintError::OutOfMemory(error) => Self::ToolMemory(error),
            error => text_of(&error, "the names of the tools").map_or_else(|refused| refused, Self::Tools),
        }
    }
}
