//! `happy pull`: downloads a model by name, after checking whether it fits in memory.

use crate::error::CliResult;
use crate::hub;
use crate::load::{ContextArgs, LoadArgs};
use clap::Args;
use happy_hub::PullOptions;
use std::io::Write;

const EXAMPLES: &str = "\
Examples:
  happy pull qwen3-0.6b
  happy pull hf:bartowski/Qwen_Qwen3-0.6B-GGUF:Q4_K_M
  happy pull https://example.org/model.gguf --sha256 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae

The files go into the cache of the Hugging Face tools (HF_HOME, HF_HUB_CACHE), and are shared with them. HF_TOKEN opens models that ask for it, HF_ENDPOINT names a mirror.";

/// Options of `happy pull`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PullArgs {
    /// A short name (`happy list --names`), hf:OWNER/REPO[:QUANT], hf:OWNER/REPO/FILE.gguf, or an address
    name: String,
    /// Also fetch the projector for images
    #[arg(long)]
    projector: bool,
    /// Fetch one more GGUF file of the repository, such as an adapter
    #[arg(long, value_name = "FILE")]
    also: Vec<String>,
    /// SHA-256 that the file must have, for servers that do not state one
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    load: LoadArgs,
}

/// Runs the command.
pub(crate) fn run(args: &PullArgs) -> CliResult {
    let mut options = PullOptions::default();
    options.projector = args.projector;
    options.also = args.also.clone();
    options.sha256 = args.sha256.clone();
    let load = args.context.options(&args.load);
    load.check()?;
    let pulled = hub::pull(&args.name, options, &load, &|offer| {
        crate::output::note(&hub::summary(offer));
        Ok(true)
    })?;
    let mut out = std::io::stdout().lock();
    for file in &pulled.files {
        writeln!(out, "{}", file.path.display())?;
    }
    Ok(())
}
