//! The file of a session: it grows with each turn, and brings the conversation back with what was computed of it.

use super::{Session, State, Work, broken};
use crate::core::{CancelToken, log};
use crate::failure::{Failure, Outcome};
use crate::log_level::LogLevel;
use happy_engine::session::{Restored, Session as File, SessionError, SessionKey, SessionPath, Turn};
use happy_engine::{Cancel, Context, Conversation, EngineError, Generation, PartialAnswer};
use serde_json::{Value as Json, json};
use std::sync::MutexGuard;

/// The file, if there is one.
pub(super) struct SavedFile {
    key: Option<SessionKey>,
    file: Option<File>,
    /// Why the last turn is not in it.
    problem: Option<String>,
    /// The answer that was cut off when the file was written; the next turn without a text goes on with it.
    cut_off: Option<PartialAnswer>,
    /// Whether the context was given back, and its content is in the file.
    pub(super) trimmed: bool,
}

impl SavedFile {
    pub(super) fn new(key: Option<SessionKey>) -> Self {
        Self { key, file: None, problem: None, cut_off: None, trimmed: false }
    }

    fn place(&self, path: &str) -> Outcome<SessionPath> {
        if path.is_empty() {
            return Err(Failure::argument("the path is empty"));
        }
        Ok(SessionPath::from(path).sealed(self.key.clone()))
    }

    /// Whether all turns are in a file.
    pub(super) fn is_whole(&self) -> bool {
        self.file.is_some() && self.problem.is_none()
    }

    /// Another file, or none, takes the place of this one.
    fn replace(&mut self, file: Option<File>) {
        (self.file, self.problem, self.trimmed, self.cut_off) = (file, None, false, None);
    }

    /// Takes the answer that was cut off, for a turn without a text. Another turn forgets it.
    pub(super) fn cut_off(&mut self, said: Option<&str>) -> Option<PartialAnswer> {
        self.cut_off.take().filter(|_| said.is_none())
    }

    /// Saves an answer while it is generated. What is wrong is told when the turn ends.
    pub(super) fn follow(
        &mut self,
        generation: &Generation<Box<Context>>,
        conversation: Option<&Conversation>,
    ) {
        if let (Some(file), None, Some(_)) = (&mut self.file, &self.problem, conversation) {
            self.problem = file.follow(generation, conversation).err().map(|error| error.to_string());
        }
    }
}

impl State {
    /// Saves what is new, if there is a file.
    fn append(&mut self) -> Outcome<()> {
        let Self {
            conversation, work: Work::Idle(context), file: SavedFile { file: Some(file), .. }, ..
        } = self
        else {
            return Ok(());
        };
        let turn = Turn { conversation: conversation.as_ref().ok(), ..Default::default() };
        let appended =
            if file.is_wasteful() { file.compact(context, turn) } else { file.append(context, turn) };
        match appended {
            // With other adapters it begins anew.
            Err(EngineError::Session(SessionError::Other { .. })) => file.compact(context, turn)?,
            appended => appended?,
        };
        Ok(())
    }

    /// Saves the turn that ended. A disk that is full does not end a conversation: the next turn tries again.
    pub(super) fn keep(&mut self) {
        self.file.problem = self.append().err().map(|failure| failure.message);
        if let Some(problem) = &self.file.problem {
            log::say(LogLevel::Error, || format!("the turn is not saved: {problem}"));
        }
    }

    /// Reads what [`Session::trim`] gave back. If that fails, it is computed again.
    pub(super) fn bring_back(&mut self) {
        let Self { work: Work::Idle(context), file: SavedFile { file: Some(file), trimmed, .. }, .. } = self
        else {
            return;
        };
        if std::mem::replace(trimmed, false)
            && let Err(error) = file.reload(context)
        {
            log::say(LogLevel::Error, || format!("the session is computed again: {error}"));
        }
    }

