//! Measures how well a model predicts texts, from the logits of the second halves of chunks of tokens.
//!
//! This is the method of llama-perplexity: a text is cut into chunks of the context's size, and the first token of a
//! chunk is BOS if the model wants one. The tokens of the second half except its first are scored, so that the model
//! has always seen at least half a context.

pub(crate) mod base;

use crate::error::{CliError, CliResult};
use crate::load::{Kv, LoadArgs, LoraArgs, ModelArgs};
use crate::paths::shown;
use crate::{generation, load, output, prompt};
use clap::Args;
use happy_engine::{Cancel, Context, Engine, EngineError, LoadOptions};
use happy_model::{Batch, LayerHook, NoHook, Want};
use std::io::Write;
use std::path::Path;

/// Options of the commands that score texts.
#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    lora: LoraArgs,
    /// Number of chunks to compute [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) chunks: Option<usize>,
    /// How the KV cache stores keys and values
    #[arg(long, default_value = "f16")]
    kv: Kv,
    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Print only the result, no running values
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    load: LoadArgs,
}

/// Number of rows whose logits are in memory at once: enough to read the output matrix rarely, few enough for large
/// vocabularies.
const ROWS: usize = 64;

/// A model that scores chunks.
pub(crate) struct Scorer {
    context: Context,
    cancel: Cancel,
    batch: Batch,
    /// Number of tokens of a chunk.
    n_ctx: usize,
    bos: Option<u32>,
    quiet: bool,
}

impl Scorer {
    /// Loads the model for chunks of so many tokens.
    pub(crate) fn load(args: &ScoreArgs, n_ctx: usize) -> CliResult<Self> {
        if n_ctx < 4 {
            return Err(CliError::usage(format!("chunks of {n_ctx} tokens, expected at least 4")));
        }
        if args.chunks == Some(0) {
            return Err(CliError::usage("--chunks is 0, expected at least 1"));
        }
        let cancel = generation::cancel_on_interrupt()?;
        let options = LoadOptions {
            context: Some(n_ctx),
            kv: args.kv.into(),
            outputs: Some(ROWS),
            ..args.load.options()
        };
        let engine = load::engine(&args.model, &args.lora.of(options), &output::note)?;
        let bos = engine.tokenizer().filter(|tokenizer| tokenizer.adds_bos()).and_then(|t| t.bos());
        let batch = Batch::try_with_capacity(LoadOptions::DEFAULT_BATCH).map_err(EngineError::from)?;
        Ok(Self { context: engine.context()?, cancel, batch, n_ctx, bos, quiet: args.quiet || args.json })
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.context.engine()
    }

    /// Returns the places of a chunk whose next token is scored.
    pub(crate) fn scored(n_ctx: usize) -> std::ops::Range<usize> {
        n_ctx / 2..n_ctx - 1
    }

