//! Contexts across restarts: what the slots hold is written when the thread ends, and read when it begins.
//!
//! `slot-0.happy` is the slot that was used last. A file that does not belong to this model, as it is loaded here, is left out: its
//! chat is computed again when it goes on, with the same text.

use super::slot::Slot;
use super::{WORTH_A_COPY, Worker};
use happy_engine::{Session, session::Turn};
use std::path::{Path, PathBuf};

fn file(folder: &Path, rank: usize) -> PathBuf {
    folder.join(format!("slot-{rank}.happy"))
}

impl Worker {
    /// Reads what an earlier run wrote.
    pub(super) fn restore(&mut self) {
        let Some(folder) = &self.sessions else { return };
        let n = self.slots.len() as u64;
        for (rank, slot) in self.slots.iter_mut().enumerate() {
            let path = file(folder, rank);
            if !path.is_file() {
                break;
            }
            match Session::open(path, &mut self.context, slot.sequence()) {
                Ok(_) => {
                    slot.set_last_used(n - rank as u64);
                    self.metrics.contexts_restored.add(1);
                }
                Err(_) => self.metrics.contexts_refused.add(1),
            }
        }
        self.clock = n;
    }

    /// Writes what is worth to be read.
    pub(super) fn save(&mut self) {
        let Some(folder) = self.sessions.clone() else { return };
        if std::fs::create_dir_all(&folder).is_err() {
            return self.metrics.contexts_refused.add(1);
        }
        let mut order: Vec<&mut Slot> = self.slots.iter_mut().collect();
        order.sort_by_key(|slot| std::cmp::Reverse(slot.last_used()));
        let mut rank = 0;
        for slot in order {
            slot.end(&mut self.context);
            if self.context.tokens(slot.sequence()).len() < WORTH_A_COPY {
                continue;
            }
            let path = file(&folder, rank);
            let session = Session::create(path, &self.context, slot.sequence());
            match session.and_then(|mut session| session.append(&self.context, Turn::default())) {
                Ok(_) => rank += 1,
                Err(_) => self.metrics.contexts_refused.add(1),
            }
        }
        // Those of an earlier run that no slot has now.
        while std::fs::remove_file(file(&folder, rank)).is_ok() {
            rank += 1;
        }
    }
}
