//! The configuration: a file of defaults for options. A flag on the command line overrides what it sets.
//!
//! ```toml
//! model = "qwen3-0.6b"
//! threads = 4
//! context = 8192
//! memory-budget = 2048          # MiB
//! system = "Answer briefly."
//!
//! [sampling]                    # flags of `happy run` without their dashes
//! temp = 0.7
//! top-k = 40
//! samplers = ["penalties", "top_k", "temperature"]
//! ```
//!
//! Its values become the defaults of options before the command line is parsed. So help shows them, and an option on
//! the command line does not conflict with one in the file.

use crate::error::{self, CliError, CliResult};
use crate::paths::shown;
use crate::sampling::SamplingArgs;
use clap::{Arg, ArgAction, Command};
use std::io;
use std::path::PathBuf;
use toml::de::{DeTable, DeValue};

/// A key of the file, apart from those of `[sampling]`.
struct Key {
    name: &'static str,
    /// The option that it sets.
    option: &'static str,
    /// The commands that have the option; if empty, all that take `--model`.
    commands: &'static [&'static str],
}

const KEYS: [Key; 5] = [
    Key { name: "model", option: "model", commands: &[] },
    Key { name: "threads", option: "threads", commands: &[] },
    Key { name: "context", option: "ctx", commands: &["run", "chat", "serve", "show", "pull"] },
    Key { name: "memory-budget", option: "memory_budget", commands: &["run", "chat", "serve", "bench"] },
    Key { name: "system", option: "usual_system", commands: &["run", "chat"] },
];

/// The table of the options that choose tokens, and the commands that have them.
const SAMPLING: &str = "sampling";
const SAMPLERS: [&str; 2] = ["run", "chat"];

/// Maximum size of the file in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A default that the file sets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Setting {
    /// The key, like `sampling.temp`.
    pub(crate) key: String,
    pub(crate) values: Vec<String>,
    pub(crate) line: usize,
}

/// Returns the path of the file, whether it exists or not; `None` if the environment names no home.
pub(crate) fn path() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let folder = variable("XDG_CONFIG_HOME").or_else(|| match cfg!(target_os = "windows") {
        true => variable("APPDATA"),
        false => variable("HOME").map(|home| home.join(".config")),
    });
    Some(folder?.join("happy").join("config.toml"))
}

/// Reads the settings of the file; none if there is no file.
pub(crate) fn settings(command: &Command) -> CliResult<Vec<Setting>> {
    let Some(path) = path() else { return Ok(Vec::new()) };
    let name = shown(&path);
    let size = match path.metadata() {
        Ok(metadata) if !metadata.is_file() => {
            return Err(CliError::usage(format!("`{name}`: expected a file")));
        }
        Ok(metadata) => metadata.len(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(CliError::io("read", &name, &e)),
    };
    if size > MAX_BYTES {
        return Err(CliError::usage(format!("`{name}`: {size} bytes, expected at most {MAX_BYTES}")));
    }
    let text = std::fs::read_to_string(&path).map_err(|e| CliError::io("read", &name, &e))?;
    parse(&text, command).map_err(|Wrong { at, what }| {
        CliError::usage(format!("`{name}`, line {}: {what}", line_of(&text, at)))
    })
}

/// Returns what is wrong with a file, and at which byte.
struct Wrong {
    at: usize,
    what: String,
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// Reads the settings of a text, checked by the options that they set.
fn parse(text: &str, command: &Command) -> Result<Vec<Setting>, Wrong> {
    let table = DeTable::parse(text).map_err(|error| Wrong {
        at: error.span().map_or(0, |span| span.start),
        what: error.message().to_owned(),
    })?;
    let mut settings = Vec::new();
    let mut add = |key: String, at: usize, arg: &Arg, value: &DeValue<'_>| {
        let values = values_of(&key, value).and_then(|values| check(&key, arg, &values).map(|()| values));
        let values = values.map_err(|what| Wrong { at, what })?;
        settings.push(Setting { key, values, line: line_of(text, at) });
        Ok(())
    };
    for (name, value) in table.get_ref() {
        let (at, name) = (name.span().start, name.get_ref().as_ref());
        if name == SAMPLING {
            let expected = || Wrong { at, what: format!("`{SAMPLING}` is a value, expected a table") };
            let options = SamplingArgs::command();
            for (name, value) in value.get_ref().as_table().ok_or_else(expected)? {
                let (at, name) = (name.span().start, name.get_ref().as_ref());
                let arg = options.get_arguments().find(|arg| arg.get_long() == Some(name));
                let arg = arg.ok_or_else(|| {
                    let names = options.get_arguments().filter_map(Arg::get_long);
                    Wrong { at, what: unknown(&format!("{SAMPLING}.{name}"), names) }
                })?;
                add(format!("{SAMPLING}.{name}"), at, arg, value.get_ref())?;
            }
            continue;
        }
        let key = KEYS.iter().find(|key| key.name == name).ok_or_else(|| {
            let names = KEYS.iter().map(|key| key.name).chain([SAMPLING]);
            Wrong { at, what: unknown(name, names) }
        })?;
        if let Some(arg) = command.find_subcommand("run").and_then(|run| option(run, key.option)) {
            add(key.name.to_owned(), at, arg, value.get_ref())?;
        }
    }
    settings.sort_by_key(|setting| setting.line);
    Ok(settings)
}

fn unknown<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> String {
    format!("unknown key `{name}`, expected one of {}", names.collect::<Vec<_>>().join(", "))
}

fn option<'a>(command: &'a Command, id: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| arg.get_id() == id)
}

