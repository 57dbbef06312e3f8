//! `happy perplexity`: measures how well a model predicts a text.

use crate::error::CliResult;
use crate::paths;
use crate::score::base::{Header, Writer};
use crate::score::{Distribution, Mean, ScoreArgs, Scorer};
use crate::{input, output};
use clap::Args;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  happy perplexity -m model.gguf wiki.test.raw
  happy perplexity -m f16.gguf text.txt --save-logits base.bin
  happy kl -m q4.gguf --against base.bin";

/// Options of `happy perplexity`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PerplexityArgs {
    /// File with the text
    #[arg(value_name = "FILE")]
    text: PathBuf,
    /// Number of tokens in a chunk; those of its second half are scored
    #[arg(short, long, value_name = "N", default_value_t = 512)]
    ctx: usize,
    /// Write the probabilities of all tokens to this file, for `happy kl`: 2 bytes for each token of the vocabulary, at
    /// each scored position
    #[arg(long, value_name = "FILE")]
    save_logits: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "save_logits")]
    force: bool,
    #[command(flatten)]
    score: ScoreArgs,
}

/// Runs the command.
pub(crate) fn run(args: &PerplexityArgs) -> CliResult {
    let text = input::read_text(&args.text)?;
    if let Some(path) = &args.save_logits {
        paths::check_output(path, [args.text.as_path()], args.force)?;
    }
    let mut scorer = Scorer::load(&args.score, args.ctx)?;
    let tokens = scorer.tokens_of(&args.text, &text, args.score.chunks)?;
    let chunks = tokens.len() / args.ctx;
    let header = Header { n_ctx: args.ctx, n_vocab: scorer.engine().model().n_vocab(), tokens };
    let writer = args.save_logits.as_deref().map(|path| Writer::create(path, &header)).transpose()?;
    let mut state = (Mean::default(), writer);
    let done = scorer.chunks(
        &mut state,
        chunks,
        |(nll, writer), chunk, scorer| {
            // Scores of an interrupted chunk do not count.
            let mut sum = *nll;
            let tokens = header.tokens.chunks_exact(args.ctx).nth(chunk).unwrap_or_default();
            let complete = scorer.chunk(tokens, &mut |logits, next| {
                let distribution = Distribution::of(logits);
                sum.add(-distribution.ln_p(next as usize));
                writer.as_mut().map_or(Ok(()), |writer| writer.row(logits, &distribution))
            })?;
            if complete {
                *nll = sum;
            }
            Ok(complete)
        },
        |(nll, _)| nll.perplexity().0,
    )?;
    let (nll, writer) = state;
    writer.map_or(Ok(()), Writer::finish)?;
    let (perplexity, error) = nll.perplexity();
    let mut out = output::buffered(std::io::stdout().lock());
    if args.score.json {
        let object = json!({
            "perplexity": perplexity,
            "perplexity_error": error,
            "nll": nll.mean(),
            "tokens": nll.n,
            "chunks": done,
            "context": args.ctx,
        });
        writeln!(out, "{object}")?;
    } else {
        let (n, ctx) = (nll.n, args.ctx);
        writeln!(out, "perplexity {perplexity:.4} +/- {error:.5}   {n} tokens in {done} chunks of {ctx}")?;
    }
    out.flush()?;
    Ok(())
}
