//! Everything that can go wrong between a file and its text.

use crate::chat::TemplateError;
use crate::plan::OverBudget;
use happy_gguf::FileError;
use happy_grammar::{GrammarError, MatchError, VocabularyError};
use happy_kernels::PoolError;
use happy_kernels::isa::IsaError;
use happy_model::{BatchError, ForwardError, KvError, LoadError};
use happy_sampler::SamplerError;
use happy_tokenizer::TokenizerError;

/// Why the engine could not do what it was asked for. Nothing that was there before is lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The file cannot be read or is not a GGUF file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file's model cannot be loaded.
    #[error("cannot load the model of `{path}`: {source}")]
    Load {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: LoadError,
    },
    /// The file's tokenizer cannot be built.
    #[error("the tokenizer: {0}")]
    Tokenizer(#[from] TokenizerError),
    /// The model was asked for text but its file has no tokenizer.
    #[error("`{path}` has no tokenizer: token ids can be computed, text cannot")]
    NoTokenizer {
        /// The file.
        path: String,
    },
    /// The chat template cannot be used.
    #[error("the chat template: {0}")]
    Template(#[from] TemplateError),
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
    /// The model could not compute the tokens.
    #[error(transparent)]
    Forward(ForwardError),
    /// The sampler could not choose a token.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// The grammar does not fit the model's vocabulary.
    #[error("the grammar: {0}")]
    Grammar(#[from] GrammarError),
    /// The grammar cannot be followed any further within its limits.
    #[error("the grammar: {0}")]
    Match(#[from] MatchError),
    /// The vocabulary is too large for grammars.
    #[error("the grammar: {0}")]
    Vocabulary(#[from] VocabularyError),
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

impl From<ForwardError> for EngineError {
    fn from(error: ForwardError) -> Self {
        match error {
            ForwardError::Cancelled => EngineError::Cancelled,
            error => EngineError::Forward(error),
        }
    }
}
