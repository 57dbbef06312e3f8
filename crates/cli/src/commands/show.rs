//! `happy show`: shows what a model is and whether it would run here, before it is downloaded.

use crate::error::CliResult;
use crate::hub;
use crate::load::{ContextArgs, LoadArgs};
use crate::output::{self, human_bytes, thousands};
use clap::Args;
use happy_hub::{Offer, PullOptions};
use serde_json::json;
use std::io::Write;

/// Options of `happy show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// A short name, hf:OWNER/REPO[:QUANT], hf:OWNER/REPO/FILE.gguf, an address, or a path
    name: String,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    load: LoadArgs,
}

/// Runs the command. It is not a failure if a model would not run here.
pub(crate) fn run(args: &ShowArgs) -> CliResult {
    let load = args.context.options(&args.load);
    load.check()?;
    let offer = hub::open()?.inspect(&hub::name(&args.name)?, &PullOptions::default(), |_| {})?;
    let plan = hub::plan(&offer, &load);
    let mut out = output::buffered(std::io::stdout().lock());
    if args.json {
        let (fits, problem) = match &plan {
            Ok(plan) => (Some(plan), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let object = json!({
            "name": offer.name,
            "commit": offer.commit,
            "license": offer.license,
            "architecture": text(&offer, "general.architecture"),
            "bytes": offer.total(),
            "missing": offer.missing(),
            "free_disk": offer.free_disk,
            "files": offer.files.iter().map(|file| &file.path).collect::<Vec<_>>(),
            "runs": fits.is_some(),
            "problem": problem,
            "memory_bytes": fits.map(|plan| plan.anon_bytes()),
            "context": fits.map(|plan| plan.context),
        });
        writeln!(out, "{object}")?;
    } else {
        writeln!(out, "{}", offer.name)?;
        for key in ["general.name", "general.architecture", "general.size_label"] {
            if let Some(value) = text(&offer, key) {
                writeln!(out, "  {:14} {value}", key.trim_start_matches("general.").replace('_', " "))?;
            }
        }
        writeln!(out, "  {:14} {}", "download", hub::summary(&offer))?;
        for file in &offer.files {
            let tensors = thousands(file.header.view().tensors().len() as u64);
            writeln!(out, "  {:14} {}, {}, {tensors} tensors", "file", file.path, human_bytes(file.bytes))?;
        }
        if let Some(free) = offer.free_disk {
            writeln!(out, "  {:14} {} free", "disk", human_bytes(free))?;
        }
        match plan {
            Ok(plan) => writeln!(out, "  {:14} runs: it {}", "here", hub::needs(&plan))?,
            Err(error) => writeln!(out, "  {:14} does not run: {error}", "here")?,
        }
    }
    out.flush()?;
    Ok(())
}

/// Returns a text from the first header.
fn text<'a>(offer: &'a Offer, key: &str) -> Option<&'a str> {
    offer.files.first()?.header.view().metadata().optional::<&str>(key).ok().flatten()
}
