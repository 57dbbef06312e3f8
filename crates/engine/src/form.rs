//! What a text must match, as the caller writes it.

use crate::EngineError;
use crate::reserve::copied_text;
use happy_grammar::Reading;

/// What a generated text must match: a grammar or a JSON schema, as text. Compiled when a generation begins; the engine
/// keeps the last few, so that a form that is used turn after turn is compiled once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// A grammar in GBNF.
    Gbnf {
        /// The grammar. The generated text matches its rule `root`.
        text: String,
    },
    /// A JSON schema (draft 2020-12).
    JsonSchema {
        /// The schema.
        text: String,
        /// What the schema means if it leaves something open.
        reading: Reading,
    },
}

impl Form {
    /// Makes a form of a GBNF grammar with a rule `root`.
    pub fn gbnf(text: impl Into<String>) -> Self {
        Self::Gbnf { text: text.into() }
    }

    /// Makes a form of a JSON schema, read as its writer means it ([`Reading::Writer`]).
    pub fn json_schema(text: impl Into<String>) -> Self {
        Self::json_schema_read(text, Reading::default())
    }

    /// A copy, unless memory is refused.
    pub(crate) fn copied(&self) -> Result<Self, EngineError> {
        let copy = |text| copied_text(text, "the form of the answer");
        Ok(match self {
            Self::Gbnf { text } => Self::Gbnf { text: copy(text)? },
            Self::JsonSchema { text, reading } => Self::JsonSchema { text: copy(text)?, reading: *reading },
        })
    }

    /// Makes a form of a JSON schema, in either reading.
    pub fn json_schema_read(text: impl Into<String>, reading: Reading) -> Self {
        Self::JsonSchema { text: text.into(), reading }
    }
}
