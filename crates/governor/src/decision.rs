//! The decisions of the governor.

use core::fmt;
use core::time::Duration;

/// How to compute the next tokens. It changes the pace and the number of threads, never a result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Number of threads to compute with, including the caller's: 1 to [`Config::max_threads`](crate::Config::max_threads).
    pub threads: usize,
    /// Maximum tokens per second, above 0, or `None` for no limit. [`Decision::pause`] converts it to a pause.
    pub tokens_per_second_cap: Option<f64>,
    /// The reason for the decision.
    pub reason: Reason,
}

impl Decision {
    /// Returns how long to sleep after `tokens` tokens that took `busy`, so that the cap holds. This is zero without a cap.
    ///
    /// Sleep after every token, not after many. The system's frequency governor then sees a thread that is busy for a part of the
    /// time and lowers the clock, which saves more energy than the same pause after a sprint.
    pub fn pause(&self, tokens: u32, busy: Duration) -> Duration {
        match self.tokens_per_second_cap {
            Some(cap) => {
                Duration::try_from_secs_f64(f64::from(tokens) / cap).unwrap_or_default().saturating_sub(busy)
            }
            None => Duration::ZERO,
        }
    }
}

/// The reason for a [`Decision`]. If several apply, it is the strongest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Nothing is measured yet.
    Start,
    /// Thread counts are being measured, each for a fraction of a second.
    Survey,
    /// The smallest number of threads that is about as fast as the best.
    Fastest,
    /// The device is warm or the system lowered the clock, so the number of threads computes most for the same heat.
    Warm,
    /// The pace keeps the device just below the heat at which the system would slow it down by more.
    Heat,
    /// The pace follows the goal that the caller set.
    Goal,
    /// The user switched the battery saver on.
    BatterySaver,
    /// The system reports severe heat, so the pace is reduced whatever the goal is.
    Status,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "nothing is measured yet",
            Self::Survey => "measuring thread counts",
            Self::Fastest => "the fewest threads that are about as fast as the best",
            Self::Warm => "warm: the thread count that computes most for the same heat",
            Self::Heat => "paced to stay below the heat at which the system slows down",
            Self::Goal => "the goal that was set",
            Self::BatterySaver => "the battery saver is on",
            Self::Status => "the system reports severe heat",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_fills_the_rest_of_the_time_of_a_token() {
        let decision = |cap| Decision { threads: 1, tokens_per_second_cap: cap, reason: Reason::Heat };
        let ms = Duration::from_millis;
        for (cap, tokens, busy, pause) in [
            (None, 1, ms(10), ms(0)),
            (Some(10.0), 1, ms(40), ms(60)),
            (Some(10.0), 4, ms(40), ms(360)),
            (Some(10.0), 1, ms(100), ms(0)),
            (Some(10.0), 1, ms(140), ms(0)),
            (Some(10.0), 0, ms(0), ms(0)),
            // A pause that exceeds what a duration can hold becomes none, not one that never ends.
            (Some(f64::MIN_POSITIVE), 1, ms(1), ms(0)),
        ] {
            assert_eq!(decision(cap).pause(tokens, busy), pause, "{cap:?} {tokens} {busy:?}");
        }
    }
}
