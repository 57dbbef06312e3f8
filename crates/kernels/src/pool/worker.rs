//! A worker's life: wait for a job, take part, wait again.

use super::sync::{AtomicBool, AtomicU32, Instant, spin_loop, thread};
use super::{LOOK, SPIN, claim::Shared, cpu};
use crate::arch::fpenv::FpEnv;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

/// The state of a worker that other threads see.
#[derive(Default)]
pub(super) struct Worker {
    thread: OnceLock<thread::Thread>,
    sleeping: AtomicBool,
    /// It has claimed tasks or is about to. The caller reads this only when it had to wait.
    pub(super) working: AtomicBool,
    /// It is left out of jobs for a while, because its core was taken by another program.
    pub(super) benched: AtomicBool,
    /// It woke on the core of the caller that woke it, and benched itself. The caller keeps the record.
    pub(super) crowded: AtomicBool,
    /// One more than the number of the core of the caller that woke it last; 0 if unknown.
    waker_cpu: AtomicU32,
}

impl Worker {
    /// Wakes the worker if it sleeps.
    pub(super) fn wake(&self) {
        // Loads first: swapping the flag of a worker that is awake would take away its cache line at every job.
        if self.sleeping.load(Ordering::SeqCst)
            && self.sleeping.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            self.waker_cpu.store(cpu::current().map_or(0, |cpu| cpu + 1), Ordering::Relaxed);
            thread.unpark();
        }
    }
}

/// The body of worker `index` (1 and up).
pub(super) fn run(shared: &Shared, index: usize) {
    let _fp = FpEnv::enter();
    let me = &shared.workers[index - 1];
    // Set once by this thread alone.
    let _ = me.thread.set(thread::current());
    while !shared.stop.load(Ordering::SeqCst) {
        if wait_for_share(shared, index) {
            me.working.store(true, Ordering::SeqCst);
            shared.work(index);
            me.working.store(false, Ordering::SeqCst);
        }
    }
}

/// Spins, then sleeps. Returns whether worker `index` has tasks to start with.
fn wait_for_share(shared: &Shared, index: usize) -> bool {
    let me = &shared.workers[index - 1];
    let may_work = || shared.has_share(index) && !me.benched.load(Ordering::SeqCst);
    let started = Instant::now();
    while !me.benched.load(Ordering::Relaxed) && started.elapsed() < SPIN {
        for _ in 0..LOOK {
            if may_work() {
                return true;
            }
            spin_loop();
        }
    }
    // Announces the sleep, looks once more, sleeps: this thread sees a job that was published before that look, and a
    // caller that publishes after it sees the announcement.
    me.sleeping.store(true, Ordering::SeqCst);
    if !may_work() && !shared.stop.load(Ordering::SeqCst) {
        thread::park();
        if cpu::current().is_some_and(|cpu| cpu + 1 == me.waker_cpu.load(Ordering::Relaxed)) {
            // No core is free: working here would only stop the caller, for as long as the scheduler decides.
            me.benched.store(true, Ordering::SeqCst);
            me.crowded.store(true, Ordering::SeqCst);
        }
    }
    me.sleeping.store(false, Ordering::SeqCst);
    may_work()
}
