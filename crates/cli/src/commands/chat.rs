//! `happy chat`: turns with history. What the KV cache holds of the conversation is not computed again: only the
//! tokens after the longest common prefix of what was computed and what the template now renders are prefilled.

use crate::constrain::GrammarSource;
use crate::error::{CliError, CliResult};
use crate::generation::{self, GenerationArgs};
use crate::input::{MessageReader, Typed};
use crate::load::{ContextArgs, LoadArgs, LoraArgs, ModelArgs};
use crate::talk::TalkArgs;
use crate::{answer, load, output};
use clap::Args;
use happy_engine::chat::{Message, Reply};
use happy_engine::{Cancel, Context, Conversation, Engine, EngineError, Finish, Form};
use serde_json::Value;

const EXAMPLES: &str = "\
Examples:
  happy chat
  happy chat -m model.gguf --system \"You are a patient teacher.\"
  happy chat -m qwen25 --tools tools.json

In the chat, /help lists the commands. A message of several lines: end lines with
\\ or Alt-Enter, or put it between two \"\"\".";

/// Options of `happy chat`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ChatArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    lora: LoraArgs,
    /// Print answers alone: no notes; errors still show
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
    load: LoadArgs,
}

const HELP: &str = "\
/undo    take the last turn back
/retry   answer the last message again
/reset   forget the conversation
/stats   tokens, speed and memory
/help    this list
/quit    leave (also Ctrl-D); Ctrl-C stops an answer, or clears the line
A message of several lines: end lines with \\ or Alt-Enter, or put it between two \"\"\"";

/// A chat and what it adds up.
struct Chat<'a> {
    args: &'a ChatArgs,
    engine: Engine,
    form: Option<Form>,
    cancel: Cancel,
    conversation: Conversation,
    context: Context,
    /// Messages that stay when the conversation is forgotten.
    fixed: usize,
    /// Somebody types, so that a failed turn need not end the chat.
    interactive: bool,
    last: Option<Finish>,
    prefilled: usize,
    generated: usize,
}

/// Runs the command.
pub(crate) fn run(args: &ChatArgs) -> CliResult {
    let cancel = generation::cancel_on_interrupt()?;
    // Wrong arguments show before the model is loaded.
    args.generation.check()?;
    let form = args.form.form()?;
    let talk = args.talk.read()?;
    let model = args.model.name();
    let note = |text: &str| {
        if args.quiet {
        } else {
            output::note(text)
        }
    };
    let options = args.lora.of(args.context.options(&args.load));
    let engine = load::engine(&args.model, &options, &note)?;
    let conversation = talk.begin(&engine)?.ok_or_else(|| {
        CliError::new(format!(
            "`{model}` has no chat template, which a chat needs: it is a base model, which continues text; use `happy run`"
        ))
    })?;
    let fixed = conversation.input().messages.len();
    let context = engine.context()?;
    let mut messages = MessageReader::new()?;
    let interactive = messages.is_interactive();
    if interactive {
        note(&format!("{model}, context of {} positions; /help lists the commands", context.capacity()));
    }
    let mut chat = Chat {
        args,
        engine,
        form,
        cancel,
        conversation,
        context,
        fixed,
        interactive,
        last: None,
        prefilled: 0,
        generated: 0,
    };
    loop {
        match messages.read()? {
            Typed::End => return Ok(()),
            Typed::Interrupt => output::note("/quit or Ctrl-D leaves"),
            Typed::Message(text) => {
                let trimmed = text.trim();
                if is_command(trimmed) {
                    if !chat.command(trimmed)? {
                        return Ok(());
                    }
                } else if !trimmed.is_empty() {
                    chat.conversation.push(Message::new("user", trimmed));
                    chat.turn()?;
                }
            }
        }
    }
}

/// Whether a message is a command: a slash and letters alone, unlike a path.
fn is_command(text: &str) -> bool {
    text.strip_prefix('/').is_some_and(|word| !word.is_empty() && word.chars().all(char::is_alphabetic))
}

