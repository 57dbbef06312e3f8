//! The job that is running and how its tasks are claimed.
//!
//! ```text
//! publish:  every thread that takes part gets a share: adjacent tasks, first to last
//! claim:    the first task of the own share; when that is empty, the last task of the fullest share
//! ```
//!
//! Adjacent tasks read adjacent memory, so what a task prefetches past its end is what its thread reads next.

use super::sync::{AtomicBool, AtomicU32, AtomicU64, Condvar, Mutex, Slot};
use super::{SPIN, reserved, worker::Worker};
use std::any::Any;
use std::collections::TryReserveError;
use std::panic::AssertUnwindSafe;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// The function that a job calls for each task, with the number of the task and of the worker.
pub(super) type Task<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// What a panic carries.
type Payload = Box<dyn Any + Send>;

/// A borrowed [`Task`] without its lifetime. [`Shared::publish`] says how long it must live.
#[derive(Clone, Copy)]
pub(super) struct Job(*const ());

impl Job {
    pub(super) fn new(f: &Task<'_>) -> Self {
        Self(core::ptr::from_ref(f).cast())
    }
}

/// The tasks with which a thread starts. The upper half is the first task, the lower half the one after the last.
///
/// A claim is one compare-and-swap. It needs no number of the job: it succeeds only on tasks that nobody has claimed,
/// whichever job they belong to by then, and the job is read afterwards. A share has cache lines of its own, because
/// mostly one thread writes it.
#[repr(align(128))]
#[derive(Default)]
struct Share(AtomicU64);

impl Share {
    fn bounds(share: u64) -> (u32, u32) {
        ((share >> 32) as u32, share as u32)
    }

    fn set(&self, first: u32, end: u32) {
        self.0.store(u64::from(first) << 32 | u64::from(end), Ordering::SeqCst);
    }

    fn left(&self) -> u32 {
        let (first, end) = Self::bounds(self.0.load(Ordering::SeqCst));
        end - first
    }

    fn take_first(&self) -> Option<u32> {
        self.take(|share| share + (1 << 32), |first, _| first)
    }

    fn take_last(&self) -> Option<u32> {
        self.take(|share| share - 1, |_, end| end - 1)
    }

    fn take(&self, rest: impl Fn(u64) -> u64, task: impl Fn(u32, u32) -> u32) -> Option<u32> {
        let mut share = self.0.load(Ordering::Relaxed);
        loop {
            let (first, end) = Self::bounds(share);
            if first == end {
                return None;
            }
            match self.0.compare_exchange_weak(share, rest(share), Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(task(first, end)),
                Err(now) => share = now,
            }
        }
    }
}

/// What the caller and the workers share.
pub(super) struct Shared {
    /// The share of each thread, the caller's first.
    shares: Vec<Share>,
    /// Written only by `publish`, read only by threads that hold a claimed task.
    job: Slot<Job>,
    /// Number of finished tasks of the job. A thread adds its own when it finds no more.
    pub(super) done: AtomicU32,
    /// The caller sleeps. The thread that finishes the last task wakes it.
    caller_sleeps: AtomicBool,
    sleep: Mutex<()>,
    awake: Condvar,
    pub(super) stop: AtomicBool,
    /// The first panic of the job's tasks.
    pub(super) panic: Mutex<Option<Payload>>,
    pub(super) workers: Vec<Worker>,
}

// SAFETY: `job` is the one field that is not Sync by itself. It is written only while no task is claimed or claimable,
// and read only between a successful claim (acquire of the publishing release) and the count of `done`.
unsafe impl Sync for Shared {}
// SAFETY: as above; the closure that `job` leads to is Sync, so any thread may call it.
unsafe impl Send for Shared {}

impl Shared {
    pub(super) fn new(workers: usize) -> Result<Self, TryReserveError> {
        Ok(Self {
            shares: reserved(workers + 1, |_| Share::default())?,
            job: Slot::new(Job(core::ptr::null())),
            done: AtomicU32::new(0),
            caller_sleeps: AtomicBool::new(false),
            sleep: Mutex::new(()),
            awake: Condvar::new(),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
            workers: reserved(workers, |_| Worker::default())?,
        })
    }

