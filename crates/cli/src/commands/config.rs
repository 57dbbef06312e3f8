//! `happy config`: where the configuration is, and what it sets.

use crate::error::{CliError, CliResult};
use crate::{config, output, paths};
use clap::{Args, CommandFactory};
use serde_json::{Map, Value};
use std::io::Write;

const EXAMPLES: &str = "\
The file holds defaults of options; flags win:

  model = \"qwen3-0.6b\"
  threads = 4
  context = 8192
  system = \"Answer briefly.\"

  [sampling]
  temp = 0.7";

/// Options of `happy config`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConfigArgs {
    /// Print only the path of the file
    #[arg(long, conflicts_with = "json")]
    path: bool,
    /// Write one JSON object: the path, and the values that the file sets
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &ConfigArgs) -> CliResult {
    let path = config::path()
        .ok_or_else(|| CliError::new("there is no place for a configuration: set XDG_CONFIG_HOME or HOME"))?;
    let shown = paths::shown(&path);
    let mut out = output::buffered(std::io::stdout().lock());
    if args.path {
        writeln!(out, "{shown}")?;
        out.flush()?;
        return Ok(());
    }
    let command = crate::Args::command();
    let settings = config::settings(&command)?;
    if args.json {
        let set = settings.iter().map(|setting| {
            let values: Vec<Value> = setting.values.iter().map(|value| value.as_str().into()).collect();
            (setting.key.clone(), if let [one] = values.as_slice() { one.clone() } else { values.into() })
        });
        let set: Map<String, Value> = set.collect();
        writeln!(out, "{}", serde_json::json!({ "path": shown, "exists": path.exists(), "set": set }))?;
        out.flush()?;
        return Ok(());
    }
    writeln!(out, "{shown}{}", if path.exists() { "" } else { " (there is no such file)" })?;
    for (key, default) in config::keys(&command) {
        let (value, from) = match settings.iter().find(|setting| setting.key == key) {
            Some(setting) => (setting.values.join(" "), format!("line {}", setting.line)),
            None => (default.unwrap_or_else(|| "-".to_owned()), "default".to_owned()),
        };
        writeln!(out, "  {key:30} {:24} {from}", paths::shown(&value))?;
    }
    out.flush()?;
    Ok(())
}
