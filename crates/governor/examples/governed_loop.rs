//! A loop that is governed by this machine's cores and clocks. A little arithmetic takes the place of a model:
//! `cargo run --release -p happy-governor --example governed_loop`

use happy_governor::{Config, Governor, Monitor, Sample, Source, Sysfs};
use std::time::{Duration, Instant};

fn main() -> Result<(), happy_governor::ConfigError> {
    let mut monitor = Monitor::new(Sysfs::new("/"));
    let cores = monitor.source().cores();
    for core in &cores {
        println!("core {}: capacity {}, {:?} kHz", core.number, core.capacity, core.max_khz);
    }
    let mut governor = Governor::new(Config::for_cores(&cores))?;
    let (start, mut last) = (Instant::now(), None);
    let mut decision = governor.decision();
    while start.elapsed() < Duration::from_secs(3) {
        let before = Instant::now();
        compute(decision.threads);
        let busy = before.elapsed();
        std::thread::sleep(decision.pause(1, busy));
        let at = start.elapsed();
        let readings = monitor.poll(at);
        let sample = Sample { at, tokens: 1, busy, threads: decision.threads, readings, ..Sample::default() };
        decision = governor.observe(&sample);
        if last != Some((decision.threads, decision.reason)) {
            println!("{:.2} s: {} threads, {}", at.as_secs_f64(), decision.threads, decision.reason);
            last = Some((decision.threads, decision.reason));
        }
    }
    // Cache this line, and pass it as `Config::table` next time.
    println!("{}", governor.table());
    Ok(())
}

/// Shares a fixed amount of work between threads.
fn compute(threads: usize) {
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let sum = (0..20_000_000 / threads as u64).fold(0u64, |sum, i| sum.wrapping_mul(31) ^ i);
                std::hint::black_box(sum);
            });
        }
    });
}