/// Returns a value as it would be on the command line; an array as several values.
fn values_of(key: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let one = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(value) => Ok(value.to_string()),
        other => Err(format!("`{key}` is a {}, expected a string or a decimal number", other.type_str())),
    };
    match value {
        DeValue::Array(values) => values.iter().map(|value| one(value.get_ref())).collect(),
        value => Ok(vec![one(value)?]),
    }
}

/// Returns whether an option accepts these values.
fn check(key: &str, arg: &Arg, values: &[String]) -> Result<(), String> {
    let several = matches!(arg.get_action(), ArgAction::Append);
    if values.len() != 1 && !several {
        return Err(format!("`{key}` has {} values, expected one", values.len()));
    }
    let Some(long) = arg.get_long() else { return Ok(()) };
    let words = values.iter().map(|value| format!("--{long}={value}"));
    let alone = Command::new("happy").no_binary_name(true).arg(arg.clone());
    match alone.try_get_matches_from(words) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("`{key}`: {}", error::said(&error))),
    }
}

/// Returns the command line with the file's values as defaults, if the command that will run has options that it sets.
pub(crate) fn defaults(command: Command) -> CliResult<Command> {
    let Some(name) = std::env::args_os().nth(1) else { return Ok(command) };
    let Some(name) = name.to_str().filter(|name| command.find_subcommand(name).is_some_and(takes_model))
    else {
        return Ok(command);
    };
    let settings = settings(&command)?;
    Ok(command.mut_subcommand(name, |subcommand| {
        settings.into_iter().fold(subcommand, |subcommand, setting| set(subcommand, name, setting))
    }))
}

/// Returns whether a command takes a model that has a default.
fn takes_model(command: &Command) -> bool {
    option(command, "model").is_some_and(|model| !model.get_default_values().is_empty())
        || KEYS.iter().any(|key| key.commands.contains(&command.get_name()))
}

/// Adds a default to a command.
fn set(command: Command, name: &str, setting: Setting) -> Command {
    let id = match setting.key.split_once('.') {
        Some((_, long)) if SAMPLERS.contains(&name) => {
            command.get_arguments().find(|arg| arg.get_long() == Some(long)).map(Arg::get_id)
        }
        Some(_) => None,
        None => {
            let key = KEYS.iter().find(|key| key.name == setting.key);
            let key = key.filter(|key| key.commands.is_empty() || key.commands.contains(&name));
            key.and_then(|key| option(&command, key.option)).map(Arg::get_id)
        }
    };
    let Some(id) = id.cloned() else { return command };
    // Defaults live as long as the command line's description, which is as long as the process.
    let values: Vec<&'static str> = setting.values.into_iter().map(|value| &*value.leak()).collect();
    command.mut_arg(id, |arg| arg.default_values(values))
}

/// Returns all keys with their default without the file, if it is known.
pub(crate) fn keys(command: &Command) -> Vec<(String, Option<String>)> {
    let default = |arg: &Arg| {
        let values = arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
        Some(values.collect::<Vec<_>>().join(" ")).filter(|text| !text.is_empty())
    };
    let run = command.find_subcommand("run");
    let mut keys: Vec<_> = KEYS
        .iter()
        .map(|key| (key.name.to_owned(), run.and_then(|run| option(run, key.option)).and_then(default)))
        .collect();
    let options = SamplingArgs::command();
    keys.extend(
        options
            .get_arguments()
            .filter_map(|arg| Some((format!("{SAMPLING}.{}", arg.get_long()?), default(arg)))),
    );
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parsed(text: &str) -> Result<Vec<Setting>, String> {
        let command = crate::Args::command();
        parse(text, &command).map_err(|wrong| format!("{}: {}", line_of(text, wrong.at), wrong.what))
    }

    #[test]
    fn settings_are_values_of_options() {
        let text = "model = \"a\"\nthreads = 3\n[sampling]\ntemp = 0.5\n\ntop-k = 1_000\nsamplers = [\"top_k\", \"temperature\"]";
        let found = parsed(text).expect("a configuration");
        let found: Vec<_> = found.iter().map(|s| (s.key.as_str(), s.values.join(";"), s.line)).collect();
        let expected = [
            ("model", "a", 1),
            ("threads", "3", 2),
            ("sampling.temp", "0.5", 4),
            ("sampling.top-k", "1000", 6),
            ("sampling.samplers", "top_k;temperature", 7),
        ];
        assert_eq!(found, expected.map(|(key, value, line)| (key, value.to_owned(), line)));
        assert_eq!(parsed(""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_wrong_has_a_line() {
        let cases = [
            ("\nmodle = 1", "2: unknown key `modle`, expected one of model, threads"),
            ("[sampling]\ntempp = 1", "2: unknown key `sampling.tempp`, expected one of seed, temp"),
            ("threads = \"many\"", "1: `threads`: invalid value 'many' for '--threads <N>'"),
            ("threads = [1, 2]", "1: `threads` has 2 values, expected one"),
            ("threads = 0x10", "1: `threads` is a integer, expected a string or a decimal number"),
            ("sampling = 1", "1: `sampling` is a value, expected a table"),
            ("model = \"a\"\nmodel = \"b\"", "2: duplicate key"),
            ("model = ", "1: "),
        ];
        for (text, expected) in cases {
            let found = parsed(text).expect_err(text);
            assert!(found.starts_with(expected), "{text}: {found}");
        }
    }
}
