//! `happy run`: streams the answer to one prompt.

use crate::constrain::GrammarSource;
use crate::error::{CliError, CliResult};
use crate::generation::{self, GenerationArgs};
use crate::load::{ContextArgs, LoadArgs, LoraArgs, MainModelArgs, ModelArgs};
use crate::pace::PaceArgs;
use crate::speculate::{self, SpeculationArgs};
use crate::talk::{Talk, TalkArgs};
use crate::{answer, input, load, models, output};
use clap::Args;
use happy_engine::chat::Message;
use happy_engine::{Conversation, Engine};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  happy run \"Why is the sky blue?\"
  happy run qwen3-0.6b \"Why is the sky blue?\"
  cat notes.txt | happy run \"Summarize this:\"
  happy run -m model.gguf --system \"Answer in French.\" \"Name three rivers.\"
  happy run --json-schema city.json \"Paris as JSON\"
  happy run -m qwen25 --tools tools.json --tool-choice required \"Set a timer for 12 minutes.\"";

/// Options of `happy run`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    model: MainModelArgs,
    #[command(flatten)]
    lora: LoraArgs,
    /// The prompt; text that is piped in follows it. Without -m, the name of a model may come before it
    #[arg(value_name = "PROMPT")]
    words: Vec<String>,
    /// The prompt, as an option
    #[arg(short, long, value_name = "TEXT")]
    prompt: Option<String>,
    /// Read the prompt from a file; `-` is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "prompt")]
    file: Option<PathBuf>,
    /// Take the prompt as it is, without the model's chat template
    #[arg(long, conflicts_with_all = ["system", "tools", "var", "reply_format"])]
    raw: bool,
    /// Print only the answer and errors: no statistics, no notes
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    talk: TalkArgs,
    #[command(flatten)]
    form: GrammarSource,
    #[command(flatten)]
    generation: GenerationArgs,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    speculation: SpeculationArgs,
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    pace: PaceArgs,
}

/// Runs the command.
pub(crate) fn run(args: &RunArgs) -> CliResult {
    // Wrong arguments are reported before a model is loaded.
    let cancel = generation::cancel_on_interrupt()?;
    args.generation.check()?;
    args.pace.check()?;
    args.speculation.check()?;
    let options = args.speculation.of(args.lora.of(args.context.options(&args.load)));
    options.check()?;
    let form = args.form.form()?;
    let (model, words) = model_and_words(args);
    let text = prompt_text(args, words)?;
    let talk = args.talk.read()?;
    let note = |text: &str| {
        if args.quiet {
        } else {
            output::note(text)
        }
    };
    let started = Instant::now();
    let engine = load::engine(&model, &options, &note)?;
    let conversation = conversation(args, &model, &talk, &engine, &text)?;
    if conversation.is_none() && !args.raw && engine.tokenizer().is_some() {
        note(&format!("`{}` has no chat template: the prompt is continued as text", model.name()));
    }
    let mut options = args.generation.options(&engine, form, cancel, conversation.is_none())?;
    options.shift = args.talk.shifts();
    let mut context = engine.context()?;
    args.speculation.begin(&mut context, &args.load)?;
    args.pace.govern(&mut context)?;
    let loaded = started.elapsed();
    let finish = match conversation {
        Some(conversation) => answer::stream(conversation.answer(&mut context, 0, options)?, |_| ())?.1,
        None => generation::stream(&mut context, &engine.encode_prompt(&text)?, options)?,
    };
    if let Some(finish) = &finish {
        generation::shifted(finish).iter().for_each(|told| note(told));
        if !finish.reason.is_unfinished() {
            generation::end(finish).iter().for_each(|end| note(end));
        }
        note(&generation::summary(finish).join("\n"));
        context.speculation_stats().iter().filter_map(speculate::summary).for_each(|line| note(&line));
    }
    note(&format!("loading {:23.1} ms", loaded.as_secs_f64() * 1e3));
    note(&generation::memory(&context));
    finish.as_ref().map_or(Ok(()), generation::complete)
}

/// Returns the model, and the words of the prompt. Without `-m`, the first word may name the model.
fn model_and_words(args: &RunArgs) -> (ModelArgs, &[String]) {
    match args.words.as_slice() {
        [name, words @ ..] if !args.model.is_given && models::is_name(name) => {
            (ModelArgs { model: name.into() }, words)
        }
        words => (ModelArgs { model: args.model.model.model.clone() }, words),
    }
}

/// Returns the prompt from its source. From files and standard input the last line end is removed. Piped text follows a
/// given prompt after an empty line.
fn prompt_text(args: &RunArgs, words: &[String]) -> CliResult<String> {
    let option = match (&args.prompt, &args.file) {
        (Some(_), _) => Some("--prompt"),
        (None, Some(_)) => Some("--file"),
        (None, None) => None,
    };
    let given = match (words, option) {
        ([], _) => args.prompt.clone(),
        (_, Some(option)) => {
            return Err(CliError::usage(format!("the prompt is there twice: as PROMPT and with {option}")));
        }
        ([prompt], None) => Some(prompt.clone()),
        (words, None) => {
            return Err(CliError::usage(format!(
                "the prompt has {} parts, expected one: put it into quotes",
                words.len()
            )));
        }
    };
    let text = match (given, &args.file) {
        (Some(prompt), _) if prompt.is_empty() => return Err(CliError::usage("the prompt is empty")),
        (Some(prompt), _) => {
            return Ok(match input::piped()? {
                Some(more) => format!("{prompt}\n\n{}", without_line_end(&more)),
                None => prompt,
            });
        }
        (None, Some(path)) => input::read_text(path)?,
        (None, None) if std::io::stdin().is_terminal() => {
            let chat = match args.words.first() {
                Some(model) => format!("; happy chat {model} begins a chat"),
                None => String::new(),
            };
            return Err(CliError::usage(format!(
                "there is no prompt: give it as an argument, with -f FILE or on standard input{chat}"
            )));
        }
        (None, None) => input::read_stdin()?,
    };
    let text = without_line_end(&text);
    if text.is_empty() {
        let from = args.file.as_ref().map_or("standard input".to_owned(), |f| format!("`{}`", f.display()));
        return Err(CliError::new(format!("the prompt is empty: {from} has no text")));
    }
    Ok(text.to_owned())
}

fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// Returns the prompt as a conversation; `None` if there is no chat template, or none is wanted.
fn conversation(
    args: &RunArgs,
    model: &ModelArgs,
    talk: &Talk,
    engine: &Engine,
    text: &str,
) -> CliResult<Option<Conversation>> {
    if args.raw {
        return Ok(None);
    }
    let Some(mut conversation) = talk.begin(engine)? else {
        talk.refuse(&format!("`{}` has no chat template", model.name()))?;
        return Ok(None);
    };
    conversation.push(Message::new("user", text));
    Ok(Some(conversation))
}
