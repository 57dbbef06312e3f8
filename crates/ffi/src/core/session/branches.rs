//! Edits, regenerated answers, the branches of a conversation, and what was computed for them.

use super::{Session, State, Work, broken};
use crate::capi::purge::purge;
use crate::failure::{Failure, Outcome};
use happy_engine::session::SavedMessages;
use happy_engine::{PrefixStats, SpeculationStats, TrimLevel};
use serde_json::Value as Json;

/// The branches of a conversation. The messages of the current branch are in the conversation.
#[derive(Default)]
pub(super) struct Branches {
    all: Vec<SavedMessages>,
    current: usize,
}

/// What was reused in the turns of a session.
#[derive(Clone, Copy, Debug)]
pub struct Reuse {
    /// Counts of prompts and their tokens.
    pub stats: PrefixStats,
    /// Number of sequences that are kept besides the conversation's own.
    pub kept: usize,
    /// Messages that the last turn's prompt left out.
    pub dropped: usize,
    /// Counts of speculation; all zeros without it.
    pub speculation: SpeculationStats,
    /// Tokens that the last turn dropped from the context when it was full.
    pub shifted: usize,
}

impl State {
    /// Returns the indices of the messages that the user wrote.
    fn questions(&mut self) -> Outcome<Vec<usize>> {
        let fixed = self.fixed;
        let messages = self.conversation()?.input().messages.iter().enumerate().skip(fixed);
        let asked =
            messages.filter(|(_, message)| message.get("role").and_then(Json::as_str) == Some("user"));
        Ok(asked.map(|(at, _)| at).collect())
    }
}

impl Session {
    /// Removes the answer to the user's last message, so that a turn without a text answers it again.
    ///
    /// # Errors
    /// If the user wrote no message, the model has no template, or the session is busy.
    pub fn regenerate(&self) -> Outcome<()> {
        let mut state = self.idle()?;
        let last = state.questions()?.pop();
        let last =
            last.ok_or_else(|| Failure::argument("there is no message of the user to answer again"))?;
        state.take_back(last + 1);
        // A new answer, not the rest of one that was cut off.
        drop(state.file.cut_off(None));
        Ok(())
    }

    /// Goes back to before a message of the user, counted from 1 (0 is the last one), so that the next turn can replace
    /// it.
    ///
    /// # Errors
    /// If there is no such message, the model has no template, or the session is busy.
    pub fn edit(&self, number: usize) -> Outcome<()> {
        let mut state = self.idle()?;
        let questions = state.questions()?;
        let found = if number == 0 { questions.last() } else { questions.get(number - 1) };
        let Some(at) = found else {
            let n = questions.len();
            return Err(Failure::argument(format!(
                "there is no message {number} of the user: expected 0, the last one, or 1 to {n}"
            )));
        };
        state.take_back(*at);
        Ok(())
    }

    /// Keeps the conversation as it is, continues in a copy, and returns the number of the new branch. The first branch
    /// has number 1.
    ///
    /// # Errors
    /// If memory is refused, the model has no template, or the session is busy.
    pub fn branch(&self) -> Outcome<usize> {
        let mut state = self.idle()?;
        let now = state.conversation()?.saved()?;
        let Branches { all, current } = &mut state.branches;
        all.try_reserve(2).map_err(|_| no_room())?;
        match all.get_mut(*current) {
            Some(kept) => kept.clone_from(&now),
            None => all.push(now.clone()),
        }
        all.push(now);
        *current = all.len() - 1;
        Ok(all.len())
    }

    /// Keeps the conversation as it is, and switches to another branch.
    ///
    /// # Errors
    /// If there is no such branch, memory is refused, the model has no template, or the session is busy.
    pub fn go_to_branch(&self, number: usize) -> Outcome<()> {
        let mut state = self.idle()?;
        let now = state.conversation()?.saved()?;
        let Branches { all, current } = &mut state.branches;
        // A conversation that was never branched is number 1.
        let n = all.len().max(1);
        let Some(wanted) = number.checked_sub(1).filter(|wanted| *wanted < n) else {
            return Err(Failure::argument(format!("there is no branch {number}: expected 1 to {n}")));
        };
        let Some(kept) = all.get_mut(*current) else { return Ok(()) };
        *kept = now;
        let messages = all.get(wanted).cloned().unwrap_or_default();
        state.conversation()?.resume(&messages)?;
        state.branches.current = wanted;
        Ok(())
    }

    /// Keeps what is computed now until [`unpin`](Self::unpin), even if memory for branches is short.
    ///
    /// # Errors
    /// If nothing is computed, no branch is free, or the session is busy.
    pub fn pin(&self) -> Outcome<()> {
        let mut state = self.idle()?;
        let State { work: Work::Idle(context), tree, .. } = &mut *state else { return Err(broken()) };
        let computed = context.tokens(0).len();
        if tree.pin(context, 0)? {
            return Ok(());
        }
        let planned = context.engine().plan().branches;
        Err(Failure::argument(format!(
            "nothing was pinned: {computed} tokens are computed, and none of {planned} branches (load option `branches`) is free"
        )))
    }

    /// Unpins everything, so that it can be dropped like the rest.
    ///
    /// # Errors
    /// If the session is busy.
    pub fn unpin(&self) -> Outcome<()> {
        self.idle()?.tree.unpin();
        Ok(())
    }

    /// Returns what was reused.
    ///
    /// # Errors
    /// If the session is busy.
    pub fn reuse(&self) -> Outcome<Reuse> {
        let state = self.lock()?;
        let speculation = state.context()?.speculation_stats().unwrap_or_default();
        let shifted = state.finish.as_ref().map_or(0, |finish| finish.shifted_tokens);
        let (stats, kept, dropped) = (state.tree.stats(), state.tree.len(), state.dropped);
        Ok(Reuse { stats, kept, dropped, speculation, shifted })
    }

    /// Gives memory back. If there is a file, what is computed is saved first, and read again for the next turn.
    ///
    /// # Errors
    /// If memory cannot be reserved again, or the session is busy.
    pub fn trim(&self, level: TrimLevel) -> Outcome<()> {
        let mut state = self.idle()?;
        if level == TrimLevel::Sequences {
            state.bring_back();
            state.keep();
            state.file.trimmed = state.file.is_whole();
        }
        let State { work: Work::Idle(context), tree, .. } = &mut *state else { return Err(broken()) };
        if level >= TrimLevel::Branches {
            tree.clear(context)?;
        }
        context.trim(level)?;
        purge();
        Ok(())
    }
}

fn no_room() -> Failure {
    Failure::new(crate::Status::Memory, "no memory for another branch")
}
