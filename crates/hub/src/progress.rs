//! Progress, rate and remaining time of a download.

use std::collections::VecDeque;
use std::time::Duration;

/// The state of a download, for all of its files together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Number of bytes that have arrived, including those of earlier runs.
    pub done: u64,
    /// Total size of the files in bytes.
    pub total: u64,
    /// Number of bytes that were fetched since the headers were read, including those that were fetched again.
    pub fetched: u64,
    /// Bytes per second over the last seconds; `None` until it is known.
    pub rate: Option<f64>,
    /// Time until the end at that rate; `None` if it is unknown or longer than a year.
    pub eta: Option<Duration>,
}

/// Computes [`Progress`] from counts and times. It reads no clock, so that an app with its own downloads can use it, too.
///
/// ```
/// use happy_hub::RateMeter;
/// use std::time::Duration;
/// let mut meter = RateMeter::new(0, 5_000);
/// meter.fetched(1_000);
/// assert_eq!(meter.at(Duration::from_secs(1)).rate, Some(1_000.0));
/// assert_eq!(meter.at(Duration::from_secs(1)).eta, Some(Duration::from_secs(4)));
/// ```
#[derive(Clone, Debug)]
pub struct RateMeter {
    done: u64,
    total: u64,
    fetched: u64,
    /// Times since the start, ascending, with the number of bytes that had been fetched by then.
    samples: VecDeque<(Duration, u64)>,
}

/// The time over which the rate is computed: long enough to be stable, short enough to show a lost network.
const WINDOW: Duration = Duration::from_secs(8);
/// Minimum time for a rate, and between two samples.
const LEAST: Duration = Duration::from_millis(200);

impl RateMeter {
    /// Starts a meter for `total` bytes, of which `done` have already arrived.
    pub fn new(done: u64, total: u64) -> Self {
        Self { done, total, fetched: 0, samples: VecDeque::from([(Duration::ZERO, 0)]) }
    }

    /// Counts bytes that arrived and were stored.
    pub fn fetched(&mut self, bytes: u64) {
        self.done = self.done.saturating_add(bytes).min(self.total);
        self.fetched = self.fetched.saturating_add(bytes);
    }

    /// Subtracts bytes that are lost, because the server has another file or the hash is wrong.
    pub fn lost(&mut self, bytes: u64) {
        self.done = self.done.saturating_sub(bytes);
    }

    /// Returns the state at `now`, the time since the start.
    pub fn at(&mut self, now: Duration) -> Progress {
        if self.samples.back().is_none_or(|last| now.saturating_sub(last.0) >= LEAST) {
            self.samples.push_back((now, self.fetched));
        }
        // Keeps one sample that is at least as old as the window.
        while self.samples.get(1).is_some_and(|second| now.saturating_sub(second.0) >= WINDOW) {
            self.samples.pop_front();
        }
        let first = self.samples.front().copied().unwrap_or_default();
        let time = now.saturating_sub(first.0);
        let rate = (time >= LEAST).then(|| (self.fetched - first.1) as f64 / time.as_secs_f64());
        let left = (self.total - self.done.min(self.total)) as f64;
        // An estimate of more than a year is meaningless, and may not fit in a duration.
        let seconds = rate.filter(|rate| *rate > 0.0).map(|rate| left / rate).filter(|s| *s < 3.2e7);
        let eta = seconds.map(Duration::from_secs_f64);
        Progress { done: self.done, total: self.total, fetched: self.fetched, rate, eta }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_the_last_seconds() {
        let mut meter = RateMeter::new(500, 100_500);
        assert_eq!(meter.at(Duration::ZERO), Progress { done: 500, total: 100_500, ..Progress::default() });
        for second in 1..=10 {
            meter.fetched(5_000);
            let now = meter.at(Duration::from_secs(second));
            assert_eq!(now.rate, Some(5_000.0), "second {second}");
        }
        assert_eq!(meter.at(Duration::from_secs(10)).eta, Some(Duration::from_secs(10)));
        // The network is gone: the rate falls to zero, and there is no estimate.
        for second in 11..=30 {
            meter.at(Duration::from_secs(second));
        }
        let now = meter.at(Duration::from_secs(30));
        assert_eq!((now.rate, now.eta, now.done, now.fetched), (Some(0.0), None, 50_500, 50_000));
        meter.lost(50_500);
        assert_eq!(meter.at(Duration::from_secs(30)).done, 0);
    }

    #[test]
    fn odd_counts_do_not_overflow() {
        let mut meter = RateMeter::new(u64::MAX, u64::MAX);
        meter.fetched(u64::MAX);
        meter.fetched(1);
        let now = meter.at(Duration::MAX);
        assert_eq!((now.done, now.fetched), (u64::MAX, u64::MAX));
        let mut slow = RateMeter::new(0, u64::MAX);
        slow.fetched(1);
        assert_eq!(slow.at(Duration::from_secs(1)).eta, None);
    }
}
