//! `happy man`: writes pages of the manual from what `--help` shows.

use crate::error::{CliError, CliResult};
use crate::paths::shown;
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use std::io::Write;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  happy man run | man -l -
  happy man --out ~/.local/share/man/man1";

/// Options of `happy man`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ManArgs {
    /// The command that the page is about [default: happy itself]
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    command: Vec<String>,
    /// Write a page for each command to this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: &ManArgs) -> CliResult {
    let mut all = crate::Args::command();
    all.build();
    let Some(folder) = &args.out else {
        let mut command = &all;
        for word in &args.command {
            command = command.find_subcommand(word).ok_or_else(|| {
                CliError::usage(format!("unknown command `{word}`: happy --help lists the commands"))
            })?;
        }
        let mut out = std::io::stdout().lock();
        out.write_all(&page(command)?)?;
        out.flush()?;
        return Ok(());
    };
    std::fs::create_dir_all(folder).map_err(|e| CliError::io("create", shown(folder), &e))?;
    let mut open = vec![&all];
    while let Some(command) = open.pop() {
        let path = folder.join(format!("{}.1", name(command)));
        std::fs::write(&path, page(command)?).map_err(|e| CliError::io("write", shown(&path), &e))?;
        // `help` of a group describes the same as the group's page.
        open.extend(command.get_subcommands().filter(|command| command.get_name() != "help"));
    }
    Ok(())
}

/// Returns the name of a command's page: `happy-gguf-ls`.
fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: &Command) -> CliResult<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone()).title(name(command)).render(&mut page)?;
    Ok(page)
}
