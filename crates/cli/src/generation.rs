//! Options of generation that `run` and `chat` share, and streaming an answer.

use crate::error::{CliError, CliResult};
use crate::output::{self, human_bytes};
use clap::Args;
use happy_engine::{Cancel, Context, Event, Finish, GenerateOptions, memory};
use happy_sampler::Sampler;
use happy_tokenizer::TokenId;
use std::io::Write;

/// How to choose tokens and when to end.
#[derive(Debug, Args)]
pub(crate) struct GenerationArgs {
    /// Most tokens to generate; -1: until the context is full
    #[arg(short = 'n', long, value_name = "N", default_value_t = 256, allow_negative_numbers = true)]
    predict: i64,
    /// Temperature; 0 always takes the best token
    #[arg(long, value_name = "T", default_value_t = 0.8, allow_negative_numbers = true)]
    temp: f32,
    /// Keep the K best tokens; 0: all
    #[arg(long, value_name = "K", default_value_t = 40)]
    top_k: usize,
    /// Keep the best tokens that have this probability together
    #[arg(long, value_name = "P", default_value_t = 0.95, allow_negative_numbers = true)]
    top_p: f32,
    /// Keep tokens with at least this share of the best one's probability
    #[arg(long, value_name = "P", default_value_t = 0.05, allow_negative_numbers = true)]
    min_p: f32,
    /// Divide the logits of recent tokens by this; 1: off
    #[arg(long, value_name = "X", default_value_t = 1.0, allow_negative_numbers = true)]
    repeat_penalty: f32,
    /// Tokens that the penalty looks back
    #[arg(long, value_name = "N", default_value_t = 64)]
    repeat_last_n: usize,
    /// Seed of the random choice [default: another one each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// End at this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
}

impl GenerationArgs {
    /// The engine's options.
    pub(crate) fn options(&self, cancel: Cancel) -> CliResult<GenerateOptions> {
        let max_tokens = match self.predict {
            -1 => None,
            n => Some(usize::try_from(n).ok().filter(|n| *n > 0).ok_or_else(|| {
                CliError::usage(format!("--predict is {n}, expected at least 1, or -1 for no limit"))
            })?),
        };
        let sampler = self.sampler().map_err(|e| CliError::usage(e.to_string()))?;
        Ok(GenerateOptions {
            sampler,
            max_tokens,
            stop: self.stop.clone(),
            cancel,
            ..GenerateOptions::default()
        })
    }

    fn sampler(&self) -> Result<Sampler, happy_sampler::SamplerError> {
        let mut builder = Sampler::builder();
        if self.repeat_penalty != 1.0 {
            builder = builder.penalties(self.repeat_last_n, self.repeat_penalty, 0.0, 0.0);
        }
        if self.temp == 0.0 {
            return builder.greedy().build();
        }
        if self.top_k > 0 {
            builder = builder.top_k(self.top_k);
        }
        builder = builder.top_p(self.top_p).min_p(self.min_p).temperature(self.temp);
        builder.seed(self.seed.unwrap_or_else(clock_seed)).build()
    }
}

/// A seed that differs from run to run.
fn clock_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |d| d.as_nanos() as u64) ^ u64::from(std::process::id()).rotate_left(32)
}

/// Generates what follows `prompt` and prints it as it comes; returns the text and how it ended.
pub(crate) fn stream(
    context: &mut Context,
    prompt: &[TokenId],
    options: GenerateOptions,
) -> CliResult<(String, Option<Finish>)> {
    let mut out = std::io::stdout().lock();
    let (mut text, mut finish) = (String::new(), None);
    let bar = output::progress(prompt.len() as u64, "reading the prompt");
    for event in context.generate(0, prompt, options)? {
        match event? {
            Event::Prefilling { done, .. } => bar.set_position(done as u64),
            Event::Prefilled { .. } => bar.finish_and_clear(),
            Event::Text(piece) => {
                out.write_all(piece.as_bytes())?;
                out.flush()?;
                text.push_str(&piece);
            }
            Event::Done(end) => finish = Some(end),
            _ => {}
        }
    }
    bar.finish_and_clear();
    if !text.ends_with('\n') {
        writeln!(out)?;
    }
    Ok((text, finish))
}

/// Raises the flag on Ctrl-C; the second time the process ends at once.
pub(crate) fn cancel_on_interrupt() -> CliResult<Cancel> {
    let cancel = Cancel::new();
    let flag = cancel.clone();
    ctrlc::set_handler(move || {
        if flag.is_cancelled() {
            // 128 + SIGINT, as shells report it.
            std::process::exit(130);
        }
        flag.cancel();
    })
    .map_err(|e| CliError::new(format!("cannot listen for Ctrl-C: {e}")))?;
    Ok(cancel)
}

/// The summary of a generation, for standard error.
pub(crate) fn summary(finish: &Finish) -> Vec<String> {
    let ms = |d: std::time::Duration| d.as_secs_f64() * 1e3;
    let mut lines = vec![format!("[ended by {}]", finish.reason)];
    lines.push(format!(
        "prompt      {:5} tokens {:9.1} ms {:8.1} tok/s",
        finish.prompt_tokens,
        ms(finish.prefill_time),
        finish.prefill_rate()
    ));
    if finish.decoded_tokens > 0 {
        lines.push(format!(
            "generation  {:5} tokens {:9.1} ms {:8.1} tok/s",
            finish.generated_tokens,
            ms(finish.decode_time),
            finish.decode_rate()
        ));
    }
    lines
}

/// What the process takes of the machine's memory, for standard error.
pub(crate) fn memory(context: &Context) -> String {
    let kv = human_bytes(context.kv_resident_bytes() as u64);
    match memory::usage() {
        Some(usage) => {
            let (anon, file) = (human_bytes(usage.anon_bytes), human_bytes(usage.file_bytes));
            format!("memory      anonymous {anon} (kv cache {kv}), file-backed {file}")
        }
        None => format!("memory      kv cache {kv} (this system does not tell more)"),
    }
}
