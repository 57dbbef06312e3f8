//! `happy gguf hash`: the content hash of a model.

use super::{open, print_json};
use crate::error::CliResult;
use crate::paths::{AccessArgs, shown};
use clap::Args;
use happy_gguf::ContentHash;
use serde_json::{Map, json};
use std::ffi::OsString;
use std::io::Write;

/// Options of `happy gguf hash`.
#[derive(Debug, Args)]
pub(crate) struct HashArgs {
    /// GGUF file: a path, or a known name; of a split model any part
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
    let mut tensors = Vec::new();
    let each = |name: &str, hash: &[u8; 32]| tensors.push((name.to_owned(), ContentHash::hex(hash)));
    let hash = ContentHash::of_reader(&model, each, &|| false)?;
    let [content, metadata, weights] =
        [hash.content, hash.metadata, hash.tensors].map(|hash| ContentHash::hex(&hash));
    if args.json {
        let mut report = json!({ "file": shown(&args.file), "hash": "sha256", "content": content, "metadata": metadata,
                                 "tensors": weights });
        if let (true, Some(report)) = (args.tensors, report.as_object_mut()) {
            let each: Map<_, _> = tensors.into_iter().map(|(name, hash)| (name, hash.into())).collect();
            report.insert("each_tensor".to_owned(), each.into());
        }
        return print_json(&report);
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if args.tensors {
        for (name, hash) in tensors {
            writeln!(out, "{hash}  tensor {name}")?;
        }
    }
    writeln!(out, "{metadata}  metadata\n{weights}  tensors\n{content}  content")?;
    Ok(out.flush()?)
}
