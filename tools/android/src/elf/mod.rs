//! `cargo xtask elf-check FILE..`: checks whether Android's loader accepts a library or a program, and whether an app
//! should use it.
//!
//! [`image`] reads the file, [`rules`] judge it, and [`bionic`]'s table says what a system of an API level exports.
//! This needs neither a device nor an NDK: the file itself shows what the loader would complain about.

pub(crate) mod bionic;
pub(crate) mod image;
pub(crate) mod maps;
mod rules;
#[cfg(test)]
mod tests;
pub(crate) mod write;

use bionic::Bionic;
use happy_tool_kit::{Result, paths};
use image::Image;
use rules::{Limits, RULES};
use std::path::{Path, PathBuf};

/// Android 8.0, the default for which `happy` is built.
pub(crate) const PLATFORM: u32 = 26;

/// Arguments of `elf-check`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Shared libraries (*.so) or programs
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    wanted: Wanted,
}

/// The requirements for files.
#[derive(clap::Args, Clone)]
pub(crate) struct Wanted {
    /// The oldest API level that must load them
    #[arg(long, default_value_t = PLATFORM)]
    pub(crate) platform: u32,
    /// The largest size of a file: bytes, or with KiB or MiB
    #[arg(long, value_parser = parse_size)]
    pub(crate) max_size: Option<u64>,
    /// What exported symbols start with (may be repeated); others are refused
    #[arg(long, value_name = "PREFIX")]
    pub(crate) exports: Vec<String>,
    /// A library that is shipped with the files, which they may need (may be repeated)
    #[arg(long, value_name = "LIBRARY")]
    pub(crate) beside: Vec<PathBuf>,
}

/// `cargo xtask elf-check`.
pub(crate) fn run(args: &Args) -> Result<()> {
    check(args.files.iter().map(|file| (file.as_path(), &args.wanted)))
}

/// Checks all files, prints a table for each, and fails if any rule of any file is broken.
pub(crate) fn check<'a>(files: impl IntoIterator<Item = (&'a Path, &'a Wanted)>) -> Result<()> {
    let bionic = Bionic::load()?;
    let mut broken = 0;
    for (path, wanted) in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let image = open(path)?;
        let beside = wanted.beside.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
        println!(
            "{} ({}, {} bytes, {} imports, {} exports) for API {}",
            paths::short(path),
            image.abi.name(),
            image.size,
            image.imports.len(),
            image.exports.len(),
            wanted.platform
        );
        for (rule, violations) in judge(&image, &name, wanted, &beside, &bionic) {
            broken += violations.len();
            if violations.is_empty() {
                println!("  ok      {:<13} {}", rule.name, rule.asks);
            } else {
                println!("  FAILED  {:<13} {}", rule.name, rule.asks);
            }
            for violation in violations {
                println!("            {violation}");
            }
        }
    }
    if broken == 0 { Ok(()) } else { Err(format!("elf-check found {broken} violation(s)")) }
}

fn open(path: &Path) -> Result<Image> {
    let bytes = std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    Image::parse(&bytes).map_err(|e| format!("{}: {e}", path.display()))
}

/// Returns every rule with its violations.
fn judge(
    image: &Image,
    name: &str,
    wanted: &Wanted,
    beside: &[Image],
    bionic: &Bionic,
) -> Vec<(&'static rules::Rule, Vec<String>)> {
    let limits = Limits {
        platform: wanted.platform,
        max_size: wanted.max_size,
        name,
        exports: &wanted.exports,
        beside,
        bionic,
    };
    RULES.iter().map(|rule| (rule, (rule.check)(image, &limits))).collect()
}

/// Parses `3MiB`, `500KiB` or `1000` as a number of bytes.
fn parse_size(text: &str) -> Result<u64> {
    let (number, unit) = match text.trim() {
        text if text.ends_with("MiB") => (text.trim_end_matches("MiB"), 1 << 20),
        text if text.ends_with("KiB") => (text.trim_end_matches("KiB"), 1 << 10),
        text => (text, 1),
    };
    number
        .trim()
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| format!("'{text}' is not a size: expected bytes, KiB or MiB, such as 3MiB"))
}
