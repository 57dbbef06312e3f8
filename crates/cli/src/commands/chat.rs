//! `happy chat`: turns with history. What the KV cache holds of the conversation is not computed again: only the
//! tokens behind the longest common prefix of what was computed and what the template now renders are prefilled.

use crate::constrain::{self, GrammarSource};
use crate::error::{CliError, CliResult};
use crate::generation::{self, GenerationArgs};
use crate::input::LineReader;
use crate::load::{ContextArgs, LoadArgs};
use crate::{answer, load, output};
use clap::Args;
use happy_engine::chat::{Message, Reply};
use happy_engine::{Context, Conversation, Finish, FinishReason, GenerateOptions};

/// Options of `happy chat`.
#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// Model: a path, or a known name
    #[arg(short, long, default_value = "smollm2")]
    model: String,
    /// System message
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    #[command(flatten)]
    generation: GenerationArgs,
    #[command(flatten)]
    grammar: GrammarSource,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    load: LoadArgs,
}

const HELP: &str = "\
/reset   forget the conversation
/stats   tokens, speed and memory
/help    this list
/quit    leave (also Ctrl-D); Ctrl-C stops an answer";

/// What a chat adds up.
#[derive(Default)]
struct Stats {
    last: Option<Finish>,
    /// Tokens that the last turn found in the KV cache.
    reused: usize,
    prefilled: usize,
    generated: usize,
}

/// Runs the command.
pub(crate) fn run(args: &ChatArgs) -> CliResult {
    let cancel = generation::cancel_on_interrupt()?;
    // Wrong arguments show before the model is loaded.
    args.generation.check()?;
    let grammar = args.grammar.compile("root")?;
    let engine = load::engine(&args.model, &args.context.options(&args.load))?;
    let mut conversation = Conversation::new(&engine, None)?.ok_or_else(|| {
        CliError::new(format!("`{}` has no chat template, which a chat needs: use `happy run`", args.model))
    })?;
    let constraint = constrain::constraint(&engine, grammar.as_ref())?;
    if let Some(system) = &args.system {
        conversation.push(Message::new("system", system));
    }
    // Messages that stay when the conversation is forgotten.
    let fixed = conversation.input().messages.len();
    let mut context = engine.context()?;
    let mut lines = LineReader::new()?;
    let mut stats = Stats::default();
    if lines.is_interactive() {
        output::note(&format!(
            "{}, context of {} positions; /help lists the commands",
            args.model,
            context.capacity()
        ));
    }
    while let Some(line) = lines.read()? {
        match line.trim() {
            "" => {}
            "/quit" | "/exit" => break,
            "/help" => output::note(HELP),
            "/reset" => {
                conversation.input_mut().messages.truncate(fixed);
                context.truncate(0, 0)?;
                stats = Stats::default();
                output::note("the conversation is forgotten");
            }
            "/stats" => show(&stats, conversation.input().messages.len() - fixed, &context),
            command if command.starts_with('/') && !command.contains(char::is_whitespace) => {
                output::note(&format!("unknown command {command:?}\n{HELP}"));
            }
            text => {
                cancel.clear();
                conversation.push(Message::new("user", text));
                let done = args.generation.options(&engine, cancel.clone()).and_then(|mut options| {
                    options.constraint.clone_from(&constraint);
                    turn(options, &mut context, &conversation, &mut stats)
                });
                match done {
                    Ok(reply) => conversation.push(reply.message()),
                    // At a terminal the conversation goes on without the turn that failed.
                    Err(error) if lines.is_interactive() && !error.is_closed_pipe() => {
                        conversation.input_mut().messages.pop();
                        output::report(&error);
                        output::note("the last message is taken back; /reset makes room");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(())
}

/// Answers the last turn, and computes only what is new.
fn turn(
    options: GenerateOptions,
    context: &mut Context,
    conversation: &Conversation,
    stats: &mut Stats,
) -> CliResult<Reply> {
    let answer = conversation.answer(context, 0, options)?;
    stats.reused = answer.reused();
    let (reply, finish) = answer::stream(answer)?;
    if let Some(finish) = &finish {
        stats.prefilled += finish.prompt_tokens;
        stats.generated += finish.generated_tokens;
        if !matches!(finish.reason, FinishReason::EndOfGeneration(_)) {
            output::note(&format!("[ended by {}]", finish.reason));
        }
    }
    stats.last = finish;
    Ok(reply)
}

fn show(stats: &Stats, messages: usize, context: &Context) {
    let (used, room) = (context.tokens(0).len(), context.capacity());
    output::note(&format!("{messages} messages, {used} of {room} positions taken"));
    output::note(&format!("prefilled {} tokens, generated {} in all", stats.prefilled, stats.generated));
    if let Some(finish) = &stats.last {
        output::note(&format!("last answer: {} tokens were in the kv cache already", stats.reused));
        output::note(&generation::summary(finish).join("\n"));
    }
    output::note(&generation::memory(context));
}
