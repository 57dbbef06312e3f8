//! Options of generation that `run` and `chat` share, and streaming an answer.

use crate::error::{CliError, CliResult};
use crate::output::{self, human_bytes};
use crate::sampling::SamplingArgs;
use clap::Args;
use happy_engine::{Cancel, Context, Engine, Event, Finish, GenerateOptions, memory};
use happy_tokenizer::TokenId;
use std::io::Write;

/// How to choose tokens and when to end.
#[derive(Debug, Args)]
pub(crate) struct GenerationArgs {
    /// Most tokens to generate; -1: until the context is full
    #[arg(short = 'n', long, value_name = "N", default_value_t = 256, allow_negative_numbers = true)]
    predict: i64,
    /// End at this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    #[command(flatten)]
    sampling: SamplingArgs,
}

impl GenerationArgs {
    /// Whether the options are in range; needs no model, so that what is wrong shows before one is loaded.
    pub(crate) fn check(&self) -> CliResult {
        self.max_tokens()?;
        self.sampling.check()
    }

    /// The engine's options.
    pub(crate) fn options(&self, engine: &Engine, cancel: Cancel) -> CliResult<GenerateOptions> {
        let (max_tokens, sampler) = (self.max_tokens()?, self.sampling.sampler(engine)?);
        Ok(GenerateOptions {
            sampler,
            max_tokens,
            stop: self.stop.clone(),
            cancel,
            ..GenerateOptions::default()
        })
    }

    fn max_tokens(&self) -> CliResult<Option<usize>> {
        if self.predict == -1 {
            return Ok(None);
        }
        let n = usize::try_from(self.predict).ok().filter(|n| *n > 0).ok_or_else(|| {
            CliError::usage(format!("--predict is {}, expected at least 1, or -1 for no limit", self.predict))
        })?;
        Ok(Some(n))
    }
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
