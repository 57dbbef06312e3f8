//! What a chat saves: its file, its branches, and edits.

use super::Chat;
use crate::error::{CliError, CliResult};
use crate::output;
use happy_engine::EngineError;
use happy_engine::chat::Message;
use happy_engine::session::{SavedMessages, Session, SessionError, SessionKey, SessionPath, Turn};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The branches of a chat. The messages of the current branch are in the conversation.
#[derive(Default)]
pub(super) struct Branches {
    all: Vec<SavedMessages>,
    current: usize,
}

fn role(message: &Value) -> Option<&str> {
    message.get("role")?.as_str()
}

/// Reads the key in a file: 32 bytes, or 64 hexadecimal digits, which may be followed by a line end.
pub(super) fn read_key(path: &Path) -> CliResult<SessionKey> {
    // A longer file is not a key: a wrong name may be that of a model.
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(128).read_to_end(&mut bytes));
    read.map_err(|error| CliError::new(format!("cannot read the key `{}`: {error}", path.display())))?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let key = bytes.as_slice().try_into().ok().map(SessionKey::new);
    key.or_else(|| SessionKey::from_hex(text.trim_end())).ok_or_else(|| {
        CliError::new(format!(
            "`{}` is not a key: expected 32 bytes or 64 hexadecimal digits",
            path.display()
        ))
    })
}

impl Chat<'_> {
    /// Continues with the file if it exists, else creates it.
    pub(super) fn open(&mut self, path: &Path) -> CliResult {
        if path.exists() { self.load(path) } else { self.save(path) }
    }

    /// Returns a file's path with the chat's key.
    fn place(&self, path: &Path) -> SessionPath {
        SessionPath::from(path).sealed(self.key.clone())
    }

    /// Saves the conversation, now and after each turn.
    pub(super) fn save(&mut self, path: &Path) -> CliResult {
        // The file may be the one that is open.
        self.session = None;
        let turn = Turn { conversation: Some(&self.conversation), ..Default::default() };
        let session = Session::create_with(self.place(path), &self.context, 0, turn)?;
        self.note(&format!("saved in {}, as every turn from now on", path.display()));
        self.session = Some(session);
        Ok(())
    }

    /// Continues with a saved conversation.
    pub(super) fn load(&mut self, path: &Path) -> CliResult {
        self.session = None;
        self.tree.give_way(&mut self.context, 0)?;
        let opened = match Session::open(self.place(path), &mut self.context, 0) {
            Err(EngineError::Session(SessionError::Other { mismatch })) if mismatch.can_replay() => {
                self.note(&format!("{mismatch}: its tokens are computed again"));
                self.cancel.clear();
                Session::replay(self.place(path), &mut self.context, 0, &self.cancel)
            }
            opened => opened,
        };
        let (session, restored) = opened?;
        self.conversation.resume(&restored.messages)?;
        let messages = &self.conversation.input().messages;
        self.fixed = messages.iter().take_while(|message| role(message) == Some("system")).count();
        self.branches = Branches::default();
        let (tokens, n) = (restored.tokens, messages.len() - self.fixed);
        self.note(&format!("{n} messages, {tokens} tokens need not be computed; saved after each turn"));
        if restored.lost_bytes > 0 {
            output::note(&format!(
                "the end of the file was damaged or not finished: {} bytes after turn {} are lost",
                restored.lost_bytes, restored.turns
            ));
        }
        (self.session, self.cut_off) = (Some(session), restored.answer);
        Ok(())
    }

    /// Saves the turn that ended, if the chat is saved. A full disk does not end a chat.
    pub(super) fn keep(&mut self) {
        let Some(session) = &mut self.session else { return };
        let turn = Turn { conversation: Some(&self.conversation), ..Default::default() };
        let kept = if session.is_wasteful() {
            session.compact(&self.context, turn)
        } else {
            session.append(&self.context, turn)
        };
        if let Err(error) = kept {
            output::note(&format!("the turn is not saved: {error}; the next one tries again"));
        }
    }

    /// Replaces a message and answers it: `N TEXT` replaces the user's message `N`, counted from 1; `TEXT` alone
    /// replaces the last one.
    pub(super) fn edit(&mut self, text: &str) -> CliResult {
        let messages = &self.conversation.input().messages;
        let asked = messages.iter().enumerate().skip(self.fixed);
        let questions: Vec<usize> =
            asked.filter(|(_, message)| role(message) == Some("user")).map(|(at, _)| at).collect();
        let numbered =
            text.split_once(char::is_whitespace).and_then(|(n, text)| Some((n.parse().ok()?, text)));
        let (n, text) = numbered.unwrap_or((questions.len(), text));
        let found = n.checked_sub(1).and_then(|n: usize| questions.get(n));
        let (Some(at), false) = (found.copied(), text.trim().is_empty()) else {
            output::note(&format!(
                "/edit [N] TEXT needs a text, and N from 1 to {}, the messages that you wrote",
                questions.len()
            ));
            return Ok(());
        };
        self.messages().truncate(at);
        self.conversation.push(Message::new("user", text.trim()));
        self.turn()
    }

    /// Keeps the conversation as it is and continues in a copy; with a number, switches to that branch.
    pub(super) fn branch(&mut self, number: &str) -> CliResult {
        let now = self.conversation.saved()?;
        let Branches { all, current } = &mut self.branches;
        match all.get_mut(*current) {
            Some(kept) => kept.clone_from(&now),
            None => all.push(now.clone()),
        }
        if number.is_empty() {
            all.push(now);
            *current = all.len() - 1;
            let (branch, from) = (all.len(), all.len() - 1);
            self.note(&format!("this is branch {branch}; /branch {from} goes back"));
            return Ok(());
        }
        let wanted = number.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).filter(|n| *n < all.len());
        let Some(wanted) = wanted else {
            let n = all.len();
            output::note(&format!("there is no branch `{number}`: expected 1 to {n}"));
            return Ok(());
        };
        *current = wanted;
        let messages = all.get(wanted).cloned().unwrap_or_default();
        self.conversation.resume(&messages)?;
        let n = self.conversation.input().messages.len() - self.fixed;
        self.note(&format!("this is branch {}, of {n} messages", wanted + 1));
        Ok(())
    }

    /// At a terminal, a chat continues after a command that failed.
    pub(super) fn attempt(&self, done: CliResult) -> CliResult {
        match done {
            Err(error) if self.interactive && !CliError::is_closed_pipe(&error) => {
                output::report(&error);
                Ok(())
            }
            done => done,
        }
    }
}
