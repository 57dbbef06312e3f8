//! The `happy` command: run, chat, bench and inspect GGUF language models.
#![forbid(unsafe_code)]

mod answer;
mod commands;
mod constrain;
mod error;
mod generation;
mod input;
mod interrupt;
mod load;
mod models;
mod output;
mod paths;
mod prompt;
mod sampling;
mod talk;
mod terminal;

use clap::Parser;
use clap::error::ErrorKind;
use commands::Command;
use error::CliError;
use std::process::ExitCode;

/// Run GGUF language models on the CPU.
// Of an option that is given twice the last one counts, so that scripts can append theirs.
#[derive(Debug, Parser)]
#[command(name = "happy", version, about, max_term_width = 100, arg_required_else_help = true)]
#[command(args_override_self = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let done = match Args::try_parse() {
        Ok(args) => args.command.run(),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                // Help and version are no errors; a closed pipe behind them is none either.
                let _ = error.print();
                return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
            }
            _ => Err(CliError::command_line(&error)),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            output::report(&error);
            ExitCode::from(error.code())
        }
    }
}
