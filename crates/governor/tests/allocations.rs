//! Observing a token allocates nothing, whatever the governor does.

use happy_governor::{Config, Governor, Readings, Sample, ThermalStatus};
use happy_testkit::{Meter, measured};
use std::time::Duration;

#[global_allocator]
static METER: Meter = Meter;

#[test]
fn no_allocation_per_token() {
    let config = Config { max_threads: 8, first_threads: 4, ..Config::for_cores(&[]) };
    let mut governor = Governor::new(config).expect("settings in range");
    let ((), used) = measured(|| {
        for i in 0..20_000u32 {
            // The device warms up, reaches a cliff, cools down and begins again, with other speeds each time.
            let phase = f64::from(i % 4000) / 4000.0;
            let limit = if (0.5..0.7).contains(&phase) { 0.4 } else { 1.0 };
            let threads = governor.decision().threads;
            let milliseconds = 40.0 / limit / (threads as f64).sqrt() * f64::from(1 + i / 8000);
            governor.observe(&Sample {
                at: Duration::from_millis(u64::from(i) * 150),
                tokens: 1,
                busy: Duration::from_secs_f64(milliseconds / 1000.0),
                threads,
                readings: Readings {
                    headroom: Some(if phase < 0.5 { 0.4 + phase } else { 1.2 - phase }),
                    status: ThermalStatus::from_number(i32::from(phase > 0.45)),
                    speed_limit: Some(limit),
                    battery_saver: phase > 0.95,
                },
                ..Sample::default()
            });
        }
    });
    assert_eq!(used.calls, 0);
    // It did something: a knee was reached and held.
    assert!(governor.table().knee().is_some());
}