impl Chat<'_> {
    fn note(&self, text: &str) {
        if !self.args.quiet {
            output::note(text);
        }
    }

    fn messages(&mut self) -> &mut Vec<Value> {
        &mut self.conversation.input_mut().messages
    }

    /// Does what a command says; false ends the chat.
    fn command(&mut self, command: &str) -> CliResult<bool> {
        match command {
            "/quit" | "/exit" | "/bye" => return Ok(false),
            "/help" => output::note(HELP),
            "/reset" | "/clear" => {
                let fixed = self.fixed;
                self.messages().truncate(fixed);
                self.context.truncate(0, 0)?;
                (self.last, self.prefilled, self.generated) = (None, 0, 0);
                self.note("the conversation is forgotten");
            }
            "/undo" => match self.last_question() {
                Some(at) => {
                    self.messages().truncate(at);
                    self.note("the last turn is taken back");
                }
                None => output::note("there is no turn to take back"),
            },
            "/retry" => match self.last_question() {
                Some(at) => {
                    self.messages().truncate(at + 1);
                    self.turn()?;
                }
                None => output::note("there is no message to answer again"),
            },
            "/stats" => self.stats(),
            other => output::note(&format!("unknown command `{other}`\n{HELP}")),
        }
        Ok(true)
    }

    /// The place of the last message that the user wrote.
    fn last_question(&self) -> Option<usize> {
        let messages = &self.conversation.input().messages;
        let last = messages.iter().rposition(|message| message.get("role") == Some(&Value::from("user")));
        last.filter(|at| *at >= self.fixed)
    }

    /// Answers the last message. At a terminal the chat goes on without a turn that failed.
    fn turn(&mut self) -> CliResult {
        self.cancel.clear();
        let message = self.answer().and_then(|reply| Ok(reply.message().map_err(EngineError::from)?));
        match message {
            Ok(message) => {
                self.conversation.push(message);
                if self.interactive {
                    self.note("");
                }
                Ok(())
            }
            Err(error) if self.interactive && !error.is_closed_pipe() => {
                self.messages().pop();
                output::report(&error);
                output::note("the message is taken back");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Computes only what is new.
    fn answer(&mut self) -> CliResult<Reply> {
        let generation = &self.args.generation;
        let options = generation.options(&self.engine, self.form.clone(), self.cancel.clone(), false)?;
        let answer = match self.conversation.answer(&mut self.context, 0, options) {
            Err(error @ EngineError::PromptTooLong { .. }) => {
                return Err(CliError::new(format!(
                    "{error}; /undo takes turns back, /reset begins anew, `happy chat -c N` has more room"
                )));
            }
            answer => answer?,
        };
        let (reply, finish) = answer::stream(answer)?;
        if let Some(finish) = &finish {
            self.prefilled += finish.prompt_tokens;
            self.generated += finish.generated_tokens;
            generation::end(finish).iter().for_each(|end| self.note(end));
        }
        self.last = finish;
        let finish = self.last.as_ref().filter(|_| !self.interactive);
        finish.map_or(Ok(()), generation::complete)?;
        Ok(reply)
    }

    fn stats(&self) {
        let messages = self.conversation.input().messages.len() - self.fixed;
        let (used, room) = (self.context.tokens(0).len(), self.context.capacity());
        output::note(&format!("{messages} messages, {used} of {room} positions taken"));
        output::note(&format!("prefilled {} tokens, generated {} in all", self.prefilled, self.generated));
        if let Some(finish) = &self.last {
            output::note(&format!(
                "last answer: {} tokens were in the kv cache already",
                finish.reused_tokens
            ));
            output::note(&generation::summary(finish).join("\n"));
        }
        output::note(&generation::memory(&self.context));
    }
}

#[cfg(test)]
mod tests {
    use super::is_command;

    #[test]
    fn paths_are_no_commands() {
        for command in ["/help", "/undo", "/unknown"] {
            assert!(is_command(command), "{command}");
        }
        for text in ["/usr/bin", "/", "/etc/passwd is a file", "help", "/2+2", "/help me", "//"] {
            assert!(!is_command(text), "{text}");
        }
    }
}
