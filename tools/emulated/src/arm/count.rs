//! `cargo xtask arm-verify`: how many instructions `happy verify` takes on aarch64, counted without a phone.
//!
//! qemu loads `count.c`, a plugin of its own interface, which adds up the instructions of every block that runs. So the count is exact
//! for one thread, and says nothing of memory, caches and pipelines.

use super::toolchain::Toolchain;
use happy_tool_kit::models::MODELS;
use happy_tool_kit::{Result, fetch, fixtures, paths, process};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PLUGIN: &str = include_str!("count.c");

/// A model of 0.3 billion parameters takes a quarter of an hour.
const LIMIT: Duration = Duration::from_secs(7200);

/// Arguments of `arm-verify`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The model, of those that `fixtures` has a reference of: smollm2 or gemma3
    #[arg(long, default_value = "smollm2")]
    model: String,
    /// The CPU, as qemu calls it: `max` has i8mm, `cortex-a76` dot products, `cortex-a53` neither
    #[arg(long, default_value = "max")]
    cpu: String,
}

/// `cargo xtask arm-verify`.
pub(crate) fn run(args: &Args) -> Result<()> {
    let known: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
    let model = MODELS
        .iter()
        .find(|model| model.name == args.model)
        .ok_or_else(|| format!("unknown model '{}': expected one of {}", args.model, known.join(", ")))?;
    let happy = Toolchain::find()?.build_fast_happy()?;
    let plugin = build(&paths::target().join("arm"))?;
    let (file, reference) = (fetch::fetch(model)?, fixtures::reference(model));
    let mut command = Command::new("qemu-aarch64");
    command.args(["-cpu", &args.cpu, "-plugin"]).arg(&plugin).arg(happy).arg("verify").arg(&file);
    command.args(["--threads", "1", "--json", "--against"]).arg(&reference);
    let done = process::run_within(&mut command, LIMIT)?;
    let name = process::display(&command);
    if !done.success {
        return Err(format!("`{name}`: {}: {}{}", done.ending, done.stdout, done.stderr));
    }
    let count = counted(&done.stderr).ok_or_else(|| format!("`{name}` told no count: {}", done.stderr))?;
    println!("{}: {}", model.name, done.stdout.trim());
    println!(
        "{:.2} billion instructions on {} with one thread, {:.0} for each byte of the file",
        count as f64 / 1e9,
        args.cpu,
        count as f64 / file_bytes(&file)? as f64
    );
    Ok(())
}

fn file_bytes(file: &Path) -> Result<u64> {
    file.metadata().map(|metadata| metadata.len()).map_err(|e| format!("cannot read {}: {e}", file.display()))
}

/// Builds the plugin, and returns its path.
fn build(folder: &Path) -> Result<PathBuf> {
    let (source, plugin) = (folder.join("count.c"), folder.join("libcount.so"));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&source, PLUGIN))
        .map_err(|e| format!("cannot write {}: {e}", source.display()))?;
    process::run(Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&plugin).arg(&source))?;
    Ok(plugin)
}

/// Returns the number that the plugin told.
fn counted(stderr: &str) -> Option<u64> {
    stderr.lines().rev().find_map(|line| line.strip_prefix("instructions: ")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn the_count_is_the_last_line_of_its_kind() {
        assert_eq!(counted("note\ninstructions: 12\ninstructions: 345\n"), Some(345));
        assert_eq!(counted("instructions: x\n"), None);
    }
}
