//! `happy gguf get`: values by their keys.

use super::{print_json, values};
use crate::error::{CliError, CliResult};
use crate::load;
use crate::paths::{AccessArgs, shown};
use clap::Args;
use serde_json::Map;
use std::ffi::OsString;
use std::io::Write;

/// Options of `happy gguf get`.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// GGUF file: a path, or a known name
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
        let object: Map<_, _> =
            found.into_iter().map(|(key, value)| (key.clone(), values::json_of(value))).collect();
        return print_json(&object.into());
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (_, value) in found {
        writeln!(out, "{}", values::text_of(value))?;
    }
    Ok(out.flush()?)
}
