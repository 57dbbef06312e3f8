//! Ends a pass early when its clients leave. A pass over many rows of a large model takes seconds on a phone.
//!
//! ```text
//! a client leaves   -> if more than half of the rows of the running pass belong to clients that have left, the pass ends
//! the server ends   -> the running pass ends
//! ```
//!
//! A pass that ended early changed nothing: the clients that stay get the same rows in the next pass. That costs them less than half of
//! a pass at most once for each client that leaves, and waiting for rows that nobody wants would cost more.

use happy_engine::Cancel;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The running pass, which the thread that computes shares with the threads that serve clients.
#[derive(Default)]
pub(super) struct RunningPass(Mutex<Option<Pass>>);

struct Pass {
    cancel: Cancel,
    /// For each client, the flag that is raised when it leaves, and its rows.
    clients: Vec<(Cancel, usize)>,
}

impl RunningPass {
    fn lock(&self) -> MutexGuard<'_, Option<Pass>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a pass with rows for these clients. Returns the flag that ends it early.
    pub(super) fn begin(&self, clients: Vec<(Cancel, usize)>) -> Cancel {
        let cancel = Cancel::new();
        *self.lock() = Some(Pass { cancel: cancel.clone(), clients });
        cancel
    }

    /// The pass is over.
    pub(super) fn end(&self) {
        *self.lock() = None;
    }

    /// Ends the running pass early.
    pub(super) fn stop(&self) {
        if let Some(pass) = &*self.lock() {
            pass.cancel.cancel();
        }
    }

    /// Ends the running pass early if most of its rows belong to clients that have left.
    pub(super) fn client_left(&self) {
        if let Some(pass) = &*self.lock() {
            let rows = |only_left: bool| -> usize {
                let counted = pass.clients.iter().filter(|(left, _)| !only_left || left.is_cancelled());
                counted.map(|(_, rows)| rows).sum()
            };
            if 2 * rows(true) > rows(false) {
                pass.cancel.cancel();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_ends_when_most_of_its_rows_are_not_wanted() {
        // Rows of each client, which clients leave, whether the pass ends.
        let cases: [(&[usize], &[usize], bool); 7] = [
            (&[256], &[0], true),
            (&[1], &[], false),
            (&[1, 64], &[1], true),
            (&[1, 64], &[0], false),
            (&[1, 1], &[0], false),
            (&[1, 1], &[0, 1], true),
            (&[1, 1, 1, 1], &[0, 3], false),
        ];
        for (rows, leave, ends) in cases {
            let clients: Vec<(Cancel, usize)> = rows.iter().map(|rows| (Cancel::new(), *rows)).collect();
            let running = RunningPass::default();
            let pass = running.begin(clients.clone());
            for index in leave {
                clients[*index].0.cancel();
                running.client_left();
            }
            assert_eq!(pass.is_cancelled(), ends, "{rows:?}, of which {leave:?} leave");
        }
    }

    #[test]
    fn only_the_running_pass_ends() {
        let running = RunningPass::default();
        running.client_left();
        running.stop();
        let client = Cancel::new();
        let first = running.begin(vec![(client.clone(), 1)]);
        running.end();
        client.cancel();
        running.client_left();
        running.stop();
        assert!(!first.is_cancelled());
        let second = running.begin(Vec::new());
        running.stop();
        assert!(second.is_cancelled());
    }
}
