//! `happy gguf`: look into GGUF files and change them, without running anything.

mod check;
mod diff;
mod edit;
mod get;
mod hash;
mod ls;
mod parts;
mod values;

use crate::error::CliResult;
use crate::{models, output};
use clap::{Args, Subcommand};
use happy_gguf::{GgufSetReader, Limits};
use std::ffi::OsStr;
use std::io::Write;

/// Options of `happy gguf`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct GgufArgs {
    #[command(subcommand)]
    command: GgufCommand,
}

#[derive(Debug, Subcommand)]
enum GgufCommand {
    /// List metadata and tensors
    Ls(ls::LsArgs),
    /// Print metadata
    Get(get::GetArgs),
    /// Set metadata: in place if it fits, otherwise in a new file
    Set(edit::SetArgs),
    /// Remove metadata
    Rm(edit::RmArgs),
    /// Check a file or a split model against the format
    Check(check::CheckArgs),
    /// Cut a model into several files
    Split(parts::SplitArgs),
    /// Put the files of a split model together
    Merge(parts::MergeArgs),
    /// Compare two models
    Diff(diff::DiffArgs),
    /// Hash a model's contents, however they are laid out
    Hash(hash::HashArgs),
}

/// Runs the command.
pub(crate) fn run(args: &GgufArgs) -> CliResult {
    match &args.command {
        GgufCommand::Ls(args) => ls::run(args),
        GgufCommand::Get(args) => get::run(args),
        GgufCommand::Set(args) => edit::set(args),
        GgufCommand::Rm(args) => edit::remove(args),
        GgufCommand::Check(args) => check::run(args),
        GgufCommand::Split(args) => parts::split(args),
        GgufCommand::Merge(args) => parts::merge(args),
        GgufCommand::Diff(args) => diff::run(args),
        GgufCommand::Hash(args) => hash::run(args),
    }
}

/// Opens a model of one or several files, by the path of any of them. Its tensors are read when they are needed.
/// Nothing is mapped, so a file that is truncated meanwhile gives an error.
fn open(model: &OsStr) -> CliResult<GgufSetReader> {
    Ok(GgufSetReader::open(models::resolve(model)?, &Limits::default())?)
}

/// Prints JSON over several lines.
fn print_json(report: &impl serde::Serialize) -> CliResult {
    let mut out = output::buffered(std::io::stdout().lock());
    serde_json::to_writer_pretty(&mut out, report)?;
    writeln!(out)?;
    Ok(out.flush()?)
}
