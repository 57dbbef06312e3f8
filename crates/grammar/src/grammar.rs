//! A compiled grammar.

use crate::error::{GrammarError, GrammarErrorKind, SchemaError};
use crate::limits::Limits;
use crate::program::{self, Program};
use crate::{gbnf, prune, schema};
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
        let rules = gbnf::parse(text, root, limits)?;
        // All rules are checked, also those that are left out because no text of theirs ends.
        let mut program = program::build(&rules, limits)?;
        let place = rules.rules[rules.root as usize].place;
        match prune::prune(rules.clone()) {
            Some(pruned) if pruned == rules => {}
            Some(pruned) => program = program::build(&pruned, limits)?,
            None => {
                let message = format!("no text that begins with the rule '{root}' ever ends");
                return Err(GrammarError::new(GrammarErrorKind::Endless, place, message));
            }
        }
        Ok(Self { program: Arc::new(program), limits: Arc::new(limits.clone()) })
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
    /// let error = Grammar::from_json_schema(r#"{"properties": {"a": {"format": "x"}}}"#).expect_err("not supported");
    /// assert_eq!(error.pointer(), Some("#/properties/a/format"));
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
        let program = schema::compile(text, reading, limits)?;
        Ok(Self { program: Arc::new(program), limits: Arc::new(limits.clone()) })
    }

    pub(crate) fn program(&self) -> &Arc<Program> {
        &self.program
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }
}
