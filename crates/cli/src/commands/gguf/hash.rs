//! `happy gguf hash`: prints the content hash of a model.

use super::{open, print_json};
use crate::error::CliResult;
use crate::output;
use crate::paths::{AccessArgs, shown};
use clap::Args;
use happy_gguf::ContentHash;
use serde_json::{Map, json};
use std::ffi::OsString;
use std::io::Write;

/// Options of `happy gguf hash`.
#[derive(Debug, Args)]
pub(crate) struct HashArgs {
    /// GGUF file: a path or a name, as `happy run -m` takes it; any part of a split model
    file: OsString,
    /// Print the hash of each tensor's bytes too
    #[arg(long)]
    tensors: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: AccessArgs,
}

/// Runs the command.
pub(super) fn run(args: &HashArgs) -> CliResult {
    let model = open(&args.file)?;
    let mut out = output::buffered(std::io::stdout().lock());
    let (mut tensors, mut written) = (Map::new(), Ok(()));
    let each = |name: &str, hash: &[u8; 32]| match (args.tensors, args.json) {
        (true, true) => drop(tensors.insert(name.to_owned(), ContentHash::hex(hash).into())),
        // After a failure nothing more is written.
        (true, false) if written.is_ok() => {
            written = writeln!(out, "{}  tensor {name}", ContentHash::hex(hash))
        }
        _ => {}
    };
    let hash = ContentHash::of_reader(&model, each, &|| false)?;
    let [content, metadata, weights] =
        [hash.content, hash.metadata, hash.tensors].map(|hash| ContentHash::hex(&hash));
    if args.json {
        let mut report = json!({ "file": shown(&args.file), "hash": "sha256", "content": content, "metadata": metadata,
                                 "tensors": weights });
        if let (true, Some(report)) = (args.tensors, report.as_object_mut()) {
            report.insert("each_tensor".to_owned(), tensors.into());
        }
        return print_json(&report);
    }
    written?;
    writeln!(out, "{metadata}  metadata\n{weights}  tensors\n{content}  content")?;
    Ok(out.flush()?)
}
