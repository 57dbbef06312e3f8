//! `happy run`: one answer, streamed.

use crate::constrain::{self, GrammarSource};
use crate::error::{CliError, CliResult};
use crate::generation::{self, GenerationArgs};
use crate::load::{ContextArgs, LoadArgs};
use crate::{answer, input, load, output};
use clap::Args;
use happy_engine::chat::{Message, ReplyFormat};
use happy_engine::{Conversation, Engine};
use serde_json::Value;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Instant;

/// Options of `happy run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Model: a path, or a known name
    #[arg(short, long, default_value = "smollm2")]
    model: String,
    /// The prompt [default: standard input]
    prompt: Option<String>,
    /// Read the prompt from a file; `-` is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "prompt")]
    file: Option<PathBuf>,
    /// System message
    #[arg(long, value_name = "TEXT", conflicts_with = "raw")]
    system: Option<String>,
    /// Tools that the model may call: a JSON array, as chat templates take them
    #[arg(long, value_name = "FILE.json", conflicts_with = "raw")]
    tools: Option<PathBuf>,
    /// Read the reply in this format [default: the chat template's; `happy reply --list` names them]
    #[arg(long, value_name = "NAME", conflicts_with = "raw")]
    reply_format: Option<ReplyFormat>,
    /// Take the prompt as it is, without the model's chat template
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    generation: GenerationArgs,
    #[command(flatten)]
    grammar: GrammarSource,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    load: LoadArgs,
}

/// Runs the command.
pub(crate) fn run(args: &RunArgs) -> CliResult {
    // What is wrong with the arguments shows before a model is loaded.
    let cancel = generation::cancel_on_interrupt()?;
    args.generation.check()?;
    let grammar = args.grammar.compile("root")?;
    let text = prompt_text(args)?;
    let tools = args.tools.as_deref().map(input::read_array).transpose()?;
    let started = Instant::now();
    let engine = load::engine(&args.model, &args.context.options(&args.load))?;
    let conversation = conversation(args, &engine, &text, tools)?;
    let mut options = args.generation.options(&engine, cancel)?;
    options.constraint = constrain::constraint(&engine, grammar.as_ref())?;
    let mut context = engine.context()?;
    let loaded = started.elapsed();
    let finish = match conversation {
        Some(conversation) => answer::stream(conversation.answer(&mut context, 0, options)?)?.1,
        None => generation::stream(&mut context, &engine.encode_prompt(&text)?, options)?.1,
    };
    if let Some(finish) = finish {
        output::note(&generation::summary(&finish).join("\n"));
    }
    output::note(&format!("loading {:23.1} ms", loaded.as_secs_f64() * 1e3));
    output::note(&generation::memory(&context));
    Ok(())
}

/// The prompt from wherever it comes. Of files and standard input the last line end is taken off.
fn prompt_text(args: &RunArgs) -> CliResult<String> {
    let text = match (&args.prompt, &args.file) {
        (Some(prompt), _) if prompt.is_empty() => return Err(CliError::usage("the prompt is empty")),
        (Some(prompt), _) => return Ok(prompt.clone()),
        (None, Some(path)) => input::read_text(path)?,
        (None, None) if std::io::stdin().is_terminal() => {
            return Err(CliError::usage(
                "there is no prompt: give it as an argument, with -f FILE or on standard input",
            ));
        }
        (None, None) => input::read_stdin()?,
    };
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        let from = args.file.as_ref().map_or("standard input".to_owned(), |f| format!("`{}`", f.display()));
        return Err(CliError::new(format!("the prompt is empty: {from} has no text")));
    }
    Ok(text.to_owned())
}

/// The prompt as a conversation, where there is a chat template and nobody asked for none.
fn conversation(
    args: &RunArgs,
    engine: &Engine,
    text: &str,
    tools: Option<Vec<Value>>,
) -> CliResult<Option<Conversation>> {
    let found = if args.raw { None } else { Conversation::new(engine, tools)? };
    let Some(mut conversation) = found else {
        let given = [
            ("--system", args.system.is_some()),
            ("--tools", args.tools.is_some()),
            ("--reply-format", args.reply_format.is_some()),
        ];
        return match given.iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(CliError::new(format!(
                "`{}` has no chat template, so {option} has no place: put everything into the prompt",
                args.model
            ))),
            None => Ok(None),
        };
    };
    if let Some(format) = args.reply_format {
        conversation.set_format(format)?;
    }
    if let Some(system) = &args.system {
        conversation.push(Message::new("system", system));
    }
    conversation.push(Message::new("user", text));
    Ok(Some(conversation))
}
