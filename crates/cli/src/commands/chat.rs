//! `happy chat`: turns with history. Only the tokens after the longest common prefix of what was computed and what the
//! template now renders are computed; the KV cache holds the rest.

mod saved;
mod settings;

use crate::constrain::GrammarSource;
use crate::error::{CliError, CliResult};
use crate::generation::{self, GenerationArgs};
use crate::input::{MessageReader, Typed};
use crate::load::{ContextArgs, LoadArgs, LoraArgs, ModelArgs};
use crate::pace::PaceArgs;
use crate::speculate::{self, SpeculationArgs};
use crate::talk::{Talk, TalkArgs};
use crate::{answer, load, output};
use clap::Args;
use happy_engine::chat::{Message, Reply};
use happy_engine::session::{SessionError, SessionKey};
use happy_engine::{
    Cancel, Context, Conversation, Engine, EngineError, Finish, Form, LoadOptions, PartialAnswer, PrefixTree,
    Prepared, Session,
};
use saved::Branches;
use serde_json::Value;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  happy chat
  happy chat qwen3-0.6b
  happy chat -m model.gguf --system \"You are a patient teacher.\"
  happy chat -m qwen25 --tools tools.json
  happy chat -m qwen25 --session notes.happy
  head -c 32 /dev/urandom > notes.key
  happy chat -m qwen25 --session notes.happy --session-key notes.key

In the chat, /help lists the commands. A message of several lines: end lines with
\\ or Alt-Enter, or put it between two \"\"\".";

/// Options of `happy chat`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ChatArgs {
    /// Model: as for -m
    #[arg(value_name = "MODEL", conflicts_with = "model")]
    name: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    lora: LoraArgs,
    /// Print only answers and errors, no notes
    #[arg(short, long)]
    quiet: bool,
    /// Save the conversation in this file after each turn and within answers; if the file exists, continue with its conversation
    #[arg(long, value_name = "FILE.happy")]
    session: Option<PathBuf>,
    /// Seal saved conversations with the key in this file: 32 random bytes, or 64 hexadecimal digits
    #[arg(long, value_name = "FILE")]
    session_key: Option<PathBuf>,
    #[command(flatten)]
    talk: TalkArgs,
    #[command(flatten)]
    form: GrammarSource,
    #[command(flatten)]
    generation: GenerationArgs,
    #[command(flatten)]
    context: ContextArgs,
    /// Number of earlier versions of the conversation that stay computed, so that /branch N, and /edit after it, cost only what is new;
    /// 0: none
    #[arg(
        long,
        value_name = "N",
        default_value_t = 2,
        hide_short_help = true,
        help_heading = "Memory and threads"
    )]
    branches: usize,
    /// Maximum memory in MiB for what these versions don't share; the least recently used goes first
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = 32,
        hide_short_help = true,
        help_heading = "Memory and threads"
    )]
    branch_memory: usize,
    #[command(flatten)]
    speculation: SpeculationArgs,
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    pace: PaceArgs,
}

const HELP: &str = "\
/undo           remove the last turn
/regen          answer the last message again
/edit [N] TEXT  replace your last message, or your message N, and answer it
/branch [N]     continue in a copy of the conversation, or in branch N
/model [NAME]   switch to another model, or show this one
/system [TEXT]  set the system message, or show it
/params [P V]   set a parameter, such as temp 0.5, or show all
/save FILE      save the conversation, now and after each turn
/load FILE      continue a saved conversation
/reset          begin a new conversation
/stats          show tokens, speed and memory
/help           this list
/quit           leave (also Ctrl-D); Ctrl-C stops an answer, or clears the line
A message of several lines: end lines with \\ or Alt-Enter, or put it between two \"\"\"";

/// Commands that take arguments.
const WITH_ARGUMENTS: [&str; 7] = ["/edit", "/branch", "/model", "/system", "/params", "/save", "/load"];

/// A chat, with its state.
struct Chat<'a> {
    args: &'a ChatArgs,
    talk: Talk,
    generation: GenerationArgs,
    model: String,
    engine: Engine,
    form: Option<Form>,
    cancel: Cancel,
    conversation: Conversation,
    context: Context,
    /// Number of messages that stay when the conversation is cleared.
    fixed: usize,
    /// Whether a person types, so that a failed turn need not end the chat.
    interactive: bool,
    last: Option<Finish>,
    prefilled: usize,
    generated: usize,
    /// The session in which turns are saved.
    session: Option<Session>,
    /// An answer of the session that was cut off: the next one goes on with it.
    cut_off: Option<PartialAnswer>,
    /// The key that seals what is saved.
    key: Option<SessionKey>,
    branches: Branches,
    /// What was computed for other versions of the conversation.
    tree: PrefixTree,
}

