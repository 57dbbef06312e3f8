//! How far a download is, how fast, and how long it will take.

use std::collections::VecDeque;
use std::time::Duration;

/// The state of a download, of all its files together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes that are there, those of earlier runs included.
    pub done: u64,
    /// Bytes that the files have.
    pub total: u64,
    /// Bytes that came over the network since the headers were read, also those that had to come again.
    pub fetched: u64,
    /// Bytes a second over the last seconds; `None` until something can be said.
    pub rate: Option<f64>,
    /// Time until the end at that rate.
    pub eta: Option<Duration>,
}

/// Makes [`Progress`] from counts and times. It reads no clock, so that an app with a transport of its own can use it too.
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
    /// Times since the start, with what had been fetched by then; ascending.
    samples: VecDeque<(Duration, u64)>,
}

/// The time over which the rate is taken: long enough to be calm, short enough to show a lost network.
const WINDOW: Duration = Duration::from_secs(8);
/// The least time that says something about a rate, and the least between two samples.
const LEAST: Duration = Duration::from_millis(200);

impl RateMeter {
    /// A download of `total` bytes of which `done` are there already.
    pub fn new(done: u64, total: u64) -> Self {
        Self { done, total, fetched: 0, samples: VecDeque::from([(Duration::ZERO, 0)]) }
    }

    /// Bytes came, and are there to stay.
    pub fn fetched(&mut self, bytes: u64) {
        self.done = self.done.saturating_add(bytes).min(self.total);
        self.fetched = self.fetched.saturating_add(bytes);
    }

    /// Bytes that were there are lost: the server has another file, or the hash is wrong.
    pub fn lost(&mut self, bytes: u64) {
        self.done = self.done.saturating_sub(bytes);
    }

    /// The state at `now`, the time since the start.
    pub fn at(&mut self, now: Duration) -> Progress {
        if self.samples.back().is_none_or(|last| now.saturating_sub(last.0) >= LEAST) {
            self.samples.push_back((now, self.fetched));
        }
        // One sample stays that is at least as old as the window.
        while self.samples.get(1).is_some_and(|second| now.saturating_sub(second.0) >= WINDOW) {
            self.samples.pop_front();
        }
        let first = self.samples.front().copied().unwrap_or_default();
        let time = now.saturating_sub(first.0);
        let rate = (time >= LEAST).then(|| (self.fetched - first.1) as f64 / time.as_secs_f64());
        let left = (self.total - self.done.min(self.total)) as f64;
        // An estimate beyond a year says nothing, and may be no duration at all.
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
        // The network is gone: the rate falls to nothing, and there is no estimate.
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
