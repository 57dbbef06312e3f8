//! A compiled grammar.

use crate::error::{GrammarError, SchemaError};
use crate::limits::Limits;
use crate::program::{self, Program};
use crate::{gbnf, schema};
use std::sync::Arc;

/// A compiled grammar: immutable, shared by all that run it. A clone is another handle on the same one.
#[derive(Debug, Clone)]
pub struct Grammar {
    program: Arc<Program>,
    limits: Arc<Limits>,
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
        let program = program::build(&gbnf::parse(text, root, limits)?, limits)?;
        Ok(Self { program: Arc::new(program), limits: Arc::new(limits.clone()) })
    }

    /// Compiles a JSON Schema (draft 2020-12): what the grammar accepts, the schema allows. The crate's documentation says
    /// what is supported and which documents are left out.
    ///
    /// # Errors
    ///
    /// What is wrong or not supported, with the place in the schema.
    ///
    /// ```
    /// use happy_grammar::Grammar;
    /// let error = Grammar::from_json_schema(r#"{"properties": {"a": {"contains": {}}}}"#).expect_err("not supported");
    /// assert_eq!(error.pointer(), Some("#/properties/a/contains"));
    /// ```
    pub fn from_json_schema(text: &str) -> Result<Self, SchemaError> {
        Self::from_json_schema_with(text, &Limits::default())
    }

    /// The same within limits.
    ///
    /// # Errors
    ///
    /// What is wrong or not supported, with the place in the schema.
    pub fn from_json_schema_with(text: &str, limits: &Limits) -> Result<Self, SchemaError> {
        let program = schema::compile(text, limits)?;
        Ok(Self { program: Arc::new(program), limits: Arc::new(limits.clone()) })
    }

    pub(crate) fn program(&self) -> &Arc<Program> {
        &self.program
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }
}
