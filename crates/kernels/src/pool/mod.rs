//! A thread pool for kernels: threads claim work in small pieces, and no thread waits for one that has nothing to do.
//!
//! ```text
//! caller:  write job; give every thread a share of its tasks      worker:  wait until its share has tasks
//!          claim and run tasks until none is left                          claim and run tasks until none is left
//!          wait until `done` == n                                          wait: spin briefly, then park
//! ```
//!
//! A task is claimed by one compare-and-swap on a share. A thread takes the tasks of its own share in order, then helps
//! with those of others. There is no barrier to enter or to leave: a worker that wakes late finds nothing to claim, and
//! the caller waits only for tasks that were claimed. A worker that holds the caller up, because another program has
//! taken its core, is benched for a while. Results do not depend on which thread computes them, so leaving a worker out
//! only costs its share of the work.

#![allow(unsafe_code)]

mod bench;
mod claim;
mod cpu;
#[cfg(all(test, loom))]
mod model;
mod split;
mod sync;
mod worker;

pub use split::Columns;

use crate::arch::fpenv::FpEnv;
use claim::{Job, Shared};
use std::collections::TryReserveError;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, TryLockError};
use std::time::Duration;
use sync::{Instant, Mutex, MutexGuard, thread};

/// How long a thread spins before it sleeps. A model that decodes starts a job every 10 to 100 microseconds.
const SPIN: Duration = if sync::MODEL { Duration::ZERO } else { Duration::from_micros(40) };

/// How many times a spinning thread looks for work before it looks at the clock.
const LOOK: u32 = if sync::MODEL { 1 } else { 64 };

/// Why a pool could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// The number of threads is not 1 to [`Pool::MAX_THREADS`].
    #[error("the number of threads is {0}, expected 1 to {max}", max = Pool::MAX_THREADS)]
    Threads(usize),
    /// The memory for the threads' records cannot be reserved.
    #[error("cannot reserve memory for {0} threads; ask for fewer")]
    Memory(usize),
    /// The system refused a thread.
    #[error("thread {index} of {threads} could not be started: {error}; ask for fewer threads")]
    Spawn {
        /// Number of the thread that failed.
        index: usize,
        /// Number of threads asked for.
        threads: usize,
        /// What the system said.
        error: std::io::Error,
    },
}

/// Threads that run the tasks of one job at a time, together with the calling thread.
pub struct Pool {
    shared: Arc<Shared>,
    /// Held by the caller whose job is running. It records which workers were slow.
    bench: Mutex<bench::Bench>,
    workers: Vec<thread::JoinHandle<()>>,
    /// The process that started the workers. A forked child has none of them.
    process: u32,
}

/// Collects `make(0) .. make(n)` in memory that is reserved fallibly.
fn reserved<T>(n: usize, make: impl FnMut(usize) -> T) -> Result<Vec<T>, TryReserveError> {
    let mut v = Vec::new();
    v.try_reserve_exact(n)?;
    v.extend((0..n).map(make));
    Ok(v)
}

impl Pool {
    /// The maximum number of threads of a pool.
    pub const MAX_THREADS: usize = 256;

