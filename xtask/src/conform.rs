//! `cargo xtask conform` runs all corpora of other people's results and prints a table. `cargo xtask make-corpus`
//! writes the selection of them that is in the repository. Both are in the package `happy-conform`, so that xtask does
//! not build the crates.

use happy_tool_kit::{Result, fetch, models, paths, process};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Arguments of `conform`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Corpora to run, by the names of the files in fixtures/corpus [default: all]
    pub(crate) corpora: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Run on the selection in fixtures/corpus even if HAPPY_CONFORMANCE names the folder of the full data
    #[arg(long)]
    pub(crate) selection: bool,
}

/// Arguments of `make-corpus`.
#[derive(clap::Args)]
pub(crate) struct MakeArgs {
    /// Folder of the full data
    full: PathBuf,
}

/// The package, and its program.
pub(crate) const PROGRAM: &str = "happy-conform";

/// Runs the corpora and prints their table; a failed case is an error.
pub(crate) fn run(args: &Args) -> Result<()> {
    run_with(process::cargo(&["run", "--release", "--package", PROGRAM, "--"]), args)
}

/// Does the same with a program that is already built.
pub(crate) fn run_program(program: &Path, args: &Args) -> Result<()> {
    let mut command = Command::new(program);
    command.current_dir(paths::root());
    run_with(command, args)
}

fn run_with(mut command: Command, args: &Args) -> Result<()> {
    if args.corpora.is_empty() || args.corpora.iter().any(|name| name == "reference-logits") {
        for model in models::MODELS {
            fetch::fetch(model)?;
        }
    }
    command.env("HAPPY_MODELS", paths::models()?);
    if args.json {
        command.arg("--json");
    }
    if args.selection {
        command.arg("--selection");
    }
    process::run(command.args(&args.corpora))
}

/// Writes the selection from the full data.
pub(crate) fn make(args: &MakeArgs) -> Result<()> {
    let full = std::path::absolute(&args.full).map_err(|e| format!("{}: {e}", args.full.display()))?;
    let arguments = ["run", "--package", PROGRAM, "--bin", "make-corpus", "--"];
    process::run(process::cargo(&arguments).arg(full).arg(paths::corpus()))
}
