//! The options that name a grammar.

use crate::error::{CliError, CliResult};
use crate::input;
use clap::Args;
use happy_engine::{Constraint, Engine};
use happy_grammar::{Grammar, Limits, Reading};
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// A grammar or a JSON schema.
#[derive(Debug, Args)]
pub(crate) struct GrammarSource {
    /// A GBNF grammar that the text must match
    #[arg(long, value_name = "F.gbnf")]
    grammar: Option<PathBuf>,
    /// A JSON schema that the text must match
    #[arg(long, value_name = "F.json", conflicts_with = "grammar")]
    json_schema: Option<PathBuf>,
    /// Take all that the schema allows by its specification: what its writer did not think of, too
    #[arg(long, requires = "json_schema")]
    schema_literally: bool,
}

impl GrammarSource {
    /// The file, if one was named.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.grammar.as_deref().or(self.json_schema.as_deref())
    }

    /// The compiled grammar, whose texts begin with the rule `root`; `None` if no file was named.
    pub(crate) fn compile(&self, root: &str) -> CliResult<Option<Grammar>> {
        if let Some(path) = &self.grammar {
            let grammar = Grammar::from_gbnf_with(&input::read_text(path)?, root, &Limits::default());
            return grammar.map(Some).map_err(|e| wrong(path, &e));
        }
        if let Some(path) = &self.json_schema {
            let reading = if self.schema_literally { Reading::Specification } else { Reading::default() };
            let text = input::read_text(path)?;
            let grammar = Grammar::from_json_schema_with(&text, reading, &Limits::default());
            return grammar.map(Some).map_err(|e| wrong(path, &e));
        }
        Ok(None)
    }
}

/// An error in the file, whose text has the place.
pub(crate) fn wrong(path: &Path, error: &dyn Display) -> CliError {
    CliError::usage(format!("`{}`: {error}", path.display()))
}

/// The constraint of a compiled grammar for a model.
pub(crate) fn constraint(engine: &Engine, grammar: Option<&Grammar>) -> CliResult<Option<Constraint>> {
    grammar.map(|grammar| Ok(Constraint::new(grammar, &engine.vocabulary()?)?)).transpose()
}
