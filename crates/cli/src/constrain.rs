//! The options that name a form: a grammar or a JSON schema.

use crate::error::{CliError, CliResult};
use crate::input;
use clap::Args;
use happy_engine::Form;
use happy_grammar::{Grammar, Limits, Reading};
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// A grammar or a JSON schema.
#[derive(Debug, Args)]
#[command(next_help_heading = "Form of the answer")]
pub(crate) struct GrammarSource {
    /// A GBNF grammar that the text must match
    #[arg(long, value_name = "F.gbnf")]
    grammar: Option<PathBuf>,
    /// A JSON schema that the text must match
    #[arg(long, value_name = "F.json", conflicts_with = "grammar")]
    json_schema: Option<PathBuf>,
    /// Allow everything that the specification of JSON Schema allows, even what the writer of the schema probably did
    /// not mean, such as additional properties
    #[arg(long, requires = "json_schema", hide_short_help = true)]
    schema_literally: bool,
}

impl GrammarSource {
    /// The file, if one was named.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.grammar.as_deref().or(self.json_schema.as_deref())
    }

    /// Reads the form from its file and compiles it; `None` if no file was named.
    fn read(&self, root: &str) -> CliResult<Option<(Form, Grammar)>> {
        let limits = Limits::default();
        if let Some(path) = &self.grammar {
            let text = input::read_text(path)?;
            let grammar = Grammar::from_gbnf_with(&text, root, &limits).map_err(|e| wrong(path, &e))?;
            return Ok(Some((Form::gbnf(text), grammar)));
        }
        if let Some(path) = &self.json_schema {
            let reading = if self.schema_literally { Reading::Specification } else { Reading::default() };
            let text = input::read_text(path)?;
            let grammar =
                Grammar::from_json_schema_with(&text, reading, &limits).map_err(|e| wrong(path, &e))?;
            return Ok(Some((Form::json_schema_read(text, reading), grammar)));
        }
        Ok(None)
    }

    /// Returns the compiled grammar, whose texts begin with the rule `root`; `None` if no file was named.
    pub(crate) fn compile(&self, root: &str) -> CliResult<Option<Grammar>> {
        Ok(self.read(root)?.map(|(_, grammar)| grammar))
    }

    /// Returns the form for a generation, checked by compiling it; `None` if no file was named.
    pub(crate) fn form(&self) -> CliResult<Option<Form>> {
        Ok(self.read("root")?.map(|(form, _)| form))
    }
}

/// Returns an error in the file, with its place.
pub(crate) fn wrong(path: &Path, error: &dyn Display) -> CliError {
    CliError::usage(format!("`{}`: {error}", path.display()))
}
