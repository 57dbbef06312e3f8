//! Runs of half an hour: naive, with a constant setting, and governed.

use super::{Device, Phone};
use happy_governor::{Config, Core, Decision, Governor, Monitor, RateTable, Sample, Source, ThermalStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub const HALF_AN_HOUR: f64 = 1800.0;
/// Time per step, in seconds: a few tokens.
pub const STEP: f64 = 0.25;
/// A constant setting needs no measurements, so its steps may be longer. The bodies' time constants exceed 10 s.
const LONG_STEP: f64 = 1.0;

/// A moment of a run.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub time: f64,
    pub tokens: f64,
    pub skin: f64,
    pub clock: f64,
    pub decision: Decision,
}

/// Tokens of a constant setting.
pub fn constant(phone: &Phone, threads: usize, cap: Option<f64>, mut each: impl FnMut(&Device, f64)) -> f64 {
    let mut device = Device::new(phone);
    let mut tokens = 0.0;
    while device.time < HALF_AN_HOUR {
        tokens += device.step(threads, cap, LONG_STEP).tokens;
        each(&device, tokens);
    }
    tokens
}

/// All threads at full speed, with the phone's own throttling.
pub fn naive(phone: &Phone) -> f64 {
    constant(phone, phone.n_cores(), None, |_, _| ())
}

/// The best constant setting: threads, cap, tokens. Every number of threads without a cap and with 24 caps.
pub fn best_constant(phone: &Phone) -> (usize, Option<f64>, f64) {
    let mut best = (0, None, 0.0);
    for threads in 1..=phone.n_cores() {
        let full = phone.full_rate(threads);
        let caps = (8..32).map(|i| Some(full * f64::from(i) / 32.0));
        for cap in caps.chain([None]) {
            // A cap that does not allow enough tokens to win need not be tried.
            if cap.is_some_and(|cap| cap * HALF_AN_HOUR <= best.2) {
                continue;
            }
            let tokens = constant(phone, threads, cap, |_, _| ());
            if tokens > best.2 {
                best = (threads, cap, tokens);
            }
        }
    }
    best
}

/// Returns the device, which one thread uses at a time.
pub fn locked(device: &Mutex<Device>) -> MutexGuard<'_, Device> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The readings that a phone reports to the governor.
#[derive(Clone)]
pub struct Sensors {
    pub device: Arc<Mutex<Device>>,
    /// Whether the limits of clocks can be read.
    pub clocks: bool,
    last: Option<(f64, f64)>,
}

impl Sensors {
    pub fn new(device: &Arc<Mutex<Device>>, clocks: bool) -> Self {
        Self { device: Arc::clone(device), clocks, last: None }
    }
}

impl Source for Sensors {
    fn cores(&mut self) -> Vec<Core> {
        let capacities = locked(&self.device).phone.capacities().into_iter().enumerate();
        capacities.map(|(number, capacity)| Core { number, capacity, max_khz: None }).collect()
    }

    fn headroom(&mut self, forecast: Duration) -> Option<f64> {
        let device = locked(&self.device);
        // A sensor has steps of 0.1 K. The forecast extrapolates the last seconds.
        let now = (device.headroom() * 300.0).round() / 300.0;
        let (time, before) = self.last.unwrap_or((device.time - 1.0, now));
        // Asked too soon, Android returns NaN.
        if self.last.is_some() && device.time < time + 1.0 {
            return Some(f64::NAN);
        }
        let slope = (now - before) / (device.time - time);
        self.last = Some((device.time, now));
        Some((now + slope * forecast.as_secs_f64() * 0.3).max(0.0))
    }

    fn status(&mut self) -> Option<ThermalStatus> {
        let headroom = locked(&self.device).headroom();
        // 39, 43, 45 and 46.5 °C of Pixel 6's VIRTUAL-SKIN.
        let above = [0.8, 0.933, 1.0, 1.05].iter().filter(|threshold| headroom >= **threshold).count();
        ThermalStatus::from_number(above as i32)
    }

    fn speed_limit(&mut self) -> Option<f64> {
        self.clocks.then(|| locked(&self.device).limit.clock)
    }
}

/// A governed run for a number of seconds. `change` may change the device before each step.
pub fn governed(
    phone: &Phone,
    governor: &mut Governor,
    clocks: bool,
    seconds: f64,
    mut change: impl FnMut(&mut Device),
) -> Vec<Point> {
    let device = Arc::new(Mutex::new(Device::new(phone)));
    let mut monitor = Monitor::new(Sensors::new(&device, clocks));
    let mut points = Vec::new();
    let (mut tokens, mut seen) = (0.0, 0.0);
    let mut decision = governor.decision();
    let mut busy = 0.0;
    while locked(&device).time < seconds {
        let (made, time) = {
            let mut device = locked(&device);
            change(&mut device);
            (device.step(decision.threads, decision.tokens_per_second_cap, STEP), device.time)
        };
        tokens += made.tokens;
        busy += made.busy;
        // Only whole tokens are reported, with the time that they took.
        let whole = (tokens - seen).floor();
        let share = if made.tokens > 0.0 { (tokens - seen - whole) / made.tokens * made.busy } else { 0.0 };
        let at = Duration::from_secs_f64(time);
        let sample = Sample {
            at,
            tokens: whole as u32,
            busy: Duration::from_secs_f64((busy - share).max(0.0)),
            threads: decision.threads,
            readings: monitor.poll(at),
            ..Sample::default()
        };
        if whole > 0.0 {
            busy = share;
            seen += whole;
        }
        decision = governor.observe(&sample);
        let device = locked(&device);
        points.push(Point { time, tokens, skin: device.case, clock: device.limit.clock, decision });
    }
    points
}

/// A governor for the phone that knows nothing.
pub fn governor(phone: &Phone) -> Governor {
    governor_with(phone, None)
}

/// A governor for the phone that knows what was measured before.
pub fn governor_with(phone: &Phone, table: Option<RateTable>) -> Governor {
    let config = Config {
        max_threads: phone.n_cores(),
        first_threads: phone.cores[0].count,
        capacities: phone.capacities(),
        table,
        ..Config::for_cores(&[])
    };
    Governor::new(config).expect("settings in range")
}
