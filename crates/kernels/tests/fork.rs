//! A forked child has a copy of the pool and none of its threads: dropping it neither panics nor waits.
#![cfg(target_os = "linux")]
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use happy_kernels::Pool;

#[test]
fn a_forked_child_frees_a_pool() {
    for used in [false, true] {
        let pool = Pool::new(4).unwrap();
        if used {
            pool.run(100, &|_, _| ());
        }
        // SAFETY: the child only runs tasks on its own thread, frees memory and exits.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "cannot fork");
        if child == 0 {
            let fine = catch_unwind(AssertUnwindSafe(|| {
                let sum = std::sync::atomic::AtomicUsize::new(0);
                pool.run(10, &|task, _| {
                    sum.fetch_add(task, std::sync::atomic::Ordering::Relaxed);
                });
                drop(pool);
                assert_eq!(sum.into_inner(), 45);
            }));
            // SAFETY: ends the child without running what the test harness has left to do.
            unsafe { libc::_exit(i32::from(fine.is_err())) };
        }
        let (started, mut status) = (Instant::now(), 0);
        // SAFETY: `status` is a place to write to, and the child is this process's own.
        while unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } == 0 {
            if started.elapsed() > Duration::from_secs(20) {
                // SAFETY: the child has not been waited for, so that its number is still its own.
                unsafe { libc::kill(child, libc::SIGKILL) };
                panic!("the child hangs");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(status, 0, "used {used}: the child ended with status {status}");
        // The parent's threads are where they were.
        pool.run(100, &|_, _| ());
    }
}
