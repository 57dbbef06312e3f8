//! The input of the governor.

use core::time::Duration;

/// What the engine did since the last sample, and what the system reports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Time of this sample on a monotonic clock, counted from any fixed moment.
    pub at: Duration,
    /// Number of tokens that were generated one after the other (decode). Do not count tokens of prompts, which cost something
    /// else.
    pub tokens: u32,
    /// Time that these tokens took to compute, without pauses.
    pub busy: Duration,
    /// The part of `busy` in which the calling thread had no work left and waited for another thread. Zero if unknown.
    pub stalled: Duration,
    /// Number of threads that computed them. A sample is not measured if this differs from the decision.
    pub threads: usize,
    /// What the system reports; see [`Monitor`](crate::Monitor).
    pub readings: Readings,
}

/// What the system reports about heat and energy. Unknown values are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Readings {
    /// Heat relative to severe throttling, which begins at 1.0; a forecast of some seconds if the system gives one. On Android,
    /// this is `AThermal_getThermalHeadroom`: 0.0 is about 30 K below, and a second call within a second gives NaN.
    pub headroom: Option<f64>,
    /// The thermal status that the system reports.
    pub status: Option<ThermalStatus>,
    /// The highest clock that the system allows now over the cores in use, relative to the hardware's: above 0, at most 1.0.
    pub speed_limit: Option<f64>,
    /// Whether the user switched the battery saver on.
    pub battery_saver: bool,
}

impl Readings {
    /// Returns the readings without meaningless values: NaN, infinite, negative or out of range.
    pub(crate) fn checked(self) -> Self {
        Self {
            headroom: self.headroom.filter(|h| h.is_finite() && *h >= 0.0),
            speed_limit: self.speed_limit.filter(|s| *s > 0.0 && *s <= 1.0),
            ..self
        }
    }
}

/// `AThermalStatus` of Android, with its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ThermalStatus {
    /// No throttling.
    None = 0,
    /// Light throttling that users do not notice.
    Light = 1,
    /// Moderate throttling, with little effect on users.
    Moderate = 2,
    /// Severe throttling, which users notice.
    Severe = 3,
    /// The system has done all that it can to cool down.
    Critical = 4,
    /// Parts of the device are being switched off.
    Emergency = 5,
    /// The device is about to switch itself off.
    Shutdown = 6,
}

impl ThermalStatus {
    const ALL: [Self; 7] = [
        Self::None,
        Self::Light,
        Self::Moderate,
        Self::Severe,
        Self::Critical,
        Self::Emergency,
        Self::Shutdown,
    ];

    /// Converts Android's number. Returns `None` for -1 (an error) and unknown numbers.
    pub fn from_number(number: i32) -> Option<Self> {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_android() {
        for (number, status) in (0..).zip(ThermalStatus::ALL) {
            assert_eq!(ThermalStatus::from_number(number), Some(status));
            assert_eq!(status as i32, number);
        }
        for number in [-1, 7, i32::MIN, i32::MAX] {
            assert_eq!(ThermalStatus::from_number(number), None);
        }
    }

    #[test]
    fn meaningless_values_are_left_out() {
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.5] {
            let readings =
                Readings { headroom: Some(wrong), speed_limit: Some(wrong), ..Readings::default() };
            assert_eq!(readings.checked(), Readings::default(), "{wrong}");
        }
        for wrong in [0.0, 1.01] {
            let readings = Readings { speed_limit: Some(wrong), ..Readings::default() };
            assert_eq!(readings.checked(), Readings::default(), "{wrong}");
        }
        let fine = Readings { headroom: Some(1.4), speed_limit: Some(1.0), ..Readings::default() };
        assert_eq!(fine.checked(), fine);
    }
}
