//! The job that is running and how its tasks are claimed.

use super::{SPIN, worker::Worker};
use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// What a job calls for each task, with the worker's number.
pub(super) type Task<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// A borrowed [`Task`] without its lifetime, and how often it is to be called.
#[derive(Clone, Copy)]
pub(super) struct Job {
    /// Points to a `Task`; `publish` says how long it lives.
    f: *const (),
    n: u32,
}

impl Job {
    pub(super) fn new(f: &Task<'_>, n: u32) -> Self {
        Self { f: core::ptr::from_ref(f).cast(), n }
    }
}

/// What the caller and the workers share.
pub(super) struct Shared {
    /// Upper half: number of the job; lower half: its tasks that are not claimed yet. A stalled compare-and-swap
    /// could be fooled only by 2^32 jobs passing meanwhile.
    state: AtomicU64,
    /// Written by `publish` alone, read by those who hold a claimed task.
    job: UnsafeCell<Job>,
    /// Finished tasks of the job.
    pub(super) done: AtomicU32,
    /// The caller sleeps; whoever finishes the last task wakes it.
    caller_sleeps: AtomicBool,
    sleep: Mutex<()>,
    awake: Condvar,
    pub(super) stop: AtomicBool,
    /// The first panic of the job's tasks.
    pub(super) panic: Mutex<Option<Box<dyn Any + Send>>>,
    pub(super) workers: Vec<Worker>,
}

// SAFETY: `job` is the one field that is not Sync by itself. It is written only while no task is claimed or claimable,
// and read only between a successful claim (acquire of the publishing release) and the count of `done`.
unsafe impl Sync for Shared {}
// SAFETY: as above; the closure that `job.f` leads to is Sync, so any thread may call it.
unsafe impl Send for Shared {}

impl Shared {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(Job { f: core::ptr::null(), n: 0 }),
            done: AtomicU32::new(0),
            caller_sleeps: AtomicBool::new(false),
            sleep: Mutex::new(()),
            awake: Condvar::new(),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
            workers: (0..workers).map(|_| Worker::default()).collect(),
        }
    }

    /// Makes the tasks of `job` claimable.
    ///
    /// # Safety
    /// Every task of the job before must be done, no other thread may publish, and what `job.f` points
    /// to must live until `done` counts all of its tasks.
    pub(super) unsafe fn publish(&self, job: Job) {
        // SAFETY: no task is claimed or claimable, so nobody reads the cell.
        unsafe { *self.job.get() = job };
        self.done.store(0, Ordering::Relaxed);
        self.caller_sleeps.store(false, Ordering::Relaxed);
        let epoch = (self.state.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        self.state.store(epoch << 32 | u64::from(job.n), Ordering::SeqCst);
    }

    /// Whether a task can be claimed.
    pub(super) fn has_tasks(&self) -> bool {
        self.state.load(Ordering::SeqCst) as u32 != 0
    }

    fn claim(&self) -> Option<Job> {
        let mut state = self.state.load(Ordering::Relaxed);
        while state as u32 != 0 {
            match self.state.compare_exchange_weak(state, state - 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => {
                    // SAFETY: a task of this job is claimed and not done, so the cell is not written.
                    let job = unsafe { *self.job.get() };
                    return Some(Job { f: job.f, n: job.n - state as u32 });
                }
                Err(now) => state = now,
            }
        }
        None
    }

    /// Claims and runs tasks until none is left, or until this worker is benched; returns how many it ran.
    pub(super) fn work(&self, worker: usize) -> u32 {
        let mut ran = 0;
        while let Some(Job { f, n: task }) = self.claim() {
            // SAFETY: the publisher keeps what `f` points to alive until this task is counted as done.
            let f = unsafe { *f.cast::<Task<'_>>() };
            if let Err(payload) = std::panic::catch_unwind(AssertUnwindSafe(|| f(task as usize, worker))) {
                self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(payload);
            }
            ran += 1;
            self.done.fetch_add(1, Ordering::SeqCst);
            if self.caller_sleeps.load(Ordering::SeqCst) {
                drop(self.sleep.lock().unwrap_or_else(PoisonError::into_inner));
                self.awake.notify_one();
            }
            if worker > 0 && self.workers[worker - 1].benched.load(Ordering::Relaxed) {
                break;
            }
        }
        ran
    }

    /// Puts the caller to sleep until `n` tasks are done.
    pub(super) fn sleep_until_done(&self, n: u32) {
        self.caller_sleeps.store(true, Ordering::SeqCst);
        let mut guard = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        while self.done.load(Ordering::SeqCst) != n {
            // The time limit costs nothing and makes a lost wake-up, were there one, a delay and not a hang.
            guard = match self.awake.wait_timeout(guard, SPIN * 250) {
                Ok((guard, _)) => guard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Wakes up to `most` sleeping workers that are not benched.
    pub(super) fn wake(&self, most: usize) {
        for worker in self.workers.iter().filter(|w| !w.benched.load(Ordering::Relaxed)).take(most) {
            worker.wake();
        }
    }
}
