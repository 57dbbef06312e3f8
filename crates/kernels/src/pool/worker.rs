//! A worker's life: wait for a job, take part, wait again.

use super::{SPIN, claim::Shared};
use crate::arch::fpenv::FpEnv;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::Instant;

/// What others see of a worker.
#[derive(Default)]
pub(super) struct Worker {
    thread: OnceLock<Thread>,
    sleeping: AtomicBool,
    /// It has claimed tasks or is about to; the caller looks at it only when it had to wait.
    pub(super) working: AtomicBool,
    /// It is left out of jobs for now, because its core was taken by others.
    pub(super) benched: AtomicBool,
}

impl Worker {
    /// Wakes the worker if it sleeps.
    pub(super) fn wake(&self) {
        // A load first: the swap of an awake worker's flag would take its cache line away at every job.
        if self.sleeping.load(Ordering::SeqCst)
            && self.sleeping.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
}

/// The body of worker `index` (1 and up).
pub(super) fn run(shared: &Shared, index: usize) {
    let _fp = FpEnv::enter();
    let me = &shared.workers[index - 1];
    // Set once by this thread alone.
    let _ = me.thread.set(std::thread::current());
    while !shared.stop.load(Ordering::SeqCst) {
        if wait_for_share(shared, index) {
            me.working.store(true, Ordering::SeqCst);
            shared.work(index);
            me.working.store(false, Ordering::SeqCst);
        }
    }
}

/// Spins, then sleeps; true if worker `index` has tasks to start with.
fn wait_for_share(shared: &Shared, index: usize) -> bool {
    let started = Instant::now();
    while started.elapsed() < SPIN {
        for _ in 0..64 {
            if shared.has_share(index) {
                return true;
            }
            std::hint::spin_loop();
        }
    }
    // Announce the sleep, look once more, sleep: a caller that published before the look is seen by it, one that
    // published after it sees the announcement.
    let me = &shared.workers[index - 1];
    me.sleeping.store(true, Ordering::SeqCst);
    if !shared.has_share(index) && !shared.stop.load(Ordering::SeqCst) {
        std::thread::park();
    }
    me.sleeping.store(false, Ordering::SeqCst);
    shared.has_share(index)
}
