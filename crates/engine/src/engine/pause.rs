//! Pausing everything that an engine computes, for an app in the background.

use crate::Engine;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a paused thread sleeps between two looks at its cancel flag.
const LOOK: Duration = Duration::from_millis(40);

/// Whether the contexts of an engine wait.
#[derive(Default)]
pub(crate) struct Pause {
    /// Read before every pass, without the lock.
    paused: AtomicBool,
    lock: Mutex<()>,
    resumed: Condvar,
}

impl Pause {
    fn set(&self, paused: bool) {
        let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.paused.store(paused, Ordering::SeqCst);
        self.resumed.notify_all();
    }

    /// Returns when nothing is paused, or `cancel` is raised.
    pub(crate) fn wait(&self, cancel: &AtomicBool) {
        if !self.paused.load(Ordering::SeqCst) {
            return;
        }
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while self.paused.load(Ordering::SeqCst) && !cancel.load(Ordering::Relaxed) {
            guard = self.resumed.wait_timeout(guard, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Engine {
    /// Makes all contexts of this engine and its clones wait before their next token, or chunk of a prompt, until
    /// [`resume`](Self::resume): for an app that goes to the background. What is being computed ends first. A generation whose
    /// [`Cancel`](crate::Cancel) is raised ends while it waits; [`Context::trim`](crate::Context::trim) gives memory back.
    pub fn pause(&self) {
        self.0.pause.set(true);
    }

    /// Lets all contexts go on after [`pause`](Self::pause). Does nothing otherwise.
    pub fn resume(&self) {
        self.0.pause.set(false);
    }

    /// Whether [`pause`](Self::pause) was called last.
    pub fn is_paused(&self) -> bool {
        self.0.pause.paused.load(Ordering::SeqCst)
    }
}
