//! Leaving out workers that hold the caller up.
//!
//! When another program takes a worker's core, a task that the worker has claimed stays unfinished for a scheduler's
//! slice, thousands of times longer than the task takes. The caller notices that it waits, benches the worker, and
//! tries it again after a time that doubles as long as it disappoints.

use super::claim::Shared;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A wait shorter than this is ordinary: waking up takes that long, and so does the end of a task.
const PATIENCE: Duration = Duration::from_micros(400);
/// Nor is it unusual to wait for a task that takes this many times as long as others.
const SLOW_TASK: u32 = 6;
const FIRST: Duration = Duration::from_millis(4);
const LONGEST: Duration = Duration::from_millis(256);

#[derive(Clone)]
struct Record {
    /// Left out until then.
    until: Option<Instant>,
    /// How long it was left out the last time.
    last: Duration,
    /// When it came back.
    back: Option<Instant>,
    /// It had a task when the caller had none left.
    suspect: bool,
}

/// The caller's memory of slow workers.
pub(super) struct Bench {
    records: Vec<Record>,
    benched: usize,
}

impl Bench {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            records: vec![Record { until: None, last: Duration::ZERO, back: None, suspect: false }; workers],
            benched: 0,
        }
    }

    /// Lets those back in whose time is over.
    pub(super) fn admit(&mut self, shared: &Shared) {
        if self.benched == 0 {
            return;
        }
        let now = Instant::now();
        for (record, worker) in self.records.iter_mut().zip(&shared.workers) {
            if record.until.is_some_and(|until| until <= now) {
                record.until = None;
                record.back = Some(now);
                self.benched -= 1;
                worker.benched.store(false, Ordering::SeqCst);
            }
        }
    }

    /// Notes the workers that the caller waits for.
    pub(super) fn suspect(&mut self, shared: &Shared) {
        for (record, worker) in self.records.iter_mut().zip(&shared.workers) {
            record.suspect = worker.working.load(Ordering::SeqCst);
        }
    }

    /// Benches the noted workers if the caller `waited` for longer than tasks that take `mean` explain.
    pub(super) fn judge(&mut self, shared: &Shared, waited: Duration, mean: Duration) {
        if waited < PATIENCE.max(mean * SLOW_TASK) {
            return;
        }
        let now = Instant::now();
        for (record, worker) in self.records.iter_mut().zip(&shared.workers) {
            if record.until.is_some() || !record.suspect {
                continue;
            }
            // A worker that has done well for twice as long as its last ban starts afresh.
            let reformed = record.back.is_none_or(|back| now.duration_since(back) > record.last * 2);
            record.last = if reformed { FIRST } else { (record.last * 2).min(LONGEST) };
            record.until = Some(now + record.last);
            self.benched += 1;
            worker.benched.store(true, Ordering::SeqCst);
        }
    }
}
