//! Leaving out workers that hold the caller up.
//!
//! When another program takes a worker's core, a task that the worker has claimed stays unfinished for a time slice of
//! the scheduler, thousands of times longer than the task takes. The caller notices that it waits, benches the worker,
//! and tries it again after a while. That while doubles each time the worker is slow again. Worse is a worker that the
//! scheduler has put on the caller's own core: it benches itself as soon as it wakes.

use super::claim::Shared;
use super::reserved;
use super::sync::Instant;
use super::worker::Worker;
use std::collections::TryReserveError;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A wait shorter than this is ordinary: waking up can take that long, and so can the end of a task.
const PATIENCE: Duration = Duration::from_micros(400);
/// It is not unusual either to wait for a task that takes this many times as long as others.
const SLOW_TASK: u32 = 6;
const FIRST: Duration = Duration::from_millis(4);
const LONGEST: Duration = Duration::from_millis(256);

struct Record {
    /// The time until which it is left out.
    until: Option<Instant>,
    /// How long it was left out the last time.
    last: Duration,
    /// When it came back.
    back: Option<Instant>,
    /// It still had a task when the caller had none left.
    suspect: bool,
}

impl Record {
    fn ban(&mut self, now: Instant) {
        // A worker that has been fast for twice as long as its last ban starts again with the shortest.
        let reformed = self.back.is_none_or(|back| now.duration_since(back) > self.last * 2);
        self.last = if reformed { FIRST } else { (self.last * 2).min(LONGEST) };
        self.until = Some(now + self.last);
    }
}

/// The caller's records of slow workers.
pub(super) struct Bench {
    records: Vec<Record>,
    benched: usize,
}

impl Bench {
    pub(super) fn new(workers: usize) -> Result<Self, TryReserveError> {
        let record = || Record { until: None, last: Duration::ZERO, back: None, suspect: false };
        Ok(Self { records: reserved(workers, |_| record())?, benched: 0 })
    }

    /// Readmits workers whose time is over, and records those that have benched themselves.
    pub(super) fn admit(&mut self, shared: &Shared) {
        let crowded = |worker: &Worker| worker.crowded.load(Ordering::Relaxed);
        if self.benched == 0 && !shared.workers.iter().any(crowded) {
            return;
        }
        let now = Instant::now();
        for (record, worker) in self.records.iter_mut().zip(&shared.workers) {
            if crowded(worker) {
                worker.crowded.store(false, Ordering::SeqCst);
                self.benched += usize::from(record.until.is_none());
                record.ban(now);
            } else if record.until.is_some_and(|until| until <= now) {
                record.until = None;
                record.back = Some(now);
                self.benched -= 1;
                worker.benched.store(false, Ordering::SeqCst);
            }
        }
    }

    /// Notes the workers for which the caller waits.
    pub(super) fn suspect(&mut self, shared: &Shared) {
        for (record, worker) in self.records.iter_mut().zip(&shared.workers) {
            record.suspect = worker.working.load(Ordering::SeqCst);
        }
    }

    /// Benches the noted workers if the caller `waited` longer than tasks that take `mean` explain.
    pub(super) fn judge(&mut self, shared: &Shared, waited: Duration, mean: Duration) {
        if waited < PATIENCE.max(mean * SLOW_TASK) {
            return;
        }
        let now = Instant::now();
        for (record, worker) in self.records.iter_mut().zip(&shared.workers) {
            if record.until.is_some() || !record.suspect {
                continue;
            }
            record.ban(now);
            self.benched += 1;
            worker.benched.store(true, Ordering::SeqCst);
        }
    }
}
