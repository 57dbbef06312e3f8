//! The errors of the command: its messages and exit codes.

use clap::error::{ContextKind, ContextValue};
use core::fmt;
use happy_engine::EngineError;
use std::io;

/// A failure with one clear sentence.
#[derive(Debug)]
pub(crate) struct CliError {
    code: u8,
    message: String,
    closed_pipe: bool,
}

pub(crate) type CliResult<T = ()> = Result<T, CliError>;

impl CliError {
    /// The command line asks for something impossible: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into(), closed_pipe: false }
    }

    /// Anything else: exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into(), closed_pipe: false }
    }

    /// The reply ended before what was asked for was complete: exit code 3.
    pub(crate) fn unfinished(message: impl Into<String>) -> Self {
        Self { code: 3, message: message.into(), closed_pipe: false }
    }

    /// This device computes different results from the one it was compared with: exit code 4.
    pub(crate) fn differs(message: impl Into<String>) -> Self {
        Self { code: 4, message: message.into(), closed_pipe: false }
    }

    /// Returns the error of a file that cannot be read or written.
    pub(crate) fn io(doing: &str, path: impl fmt::Display, error: &io::Error) -> Self {
        Self::new(format!("cannot {doing} `{path}`: {error}"))
    }

    /// Arguments that do not parse.
    pub(crate) fn command_line(error: &clap::Error) -> Self {
        Self::usage(format!("{} (--help shows the options)", said(error)))
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// The reader of our output has closed it, which ends the command without a message.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        self.closed_pipe
    }
}

/// Turns clap's message of several lines into one sentence.
pub(crate) fn said(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim);
    let said: Vec<String> = lines
        .take_while(|l| !l.starts_with("Usage:") && !l.starts_with("For more information"))
        .filter(|l| !l.is_empty() && is_helpful(l, error))
        .map(|l| l.strip_prefix("tip: ").map_or(l.to_owned(), |tip| format!("({tip})")))
        .collect();
    let said = said.join(" ");
    said.strip_prefix("error: ").unwrap_or(&said).to_owned()
}

/// Returns whether a line of clap's is more than a guess: `cpu` for `pull`, or `-- --foo` for an unknown option.
fn is_helpful(line: &str, error: &clap::Error) -> bool {
    let name = |kind| match error.get(kind) {
        Some(ContextValue::String(name)) => Some(name.clone()),
        Some(ContextValue::Strings(names)) => names.first().cloned(),
        _ => None,
    };
    if line.starts_with("tip: to pass") {
        return false;
    }
    match (name(ContextKind::InvalidSubcommand), name(ContextKind::SuggestedSubcommand)) {
        (Some(typed), Some(tip)) if line.starts_with("tip:") => typed.get(..2) == tip.get(..2),
        _ => true,
    }
}

impl fmt::Display for CliError {
    /// Returns the sentence in one line, whatever it quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.message.lines().map(str::trim).filter(|l| !l.is_empty());
        f.write_str(lines.next().unwrap_or("unknown"))?;
        lines.try_for_each(|line| write!(f, " {line}"))
    }
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Option { .. } | EngineError::Isa(_) | EngineError::Tools(_) => {
                Self::usage(error.to_string())
            }
            error => Self::new(error.to_string()),
        }
    }
}

/// Writing to standard output failed.
impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        let closed_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        Self { closed_pipe, ..Self::new(format!("cannot write the output: {error}")) }
    }
}

/// Writing JSON to standard output failed: the values themselves always have a JSON form.
impl From<serde_json::Error> for CliError {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}

macro_rules! from_display {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for CliError {
            fn from(error: $error) -> Self {
                Self::new(error.to_string())
            }
        })*
    };
}
from_display!(
    happy_gguf::FileError,
    happy_gguf::WriteError,
    happy_tokenizer::TokenizerError,
    happy_sampler::SamplerError,
    happy_engine::chat::TemplateError,
    happy_engine::chat::OutOfMemory,
    happy_model::BatchError,
    happy_quantize::QuantizeError,
    happy_convert::ConvertError,
    happy_hub::Error,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(CliError::new("line 1\n  line 2\n\nline 3\n").to_string(), "line 1 line 2 line 3");
    }

    #[test]
    fn what_clap_says_becomes_one_sentence() {
        let command = clap::Command::new("x")
            .arg(clap::Arg::new("kind").long("kind").required(true).value_parser(["a", "b"]))
            .subcommands(["cpu", "quantize"].map(clap::Command::new));
        let said = |args: &[&str]| {
            command.clone().try_get_matches_from(args).map_err(|e| CliError::command_line(&e).to_string())
        };
        let missing = said(&["x"]).err();
        assert_eq!(
            missing.as_deref(),
            Some(
                "the following required arguments were not provided: --kind <kind> (--help shows the options)"
            )
        );
        let wrong = said(&["x", "--kind", "c"]).err();
        assert_eq!(
            wrong.as_deref(),
            Some("invalid value 'c' for '--kind <kind>' [possible values: a, b] (--help shows the options)")
        );
        let tips = [
            (&["x", "--kind", "a", "pull"][..], "unrecognized subcommand 'pull'"),
            (
                &["x", "quantizs"],
                "unrecognized subcommand 'quantizs' (a similar subcommand exists: 'quantize')",
            ),
            (
                &["x", "--kinb", "a"],
                "unexpected argument '--kinb' found (a similar argument exists: '--kind')",
            ),
            (&["x", "--other"], "unexpected argument '--other' found"),
        ];
        for (args, expect) in tips {
            let expect = format!("{expect} (--help shows the options)");
            assert_eq!(said(args).err().as_deref(), Some(expect.as_str()));
        }
    }
}
