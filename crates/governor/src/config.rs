//! The settings of the governor.

use crate::{Core, RateTable};
use core::time::Duration;

/// What matters most to the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Goal {
    /// As many tokens as the device can sustain.
    #[default]
    Fastest,
    /// This many tokens per second and no more, with as little energy as possible. 0.01 to 1,000,000. People read 5 to 10 tokens
    /// per second.
    Rate(f64),
    /// Little energy per token, at the cost of some speed.
    Energy {
        /// The largest accepted loss of speed, as a fraction: 0.0 to 0.9. 0.0 saves only energy that costs no speed.
        slowdown: f64,
    },
}

/// Settings of a [`Governor`](crate::Governor).
#[derive(Clone, Debug)]
pub struct Config {
    /// Maximum number of threads that the engine can use, usually the size of its pool: 1 to 256.
    pub max_threads: usize,
    /// Number of threads for the first token, before anything is measured: 1 to `max_threads`.
    pub first_threads: usize,
    /// Capacities of the cores that the process may use, in any order, as the kernel reports them (1024: the strongest). Empty
    /// if unknown. They say what a core costs before anything is measured.
    pub capacities: Vec<u32>,
    /// What matters most to the caller. Default: [`Goal::Fastest`].
    pub goal: Goal,
    /// A smaller number of threads is preferred if it is at most this fraction slower than the best: 0.0 to 0.5. Default: 0.05.
    pub tolerance: f64,
    /// How long each number of threads is measured: 10 ms to 10 s. Default: 200 ms.
    pub probe: Duration,
    /// What was measured before on this device with a model of this class. With `None` or an empty table, everything is measured.
    /// The names of an empty table are kept for [`Governor::table`](crate::Governor::table).
    pub table: Option<RateTable>,
}

impl Config {
    /// Makes settings for a device with these cores, and for a pool with as many threads.
    pub fn for_cores(cores: &[Core]) -> Self {
        let mut capacities: Vec<u32> = cores.iter().map(|core| core.capacity).collect();
        capacities.sort_unstable();
        capacities.reverse();
        let largest = capacities.first().copied().unwrap_or(0);
        let big = capacities.iter().filter(|capacity| **capacity >= largest.div_ceil(2)).count();
        let threads = cores.len().clamp(1, Self::MOST_THREADS);
        Self {
            max_threads: threads,
            first_threads: big.clamp(1, threads),
            capacities,
            goal: Goal::default(),
            tolerance: 0.05,
            probe: Duration::from_millis(200),
            table: None,
        }
    }

    /// Maximum number of threads that can be governed.
    pub const MOST_THREADS: usize = 256;

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !(1..=Self::MOST_THREADS).contains(&self.max_threads) {
            return Err(ConfigError::Threads {
                name: "max_threads",
                found: self.max_threads,
                most: Self::MOST_THREADS,
            });
        }
        if !(1..=self.max_threads).contains(&self.first_threads) {
            let (found, most) = (self.first_threads, self.max_threads);
            return Err(ConfigError::Threads { name: "first_threads", found, most });
        }
        let within = |name, found: f64, least: f64, most: f64| {
            // NaN is outside of every range.
            if (least..=most).contains(&found) {
                Ok(())
            } else {
                Err(ConfigError::Number { name, found, least, most })
            }
        };
        within("tolerance", self.tolerance, 0.0, 0.5)?;
        within("probe in seconds", self.probe.as_secs_f64(), 0.01, 10.0)?;
        match self.goal {
            Goal::Fastest => Ok(()),
            Goal::Rate(rate) => within("rate", rate, 0.01, 1e6),
            Goal::Energy { slowdown } => within("slowdown", slowdown, 0.0, 0.9),
        }
    }
}

/// Why a governor cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number of threads is out of range.
    #[error("{name} is {found}, expected 1 to {most}")]
    Threads {
        /// Name of the setting.
        name: &'static str,
        /// Its value.
        found: usize,
        /// The largest allowed value.
        most: usize,
    },
    /// A number is out of range.
    #[error("{name} is {found}, expected {least} to {most}")]
    Number {
        /// Name of the setting.
        name: &'static str,
        /// Its value.
        found: f64,
        /// The smallest allowed value.
        least: f64,
        /// The largest allowed value.
        most: f64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        let core = |number, capacity| Core { number, capacity, max_khz: None };
        let fine = Config::for_cores(&[core(0, 300), core(1, 300), core(2, 1024), core(3, 700)]);
        assert_eq!((fine.max_threads, fine.first_threads), (4, 2));
        assert_eq!(fine.capacities, [1024, 700, 300, 300]);
        assert_eq!(fine.check(), Ok(()));
        let none = Config::for_cores(&[]);
        assert_eq!((none.max_threads, none.first_threads, none.check()), (1, 1, Ok(())));
        let wrong: [(&str, Config); 9] = [
            ("max_threads is 0, expected 1 to 256", Config { max_threads: 0, ..fine.clone() }),
            ("max_threads is 257, expected 1 to 256", Config { max_threads: 257, ..fine.clone() }),
            ("first_threads is 5, expected 1 to 4", Config { first_threads: 5, ..fine.clone() }),
            ("tolerance is NaN, expected 0 to 0.5", Config { tolerance: f64::NAN, ..fine.clone() }),
            ("tolerance is 0.6, expected 0 to 0.5", Config { tolerance: 0.6, ..fine.clone() }),
            ("probe in seconds is 0, expected 0.01 to 10", Config { probe: Duration::ZERO, ..fine.clone() }),
            ("rate is 0, expected 0.01 to 1000000", Config { goal: Goal::Rate(0.0), ..fine.clone() }),
            (
                "rate is inf, expected 0.01 to 1000000",
                Config { goal: Goal::Rate(f64::INFINITY), ..fine.clone() },
            ),
            (
                "slowdown is 1, expected 0 to 0.9",
                Config { goal: Goal::Energy { slowdown: 1.0 }, ..fine.clone() },
            ),
        ];
        for (message, config) in wrong {
            assert_eq!(config.check().map_err(|error| error.to_string()), Err(message.to_owned()));
        }
    }
}
