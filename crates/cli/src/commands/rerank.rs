//! `happy rerank`: sorts documents by how well they match a query, best first.

use super::embed::{EmbeddingModelArgs, RoomArgs, texts};
use crate::error::CliResult;
use crate::load::LoadArgs;
use crate::{load, output};
use clap::Args;
use happy_engine::{Cancel, EmbedOptions};
use happy_model::Pooling;
use serde::Serialize;
use std::io::Write;

/// Options of `happy rerank`.
#[derive(Debug, Args)]
pub(crate) struct RerankArgs {
    #[command(flatten)]
    model: EmbeddingModelArgs,
    /// What the documents should match
    query: String,
    /// Documents [default: each line of standard input is one]
    #[arg(value_name = "DOCUMENT")]
    documents: Vec<String>,
    /// Write one JSON object per line: index and score
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    room: RoomArgs,
    #[command(flatten)]
    load: LoadArgs,
}

/// A line of output.
#[derive(Serialize)]
struct Line {
    index: usize,
    score: f32,
}

/// Runs the command.
pub(crate) fn run(args: &RerankArgs) -> CliResult {
    let documents = texts(&args.documents)?;
    let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
    let engine = load::engine(&args.model.args(), &args.room.options(&args.load), &output::note)?;
    let (pooling, too_long) = (Some(Pooling::Rank), args.room.too_long());
    let mut embedder = engine.embedder(&EmbedOptions { pooling, too_long, ..EmbedOptions::default() })?;
    let mut out = output::buffered(std::io::stdout().lock());
    for rank in embedder.rank(&args.query, &documents, &Cancel::new())? {
        if args.json {
            serde_json::to_writer(&mut out, &Line { index: rank.index, score: rank.score })?;
            writeln!(out)?;
        } else {
            let document = documents.get(rank.index).copied().unwrap_or("");
            writeln!(out, "{}\t{document}", rank.score)?;
        }
    }
    out.flush()?;
    Ok(())
}
