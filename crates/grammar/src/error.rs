//! What goes wrong, where, and what was expected.

use crate::halt::Halt;
use core::fmt;

/// What kind of mistake a grammar has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrammarErrorKind {
    /// The text is not GBNF.
    Syntax,
    /// A rule is used and not defined.
    UndefinedRule,
    /// A rule is defined twice.
    DuplicateRule,
    /// The rule to start from is not defined.
    MissingRoot,
    /// A rule begins with itself.
    LeftRecursion,
    /// No text of the grammar ever ends.
    Endless,
    /// A token that the vocabulary does not have.
    UnknownToken,
    /// Something is beyond its limit in [`Limits`](crate::Limits).
    Limit,
    /// The caller cancelled the work.
    Cancelled,
    /// There is not enough memory.
    OutOfMemory,
}

/// A grammar that cannot be built: what, and at which line and column (both from 1; columns count characters).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrammarError {
    kind: GrammarErrorKind,
    place: Option<Place>,
    message: String,
}

/// A place in a text.
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

    /// What kind of mistake it is.
    pub fn kind(&self) -> GrammarErrorKind {
        self.kind
    }

    /// The line, from 1, where the mistake belongs to one.
    pub fn line(&self) -> Option<u32> {
        self.place.map(|place| place.line)
    }

    /// The column, from 1, in characters.
    pub fn column(&self) -> Option<u32> {
        self.place.map(|place| place.column)
    }

    /// The message without the place.
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
    /// The text is no JSON, or a keyword has a value that JSON Schema does not allow.
    Malformed,
    /// A keyword, or a use of it, that is not supported: building on would let wrong documents through.
    Unsupported,
    /// A `$ref` that leads nowhere, or only back to itself.
    Reference,
    /// No document can satisfy the schema.
    Unsatisfiable,
    /// Something is beyond its limit in [`Limits`](crate::Limits).
    Limit,
    /// The caller cancelled the work.
    Cancelled,
    /// There is not enough memory.
    OutOfMemory,
}

/// A schema that cannot become a grammar: what, and where in the schema (a JSON pointer as a URI fragment).
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

    /// Why.
    pub fn kind(&self) -> SchemaErrorKind {
        self.kind
    }

    /// Where: `#/properties/a` and the like. `None` where the text itself is no JSON; the message has line and column then.
    pub fn pointer(&self) -> Option<&str> {
        self.pointer.as_deref()
    }

    /// The message without the place.
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

/// A grammar of parts that cannot be built: which part, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartsError {
    /// The text in which the parts are named, or all of it together (limits, no memory, cancelled).
    #[error("{0}")]
    Grammar(GrammarError),
    /// A part that is a GBNF grammar.
    #[error("part '{part}': {error}")]
    Gbnf {
        /// The part's name.
        part: String,
        /// What is wrong, with the line in the part's own text.
        error: GrammarError,
    },
    /// A part that is a JSON schema.
    #[error("part '{part}': {error}")]
    Schema {
        /// The part's name.
        part: String,
        /// What is wrong, with the place in the schema.
        error: SchemaError,
    },
    /// A list of strings that text goes up to.
    #[error("part '{part}': {error}")]
    Until {
        /// The part's name.
        part: String,
        /// What is wrong with the list: an empty string is [`Syntax`](GrammarErrorKind::Syntax).
        error: GrammarError,
    },
}

impl PartsError {
    /// The part that cannot be built; `None` for the text around the parts, or all of it together.
    pub fn part(&self) -> Option<&str> {
        match self {
            Self::Grammar(_) => None,
            Self::Gbnf { part, .. } | Self::Schema { part, .. } | Self::Until { part, .. } => Some(part),
        }
    }

    /// Whether the caller cancelled the work.
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Grammar(error) | Self::Gbnf { error, .. } | Self::Until { error, .. } => {
                error.kind() == GrammarErrorKind::Cancelled
            }
            Self::Schema { error, .. } => error.kind() == SchemaErrorKind::Cancelled,
        }
    }
}

/// Why a machine does not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatchError {
    /// The grammar does not allow the token here; the state is unchanged.
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
        /// How many tokens there are.
        vocabulary: usize,
    },
    /// More tokens were to be taken back than were accepted.
    #[error("cannot take back {asked} tokens: {accepted} were accepted")]
    Rollback {
        /// How many were asked for.
        asked: usize,
        /// How many there are.
        accepted: usize,
    },
    /// The grammar is so ambiguous, or the text so deep, that a limit is reached.
    #[error("the machine needs more than {limit} {what} (Limits::{name})")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The field of [`Limits`](crate::Limits).
        name: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The caller cancelled the work; the state is unchanged.
    #[error("{}", Halt::CANCELLED)]
    Cancelled,
    /// There is not enough memory; the state is unchanged.
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
