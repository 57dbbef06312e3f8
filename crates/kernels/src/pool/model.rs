//! The pool under loom, which runs every order of the steps of a caller and its workers, up to a number of preemptions
//! (`LOOM_MAX_PREEMPTIONS`), with every value that a load may return under the memory model.
//!
//! Tasks write cells that loom watches. It reports two threads in one cell without an order between them, a thread that
//! nobody wakes, and a worker that still reads a job whose caller has gone on.

use super::Pool;
use super::sync::{WAY, Way};
use loom::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Cells in a caller's frame, one for each task.
struct Cells(Vec<UnsafeCell<u32>>);

// SAFETY: loom checks every access.
unsafe impl Sync for Cells {}

impl Cells {
    fn new(n: usize) -> Self {
        Self((0..n).map(|_| UnsafeCell::new(0)).collect())
    }

    fn add(&self, task: usize) {
        // SAFETY: loom checks that no other thread is in the cell.
        self.0[task].with_mut(|cell| unsafe { *cell += 1 });
    }

    fn all_once(&self) -> bool {
        // SAFETY: as above.
        self.0.iter().all(|cell| cell.with(|cell| unsafe { *cell == 1 }))
    }
}

/// Checks a model in one way. Two spinning workers can go on forever without the caller, so models with two workers
/// only sleep.
fn check(way: Way, model: fn()) {
    let mut builder = loom::model::Builder::new();
    let preemptions = if way == Way::Sleep { 3 } else { 2 };
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.max_branches = 10_000;
    WAY.set(way);
    builder.check(model);
}

fn check_both(model: fn()) {
    check(Way::Sleep, model);
    check(Way::Spin, model);
}

#[test]
fn every_task_runs_once_and_is_seen() {
    check(Way::Sleep, || {
        let pool = Pool::new(3).unwrap();
        let cells = Cells::new(3);
        pool.run(3, &|task, _| cells.add(task));
        assert!(cells.all_once());
    });
}

/// A worker that is late for the first job meets the second, which has another frame.
#[test]
fn jobs_follow_one_another() {
    check_both(|| {
        let pool = Pool::new(2).unwrap();
        for n in [2, 3] {
            let cells = Cells::new(n);
            pool.run(n, &|task, _| cells.add(task));
            assert!(cells.all_once());
        }
    });
}

/// A payload whose drop panics with another payload of this kind.
struct Nasty;

impl Drop for Nasty {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            resume_unwind(Box::new(Nasty));
        }
    }
}

#[test]
fn panics_are_contained() {
    check_both(|| {
        let pool = Pool::new(2).unwrap();
        let cells = Cells::new(3);
        let result = catch_unwind(AssertUnwindSafe(|| {
            pool.run(3, &|task, _| {
                cells.add(task);
                if task != 1 {
                    resume_unwind(Box::new(Nasty));
                }
            });
        }));
        // The first payload reaches the caller, which has to be just as careful.
        std::mem::forget(result.expect_err("a task panicked"));
        // There is no second job, because loom's locks cannot be taken after a panic. `tests/pool.rs` has one.
        assert!(cells.all_once());
    });
}

/// The workers may not have started yet, or they spin, sleep, or are about to sleep.
#[test]
fn a_pool_is_dropped_at_any_time() {
    check(Way::Sleep, || drop(Pool::new(3).unwrap()));
}

/// A worker that is benched finishes what it has claimed, and others do the rest of its share.
#[test]
fn workers_are_benched_meanwhile() {
    check_both(|| {
        let pool = Pool::new(2).unwrap();
        let shared = std::sync::Arc::clone(&pool.shared);
        let other = loom::thread::spawn(move || {
            shared.workers[0].benched.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        let cells = Cells::new(3);
        pool.run(3, &|task, _| cells.add(task));
        assert!(cells.all_once());
        other.join().unwrap();
    });
}

/// Of two callers, one gets the workers, and the other runs its tasks itself.
#[test]
fn callers_do_not_disturb_one_another() {
    check(Way::Sleep, || {
        let pool = std::sync::Arc::new(Pool::new(2).unwrap());
        let again = std::sync::Arc::clone(&pool);
        let other = loom::thread::spawn(move || {
            let cells = Cells::new(2);
            again.run(2, &|task, _| cells.add(task));
            assert!(cells.all_once());
        });
        let cells = Cells::new(2);
        pool.run(2, &|task, _| cells.add(task));
        assert!(cells.all_once());
        other.join().unwrap();
    });
}
