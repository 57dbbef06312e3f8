//! Elapsed and CPU time.

use std::time::{Duration, Instant};

/// A clock that runs since a step began.
pub(super) struct Clock {
    start: Instant,
    cpu: Option<Duration>,
}

impl Clock {
    pub(super) fn start() -> Self {
        Clock { start: Instant::now(), cpu: cpu_time() }
    }

    /// Returns elapsed and CPU time since the start, as columns.
    pub(super) fn columns(&self) -> String {
        let cpu = cpu_time().zip(self.cpu).map(|(now, before)| seconds(now.saturating_sub(before)));
        format!("{:>10}{:>10}", seconds(self.start.elapsed()), cpu.as_deref().unwrap_or("unknown"))
    }
}

/// Returns the CPU time of this process and of all programs that it has waited for, including their children; `None` if
/// the system does not report it.
fn cpu_time() -> Option<Duration> {
    #[cfg(unix)]
    {
        use nix::sys::resource::{UsageWho, getrusage};
        let mut sum = Duration::ZERO;
        for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
            let usage = getrusage(who).ok()?;
            for time in [usage.user_time(), usage.system_time()] {
                sum += Duration::new(time.tv_sec().try_into().ok()?, 0);
                sum += Duration::from_micros(time.tv_usec().try_into().ok()?);
            }
        }
        Some(sum)
    }
    #[cfg(not(unix))]
    None
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_grows() {
        let before = cpu_time();
        let mut sum = 0_u64;
        while cpu_time() == before && before.is_some() {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(cpu_time() >= before && (before.is_some() || cfg!(not(unix))));
    }
}
