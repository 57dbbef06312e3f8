//! A compiled grammar.

use crate::error::{GrammarError, PartsError, SchemaError};
use crate::halt::Meter;
use crate::limits::Limits;
use crate::parts::{self, Part};
use crate::program::Program;
use crate::schema;
use core::fmt;
use std::sync::Arc;

/// What documents a schema asks for where it is silent. In both readings what is accepted is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reading {
    /// What its writer means, so that a model makes nothing that nobody asked for: a schema of `properties` without `type` is
    /// about objects, with those properties and no others; numbers and spaces are short.
    #[default]
    Writer,
    /// What the specification says, as far as a grammar can: any type, other properties and items, whole numbers with a
    /// point, up to 40 digits, more spaces.
    Specification,
}

/// A compiled grammar: immutable, shared by all that run it. A clone is another handle on the same one.
#[derive(Clone)]
pub struct Grammar {
    program: Arc<Program>,
    limits: Arc<Limits>,
}

impl fmt::Debug for Grammar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Program { starts, nodes, .. } = &*self.program;
        f.debug_struct("Grammar")
            .field("rules", &starts.len())
            .field("nodes", &nodes.len())
            .finish_non_exhaustive()
    }
}

impl Grammar {
    /// Compiles a GBNF grammar; texts begin with its rule `root`.
    ///
    /// # Errors
    ///
    /// The first mistake, with line and column.
    ///
    /// ```
    /// use happy_grammar::Grammar;
    /// let error = Grammar::from_gbnf("root ::= \"a\" b\n").expect_err("b is missing");
    /// assert_eq!(error.to_string(), "line 1, column 14: rule 'b' is used and not defined");
    /// ```
    pub fn from_gbnf(text: &str) -> Result<Self, GrammarError> {
        Self::from_gbnf_with(text, "root", &Limits::default())
    }

    /// Compiles a GBNF grammar whose texts begin with the rule `root`, within limits.
    ///
    /// # Errors
    ///
    /// The first mistake, with line and column.
    pub fn from_gbnf_with(text: &str, root: &str, limits: &Limits) -> Result<Self, GrammarError> {
        Self::from_gbnf_cancellable(text, root, limits, &|| false)
    }

    /// The same for callers that may cancel it: `cancelled` is asked about once per millisecond of work.
    ///
    /// # Errors
    ///
    /// The first mistake, with line and column; [`GrammarErrorKind::Cancelled`](crate::GrammarErrorKind).
    pub fn from_gbnf_cancellable(
        text: &str,
        root: &str,
        limits: &Limits,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, GrammarError> {
        let program = parts::gbnf(text, root, limits, &Meter::new(cancelled))?.1;
        Ok(Self::new(program, limits))
    }

    /// Compiles a GBNF grammar some of whose rules are defined outside of its text, by what they are named there: JSON
    /// schemas, grammars with rules of their own, and text up to a string. Texts begin with the rule `root`.
    ///
    /// `Limits` hold for all parts together.
    ///
    /// # Errors
    ///
    /// The first mistake, with the part that it is in, and its place there.
    ///
    /// ```
    /// use happy_grammar::{Grammar, Part, Reading, Recognizer};
    /// let parts = [
    ///     ("thoughts", Part::Until(&["</think>"])),
    ///     ("answer", Part::Schema(r#"{"type": "integer"}"#, Reading::Writer)),
    /// ];
    /// let grammar = Grammar::from_parts("root ::= thoughts \"</think>\" [ \\n]* answer", "root", &parts)?;
    /// let mut recognizer = Recognizer::new(&grammar)?;
    /// assert!(recognizer.accepts(b"6 < 7, so: </think>\n42")?);
    /// assert!(!recognizer.accepts(b"so: </think></think>42")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_parts(text: &str, root: &str, parts: &[(&str, Part<'_>)]) -> Result<Self, PartsError> {
        Self::from_parts_cancellable(text, root, parts, &Limits::default(), &|| false)
    }

    /// The same within limits, and for callers that may cancel it: `cancelled` is asked about once per millisecond of work.
    ///
    /// # Errors
    ///
    /// The first mistake, with the part that it is in, and its place there; cancelled ([`PartsError::is_cancelled`]).
    pub fn from_parts_cancellable(
        text: &str,
        root: &str,
        parts: &[(&str, Part<'_>)],
        limits: &Limits,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, PartsError> {
        let program = parts::compile(text, root, parts, limits, &Meter::new(cancelled))?;
        Ok(Self::new(program, limits))
    }

    /// Compiles a JSON Schema (draft 2020-12) in its writer's reading: what the grammar accepts, the schema allows. The
    /// crate's documentation says what is supported and which documents are left out.
    ///
    /// # Errors
    ///
    /// What is wrong or not supported, with the place in the schema.
    ///
    /// ```
    /// use happy_grammar::Grammar;
    /// let error = Grammar::from_json_schema(r#"{"properties": {"a": {"$dynamicRef": "x"}}}"#).expect_err("not supported");
    /// assert_eq!(error.pointer(), Some("#/properties/a/$dynamicRef"));
    /// ```
    pub fn from_json_schema(text: &str) -> Result<Self, SchemaError> {
        Self::from_json_schema_with(text, Reading::default(), &Limits::default())
    }

    /// The same in either reading and within limits.
    ///
    /// # Errors
    ///
    /// What is wrong or not supported, with the place in the schema.
    pub fn from_json_schema_with(text: &str, reading: Reading, limits: &Limits) -> Result<Self, SchemaError> {
        Self::from_json_schema_cancellable(text, reading, limits, &|| false)
    }

    /// The same for callers that may cancel it: `cancelled` is asked about once per millisecond of work.
    ///
    /// # Errors
    ///
    /// What is wrong or not supported, with the place in the schema; [`SchemaErrorKind::Cancelled`](crate::SchemaErrorKind).
    pub fn from_json_schema_cancellable(
        text: &str,
        reading: Reading,
        limits: &Limits,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, SchemaError> {
        let program = schema::compile(text, reading, limits, &Meter::new(cancelled))?;
        Ok(Self::new(program, limits))
    }

    fn new(program: Program, limits: &Limits) -> Self {
        Self { program: Arc::new(program), limits: Arc::new(limits.clone()) }
    }

    /// What a schema says that the grammar does not check, with its place: a `format` that is not one of those that the crate
    /// knows, which is an annotation to JSON Schema.
    ///
    /// ```
    /// use happy_grammar::Grammar;
    /// let grammar = Grammar::from_json_schema(r#"{"type": "string", "format": "cuid"}"#)?;
    /// assert_eq!(grammar.ignored(), ["at #/format: the format \"cuid\" is not checked"]);
    /// # Ok::<(), happy_grammar::SchemaError>(())
    /// ```
    pub fn ignored(&self) -> &[String] {
        &self.program.ignored
    }

    pub(crate) fn program(&self) -> &Arc<Program> {
        &self.program
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }
}
