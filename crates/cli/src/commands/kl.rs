//! `happy kl`: measures how far a model's predictions are from those of a reference, as the Kullback-Leibler
//! divergence.
//!
//! For each place, with p of the reference and q of the model: `sum of p(t) * (ln p(t) - ln q(t))` over the tokens t.

use crate::error::{CliError, CliResult};
use crate::output;
use crate::paths::shown;
use crate::score::base::{Reader, Row};
use crate::score::{Distribution, Mean, ScoreArgs, Scorer};
use clap::Args;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

/// Options of `happy kl`.
#[derive(Debug, Args)]
pub(crate) struct KlArgs {
    /// Reference logits, which `happy perplexity --save-logits` or `llama-perplexity --kl-divergence-base` wrote
    #[arg(long, value_name = "FILE")]
    against: PathBuf,
    #[command(flatten)]
    score: ScoreArgs,
}

/// Sums over all places.
#[derive(Clone, Default)]
struct Sums {
    divergence: Mean,
    /// The divergence of each place.
    all: Vec<f32>,
    same_best: Mean,
    nll: Mean,
    base_nll: Mean,
}

/// Natural logarithm of a probability. Tokens of the reference below it are left out, since the file is not exact
/// there.
const LEAST: f32 = -16.0;

impl Sums {
    fn add(&mut self, logits: &[f32], base: &Row<'_>, next: usize) -> CliResult {
        let model = Distribution::of(logits);
        let (mut divergence, mut best, mut max, mut base_next) = (0.0, 0, f32::NEG_INFINITY, 0.0);
        for (id, ln_p) in base.ln_p().enumerate() {
            if ln_p > max {
                (best, max) = (id, ln_p);
            }
            if id == next {
                base_next = ln_p;
            }
            if ln_p > LEAST {
                divergence += libm::exp(f64::from(ln_p)) * (f64::from(ln_p) - model.ln_p(id));
            }
        }
        self.divergence.add(divergence);
        self.all.try_reserve(1).map_err(|_| CliError::new("no memory for the divergences of all places"))?;
        self.all.push(divergence as f32);
        self.same_best.add(f64::from(u8::from(best == model.best)));
        self.nll.add(-model.ln_p(next));
        self.base_nll.add(-f64::from(base_next));
        Ok(())
    }

    /// Returns the divergence below which this share of the places lies. The values must be sorted.
    fn quantile(&self, share: f64) -> f32 {
        let last = self.all.len().saturating_sub(1) as f64;
        let at = share * last;
        let (low, part) = (at as usize, at - libm::floor(at));
        let value = |i: usize| self.all.get(i).or(self.all.last()).copied().unwrap_or_default();
        (f64::from(value(low)) * (1.0 - part) + f64::from(value(low + 1)) * part) as f32
    }
}

/// Runs the command.
pub(crate) fn run(args: &KlArgs) -> CliResult {
    let mut reader = Reader::open(&args.against)?;
    let header = reader.header.clone();
    let mut scorer = Scorer::load(&args.score, header.n_ctx)?;
    let (found, n_vocab) = (header.n_vocab, scorer.engine().model().n_vocab());
    if found != n_vocab {
        return Err(CliError::new(format!(
            "`{}` is about a vocabulary of {found} tokens, the model's has {n_vocab}: the reference is another model's",
            shown(&args.against)
        )));
    }
    let chunks = (header.tokens.len() / header.n_ctx).min(args.score.chunks.unwrap_or(usize::MAX));
    let mut sums = Sums::default();
    let mut ended = false;
    let done = scorer.chunks(
        &mut sums,
        chunks,
        |sums, chunk, scorer| {
            let before = sums.clone_without_all();
            let tokens = header.tokens.chunks_exact(header.n_ctx).nth(chunk).unwrap_or_default();
            let complete = scorer.chunk(tokens, &mut |logits, next| match reader.row()? {
                Some(row) => sums.add(logits, &row, next as usize),
                None => {
                    ended = true;
                    Ok(())
                }
            })? && !ended;
            if !complete {
                let n = before.divergence.n;
                let all = std::mem::take(&mut sums.all);
                *sums = Sums { all, ..before };
                sums.all.truncate(n);
            }
            Ok(complete)
        },
        |sums| sums.divergence.mean(),
    );
    if ended {
        output::note(&format!("`{}` ends before its last chunk is complete", shown(&args.against)));
    }
    let done = done?;
    sums.all.sort_unstable_by(f32::total_cmp);
    report(args, &sums, done)
}

impl Sums {
    fn clone_without_all(&self) -> Self {
        Self { all: Vec::new(), ..*self }
    }
}

fn report(args: &KlArgs, sums: &Sums, chunks: usize) -> CliResult {
    let (perplexity, base) = (sums.nll.perplexity().0, sums.base_nll.perplexity().0);
    let (mean, error) = (sums.divergence.mean(), sums.divergence.error());
    let (same, same_error) = (sums.same_best.mean(), sums.same_best.error());
    let [median, q99, q999, max] = [0.5, 0.99, 0.999, 1.0].map(|share| sums.quantile(share));
    let mut out = output::buffered(std::io::stdout().lock());
    if args.score.json {
        let object = json!({
            "kl_mean": mean,
            "kl_error": error,
            "kl_median": median,
            "kl_99": q99,
            "kl_999": q999,
            "kl_max": max,
            "same_top": same,
            "same_top_error": same_error,
            "perplexity": perplexity,
            "perplexity_base": base,
            "tokens": sums.divergence.n,
            "chunks": chunks,
        });
        writeln!(out, "{object}")?;
    } else {
        writeln!(out, "mean KL         {mean:.6} +/- {error:.6}")?;
        writeln!(out, "median KL       {median:.6}")?;
        writeln!(out, "99% KL          {q99:.6}")?;
        writeln!(out, "99.9% KL        {q999:.6}")?;
        writeln!(out, "largest KL      {max:.6}")?;
        writeln!(out, "same top token  {:.3}% +/- {:.3}%", same * 100.0, same_error * 100.0)?;
        writeln!(out, "perplexity      {perplexity:.4}, of the reference {base:.4}")?;
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_values() {
        let sums = Sums { all: vec![0.0, 1.0, 2.0, 3.0, 4.0], ..Sums::default() };
        assert_eq!([0.0, 0.5, 0.625, 1.0].map(|share| sums.quantile(share)), [0.0, 2.0, 2.5, 4.0]);
        assert_eq!(Sums::default().quantile(0.5), 0.0);
    }
}
