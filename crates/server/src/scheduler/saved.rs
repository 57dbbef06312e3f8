//! Session files: the contexts of slots and branches are written when memory is given back and when the thread ends, and read for the next
//! job.
//!
//! `slot-0.happy` is the slot that was used last. Branches come after the slots. A file of another model, or of a model that was loaded
//! with other options, is skipped: its chat is computed again when it goes on, with the same text.

use super::Worker;
use super::admit::WORTH_SHARING;
use super::slot::Slot;
use happy_engine::{EngineError, Session, session::Turn};
use std::path::{Path, PathBuf};

fn file(folder: &Path, rank: usize) -> PathBuf {
    folder.join(format!("slot-{rank}.happy"))
}

impl Worker {
    /// Reads the files.
    pub(super) fn restore(&mut self) {
        let Some(folder) = self.sessions.clone() else { return };
        let plan = *self.context.engine().plan();
        let most = plan.sequences.saturating_add(plan.branches);
        let files = (0..most).map(|rank| file(&folder, rank)).take_while(|path| path.is_file()).count();
        // The oldest first: if there is less room than there was, they are dropped first.
        for rank in (0..files).rev() {
            let index = rank.min(self.slots.len().saturating_sub(1));
            let Some(slot) = self.slots.get_mut(index) else { return };
            self.clock += 1;
            slot.set_last_used(self.clock);
            let sequence = slot.sequence();
            match self.read(file(&folder, rank), sequence, rank > index) {
                Ok(()) => self.metrics.contexts_restored.add(1),
                Err(_) => self.metrics.contexts_refused.add(1),
            }
        }
    }

    /// Reads a file into a slot's sequence, and from there into a branch if there is no slot for it.
    fn read(&mut self, path: PathBuf, sequence: u32, branch: bool) -> Result<(), EngineError> {
        let (context, tree) = (&mut self.context, &mut self.tree);
        context.truncate(sequence, 0)?;
        tree.give_way(context, sequence)?;
        Session::open(path, context, sequence)?;
        if branch {
            tree.keep(context, sequence)?;
            context.truncate(sequence, 0)?;
        }
        Ok(())
    }

    /// Writes the contexts that are worth reading again.
    pub(super) fn save(&mut self) {
        let Some(folder) = self.sessions.clone().filter(|_| !self.idle.is_asleep()) else { return };
        if std::fs::create_dir_all(&folder).is_err() {
            return self.metrics.contexts_refused.add(1);
        }
        self.slots.iter_mut().for_each(|slot| slot.end(&mut self.context));
        let mut slots: Vec<&Slot> = self.slots.iter().collect();
        slots.sort_by_key(|slot| std::cmp::Reverse(slot.last_used()));
        let branches = self.tree.branches().unwrap_or_default();
        let mut written: Vec<u32> = Vec::new();
        for sequence in slots.into_iter().map(Slot::sequence).chain(branches) {
            let tokens = self.context.tokens(sequence);
            let is_part = |other: &u32| self.context.tokens(*other).starts_with(tokens);
            if tokens.len() < WORTH_SHARING || written.iter().any(is_part) {
                continue;
            }
            let path = file(&folder, written.len());
            let session = Session::create(path, &self.context, sequence);
            match session.and_then(|mut session| session.append(&self.context, Turn::default())) {
                Ok(_) => written.push(sequence),
                Err(_) => self.metrics.contexts_refused.add(1),
            }
        }
        // Remove files of an earlier run that were not replaced.
        for rank in written.len().. {
            if std::fs::remove_file(file(&folder, rank)).is_err() {
                return;
            }
        }
    }
}
