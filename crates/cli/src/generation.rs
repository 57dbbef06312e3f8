//! Options of generation that `run` and `chat` share, and streaming text.

use crate::error::{CliError, CliResult};
use crate::output::{self, human_bytes};
use crate::pace;
use crate::sampling::SamplingArgs;
use crate::terminal::Page;
use clap::{Args, FromArgMatches};
use happy_engine::{
    Cancel, Context, Engine, Event, Finish, FinishReason, Form, GenerateOptions, Unfinished, memory,
};
use happy_tokenizer::TokenId;

/// How to choose tokens and when to end.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Length and end")]
pub(crate) struct GenerationArgs {
    /// Maximum number of tokens to generate; -1: no limit [default: no limit; 256 for text without a chat template]
    #[arg(
        short = 'n',
        long = "max-tokens",
        aliases = ["predict", "n-predict"],
        value_name = "N",
        allow_negative_numbers = true
    )]
    max_tokens: Option<i64>,
    /// End the answer at this text, which is not printed; may be given several times. It is looked for in the answer,
    /// not in reasoning or calls
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    #[command(flatten)]
    sampling: SamplingArgs,
}

/// Maximum number of tokens of a text without a chat template, since many base models never end by themselves.
const RAW_TOKENS: usize = 256;

impl GenerationArgs {
    /// Checks that the options are in range. This needs no model, so that errors are reported before one is loaded.
    pub(crate) fn check(&self) -> CliResult {
        self.limit()?;
        self.sampling.check()
    }

    /// Returns the parameters by which tokens are chosen, and their values.
    pub(crate) fn shown(&self) -> Vec<(String, String)> {
        self.sampling.shown()
    }

    /// Sets a flag, given without its dashes.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> CliResult {
        let command = clap::Command::new("params").no_binary_name(true);
        let matches = Self::augment_args_for_update(command)
            .try_get_matches_from([format!("--{}={value}", name.trim_start_matches('-'))])
            .map_err(|error| CliError::usage(crate::error::said(&error)))?;
        let mut new = self.clone();
        new.update_from_arg_matches(&matches).map_err(|error| CliError::usage(crate::error::said(&error)))?;
        new.check()?;
        *self = new;
        Ok(())
    }

    /// Returns the engine's options. `raw` means that there is no chat template.
    pub(crate) fn options(
        &self,
        engine: &Engine,
        form: Option<Form>,
        cancel: Cancel,
        raw: bool,
    ) -> CliResult<GenerateOptions> {
        let default = if raw { Some(RAW_TOKENS) } else { None };
        Ok(GenerateOptions {
            sampler: self.sampling.sampler(engine)?,
            max_tokens: self.limit()?.unwrap_or(default),
            stop: self.stop.clone(),
            form,
            cancel,
            ..GenerateOptions::default()
        })
    }

    /// Returns the requested limit, if there is one: a number of tokens, or no limit.
    fn limit(&self) -> CliResult<Option<Option<usize>>> {
        match self.max_tokens {
            None => Ok(None),
            Some(-1) => Ok(Some(None)),
            Some(n) => match usize::try_from(n) {
                Ok(n) if n > 0 => Ok(Some(Some(n))),
                _ => Err(CliError::usage(format!(
                    "--max-tokens is {n}, expected at least 1, or -1 for no limit"
                ))),
            },
        }
    }
}

/// Generates what follows `prompt` and prints it as it comes. Returns how it ended.
pub(crate) fn stream(
    context: &mut Context,
    prompt: &[TokenId],
    options: GenerateOptions,
) -> CliResult<Option<Finish>> {
    let mut page = Page::new();
    let mut finish = None;
    let bar = output::progress(prompt.len() as u64, "reading the prompt");
    for event in context.generate(0, prompt, options)? {
        match event? {
            Event::Prefill { done, total } => output::advance(&bar, done, total),
            Event::Text(piece) => page.write(&piece)?,
            Event::Done(end) => finish = Some(end),
            _ => {}
        }
    }
    bar.finish_and_clear();
    page.close()?;
    Ok(finish)
}

/// Raises the flag on Ctrl-C. The second Ctrl-C ends the process at once.
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

/// Returns what was dropped so that the text could go on.
pub(crate) fn shifted(finish: &Finish) -> Option<String> {
    let n = finish.shifted_tokens;
    (n > 0).then(|| format!("[the context was full: {n} tokens after its first 64 were dropped, as --when-full shift asks for]"))
}

/// Returns why a text ended, unless the model simply ended it, and what the user can do about it.
pub(crate) fn end(finish: &Finish) -> Option<String> {
    let hint = match &finish.reason {
        FinishReason::EndOfGeneration(_) | FinishReason::GrammarEnd => return None,
        FinishReason::Length | FinishReason::Unfinished(Unfinished::Length) => " (-n sets it)",
        FinishReason::ContextFull | FinishReason::Unfinished(Unfinished::ContextFull) => {
            " (-c N makes it larger)"
        }
        _ => "",
    };
    Some(format!("[{}{hint}]", finish.reason))
}

/// A text that ended before the form or the call was complete is a failure of its own: exit code 3.
pub(crate) fn complete(finish: &Finish) -> CliResult {
    match end(finish) {
        Some(end) if finish.reason.is_unfinished() => {
            Err(CliError::unfinished(format!("the reply is {}", end.trim_matches(['[', ']']))))
        }
        _ => Ok(()),
    }
}

/// Returns the summary of a generation, for standard error.
pub(crate) fn summary(finish: &Finish) -> Vec<String> {
    let ms = |d: std::time::Duration| d.as_secs_f64() * 1e3;
    let mut lines = vec![format!(
        "prompt      {:5} tokens {:9.1} ms {:8.1} tok/s",
        finish.prompt_tokens,
        ms(finish.prefill_time),
        finish.prefill_rate()
    )];
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

/// Prints what a governor decided and how much memory the process takes, to standard error.
pub(crate) fn memory(context: &Context) -> String {
    let governor = pace::line(context).map_or(String::new(), |line| format!("{line}\n"));
    governor + &memory_line(context)
}

fn memory_line(context: &Context) -> String {
    let kv = human_bytes(context.kv_resident_bytes() as u64);
    match memory::usage() {
        Some(usage) => {
            let (anon, file) = (human_bytes(usage.anon_bytes), human_bytes(usage.file_bytes));
            format!("memory      anonymous {anon} (kv cache {kv}), file-backed {file}")
        }
        None => format!("memory      kv cache {kv} (this system does not report more)"),
    }
}
