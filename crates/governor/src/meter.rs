//! Measures the speed of the thread count in use.

use crate::Sample;

/// Sums up the samples since the last change of threads or cap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    /// Whether the first sample after a change has passed. It is left out, since threads wake up and the clock adapts to the load.
    warmed: bool,
    tokens: f64,
    busy: f64,
    stalled: f64,
}

/// The result of a window of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Tokens per second of computing.
    pub(crate) rate: f64,
    /// Share of the time for which the caller waited for another thread.
    pub(crate) stalled: f64,
}

impl Meter {
    /// Starts again, after a change of threads or cap.
    pub(crate) fn restart(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn add(&mut self, sample: &Sample) {
        if sample.tokens == 0 {
            return;
        }
        if self.warmed {
            self.tokens += f64::from(sample.tokens);
            self.busy += sample.busy.as_secs_f64();
            self.stalled += sample.stalled.min(sample.busy).as_secs_f64();
        }
        self.warmed = true;
    }

    /// Returns the window, once it has at least `seconds` and two tokens, and begins the next one.
    pub(crate) fn take(&mut self, seconds: f64) -> Option<Window> {
        if self.busy < seconds || self.busy <= 0.0 || self.tokens < 2.0 {
            return None;
        }
        let window = Window { rate: self.tokens / self.busy, stalled: self.stalled / self.busy };
        *self = Self { warmed: true, ..Self::default() };
        Some(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn a_window_leaves_out_the_first_sample_and_pauses() {
        let mut meter = Meter::default();
        let sample = |tokens, busy| Sample {
            tokens,
            busy: Duration::from_millis(busy),
            stalled: Duration::from_millis(busy / 4),
            ..Sample::default()
        };
        meter.add(&sample(1, 900)); // the change
        meter.add(&sample(0, 0));
        meter.add(&sample(1, 100));
        assert!(meter.take(0.0).is_none(), "one token is not a measurement");
        meter.add(&sample(1, 100));
        assert!(meter.take(0.3).is_none());
        let window = meter.take(0.2).expect("0.2 s were measured");
        assert!((window.rate - 10.0).abs() < 1e-9 && (window.stalled - 0.25).abs() < 1e-9, "{window:?}");
        assert!(meter.take(0.0).is_none());
    }
}
