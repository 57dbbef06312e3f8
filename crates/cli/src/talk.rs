//! Options of a conversation that `run` and `chat` share: the system message, tools, and variables of the template.

use crate::error::{CliError, CliResult};
use crate::input;
use clap::Args;
use happy_engine::chat::{Message, ReplyFormat, ToolChoice};
use happy_engine::{ContextPolicy, Conversation, ConversationOptions, Engine, EngineError};
use std::path::PathBuf;

/// Options of a conversation.
#[derive(Debug, Args)]
#[command(next_help_heading = "Conversation")]
pub(crate) struct TalkArgs {
    /// System message
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// The system message of the configuration, for chat templates that have a place for one
    #[arg(long, value_name = "TEXT", hide = true)]
    usual_system: Option<String>,
    /// Tools that the model may call: a JSON array, as chat templates take them
    #[arg(long, value_name = "FILE.json")]
    tools: Option<PathBuf>,
    /// Whether the model calls tools: auto, none, required (at least one call), or the name of the tool that it must
    /// call
    #[arg(long, value_name = "CHOICE", requires = "tools", default_value = "auto")]
    tool_choice: ToolChoice,
    /// Set a variable of the chat template, such as enable_thinking=false; the value is JSON, or else a string
    #[arg(long, value_name = "NAME=VALUE")]
    var: Vec<String>,
    /// Read replies in this format [default: the chat template's; `happy reply --list` names them]
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    reply_format: Option<ReplyFormat>,
    /// What to do when the context is full: stop; drop-oldest, which leaves the oldest turns out of the prompt; or shift, which also
    /// goes on with an answer that fills the context, without the older half of it: its text differs from then on
    #[arg(long, value_name = "POLICY", default_value = "stop")]
    when_full: ContextPolicy,
    /// Answer even if the chat template has no place for the system message, the tools or a variable, which the model
    /// then never sees
    #[arg(long)]
    ignore_unused: bool,
}

/// A conversation's settings, read and checked.
pub(crate) struct Talk {
    options: ConversationOptions,
    /// System message from the configuration, which is left out if the model has no place for it, since nobody asked
    /// for it here.
    usual_system: Option<String>,
}

impl TalkArgs {
    /// Whether a text that fills the context goes on.
    pub(crate) fn shifts(&self) -> bool {
        self.when_full == ContextPolicy::Shift
    }

    /// Reads the files. This needs no model, so that errors are reported before one is loaded.
    pub(crate) fn read(&self) -> CliResult<Talk> {
        let options = ConversationOptions {
            system: self.system.clone(),
            tools: self.tools.as_deref().map(input::read_array).transpose()?,
            tool_choice: self.tool_choice.clone(),
            vars: input::variables(&self.var)?,
            format: self.reply_format,
            ignore_unused: self.ignore_unused,
            policy: self.when_full,
        };
        let usual_system = self.usual_system.clone().filter(|text| self.system.is_none() && !text.is_empty());
        Ok(Talk { options, usual_system })
    }
}

impl Talk {
    /// Makes a conversation with its system message; `None` if the model has no chat template.
    pub(crate) fn begin(&self, engine: &Engine) -> CliResult<Option<Conversation>> {
        let plain = match Conversation::with_options(engine, self.options.clone()) {
            Err(EngineError::NoTemplate { .. }) => return Ok(None),
            conversation => conversation?,
        };
        if self.usual_system.is_none() {
            return Ok(Some(plain));
        }
        let options = ConversationOptions { system: self.usual_system.clone(), ..self.options.clone() };
        let with_system = Conversation::with_options(engine, options)?;
        // The template has a place for it if the message appears in the prompt.
        let shown = |conversation: &Conversation| {
            let mut conversation = conversation.clone();
            conversation.push(Message::new("user", "Hello"));
            conversation.prompt().ok()
        };
        let has_place = shown(&with_system).is_some_and(|text| Some(text) != shown(&plain));
        Ok(Some(if has_place { with_system } else { plain }))
    }

    /// Refuses options that only apply to a chat template. `why` says why the model has no template.
    pub(crate) fn refuse(&self, why: &str) -> CliResult {
        let given = [
            ("--system", self.options.system.is_some()),
            ("--tools", self.options.tools.is_some()),
            ("--reply-format", self.options.format.is_some()),
            ("--var", !self.options.vars.is_empty()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((option, _)) => {
                Err(CliError::new(format!("{why}, so {option} has no place: put everything into the prompt")))
            }
            None => Ok(()),
        }
    }
}