    /// Goes on with a file that `open` opens.
    fn restore(
        &mut self,
        path: &str,
        open: impl FnOnce(SessionPath, &mut Context) -> Result<(File, Restored), EngineError>,
    ) -> Outcome<()> {
        let place = self.file.place(path)?;
        // It may be the one that is open, and locked.
        if self.file.file.as_ref().is_some_and(|file| file.path() == place.path()) {
            self.bring_back();
            self.file.replace(None);
        }
        let State { work: Work::Idle(context), tree, .. } = self else { return Err(broken()) };
        tree.give_way(context, 0)?;
        let (file, restored) = open(place, context)?;
        self.file.replace(Some(file));
        self.file.cut_off = restored.answer;
        if let Ok(conversation) = &mut self.conversation {
            conversation.resume(&restored.messages)?;
            let messages = conversation.input().messages.iter();
            let system = |message: &&Json| message.get("role").and_then(Json::as_str) == Some("system");
            self.fixed = messages.take_while(system).count();
        }
        self.branches = super::branches::Branches::default();
        Ok(())
    }
}

impl Session {
    /// Writes the session into a new file, to which every turn is appended from now on.
    ///
    /// # Errors
    /// If the file cannot be written, or the session is busy. A file that was there is then as it was.
    pub fn save(&self, path: &str) -> Outcome<()> {
        let mut state = self.idle()?;
        state.bring_back();
        let place = state.file.place(path)?;
        let State { conversation, work: Work::Idle(context), .. } = &*state else { return Err(broken()) };
        let turn = Turn { conversation: conversation.as_ref().ok(), ..Default::default() };
        let file = File::create_with(place, context, 0, turn)?;
        state.file.replace(Some(file));
        Ok(())
    }

    /// Goes on with the conversation of a file, and appends every turn to it.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged at its beginning or was computed with something else, or the session is busy. The
    /// conversation is then as it was.
    pub fn restore(&self, path: &str) -> Outcome<()> {
        self.idle()?.restore(path, |place, context| File::open(place, context, 0))
    }

    /// As [`restore`](Self::restore), for a file that was computed with something else: its tokens are computed again.
    ///
    /// # Errors
    /// As [`restore`](Self::restore), and if `cancel` is raised.
    pub fn replay(&self, path: &str, cancel: Option<&CancelToken>) -> Outcome<()> {
        let never = Cancel::new();
        let cancel = cancel.unwrap_or(&never);
        self.idle()?.restore(path, |place, context| File::replay(place, context, 0, cancel))
    }

    /// Saves now what is new, as the end of a turn does.
    ///
    /// # Errors
    /// If there is no file, it cannot be written, or the session is busy.
    pub fn append(&self) -> Outcome<()> {
        let mut state = self.with_file()?;
        state.bring_back();
        let appended = state.append();
        state.file.problem = appended.as_ref().err().map(|failure| failure.message.clone());
        appended
    }

    /// Writes the file anew, without what later turns replaced.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn compact(&self) -> Outcome<()> {
        let mut state = self.with_file()?;
        state.bring_back();
        let State { conversation, work: Work::Idle(context), file, .. } = &mut *state else {
            return Err(broken());
        };
        let turn = Turn { conversation: conversation.as_ref().ok(), ..Default::default() };
        if let Some(open) = &mut file.file {
            open.compact(context, turn)?;
        }
        file.problem = None;
        Ok(())
    }

    /// Goes on without the file.
    ///
    /// # Errors
    /// If the session is busy.
    pub fn close_file(&self) -> Outcome<()> {
        let mut state = self.idle()?;
        state.bring_back();
        state.file.replace(None);
        Ok(())
    }

    /// What is in the file, as a JSON object; without a file it is empty.
    ///
    /// # Errors
    /// If the session is busy.
    pub fn file(&self) -> Outcome<String> {
        let state = self.lock()?;
        let SavedFile { file: Some(file), problem, cut_off, .. } = &state.file else {
            return Ok("{}".to_owned());
        };
        let info = json!({
            "path": file.path().to_string_lossy(),
            "turns": file.turns(),
            "tokens": file.tokens().len(),
            "messages": file.messages().len(),
            "bytes": file.bytes(),
            "sealed": file.is_sealed(),
            "problem": problem,
            "unfinished": cut_off.as_ref().map_or(0, |answer| answer.tokens().len()),
        });
        Ok(info.to_string())
    }

    fn with_file(&self) -> Outcome<MutexGuard<'_, State>> {
        let state = self.idle()?;
        if state.file.file.is_none() {
            return Err(Failure::argument("the session has no file: save or restore one first"));
        }
        Ok(state)
    }
}
