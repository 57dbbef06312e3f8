//! `happy list`: lists the models in the cache, or the short names.

use crate::error::CliResult;
use crate::output::human_bytes;
use crate::{hub, models, output};
use clap::Args;
use happy_hub::{ALIASES, Alias};
use serde::Serialize;
use std::io::Write;

/// Options of `happy list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// List the short names that `happy pull` knows
    #[arg(long)]
    names: bool,
    /// Write one JSON object per line
    #[arg(long)]
    json: bool,
}

/// A line of output.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    license: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_ram: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: &ListArgs) -> CliResult {
    if args.names {
        return print_names(args.json, &ALIASES.iter().collect::<Vec<_>>());
    }
    let cached = hub::open()?.list()?;
    let lines = cached.models.iter().map(|model| Line {
        name: &model.name,
        bytes: model.bytes,
        license: None,
        min_ram: None,
        files: model.files.iter().map(|file| file.display().to_string()).collect(),
    });
    let empty = cached.models.is_empty();
    print(args.json, lines.collect())?;
    if !args.json {
        if empty {
            output::note(
                "no models were downloaded yet: `happy list --names` lists short names, and `happy pull NAME` downloads one",
            );
        }
        if let Some(others) = models::in_folder_note() {
            output::note(&others);
        }
        let begun = cached.partial.iter().map(|partial| partial.bytes).sum::<u64>();
        if begun > 0 {
            output::note(&format!("{} of downloads that have begun; happy pull goes on", human_bytes(begun)));
        }
        output::note(&format!("{} on the disk", human_bytes(cached.bytes_on_disk)));
    }
    Ok(())
}

/// Prints short names, one on each line.
pub(super) fn print_names(json: bool, names: &[&'static Alias]) -> CliResult {
    let line = |alias: &&'static Alias| Line {
        name: alias.name,
        bytes: alias.bytes,
        license: Some(alias.license),
        min_ram: Some(alias.min_ram()),
        files: Vec::new(),
    };
    print(json, names.iter().map(line).collect())
}

fn print(json: bool, lines: Vec<Line<'_>>) -> CliResult {
    let mut out = output::buffered(std::io::stdout().lock());
    let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0);
    for line in lines {
        if json {
            serde_json::to_writer(&mut out, &line)?;
            writeln!(out)?;
            continue;
        }
        write!(out, "{:width$}  {:>10}", line.name, human_bytes(line.bytes))?;
        if let (Some(ram), Some(license)) = (line.min_ram, line.license) {
            write!(out, "  devices with {} or more  {license}", human_bytes(ram))?;
        }
        writeln!(out)?;
    }
    out.flush()?;
    Ok(())
}
