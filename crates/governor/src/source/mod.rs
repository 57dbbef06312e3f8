//! Sources of readings.

mod sysfs;

pub use sysfs::Sysfs;

use crate::{Readings, ThermalStatus};
use core::time::Duration;

/// A core that the process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core {
    /// Its number, from 0.
    pub number: usize,
    /// Its capacity. 1024 is the strongest core of the device at its highest clock. If the system does not report capacities, all
    /// cores have 1024.
    pub capacity: u32,
    /// Its highest clock in kHz, or `None` if the system does not report it.
    pub max_khz: Option<u32>,
}

/// A source of facts about a system's cores, heat and energy. Each method may return that a value is unknown, which is the default.
///
/// On Android, the thermal functions are `AThermal_getThermalHeadroom` (from API level 31) and `AThermal_getCurrentThermalStatus`
/// (30) of `libandroid.so`, and the battery saver is `PowerManager.isPowerSaveMode`. A tuple of two sources asks the second one for
/// values that the first one does not know: `(my_thermal, Sysfs::new("/"))`.
pub trait Source {
    /// Returns the cores that the process may use, by number. The list is empty if they are unknown.
    fn cores(&mut self) -> Vec<Core> {
        Vec::new()
    }

    /// Returns [`Readings::speed_limit`].
    fn speed_limit(&mut self) -> Option<f64> {
        None
    }

    /// Returns [`Readings::headroom`], forecast for a time from now. [`Monitor`] calls it at most once in
    /// [`Monitor::HEADROOM_EVERY`].
    fn headroom(&mut self, forecast: Duration) -> Option<f64> {
        let _ = forecast;
        None
    }

    /// Returns the thermal status that the system reports.
    fn status(&mut self) -> Option<ThermalStatus> {
        None
    }

    /// Returns whether the battery saver is on.
    fn battery_saver(&mut self) -> Option<bool> {
        None
    }
}

/// A source that knows nothing. All readings are unknown, and the governor relies on measured speeds alone.
impl Source for () {}

/// A source that is chosen at run time.
impl<S: Source + ?Sized> Source for Box<S> {
    fn cores(&mut self) -> Vec<Core> {
        (**self).cores()
    }

    fn speed_limit(&mut self) -> Option<f64> {
        (**self).speed_limit()
    }

    fn headroom(&mut self, forecast: Duration) -> Option<f64> {
        (**self).headroom(forecast)
    }

    fn status(&mut self) -> Option<ThermalStatus> {
        (**self).status()
    }

    fn battery_saver(&mut self) -> Option<bool> {
        (**self).battery_saver()
    }
}

/// Returns the values of the first source, or of the second if the first does not know them.
impl<A: Source, B: Source> Source for (A, B) {
    fn cores(&mut self) -> Vec<Core> {
        let cores = self.0.cores();
        if cores.is_empty() { self.1.cores() } else { cores }
    }

    fn speed_limit(&mut self) -> Option<f64> {
        self.0.speed_limit().or_else(|| self.1.speed_limit())
    }

    fn headroom(&mut self, forecast: Duration) -> Option<f64> {
        self.0.headroom(forecast).or_else(|| self.1.headroom(forecast))
    }

    fn status(&mut self) -> Option<ThermalStatus> {
        self.0.status().or_else(|| self.1.status())
    }

    fn battery_saver(&mut self) -> Option<bool> {
        self.0.battery_saver().or_else(|| self.1.battery_saver())
    }
}

/// Asks a source as often as is useful, and no more often than it allows.
#[derive(Clone, Debug)]
pub struct Monitor<S> {
    source: S,
    readings: Readings,
    next: Option<Duration>,
}

impl<S: Source> Monitor<S> {
    /// Minimum time between two questions for the headroom. Android answers NaN if it is asked much more often than once per second.
    pub const HEADROOM_EVERY: Duration = Duration::from_millis(1500);
    /// The time for which headroom is forecast. A cap takes some seconds to have an effect.
    pub const FORECAST: Duration = Duration::from_secs(5);

    /// Makes a monitor of `source`.
    pub fn new(source: S) -> Self {
        Self { source, readings: Readings::default(), next: None }
    }

    /// Returns the source.
    pub fn source(&mut self) -> &mut S {
        &mut self.source
    }

    /// Returns the readings at the time `at`. The source is asked only if [`Monitor::HEADROOM_EVERY`] has passed.
    pub fn poll(&mut self, at: Duration) -> Readings {
        if self.next.is_none_or(|next| at >= next) {
            self.next = Some(at + Self::HEADROOM_EVERY);
            self.readings = Readings {
                headroom: self.source.headroom(Self::FORECAST),
                status: self.source.status(),
                speed_limit: self.source.speed_limit(),
                battery_saver: self.source.battery_saver().unwrap_or(false),
            };
        }
        self.readings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Counting {
        asked: u32,
    }

    impl Source for Counting {
        fn headroom(&mut self, forecast: Duration) -> Option<f64> {
            assert_eq!(forecast, Monitor::<Self>::FORECAST);
            self.asked += 1;
            Some(f64::from(self.asked))
        }

        fn battery_saver(&mut self) -> Option<bool> {
            Some(true)
        }
    }

    struct Status;

    impl Source for Status {
        fn headroom(&mut self, _: Duration) -> Option<f64> {
            Some(0.25)
        }

        fn status(&mut self) -> Option<ThermalStatus> {
            Some(ThermalStatus::Light)
        }
    }

    #[test]
    fn a_monitor_asks_at_most_every_second_and_a_half() {
        let mut monitor = Monitor::new(Counting::default());
        // 20 tokens per second for 30 seconds.
        for i in 0..600 {
            let readings = monitor.poll(Duration::from_millis(i * 50));
            assert_eq!(readings.headroom, Some((i / 30 + 1) as f64));
            assert!(readings.battery_saver);
        }
        assert_eq!(monitor.source().asked, 20);
    }

    #[test]
    fn the_second_source_fills_gaps() {
        let mut both = ((Counting::default(), Status), ());
        assert_eq!(both.headroom(Monitor::<()>::FORECAST), Some(1.0));
        assert_eq!(both.status(), Some(ThermalStatus::Light));
        assert_eq!(both.battery_saver(), Some(true));
        assert_eq!(both.speed_limit(), None);
        assert!(both.cores().is_empty());
    }
}