    /// Calls `each` with the logits of each scored place of a chunk and the token that follows. Returns false if it was
    /// interrupted.
    pub(crate) fn chunk(
        &mut self,
        tokens: &[u32],
        each: &mut dyn FnMut(&[f32], u32) -> CliResult,
    ) -> CliResult<bool> {
        let scored = Self::scored(self.n_ctx);
        self.context.truncate(0, 0)?;
        let mut at = 0;
        while at < scored.end {
            let wants = at >= scored.start;
            let end = if wants {
                scored.end.min(at + ROWS)
            } else {
                scored.start.min(at + LoadOptions::DEFAULT_BATCH)
            };
            let want = if wants { Want::Logits } else { Want::Nothing };
            self.batch.clear();
            for (place, token) in tokens.iter().enumerate().take(end).skip(at) {
                let token = self.bos.filter(|_| place == 0).unwrap_or(*token);
                self.batch.push(token, place as u32, 0, want)?;
            }
            let output = match self.context.forward(&self.batch, &self.cancel, &mut NoHook) {
                Ok(output) => output,
                Err(EngineError::Cancelled) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            for row in 0..if wants { end - at } else { 0 } {
                let next = tokens.get(at + row + 1).copied().unwrap_or_default();
                each(output.logits(row).unwrap_or_default(), next)?;
            }
            at = end;
        }
        Ok(true)
    }

    /// Computes a chunk for a hook. Returns false if it was interrupted.
    pub(crate) fn watch(&mut self, tokens: &[u32], hook: &mut dyn LayerHook) -> CliResult<bool> {
        self.context.truncate(0, 0)?;
        for first in (0..tokens.len()).step_by(LoadOptions::DEFAULT_BATCH) {
            self.batch.clear();
            for (place, token) in tokens.iter().enumerate().skip(first).take(LoadOptions::DEFAULT_BATCH) {
                let token = self.bos.filter(|_| place == 0).unwrap_or(*token);
                self.batch.push(token, place as u32, 0, Want::Nothing)?;
            }
            match self.context.forward(&self.batch, &self.cancel, hook) {
                Ok(_) => {}
                Err(EngineError::Cancelled) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Returns whether Ctrl-C was pressed.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Returns the tokens of a text in whole chunks, at most `most` of them.
    pub(crate) fn tokens_of(&self, path: &Path, text: &str, most: Option<usize>) -> CliResult<Vec<u32>> {
        // Strings of special tokens are treated as text, as in llama-perplexity.
        let mut tokens = prompt::encode(self.engine().require_tokenizer()?, text, false, true)?;
        let n_ctx = self.n_ctx;
        let chunks = (tokens.len() / n_ctx).min(most.unwrap_or(usize::MAX));
        if chunks == 0 {
            let (name, n) = (shown(path), tokens.len());
            return Err(CliError::new(format!(
                "`{name}` has {n} tokens, expected at least {n_ctx}, which is one chunk: take a longer text or a smaller --ctx"
            )));
        }
        tokens.truncate(chunks * n_ctx);
        Ok(tokens)
    }

    /// Scores chunks until they end or Ctrl-C is pressed. `running` returns what to show after each. Returns how many
    /// are complete.
    pub(crate) fn chunks<S>(
        &mut self,
        state: &mut S,
        n: usize,
        mut next: impl FnMut(&mut S, usize, &mut Self) -> CliResult<bool>,
        running: impl Fn(&S) -> f64,
    ) -> CliResult<usize> {
        let mut err = std::io::stderr();
        let mut done = 0;
        while done < n && next(state, done, self)? {
            done += 1;
            if !self.quiet {
                // Nothing can be done if standard error cannot be written.
                let _ = write!(err, "[{done}]{:.4},", running(state));
                let _ = err.flush();
            }
        }
        if !self.quiet {
            let _ = writeln!(err);
        }
        if done < n {
            output::note(&format!("[interrupted after {done} of {n} chunks]"));
        }
        if done == 0 {
            return Err(CliError::new("interrupted before the first chunk was complete: there is no result"));
        }
        Ok(done)
    }
}

/// Mean and standard error of values.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean {
    pub(crate) n: usize,
    sum: f64,
    squares: f64,
}

impl Mean {
    pub(crate) fn add(&mut self, value: f64) {
        self.n += 1;
        self.sum += value;
        self.squares += value * value;
    }

    pub(crate) fn mean(&self) -> f64 {
        self.sum / self.n as f64
    }

    /// Returns the standard error of the mean; 0 for a single value.
    pub(crate) fn error(&self) -> f64 {
        let mean = self.mean();
        let variance = self.squares / self.n as f64 - mean * mean;
        if self.n > 1 && variance > 0.0 { libm::sqrt(variance / (self.n - 1) as f64) } else { 0.0 }
    }

    /// Returns the perplexity and its standard error, if the values are negative log-likelihoods.
    pub(crate) fn perplexity(&self) -> (f64, f64) {
        let perplexity = libm::exp(self.mean());
        (perplexity, perplexity * self.error())
    }
}

/// Logits as probabilities.
pub(crate) struct Distribution<'a> {
    logits: &'a [f32],
    /// Returns the largest logit and the first token that has it.
    pub(crate) max: f32,
    pub(crate) best: usize,
    /// Returns the logarithm of the sum of all exp(logit - max).
    pub(crate) log_sum: f64,
}

impl<'a> Distribution<'a> {
    pub(crate) fn of(logits: &'a [f32]) -> Self {
        let (mut best, mut max) = (0, f32::NEG_INFINITY);
        for (id, logit) in logits.iter().enumerate() {
            if *logit > max {
                (best, max) = (id, *logit);
            }
        }
        let sum: f64 = logits.iter().map(|logit| libm::exp(f64::from(*logit) - f64::from(max))).sum();
        Self { logits, max, best, log_sum: libm::log(sum) }
    }

    /// Returns the natural logarithm of a token's probability.
    pub(crate) fn ln_p(&self, token: usize) -> f64 {
        let logit = self.logits.get(token).copied().unwrap_or(f32::NEG_INFINITY);
        f64::from(logit) - f64::from(self.max) - self.log_sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_have_errors() {
        let mut mean = Mean::default();
        for value in [1.0, 2.0, 3.0, 4.0] {
            mean.add(value);
        }
        assert_eq!(mean.mean(), 2.5);
        // The variance of the sample is 5/3, of four values.
        assert!((mean.error() - libm::sqrt(5.0 / 12.0)).abs() < 1e-12);
        assert!((mean.perplexity().0 - libm::exp(2.5)).abs() < 1e-12);
    }

    #[test]
    fn probabilities_of_logits() {
        let logits = [0.0, libm::log(3.0) as f32, 0.0];
        let d = Distribution::of(&logits);
        assert_eq!(d.best, 1);
        assert!((d.ln_p(1) - libm::log(0.6)).abs() < 1e-6 && (d.ln_p(2) - libm::log(0.2)).abs() < 1e-6);
    }
}
