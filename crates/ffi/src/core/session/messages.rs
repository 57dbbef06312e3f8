//! The messages of a session's conversation.

use super::{Session, branches};
use crate::core::json;
use crate::failure::{Failure, Outcome};
use happy_engine::chat::Message;
use serde_json::Value as Json;

impl Session {
    /// Adds a message.
    ///
    /// # Errors
    /// If the model has no template, or the session is busy.
    pub fn add(&self, role: &str, content: &str) -> Outcome<()> {
        if role.is_empty() {
            return Err(Failure::argument(
                "the role is empty, expected `user`, `assistant`, `system`, `tool` ..",
            ));
        }
        self.idle()?.conversation()?.push(Message::new(role, content));
        Ok(())
    }

    /// Adds a message as a JSON object.
    ///
    /// # Errors
    /// If it is not one, the model has no template, or the session is busy.
    pub fn add_json(&self, message: &str) -> Outcome<()> {
        let message = json::messages(message, "the message")?;
        if message.get("role").and_then(Json::as_str).is_none_or(str::is_empty) {
            return Err(Failure::argument("the message is not a JSON object with a text `role`"));
        }
        self.idle()?.conversation()?.push(message);
        Ok(())
    }

    /// Returns the conversation as a JSON array.
    ///
    /// # Errors
    /// If the model has no template, or the session is busy.
    pub fn messages(&self) -> Outcome<String> {
        Ok(Json::Array(self.idle()?.conversation()?.input().messages.clone()).to_string())
    }

    /// Keeps only the first `count` messages.
    ///
    /// # Errors
    /// If there are fewer, the model has no template, or the session is busy.
    pub fn truncate(&self, count: usize) -> Outcome<()> {
        let mut state = self.idle()?;
        let messages = &mut state.conversation()?.input_mut().messages;
        if count > messages.len() {
            let found = messages.len();
            return Err(Failure::argument(format!("{count} messages are to be kept, there are {found}")));
        }
        messages.truncate(count);
        state.fixed = state.fixed.min(count);
        Ok(())
    }

    /// Removes all messages but the system message.
    ///
    /// # Errors
    /// If the session is busy.
    pub fn clear(&self) -> Outcome<()> {
        let mut state = self.idle()?;
        let fixed = state.fixed;
        state.take_back(fixed);
        state.branches = branches::Branches::default();
        // What was saved must not come back.
        state.file.trimmed = false;
        state.idle()?.truncate(0, 0)?;
        Ok(())
    }
}
