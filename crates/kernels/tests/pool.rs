//! The thread pool: every task once, whatever happens around it.

use happy_kernels::{MatMut, PerWorker, Pool, PoolError};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn runs_every_task_once_for_any_sizes() {
    for threads in [1, 2, 3, 8] {
        let pool = Pool::new(threads).unwrap();
        for n in [0, 1, 2, 3, 7, 64, 1000] {
            let counts: Vec<AtomicUsize> = (0..n).map(|_| AtomicUsize::new(0)).collect();
            pool.run(n, &|task, worker| {
                assert!(worker < threads);
                counts[task].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1), "{threads} threads, {n} tasks");
        }
    }
}

#[test]
fn many_short_jobs_with_more_threads_than_cores() {
    let pool = Pool::new(16).unwrap();
    let sum = AtomicUsize::new(0);
    for job in 0..5_000 {
        pool.run(job % 40, &|task, _| {
            sum.fetch_add(task + 1, Ordering::Relaxed);
        });
    }
    let expected: usize = (0..5_000).map(|job| job % 40).map(|n| n * (n + 1) / 2).sum();
    assert_eq!(sum.into_inner(), expected);
}

#[test]
fn sleeping_workers_wake_up() {
    let pool = Pool::new(4).unwrap();
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_millis(2));
        let seen = AtomicUsize::new(0);
        pool.run(64, &|_, _| {
            seen.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(seen.into_inner(), 64);
    }
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
    let pool = Pool::new(3).unwrap();
    for _ in 0..50 {
        let done = AtomicUsize::new(0);
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
            pool.run(20, &|task, _| {
                assert!(task != 7, "task seven");
                done.fetch_add(1, Ordering::Relaxed);
            });
        }));
        assert!(result.is_err());
        assert_eq!(done.into_inner(), 19, "the other tasks end first");
    }
    pool.run(1, &|_, _| ());
}

#[test]
fn nested_and_concurrent_jobs_run_on_their_callers() {
    let pool = Pool::new(2).unwrap();
    let count = AtomicUsize::new(0);
    pool.run(8, &|_, _| {
        pool.run(8, &|_, worker| {
            assert_eq!(worker, 0);
            count.fetch_add(1, Ordering::Relaxed);
        });
    });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    pool.run(5, &|_, _| {
                        count.fetch_add(1, Ordering::Relaxed);
                    });
                }
            });
        }
    });
    assert_eq!(count.into_inner(), 64 + 4 * 200 * 5);
}

#[test]
fn pieces_cover_matrices_and_slices() {
    let pool = Pool::new(3).unwrap();
    for (rows, cols, width) in [(1, 1, 1), (2, 17, 16), (3, 32, 16), (5, 7, 100), (0, 4, 2), (4, 0, 2)] {
        let (mut a, mut b) = (vec![0.0; rows * cols], vec![0.0; rows * cols]);
        let parts = [(MatMut::new(&mut a, rows, cols), width), (MatMut::new(&mut b, rows, cols), width + 1)];
        pool.for_each_columns(parts, &|which, first, columns, _| {
            for row in 0..columns.rows() {
                for (i, y) in columns.row_mut(row).iter_mut().enumerate() {
                    *y += ((which + 1) * 10_000 + row * 100 + first + i) as f32;
                }
            }
        });
        for (which, values) in [&a, &b].into_iter().enumerate() {
            for (i, y) in values.iter().enumerate() {
                assert_eq!(*y, ((which + 1) * 10_000 + i / cols * 100 + i % cols) as f32);
            }
        }
        pool.for_each_rows(MatMut::new(&mut a, rows, cols), width, &|first, mut part, _| {
            for row in 0..part.rows() {
                part.row_mut(row).fill((first + row) as f32);
            }
        });
        assert!(a.iter().enumerate().all(|(i, y)| *y == (i / cols) as f32));
    }
    let (mut a, mut b, mut c) = (vec![0u8; 10], vec![0u32; 20], vec![0u16; 5]);
    pool.for_each_chunk3((&mut a, 4), (&mut b, 8), (&mut c, 2), &|i, (a, b, c), _| {
        a.fill(i as u8);
        b.fill(i as u32);
        c.fill(i as u16);
    });
    assert_eq!((a[9], b[19], c[4], a[0], b[8]), (2, 2, 2, 0, 1));
}

#[test]
fn more_matrices_than_one_job_takes() {
    let pool = Pool::new(2).unwrap();
    let mut data = vec![vec![0.0f32; 6]; 40];
    let parts = data.iter_mut().map(|d| (MatMut::new(d, 2, 3), 2));
    pool.for_each_columns(parts, &|which, _, columns, _| {
        (0..2).for_each(|row| columns.row_mut(row).fill(which as f32 + 1.0));
    });
    assert!(data.iter().enumerate().all(|(i, d)| d.iter().all(|y| *y == i as f32 + 1.0)));
}

#[test]
fn per_worker_values_are_their_own() {
    let pool = Pool::new(4).unwrap();
    let sums = PerWorker::new(pool.threads(), |_| Ok(0usize)).unwrap();
    pool.run(1000, &|task, worker| sums.with(worker, |sum| *sum += task));
    let total: usize = (0..sums.len()).map(|w| sums.with(w, |s| *s)).sum();
    assert_eq!(total, 499_500);
}

#[test]
fn impossible_thread_counts_are_errors() {
    for threads in [0, Pool::MAX_THREADS + 1] {
        let error = Pool::new(threads).unwrap_err();
        assert!(matches!(error, PoolError::Threads(n) if n == threads), "{error}");
    }
}

/// A panic payload whose drop panics with another.
struct Nasty;

impl Drop for Nasty {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::panic::panic_any(Nasty);
        }
    }
}

/// Runs `f` on a thread of its own; false if it has not ended after half a minute.
fn ends(f: impl FnOnce() + Send + 'static) -> bool {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        f();
        let _ = done.send(());
    });
    ended.recv_timeout(std::time::Duration::from_secs(30)).is_ok()
}

/// The second payload was dropped outside of what catches panics: a worker died with its task uncounted, and the
/// caller waited for ever; or the caller left its frame while workers read it.
#[test]
fn payloads_whose_drop_panics_are_contained() {
    for by_caller in [false, true] {
        let fine = ends(move || {
            let pool = Pool::new(3).unwrap();
            for _ in 0..20 {
                let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
                let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
                    let local = vec![1u64; 1000];
                    pool.run(24, &|_, worker| {
                        begun.fetch_add(1, Ordering::SeqCst);
                        if (worker == 0) == by_caller {
                            std::panic::panic_any(Nasty);
                        }
                        std::thread::sleep(std::time::Duration::from_micros(300));
                        assert_eq!(local.iter().sum::<u64>(), 1000);
                        ended.fetch_add(1, Ordering::SeqCst);
                    });
                }));
                assert_eq!(begun.into_inner(), 24, "every task ran before `run` returned");
                if let Err(payload) = result {
                    // The first payload reaches the caller, who has to be as careful.
                    std::mem::forget(payload);
                }
            }
            pool.run(100, &|_, _| ());
        });
        assert!(fine, "panics by the caller {by_caller}: the pool hangs");
    }
}