    /// Makes `n` tasks of `job` claimable, divided among the caller and the workers that are not benched, and wakes
    /// workers that sleep.
    ///
    /// # Safety
    /// Every task of the previous job must be done, no other thread may publish, and what `job` points to must live
    /// until `done` counts all of its tasks.
    pub(super) unsafe fn publish(&self, job: Job, n: u32) {
        // SAFETY: no task is claimed or claimable, so nobody reads the cell.
        unsafe { self.job.set(job) };
        self.done.store(0, Ordering::Relaxed);
        self.caller_sleeps.store(false, Ordering::Relaxed);
        let able =
            || self.workers.iter().zip(&self.shares[1..]).filter(|(w, _)| !w.benched.load(Ordering::SeqCst));
        let threads = (able().count() as u64 + 1).min(u64::from(n));
        // Shares are given out from the last task backwards, so that the caller takes what is left if a worker benches
        // itself meanwhile. The workers come first, because they need some time to notice.
        let mut end = n;
        for ((worker, share), before) in able().zip((1..threads).rev()) {
            let first = (u64::from(n) * before / threads) as u32;
            share.set(first, end);
            worker.wake();
            end = first;
        }
        self.shares[0].set(0, end);
    }

    /// Returns whether worker `index` (1 and up) has tasks to start with.
    pub(super) fn has_share(&self, index: usize) -> bool {
        self.shares[index].left() != 0
    }

    fn claim(&self, thread: usize) -> Option<u32> {
        self.shares[thread].take_first().or_else(|| self.steal())
    }

    fn steal(&self) -> Option<u32> {
        loop {
            let fullest = self.shares.iter().max_by_key(|share| share.left())?;
            if fullest.left() == 0 {
                return None;
            }
            if let Some(task) = fullest.take_last() {
                return Some(task);
            }
        }
    }

    /// Claims and runs tasks until none is left or this worker is benched, and returns the number of tasks that it ran.
    pub(super) fn work(&self, thread: usize) -> u32 {
        let benched = || thread > 0 && self.workers[thread - 1].benched.load(Ordering::Relaxed);
        let mut ran = 0;
        while !benched()
            && let Some(task) = self.claim(thread)
        {
            // SAFETY: a task of the job is claimed and not counted as done, so the cell is not written, and the publisher
            // keeps what it points to alive.
            let f = unsafe { *self.job.get().0.cast::<Task<'_>>() };
            if let Err(payload) = std::panic::catch_unwind(AssertUnwindSafe(|| f(task as usize, thread))) {
                self.keep(payload);
            }
            ran += 1;
        }
        // A thread that ran nothing may be late: `done` may already belong to the next job.
        if ran == 0 {
            return 0;
        }
        self.done.fetch_add(ran, Ordering::SeqCst);
        if self.caller_sleeps.load(Ordering::SeqCst) {
            drop(self.sleep.lock().unwrap_or_else(PoisonError::into_inner));
            self.awake.notify_one();
        }
        ran
    }

    /// Keeps the first panic of a job. No panic may leave this function: its task would not be counted as done, and the
    /// caller would wait forever.
    fn keep(&self, payload: Payload) {
        let mut first = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = if first.is_some() { Some(payload) } else { first.replace(payload) };
        drop(first);
        // A payload has a type of the task's own, whose drop may panic too, with a payload that panics again: that one
        // is leaked.
        if let Err(again) = std::panic::catch_unwind(AssertUnwindSafe(|| drop(rest))) {
            std::mem::forget(again);
        }
    }

    /// Puts the caller to sleep until `n` tasks are done.
    pub(super) fn sleep_until_done(&self, n: u32) {
        self.caller_sleeps.store(true, Ordering::SeqCst);
        let mut guard = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        while self.done.load(Ordering::SeqCst) != n {
            // The time limit costs nothing, and turns a lost wake-up, should there be one, into a delay instead of a
            // hang.
            guard = match self.awake.wait_timeout(guard, SPIN * 250) {
                Ok((guard, _)) => guard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn no_task_is_lost_when_workers_bench_themselves_meanwhile() {
        let shared = Shared::new(8).expect("room for eight workers");
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    for worker in &shared.workers {
                        worker.benched.fetch_xor(true, Ordering::SeqCst);
                    }
                }
            });
            for n in (2..40).cycle().take(50_000) {
                let f: Task<'_> = &|_, _| ();
                // SAFETY: the previous job is done, and `f` outlives this one.
                unsafe { shared.publish(Job::new(&f), n) };
                shared.work(0);
                assert_eq!(shared.done.load(Ordering::SeqCst), n);
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}
