//! `cargo xtask demo PROMPT`: from a fresh clone to a streamed answer.

use happy_tool_kit::{Result, fetch, models, process};
use std::process::Command;

/// Arguments of `demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to ask the model
    prompt: String,
    /// The model to run: smollm2 or gemma3
    #[arg(short, long, default_value = "smollm2")]
    model: String,
    /// Further arguments of `happy run`, after `--`
    #[arg(last = true)]
    options: Vec<String>,
}

/// Fetches the model, builds `happy` in release and runs it on the prompt.
pub(crate) fn run(args: &Args) -> Result<()> {
    let file = fetch::fetch(models::find(&args.model)?)?;
    eprintln!("building happy (release): the first time about 100 packages, one to two minutes on two cores");
    let happy = process::build_happy()?;
    let mut command = Command::new(happy);
    command.arg("run").arg("-m").arg(file).args(&args.options).arg("--").arg(&args.prompt);
    process::run(&mut command)
}
