//! `happy gguf get`: prints values by their keys.

use super::print_json;
use super::values::{self, AsJson, Pairs};
use crate::error::{CliError, CliResult};
use crate::load;
use crate::output;
use crate::paths::{AccessArgs, shown};
use clap::Args;
use std::ffi::OsString;
use std::io::Write;

/// Options of `happy gguf get`.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// GGUF file: a path or a name, as `happy run -m` takes it
    file: OsString,
    /// Keys, such as general.name
    #[arg(required = true)]
    keys: Vec<String>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: AccessArgs,
}

/// Runs the command.
pub(super) fn run(args: &GetArgs) -> CliResult {
    let file = load::header(&args.file)?;
    let view = file.view();
    let mut found = Vec::new();
    for key in &args.keys {
        let value = view.metadata().get(key);
        found.push((
            key,
            value.ok_or_else(|| CliError::new(format!("`{}` has no key `{key}`", shown(&args.file))))?,
        ));
    }
    if args.json {
        let first = |i: usize| found[..i].iter().all(|pair| pair.0 != found[i].0);
        let pairs = || (0..found.len()).filter(|i| first(*i)).map(|i| (found[i].0, AsJson(found[i].1)));
        return print_json(&Pairs(pairs));
    }
    let mut out = output::buffered(std::io::stdout().lock());
    for (_, value) in found {
        values::write_text(value, &mut out)?;
        writeln!(out)?;
    }
    Ok(out.flush()?)
}
