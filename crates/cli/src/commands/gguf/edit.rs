//! `happy gguf set` and `happy gguf rm`: change the metadata of a file.

use super::print_json;
use super::values::{self, Kind};
use crate::error::{CliError, CliResult};
use crate::paths::shown;
use crate::{interrupt, models, output};
use clap::Args;
use happy_gguf::{EditMode, Edited, GgufEdit, edit_file};
use serde_json::json;
use std::ffi::{OsStr, OsString};

/// How the file is changed.
#[derive(Debug, Args)]
struct ModeArgs {
    /// Write a new file even if the new header fits into the old one: for a file that a program has open
    #[arg(long)]
    rewrite: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Options of `happy gguf set`.
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// GGUF file: a path or a name, as `happy run -m` takes it
    file: OsString,
    /// Pairs, such as general.name=tiny; arrays as JSON
    #[arg(required = true, value_name = "KEY=VALUE")]
    pairs: Vec<String>,
    /// Type of the values: u32, f32, string, array:string .. [default: as it was, else guessed from the text]
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<Kind>,
    #[command(flatten)]
    mode: ModeArgs,
}

/// Options of `happy gguf rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// GGUF file: a path or a name, as `happy run -m` takes it
    file: OsString,
    /// Keys to remove
    #[arg(required = true)]
    keys: Vec<String>,
    #[command(flatten)]
    mode: ModeArgs,
}

/// Runs `happy gguf set`.
pub(super) fn set(args: &SetArgs) -> CliResult {
    let mut pairs = Vec::new();
    for pair in &args.pairs {
        let parts = pair.split_once('=');
        pairs.push(parts.ok_or_else(|| CliError::usage(format!("`{pair}`: expected KEY=VALUE")))?);
    }
    change(&args.file, &args.mode, |edit| {
        for (key, text) in &pairs {
            let kind = match args.kind {
                Some(kind) => Some(kind),
                None => match edit.original().metadata().get(key) {
                    Some(value) => Some(Kind::of(&value).ok_or_else(|| {
                        CliError::new(format!("`{key}` is an array of arrays, which cannot be typed in"))
                    })?),
                    None => None,
                },
            };
            edit.set(*key, values::parse(key, text, kind)?);
        }
        Ok(())
    })
}

/// Runs `happy gguf rm`.
pub(super) fn remove(args: &RmArgs) -> CliResult {
    change(&args.file, &args.mode, |edit| {
        args.keys.iter().try_for_each(|key| match edit.remove(key) {
            true => Ok(()),
            false => Err(CliError::new(format!("`{}` has no key `{key}`", shown(&args.file)))),
        })
    })
}

fn change(file: &OsStr, mode: &ModeArgs, by: impl FnOnce(&mut GgufEdit<'_>) -> CliResult) -> CliResult {
    let edit_mode = if mode.rewrite { EditMode::Rewrite } else { EditMode::InPlace };
    interrupt::remove_unfinished_files()?;
    let done = edit_file(models::resolve(file)?, edit_mode, by)?;
    let how = match done {
        Edited::Unchanged => "unchanged",
        Edited::InPlace => "in place",
        Edited::Rewritten => "rewritten",
    };
    if mode.json {
        return print_json(&json!({ "file": shown(file), "edited": how }));
    }
    output::note(&format!("{}: {how}", shown(file)));
    Ok(())
}
