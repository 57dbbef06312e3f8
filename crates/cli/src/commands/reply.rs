//! `happy reply`: splits a model's reply into its parts, as JSON.

use crate::error::{CliError, CliResult};
use crate::input;
use clap::{ArgGroup, Args};
use happy_engine::chat::{ReplyFormat, ReplyParser};
use std::io::Write;
use std::path::PathBuf;

/// Options of `happy reply`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true))]
pub(crate) struct ReplyArgs {
    /// Read this format
    #[arg(long, value_name = "NAME", group = "source")]
    format: Option<ReplyFormat>,
    /// Read the format that this chat template shows
    #[arg(long, value_name = "F.jinja", group = "source")]
    file: Option<PathBuf>,
    /// List the formats
    #[arg(long, group = "source")]
    list: bool,
    /// Tools: a JSON array, whose schemas tell strings from other values if the format does not
    #[arg(long, value_name = "FILE.json")]
    tools: Option<PathBuf>,
    /// End of the prompt, which may have opened the thinking
    #[arg(long, value_name = "TEXT", default_value = "")]
    after: String,
}

/// Runs the command.
pub(crate) fn run(args: &ReplyArgs) -> CliResult {
    let mut out = std::io::stdout().lock();
    if args.list {
        for format in ReplyFormat::ALL {
            writeln!(out, "{format}")?;
        }
        return Ok(());
    }
    let format = match (args.format, &args.file) {
        (Some(format), _) => format,
        (None, Some(path)) => ReplyFormat::of_template(&input::read_text(path)?),
        (None, None) => return Err(CliError::usage("no format: give --format NAME or --file F.jinja")),
    };
    let mut parser = ReplyParser::new(format);
    if let Some(path) = &args.tools {
        parser = parser.with_tools(&input::read_array(path)?)?;
    }
    parser = parser.after_prompt(&args.after)?;
    parser.push(&input::read_stdin()?)?;
    let (_, reply) = parser.finish()?;
    writeln!(out, "{}", serde_json::to_string_pretty(&reply)?)?;
    Ok(())
}