    /// Makes a pool of `threads` threads, including the caller's.
    ///
    /// # Errors
    /// If `threads` is 0 or over [`Pool::MAX_THREADS`], or the system refuses memory or a thread.
    pub fn new(threads: usize) -> Result<Self, PoolError> {
        if threads == 0 || threads > Self::MAX_THREADS {
            return Err(PoolError::Threads(threads));
        }
        let memory = |_| PoolError::Memory(threads);
        let shared = Arc::new(Shared::new(threads - 1).map_err(memory)?);
        let bench = Mutex::new(bench::Bench::new(threads - 1).map_err(memory)?);
        let mut workers = Vec::new();
        workers.try_reserve_exact(threads - 1).map_err(memory)?;
        let mut pool = Pool { shared, bench, workers, process: std::process::id() };
        for index in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let worker = thread::Builder::new()
                .name(format!("happy-{index}"))
                .spawn(move || worker::run(&shared, index))
                .map_err(|error| PoolError::Spawn { index, threads, error })?;
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    /// Returns the number of threads, including the caller's. Worker numbers are below it.
    pub fn threads(&self) -> usize {
        self.shared.workers.len() + 1
    }

    /// Runs `f(task, worker)` once for every task below `n_tasks` and returns when all are done.
    ///
    /// Every thread starts with a run of adjacent tasks, in ascending order. While the job of another caller is
    /// running, the tasks run on the calling thread alone, as worker 0.
    ///
    /// # Panics
    /// If a task panics, once all tasks have ended.
    pub fn run(&self, n_tasks: usize, f: &(dyn Fn(usize, usize) + Sync)) {
        let _fp = FpEnv::enter();
        let bench = if n_tasks > 1 && !self.workers.is_empty() { self.try_bench() } else { None };
        match (bench, u32::try_from(n_tasks)) {
            (Some(mut bench), Ok(n)) => self.run_shared(n, f, &mut bench),
            _ => (0..n_tasks).for_each(|task| f(task, 0)),
        }
    }

    fn try_bench(&self) -> Option<MutexGuard<'_, bench::Bench>> {
        match self.bench.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(e)) => Some(e.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn run_shared(&self, n: u32, f: &(dyn Fn(usize, usize) + Sync), bench: &mut bench::Bench) {
        let shared = &*self.shared;
        bench.admit(shared);
        let started = Instant::now();
        // SAFETY: no task of an earlier job is unfinished (its caller waited, and `bench` is held by one caller at a
        // time), and this call does not return before every task of this one is done.
        unsafe { shared.publish(Job::new(&f), n) };
        // If anything unwinds from here on, this frame is still not left before the workers are done with it.
        let _all = Finish { shared, n };
        let own = shared.work(0);
        self.wait(n, started.elapsed() / own.max(1), bench);
        if let Some(payload) = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take() {
            std::panic::resume_unwind(payload);
        }
    }

    /// Waits for the tasks that others have claimed. The caller's own tasks took `mean` each.
    fn wait(&self, n: u32, mean: Duration, bench: &mut bench::Bench) {
        let shared = &*self.shared;
        let mut started = None;
        let mut spins = 0u32;
        while shared.done.load(Ordering::Acquire) != n {
            sync::spin_loop();
            spins += 1;
            if !spins.is_multiple_of(LOOK) {
                continue;
            }
            let started = *started.get_or_insert_with(Instant::now);
            if started.elapsed() > SPIN {
                bench.suspect(shared);
                shared.sleep_until_done(n);
                bench.judge(shared, started.elapsed(), mean);
            }
        }
    }
}

/// Waits for all tasks of a job when it is dropped, if they are not done yet.
struct Finish<'a> {
    shared: &'a Shared,
    n: u32,
}

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        if self.shared.done.load(Ordering::Acquire) != self.n {
            self.shared.work(0);
            self.shared.sleep_until_done(self.n);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if std::process::id() != self.process {
            // After a fork the child has the handles but not the threads. Joining or detaching them is an error, which
            // kills the process on some systems.
            self.workers.drain(..).for_each(std::mem::forget);
            return;
        }
        self.shared.stop.store(true, Ordering::SeqCst);
        for worker in &self.workers {
            worker.thread().unpark();
        }
        for worker in self.workers.drain(..) {
            // A worker catches its tasks' panics, so it has none to report.
            let _ = worker.join();
        }
    }
}

impl core::fmt::Debug for Pool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).finish_non_exhaustive()
    }
}

/// One value for each worker, so that each has scratch of its own.
#[derive(Debug)]
pub struct PerWorker<T>(Vec<std::sync::Mutex<T>>);

/// Makes values for no worker.
impl<T> Default for PerWorker<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> PerWorker<T> {
    /// Makes the values: `make(worker)` for each of `threads` workers.
    ///
    /// # Errors
    /// If the memory cannot be reserved, or `make` returns an error.
    pub fn new(
        threads: usize,
        mut make: impl FnMut(usize) -> Result<T, TryReserveError>,
    ) -> Result<Self, TryReserveError> {
        let mut values = Vec::new();
        values.try_reserve_exact(threads)?;
        for worker in 0..threads {
            values.push(std::sync::Mutex::new(make(worker)?));
        }
        Ok(Self(values))
    }

    /// Returns the number of bytes that [`PerWorker::new`] reserves, in addition to what `make` does.
    pub fn bytes(threads: usize) -> usize {
        threads.saturating_mul(size_of::<std::sync::Mutex<T>>())
    }

    /// Calls `f` with the value of `worker`.
    ///
    /// # Panics
    /// If `worker` is not below the number given to [`PerWorker::new`].
    pub fn with<R>(&self, worker: usize, f: impl FnOnce(&mut T) -> R) -> R {
        // Uncontended, because a worker runs one task at a time. A poisoned value is scratch, whose contents do not
        // matter.
        f(&mut self.0[worker].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the number of values.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
