//! Memory of an idle model: given back after a while, and taken again by the next job.
//!
//! ```text
//! no job for `after`  -> contexts are written, if there is a folder for them; then all slots and branches are emptied, and the memory
//!                        of their pages and of activations goes back to the system
//! the next job        -> contexts are read again, if they were written; otherwise the whole prompt is computed
//! ```
//!
//! The memory stays planned for the model, so no other model takes it.

use super::{Job, Worker};
use crate::metrics::Metrics;
use happy_engine::{Context, TrimLevel};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// When a model gives its memory back, and how much it holds.
pub(super) struct Idle {
    /// Time without a job after which memory is given back. `None`: never.
    after: Option<Duration>,
    /// Whether all contexts are empty, which they are before the first job and after memory was given back.
    is_asleep: bool,
    /// Bytes of the KV cache that the metrics count for this model.
    counted: usize,
    metrics: Arc<Metrics>,
}

impl Idle {
    pub(super) fn new(after: Option<Duration>, metrics: Arc<Metrics>) -> Self {
        Self { after, is_asleep: true, counted: 0, metrics }
    }

    pub(super) fn metrics(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }

    /// Returns whether all contexts are empty. Session files, if there are any, then hold the only copies and must not be overwritten.
    pub(super) fn is_asleep(&self) -> bool {
        self.is_asleep
    }

    /// Waits for a job.
    ///
    /// # Errors
    /// If no job came in time, or the server ends.
    pub(super) fn wait(&self, jobs: &Receiver<Job>) -> Result<Job, RecvTimeoutError> {
        match self.after.filter(|_| !self.is_asleep) {
            Some(after) => jobs.recv_timeout(after),
            None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// Updates the model's share of the bytes in the metrics.
    pub(super) fn count(&mut self, context: &Context) {
        let bytes = context.kv_held_bytes();
        self.metrics.kv_bytes.add(bytes);
        self.metrics.kv_bytes.sub(std::mem::replace(&mut self.counted, bytes));
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.metrics.kv_bytes.sub(self.counted);
    }
}

impl Worker {
    /// Gives the memory of all contexts back to the system.
    pub(super) fn trim(&mut self) {
        self.save();
        // If the system refuses memory for empty buffers, the slots keep what they hold.
        let cleared = self.tree.clear(&mut self.context);
        let trimmed = cleared.and_then(|()| self.context.trim(TrimLevel::Sequences));
        if trimmed.is_ok() {
            self.metrics.idle_trims.add(1);
        }
        self.idle.is_asleep = true;
        self.idle.count(&self.context);
    }

    /// Reads the contexts that were written when memory was given back, or by an earlier run.
    pub(super) fn wake(&mut self) {
        if std::mem::take(&mut self.idle.is_asleep) {
            self.restore();
        }
    }
}
