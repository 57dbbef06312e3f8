//! What can be changed during a chat: the model, the system message, the parameters.

use super::Chat;
use crate::error::{CliError, CliResult};
use crate::load::{self, ModelArgs};
use crate::output;
use happy_engine::PrefixTree;
use happy_engine::chat::Message;

impl Chat<'_> {
    /// Continues with another model and the same messages. If it cannot be loaded, nothing changes.
    pub(super) fn change_model(&mut self, name: &str) -> CliResult {
        if name.is_empty() {
            output::note(&self.model);
            return Ok(());
        }
        let args = self.args;
        let engine = load::engine(&ModelArgs { model: name.into() }, &args.load_options(), &output::note)?;
        let mut conversation = self.talk.begin(&engine)?.ok_or_else(|| {
            CliError::new(format!("`{name}` has no chat template, which a chat needs: it is a base model"))
        })?;
        conversation.input_mut().messages.clone_from(&self.conversation.input().messages);
        let mut context = engine.context()?;
        args.speculation.begin(&mut context, &args.load)?;
        args.pace.govern(&mut context)?;
        self.tree = PrefixTree::new(&context);
        (self.engine, self.context, self.conversation) = (engine, context, conversation);
        self.model = name.to_owned();
        self.last = None;
        if self.session.take().is_some() {
            output::note(
                "the chat is no longer saved: its file belongs to the model before; /save FILE begins another",
            );
        }
        self.note(&format!("{name}, context of {} positions", self.context.capacity()));
        Ok(())
    }

    /// Sets the message that the conversation begins with, or shows it.
    pub(super) fn system(&mut self, text: &str) {
        let fixed = self.fixed;
        if text.is_empty() {
            let known = self.conversation.input().messages.iter().take(fixed);
            let known: Vec<&str> = known.filter_map(|message| message.get("content")?.as_str()).collect();
            output::note(if known.is_empty() { "there is no system message" } else { known[0] });
            return;
        }
        let message = Message::new("system", text).into();
        drop(self.messages().splice(..fixed, [message]));
        self.fixed = 1;
        self.note("the system message is set; it holds from the next answer on");
    }

    /// Sets a parameter, or shows all.
    pub(super) fn params(&mut self, text: &str) -> CliResult {
        if text.is_empty() {
            let all = self.generation.shown();
            let lines: Vec<String> = all.iter().map(|(name, value)| format!("{name:22} {value}")).collect();
            output::note(&lines.join("\n"));
            return Ok(());
        }
        let (name, value) = super::split(text);
        if value.is_empty() {
            let all = self.generation.shown();
            let found = all.iter().find(|(known, _)| known == name);
            let (name, value) = found
                .ok_or_else(|| CliError::usage(format!("unknown parameter `{name}`: /params lists them")))?;
            output::note(&format!("{name} {value}"));
            return Ok(());
        }
        self.generation.set(name, value)?;
        self.note(&format!("{name} is {value} from the next answer on"));
        Ok(())
    }
}
