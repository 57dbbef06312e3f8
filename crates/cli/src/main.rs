//! The `happy` command: runs, serves, measures, converts and inspects GGUF language models.
#![deny(unsafe_code)]

mod allocator;
mod answer;
mod commands;
mod config;
mod constrain;
mod error;
mod generation;
mod hub;
mod input;
mod interrupt;
mod load;
mod markdown;
mod models;
mod output;
mod pace;
#[cfg(test)]
mod pages;
mod paths;
mod prompt;
mod sampling;
mod score;
mod speculate;
mod talk;
mod terminal;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser};
use commands::Command;
use error::CliError;
use std::process::ExitCode;

#[global_allocator]
static MEMORY: allocator::WithReserve<std::alloc::System> = allocator::WithReserve::new();

/// First commands to try.
const EXAMPLES: &str = "\
Examples:
  happy pull qwen3-0.6b
  happy run qwen3-0.6b \"Why is the sky blue?\"
  happy chat qwen3-0.6b

`happy COMMAND -h` lists the options that most people need, `happy COMMAND --help` all of them.";

/// Run, serve, measure, convert and inspect GGUF language models on the CPU
// If an option is given twice, the last one counts, so that scripts can append theirs.
#[derive(Debug, Parser)]
#[command(name = "happy", version, max_term_width = 100, arg_required_else_help = true, after_help = EXAMPLES)]
#[command(args_override_self = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

/// Bytes that clap and std reserve infallibly before a command runs: the description of all options (about 300 KiB),
/// and the buffer of standard input.
const COMMAND_LINE: usize = 512 << 10;

/// Returns an error if there is not enough memory to read the command line, which holds each argument up to four times.
/// The memory is freed at once, for code that cannot handle a refusal.
fn room() -> Result<(), CliError> {
    let ask = |bytes| {
        let room = Vec::<u8>::new().try_reserve_exact(bytes);
        room.map_err(|_| CliError::new("no memory to read the command line: expected 1 MiB that is free"))
    };
    // First, because counting the arguments copies them.
    ask(COMMAND_LINE)?;
    let arguments: usize = std::env::args_os().map(|argument| argument.len()).sum();
    ask(COMMAND_LINE + 4 * arguments)
}

/// Returns the arguments with which the process was started.
fn parse(mut command: clap::Command) -> Result<Args, clap::Error> {
    let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Args::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

fn main() -> ExitCode {
    if let Err(error) = room() {
        output::report(&error);
        return ExitCode::from(error.code());
    }
    let command = match config::defaults(Args::command()) {
        Ok(command) => command,
        Err(error) => {
            output::report(&error);
            return ExitCode::from(error.code());
        }
    };
    let done = match parse(command) {
        Ok(args) => args.command.run(),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                // Help and version are not errors, and neither is a pipe that is closed before they are read.
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
