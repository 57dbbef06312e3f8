//! `happy completions`: prints a script with which a shell completes commands and options.

use crate::error::CliResult;
use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;
use std::io::Write;

const EXAMPLES: &str = "\
Examples:
  happy completions bash > ~/.local/share/bash-completion/completions/happy
  happy completions zsh > ~/.zfunc/_happy        # in a folder of $fpath
  happy completions fish > ~/.config/fish/completions/happy.fish";

/// Options of `happy completions`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// Shell to write the script for
    shell: Kind,
}

/// A shell.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Bash,
    Zsh,
    Fish,
}

/// Runs the command.
pub(crate) fn run(args: &CompletionsArgs) -> CliResult {
    let shell = match args.shell {
        Kind::Bash => Shell::Bash,
        Kind::Zsh => Shell::Zsh,
        Kind::Fish => Shell::Fish,
    };
    // Written to memory first, because the generator panics if writing fails.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::Args::command(), "happy", &mut script);
    let mut out = std::io::stdout().lock();
    out.write_all(&script)?;
    out.flush()?;
    Ok(())
}
