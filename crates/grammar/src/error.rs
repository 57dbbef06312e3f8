//! The errors of the crate: what is wrong, where, and what was expected.

use crate::halt::Halt;
use core::fmt;

/// What is wrong with a grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrammarErrorKind {
    /// The text is not GBNF.
    Syntax,
    /// A rule is used but not defined.
    UndefinedRule,
    /// A rule is defined twice.
    DuplicateRule,
    /// The rule to start from is not defined.
    MissingRoot,
    /// A rule begins with itself.
    LeftRecursion,
    /// Every text of the grammar would be endless.
    Endless,
    /// The vocabulary does not have a token that the grammar names.
    UnknownToken,
    /// The grammar exceeds a bound of [`Limits`](crate::Limits).
    Limit,
    /// The caller cancelled the work.
    Cancelled,
    /// Memory was refused.
    OutOfMemory,
}

/// Why a grammar cannot be built: what is wrong, and at which line and column (both from 1; columns count characters).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrammarError {
    kind: GrammarErrorKind,
    place: Option<Place>,
    message: String,
}

/// A position in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl From<MatchError> for GrammarError {
    fn from(error: MatchError) -> Self {
        let kind = match error {
            MatchError::Cancelled => GrammarErrorKind::Cancelled,
            MatchError::OutOfMemory => GrammarErrorKind::OutOfMemory,
            _ => GrammarErrorKind::Limit,
        };
        Self::new(kind, None, error.to_string())
    }
}

impl GrammarError {
    pub(crate) fn new(kind: GrammarErrorKind, place: Option<Place>, message: impl Into<String>) -> Self {
        Self { kind, place, message: message.into() }
    }

    /// Returns what is wrong with the grammar.
    pub fn kind(&self) -> GrammarErrorKind {
        self.kind
    }

    /// Returns the line, from 1; `None` if the error has no place in the text.
    pub fn line(&self) -> Option<u32> {
        self.place.map(|place| place.line)
    }

    /// Returns the column, from 1, in characters; `None` if the error has no place in the text.
    pub fn column(&self) -> Option<u32> {
        self.place.map(|place| place.column)
    }

    /// Returns the message without the position.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for GrammarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { line, column }) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl core::error::Error for GrammarError {}

impl From<Halt> for GrammarError {
    fn from(halt: Halt) -> Self {
        let kind = match halt {
            Halt::Cancelled => GrammarErrorKind::Cancelled,
            Halt::OutOfMemory => GrammarErrorKind::OutOfMemory,
        };
        Self::new(kind, None, halt.message())
    }
}

/// Why a schema cannot become a grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaErrorKind {
    /// The text is not JSON, or a keyword has a value that JSON Schema does not allow.
    Malformed,
    /// A keyword, or a use of it, is not supported. Ignoring it would accept invalid documents.
    Unsupported,
    /// A `$ref` leads nowhere, or only back to itself.
    Reference,
    /// No document can satisfy the schema.
    Unsatisfiable,
    /// The schema exceeds a bound of [`Limits`](crate::Limits).
    Limit,
    /// The caller cancelled the work.
    Cancelled,
    /// Memory was refused.
    OutOfMemory,
}

/// Why a schema cannot become a grammar: what is wrong, and where in the schema (a JSON pointer as a URI fragment).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaError {
    kind: SchemaErrorKind,
    pointer: Option<String>,
    message: String,
}

impl SchemaError {
    pub(crate) fn new(kind: SchemaErrorKind, pointer: Option<String>, message: impl Into<String>) -> Self {
        Self { kind, pointer, message: message.into() }
    }

    /// Returns why the schema was refused.
    pub fn kind(&self) -> SchemaErrorKind {
        self.kind
    }

    /// Returns the place in the schema, such as `#/properties/a`. `None` if the text itself is not JSON; the message then has
    /// line and column.
    pub fn pointer(&self) -> Option<&str> {
        self.pointer.as_deref()
    }

    /// Returns the message without the place.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(pointer) = &self.pointer {
            write!(f, "at {pointer}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl core::error::Error for SchemaError {}

impl From<Halt> for SchemaError {
    fn from(halt: Halt) -> Self {
        let kind = match halt {
            Halt::Cancelled => SchemaErrorKind::Cancelled,
            Halt::OutOfMemory => SchemaErrorKind::OutOfMemory,
        };
        Self::new(kind, None, halt.message())
    }
}

/// Why a grammar of parts cannot be built: which part is at fault, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartsError {
    /// The error is in the text that names the parts, or in all parts together (limits, memory, cancellation).
    #[error("{0}")]
    Grammar(GrammarError),
    /// The error is in a part that is a GBNF grammar.
    #[error("part '{part}': {error}")]
    Gbnf {
        /// The part's name.
        part: String,
        /// What is wrong; lines count in the part's own text.
        error: GrammarError,
    },
    /// The error is in a part that is a JSON schema.
    #[error("part '{part}': {error}")]
    Schema {
        /// The part's name.
        part: String,
        /// What is wrong, with the place in the schema.
        error: SchemaError,
    },
    /// The error is in a part that is a list of strings.
    #[error("part '{part}': {error}")]
    Until {
        /// The part's name.
        part: String,
        /// What is wrong with the list. An empty string has the kind [`Syntax`](GrammarErrorKind::Syntax).
        error: GrammarError,
    },
}

impl PartsError {
    /// Returns the name of the part at fault; `None` for the text around the parts, or for all parts together.
    pub fn part(&self) -> Option<&str> {
        match self {
            Self::Grammar(_) => None,
            Self::Gbnf { part, .. } | Self::Schema { part, .. } | Self::Until { part, .. } => Some(part),
        }
    }

    /// Returns whether the caller cancelled the operation.
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Grammar(error) | Self::Gbnf { error, .. } | Self::Until { error, .. } => {
                error.kind() == GrammarErrorKind::Cancelled
            }
            Self::Schema { error, .. } => error.kind() == SchemaErrorKind::Cancelled,
        }
    }
}

/// Why a matcher or recognizer stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatchError {
    /// The grammar does not allow the token here. The state is unchanged.
    #[error("token {token} is not allowed here")]
    NotAllowed {
        /// The token.
        token: u32,
    },
    /// The vocabulary has no such token.
    #[error("token {token} is not in the vocabulary of {vocabulary} tokens")]
    UnknownToken {
        /// The token.
        token: u32,
        /// The number of tokens in the vocabulary.
        vocabulary: usize,
    },
    /// More tokens were to be taken back than were accepted.
    #[error("cannot take back {asked} tokens: {accepted} were accepted")]
    Rollback {
        /// The number of tokens to take back.
        asked: usize,
        /// The number of accepted tokens.
        accepted: usize,
    },
    /// A limit is reached, because the grammar is too ambiguous or the text too deeply nested.
    #[error("the machine needs more than {limit} {what} (Limits::{name})")]
    Limit {
        /// What exceeds the limit.
        what: &'static str,
        /// The name of the field of [`Limits`](crate::Limits).
        name: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The caller cancelled the operation. The state is unchanged.
    #[error("{}", Halt::CANCELLED)]
    Cancelled,
    /// Memory was refused. The state is unchanged.
    #[error("{}", Halt::OUT_OF_MEMORY)]
    OutOfMemory,
}

impl From<Halt> for MatchError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Cancelled => Self::Cancelled,
            Halt::OutOfMemory => Self::OutOfMemory,
        }
    }
}
