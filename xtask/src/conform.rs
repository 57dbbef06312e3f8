//! `cargo xtask conform`: builds happy-conform in release and runs it.

use crate::{Result, fetch, models, paths, process};

/// Arguments of `conform`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Only these corpora (folder names of the conformance data); all of them unless named
    corpora: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the corpora and prints their table; a failed case is an error.
pub(crate) fn run(args: &Args) -> Result<()> {
    run_in(args, &[])
}

/// The same with cargo's profile changed by environment variables.
pub(crate) fn run_in(args: &Args, profile: &[(&str, &str)]) -> Result<()> {
    let data = paths::conformance();
    if !data.is_dir() {
        return Err(format!(
            "no conformance data in {}: set HAPPY_CONFORMANCE to the folder that has architectures/, tokenizer/ and the others",
            data.display()
        ));
    }
    if args.corpora.is_empty() || args.corpora.iter().any(|name| name == "reference-logits") {
        for model in models::MODELS {
            fetch::fetch(model)?;
        }
    }
    let mut command = process::cargo(&["run", "--release", "--quiet", "--package", "happy-conform", "--"]);
    command.envs(profile.iter().copied());
    command.env("HAPPY_CONFORMANCE", &data).env("HAPPY_MODELS", paths::models()?);
    if args.json {
        command.arg("--json");
    }
    process::run(command.args(&args.corpora))
}
