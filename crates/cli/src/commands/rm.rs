//! `happy rm`: removes models from the cache.

use crate::error::CliResult;
use crate::hub;
use crate::output::{self, human_bytes};
use clap::Args;

/// Options of `happy rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Names as `happy list` shows them; a repository without a quantization means all GGUF files of it
    #[arg(required = true)]
    names: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: &RmArgs) -> CliResult {
    let hub = hub::open()?;
    for name in &args.names {
        let removed = hub.remove(&hub::name(name)?)?;
        let shared = match removed.shared {
            0 => String::new(),
            shared => format!("; {} stay, which other repositories may share", human_bytes(shared)),
        };
        let files = if removed.files == 1 { "file" } else { "files" };
        output::note(&format!(
            "{name}: {} {files}, {} freed{shared}",
            removed.files,
            human_bytes(removed.bytes)
        ));
    }
    Ok(())
}