/// Runs the command.
pub(crate) fn run(args: &ChatArgs) -> CliResult {
    let cancel = generation::cancel_on_interrupt()?;
    // Wrong arguments are reported before the model is loaded.
    args.generation.check()?;
    args.speculation.check()?;
    args.pace.check()?;
    let form = args.form.form()?;
    let talk = args.talk.read()?;
    let key = args.session_key.as_deref().map(saved::read_key).transpose()?;
    let named = ModelArgs { model: args.name.clone().unwrap_or_else(|| args.model.model.clone()) };
    let model = named.name();
    let note = |text: &str| {
        if args.quiet {
        } else {
            output::note(text)
        }
    };
    let engine = load::engine(&named, &args.load_options(), &note)?;
    let conversation = talk.begin(&engine)?.ok_or_else(|| {
        CliError::new(format!(
            "`{model}` has no chat template, which a chat needs: it is a base model, which continues text; use `happy run`"
        ))
    })?;
    let fixed = conversation.input().messages.len();
    let mut context = engine.context()?;
    args.speculation.begin(&mut context, &args.load)?;
    args.pace.govern(&mut context)?;
    let tree = PrefixTree::new(&context);
    let mut messages = MessageReader::new()?;
    let interactive = messages.is_interactive();
    if interactive {
        note(&format!("{model}, context of {} positions; /help lists the commands", context.capacity()));
    }
    let mut chat = Chat {
        args,
        talk,
        generation: args.generation.clone(),
        model: model.to_string(),
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
        session: None,
        cut_off: None,
        key,
        branches: Branches::default(),
        tree,
    };
    if let Some(path) = &args.session {
        chat.open(path)?;
        chat.go_on()?;
    }
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

impl ChatArgs {
    /// Returns the engine's options.
    fn load_options(&self) -> LoadOptions {
        let options = self.speculation.of(self.lora.of(self.context.options(&self.load)));
        let branch_bytes = self.branch_memory.saturating_mul(1 << 20);
        LoadOptions { branches: self.branches, branch_bytes, ..options }
    }
}

/// Returns whether a message is a command: a slash followed only by letters, unlike a path, or a command that takes
/// arguments.
fn is_command(text: &str) -> bool {
    let (word, rest) = split(text);
    let is_word = word.strip_prefix('/').is_some_and(|w| !w.is_empty() && w.chars().all(char::is_alphabetic));
    is_word && (rest.is_empty() || WITH_ARGUMENTS.contains(&word))
}

/// Returns the first word and what follows it.
fn split(text: &str) -> (&str, &str) {
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim()))
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

    /// Runs a command. Returns false to end the chat.
    fn command(&mut self, command: &str) -> CliResult<bool> {
        let (name, argument) = split(command);
        match name {
            "/quit" | "/exit" | "/bye" => return Ok(false),
            "/help" => output::note(HELP),
            "/reset" | "/clear" => {
                let fixed = self.fixed;
                self.messages().truncate(fixed);
                self.context.truncate(0, 0)?;
                self.tree.clear(&mut self.context)?;
                (self.last, self.prefilled, self.generated) = (None, 0, 0);
                self.branches = Branches::default();
                self.keep();
                self.note("the conversation is forgotten");
            }
            "/undo" => match self.last_question() {
                Some(at) => {
                    self.messages().truncate(at);
                    self.keep();
                    self.note("the last turn is taken back");
                }
                None => output::note("there is no turn to take back"),
            },
            "/regen" | "/retry" => match self.last_question() {
                Some(at) => {
                    self.messages().truncate(at + 1);
                    self.turn()?;
                }
                None => output::note("there is no message to answer again"),
            },
            "/edit" => self.edit(argument)?,
            "/branch" => self.branch(argument)?,
            "/model" => {
                let done = self.change_model(argument);
                self.attempt(done)?;
            }
            "/system" => self.system(argument),
            "/params" => {
                let done = self.params(argument);
                self.attempt(done)?;
            }
            "/save" | "/load" if argument.is_empty() => {
                output::note(&format!("{name} needs the name of a file"))
            }
            "/save" => {
                let done = self.save(Path::new(argument));
                self.attempt(done)?;
            }
            "/load" => {
                let done = self.load(Path::new(argument));
                self.attempt(done)?;
                self.go_on()?;
            }
            "/stats" => self.stats(),
            other => output::note(&format!("unknown command `{other}`\n{HELP}")),
        }
        Ok(true)
    }

    /// Returns the index of the user's last message.
    fn last_question(&self) -> Option<usize> {
        let messages = &self.conversation.input().messages;
        let last = messages.iter().rposition(|message| message.get("role") == Some(&Value::from("user")));
        last.filter(|at| *at >= self.fixed)
    }

    /// Finishes an answer that was cut off with the process that saved it.
    fn go_on(&mut self) -> CliResult {
        if self.cut_off.is_none() {
            return Ok(());
        }
        self.note("the last answer was cut off, here it is from its beginning:");
        self.turn()
    }

    /// Answers the last message. At a terminal, the chat continues without a turn that failed.
    fn turn(&mut self) -> CliResult {
        self.cancel.clear();
        let message = self.answer().and_then(|reply| Ok(reply.message().map_err(EngineError::from)?));
        match message {
            Ok(message) => {
                self.conversation.push(message);
                self.keep();
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

    /// Prepares the answer to the last message, or the rest of one that was cut off.
    fn prepare(&mut self) -> CliResult<Prepared> {
        let options = || self.generation.options(&self.engine, self.form.clone(), self.cancel.clone(), false);
        if let Some(begun) = self.cut_off.take() {
            let composed = self.conversation.compose(options()?)?;
            match composed.resume(&mut self.context, 0, &begun) {
                Err(EngineError::Session(error @ SessionError::OtherAnswer { .. })) => {
                    self.note(&error.to_string());
                }
                resumed => return Ok(resumed?),
            }
        }
        let composed = self.conversation.compose(options()?)?;
        if composed.ids().len() <= self.context.capacity() {
            self.tree.prepare(&mut self.context, 0, composed.ids())?;
        }
        match composed.prepare(&mut self.context, 0) {
            Err(error @ EngineError::PromptTooLong { .. }) => Err(CliError::new(format!(
                "{error}; /undo takes turns back, /reset begins anew, `happy chat -c N` has more room"
            ))),
            prepared => Ok(prepared?),
        }
    }

    /// Computes only what is new.
    fn answer(&mut self) -> CliResult<Reply> {
        let prepared = self.prepare()?;
        let answer = prepared.run(&mut self.context);
        let mut session = self.session.as_mut();
        let (reply, finish) = answer::stream(answer, |answer| {
            let kept = session.as_mut().map(|session| session.follow(answer, Some(&self.conversation)));
            if let Some(Err(_)) = kept {
                // What is wrong is told when the turn ends.
                session = None;
            }
        })?;
        if let Some(finish) = &finish {
            self.prefilled += finish.prompt_tokens;
            self.generated += finish.generated_tokens;
            generation::shifted(finish).iter().for_each(|told| self.note(told));
            generation::end(finish).iter().for_each(|end| self.note(end));
            if self.interactive {
                self.note(&self.status(finish));
            }
        }
        self.last = finish;
        let finish = self.last.as_ref().filter(|_| !self.interactive);
        finish.map_or(Ok(()), generation::complete)?;
        Ok(reply)
    }

    /// Returns an answer shortened to one line.
    fn status(&self, finish: &Finish) -> String {
        let (used, room) = (self.context.tokens(0).len(), self.context.capacity());
        let (n, rate) = (finish.generated_tokens, finish.decode_rate());
        let speed = if finish.decoded_tokens > 0 { format!(", {rate:.1} tokens/s") } else { String::new() };
        format!("[{n} token{}{speed}, context {used} of {room}]", if n == 1 { "" } else { "s" })
    }

    fn stats(&self) {
        let messages = self.conversation.input().messages.len() - self.fixed;
        let (used, room) = (self.context.tokens(0).len(), self.context.capacity());
        output::note(&format!("{messages} messages, {used} of {room} positions taken"));
        output::note(&format!("prefilled {} tokens, generated {} in all", self.prefilled, self.generated));
        let (reuse, kept) = (self.tree.stats(), self.tree.len());
        output::note(&format!(
            "{} of {} prompt tokens were computed before; {kept} earlier versions are kept",
            reuse.reused, reuse.tokens
        ));
        if let Some(finish) = &self.last {
            output::note(&format!(
                "last answer: {} tokens were in the kv cache already",
                finish.reused_tokens
            ));
            output::note(&generation::summary(finish).join("\n"));
            self.context
                .speculation_stats()
                .iter()
                .filter_map(speculate::summary)
                .for_each(|line| output::note(&line));
        }
        output::note(&generation::memory(&self.context));
    }
}

#[cfg(test)]
mod tests {
    use super::is_command;

    #[test]
    fn paths_are_no_commands() {
        for command in ["/help", "/undo", "/unknown", "/save a b.happy", "/edit 2 what?", "/branch"] {
            assert!(is_command(command), "{command}");
        }
        for text in ["/usr/bin", "/", "/etc/passwd is a file", "help", "/2+2", "/help me", "//"] {
            assert!(!is_command(text), "{text}");
        }
    }
}
