//! The course of the headroom over time.

use crate::Readings;

/// The last readings, and the last minute of headroom with one value per second.
#[derive(Clone, Debug)]
pub(crate) struct Heat {
    pub(crate) readings: Readings,
    /// Pairs of seconds and headroom. The oldest is overwritten first.
    ring: [(f64, f64); Self::KEPT],
    len: usize,
    next: usize,
}

impl Heat {
    const KEPT: usize = 64;

    pub(crate) fn new() -> Self {
        Self { readings: Readings::default(), ring: [(0.0, 0.0); Self::KEPT], len: 0, next: 0 }
    }

    /// Takes new readings. Readings may repeat: a value that does not change within a second is kept once.
    pub(crate) fn update(&mut self, at: f64, readings: Readings) {
        self.readings = readings.checked();
        let Some(headroom) = self.readings.headroom else { return };
        if self.newest().is_some_and(|(time, _)| at < time + 1.0) {
            return;
        }
        self.ring[self.next] = (at, headroom);
        self.next = (self.next + 1) % Self::KEPT;
        self.len = (self.len + 1).min(Self::KEPT);
    }

    fn newest(&self) -> Option<(f64, f64)> {
        (self.len > 0).then(|| self.ring[(self.next + Self::KEPT - 1) % Self::KEPT])
    }

    /// Returns the present headroom. A device whose headroom has always been 0.0 does not measure it.
    pub(crate) fn headroom(&self) -> Option<f64> {
        let measured = self.ring[..self.len].iter().any(|(_, headroom)| *headroom > 0.0);
        self.readings.headroom.filter(|_| measured)
    }

    /// Returns the change of the headroom per second over the last `seconds`, by least squares, or `None` with fewer than 5 values.
    pub(crate) fn slope(&self, at: f64, seconds: f64) -> Option<f64> {
        let recent = || self.ring[..self.len].iter().filter(|(time, _)| *time >= at - seconds);
        let n = recent().count() as f64;
        if n < 5.0 {
            return None;
        }
        let mean_t = recent().map(|(t, _)| t).sum::<f64>() / n;
        let mean_h = recent().map(|(_, h)| h).sum::<f64>() / n;
        let covariance: f64 = recent().map(|(t, h)| (t - mean_t) * (h - mean_h)).sum();
        let variance: f64 = recent().map(|(t, _)| (t - mean_t) * (t - mean_t)).sum();
        (variance > 0.0).then(|| covariance / variance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(headroom: f64) -> Readings {
        Readings { headroom: Some(headroom), ..Readings::default() }
    }

    #[test]
    fn the_slope_is_that_of_the_last_seconds() {
        let mut heat = Heat::new();
        for i in 0..2000 {
            let at = f64::from(i) * 0.1;
            // Falls for 170 s, then rises.
            let headroom = if at < 170.0 { 2.0 - at * 0.01 } else { 0.3 + (at - 170.0) * 0.002 };
            heat.update(at, reading(headroom));
        }
        let slope = heat.slope(199.9, 20.0).expect("twenty values");
        assert!((slope - 0.002).abs() < 1e-9, "{slope}");
        assert!(heat.slope(199.9, 3.0).is_none());
        assert!((heat.headroom().expect("a value") - 0.3598).abs() < 1e-9);
    }

    #[test]
    fn a_device_that_always_reports_zero_does_not_measure() {
        let mut heat = Heat::new();
        heat.update(0.0, reading(0.0));
        assert_eq!(heat.headroom(), None);
        heat.update(1.0, reading(f64::NAN));
        assert_eq!(heat.headroom(), None);
        heat.update(2.0, reading(0.1));
        assert_eq!(heat.headroom(), Some(0.1));
        heat.update(3.0, reading(0.0));
        assert_eq!(heat.headroom(), Some(0.0));
    }
}
