//! A compiled grammar.

use crate::error::{GrammarError, PartsError, SchemaError};
use crate::halt::Meter;
use crate::limits::Limits;
use crate::parts::{self, Part};
use crate::program::Program;
use crate::schema;
use core::fmt;
use std::sync::Arc;

/// How a schema is read where it says nothing. In both readings, every accepted document is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reading {
    /// What the schema's writer means, so that a model adds nothing that was not asked for. A schema with `properties`
    /// but without `type` describes objects with those properties and no others; numbers and whitespace are short.
    #[default]
    Writer,
    /// What the specification allows, as far as a grammar can: any type, additional properties and items, whole numbers
    /// with a decimal point, up to 40 digits, and more whitespace.
    Specification,
}

/// A compiled grammar: immutable, and shared by everything that runs it. A clone is another handle to the same grammar.
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
    /// Compiles a GBNF grammar. Texts start from its rule `root`.
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

    /// Compiles a GBNF grammar whose texts start from the rule `root`, within limits.
    ///
    /// # Errors
    ///
    /// The first mistake, with line and column.
    pub fn from_gbnf_with(text: &str, root: &str, limits: &Limits) -> Result<Self, GrammarError> {
        Self::from_gbnf_cancellable(text, root, limits, &|| false)
    }

    /// Like [`Grammar::from_gbnf_with`], but can be cancelled: `cancelled` is called about once per millisecond of
    /// work.
    ///
    /// # Errors
    ///
    /// The first mistake, with line and column, or [`GrammarErrorKind::Cancelled`](crate::GrammarErrorKind).
    pub fn from_gbnf_cancellable(
        text: &str,
        root: &str,
        limits: &Limits,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, GrammarError> {
        let program = parts::gbnf(text, root, limits, &Meter::new(cancelled))?.1;
        Ok(Self::new(program, limits))
    }

    /// Compiles a GBNF grammar in which some rules are defined by parts outside its text: JSON schemas, grammars with
    /// rules of their own, and text up to a string. Each part has the name by which the text refers to it. Texts start
    /// from the rule `root`.
    ///
    /// The default `Limits` apply to all parts together.
    ///
    /// # Errors
    ///
    /// The first mistake, with the part that contains it and its place there.
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

    /// Like [`Grammar::from_parts`], within limits, and can be cancelled: `cancelled` is called about once per
    /// millisecond of work.
    ///
    /// # Errors
    ///
    /// The first mistake, with the part that contains it and its place there; or cancelled
    /// ([`PartsError::is_cancelled`]).
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

    /// Compiles a JSON Schema (draft 2020-12) in its writer's reading. The schema allows every document that the
    /// grammar accepts. The crate's documentation lists what is supported and which valid documents are not accepted.
    ///
    /// # Errors
    ///
    /// What is wrong or not supported, with its place in the schema.
    ///
    /// ```
    /// use happy_grammar::Grammar;
    /// let error = Grammar::from_json_schema(r#"{"properties": {"a": {"$dynamicRef": "x"}}}"#).expect_err("not supported");
    /// assert_eq!(error.pointer(), Some("#/properties/a/$dynamicRef"));
    /// ```
    pub fn from_json_schema(text: &str) -> Result<Self, SchemaError> {
        Self::from_json_schema_with(text, Reading::default(), &Limits::default())
    }

    /// Like [`Grammar::from_json_schema`], in either reading and within limits.
    ///
    /// # Errors
    ///
    /// What is wrong or not supported, with its place in the schema.
    pub fn from_json_schema_with(text: &str, reading: Reading, limits: &Limits) -> Result<Self, SchemaError> {
        Self::from_json_schema_cancellable(text, reading, limits, &|| false)
    }

    /// Like [`Grammar::from_json_schema_with`], but can be cancelled: `cancelled` is called about once per millisecond
    /// of work.
    ///
    /// # Errors
    ///
    /// What is wrong or not supported, with its place in the schema; or
    /// [`SchemaErrorKind::Cancelled`](crate::SchemaErrorKind).
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

    /// Returns the constraints of the schema that the grammar does not check, each with its place: `format`s that the crate does
    /// not know, which JSON Schema treats as annotations.
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
