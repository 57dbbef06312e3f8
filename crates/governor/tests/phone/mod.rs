//! A simulated phone that heats up: cores that decode, two bodies that get warm, and the system's own throttling.
//!
//! ```text
//!             power                   R soc-case              R case-air
//!   cores ──────────────> [C soc] ──────/\/\/\────── [C case] ───/\/\/\─── ambient
//!     ^                      │                          │
//!     └──── clock <────── throttling <── its sensor <───┘            headroom <── skin (case)
//! ```
//! The constants are in [`models`], each with its source.

// The plot and the tests each use a part.
#![allow(dead_code, unreachable_pub)]

pub mod models;
pub mod run;

/// One core at its highest clock.
#[derive(Clone, Copy, Debug)]
pub struct CoreKind {
    /// Speed relative to the fastest core's.
    pub speed: f64,
    /// Power in watts.
    pub watts: f64,
    pub count: usize,
}

/// The system's throttling.
#[derive(Clone, Debug)]
pub enum Throttle {
    /// A power allocator: the power that the cores may draw follows the distance to a set point, which is read every `period`
    /// seconds. Units are watts and watts per kelvin; the integral's limit is in watts.
    Allocator {
        set_point: f64,
        sustainable: f64,
        gain: f64,
        integral: f64,
        integral_limit: f64,
        least: f64,
        most: f64,
        period: f64,
    },
    /// Limits of the clock by temperature, each with the temperature at which it is lifted again, read every `period` seconds.
    Steps { steps: Vec<Step>, period: f64 },
}

#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub on: f64,
    pub off: f64,
    /// The remaining speed of the cores and of memory.
    pub limit: Limit,
}

/// The speeds of cores and memory that throttling allows, relative to the highest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    pub clock: f64,
    pub memory: f64,
}

impl Limit {
    pub const NONE: Self = Self { clock: 1.0, memory: 1.0 };

    pub fn at(self, clock: f64) -> Self {
        Self { clock, ..self }
    }
}

/// The body whose temperature the throttling follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sensor {
    Soc,
    Case,
}

/// The constants of a phone and of a language model on it.
#[derive(Clone, Debug)]
pub struct Phone {
    pub name: &'static str,
    /// The strongest first: the scheduler puts busy threads on the strongest cores that are free.
    pub cores: Vec<CoreKind>,
    /// Power relative to the highest clock's, by clock; ascending.
    pub power_curve: &'static [(f64, f64)],
    /// Tokens per second of the fastest core alone, if memory were infinitely fast.
    pub tokens_per_core: f64,
    /// Tokens per second at which memory is saturated.
    pub tokens_of_memory: f64,
    /// Joules of memory per token.
    pub memory_joules: f64,
    /// Watts of everything else: screen, radio, the rest of the chip.
    pub other_watts: f64,
    pub c_soc: f64,
    pub r_soc: f64,
    pub c_case: f64,
    pub r_case: f64,
    pub ambient: f64,
    pub throttle: Throttle,
    pub sensor: Sensor,
    /// Temperature of the skin at which throttling is severe: headroom 1.0.
    pub severe: f64,
}

/// Share of its power that a core draws while it waits for memory.
const WAITING_POWER: f64 = 0.6;
/// Number of synchronization points per token, times the cost of waking one more thread, in seconds.
const WAKE: f64 = 150.0 * 2e-6;
/// Number of tasks per thread that a job is split into. The others wait for the last task on the slowest core, on average for half of
/// it.
const TASKS: f64 = 16.0;
/// `schedutil` sets the clock so that a core is busy for 80 % of the time (kernel documentation, scheduler/schedutil).
const SCHEDUTIL: f64 = 1.25;
/// The lowest clock, relative to the highest.
const LOWEST_CLOCK: f64 = 0.2;
/// Time per token that a thread loses to another one on the same core, because of the scheduler's slices.
const SHARED_STALL: f64 = 0.008;
/// The screen shows the answer as it comes: 60 frames per second, each 2 ms on some core. If no core is free, one of our threads waits,
/// and the others wait for it.
const FRAMES: f64 = 60.0 * 0.002;

impl Phone {
    pub fn n_cores(&self) -> usize {
        self.cores.iter().map(|kind| kind.count).sum()
    }

    /// The kind of each core, the strongest first.
    fn each(&self) -> impl Iterator<Item = CoreKind> + '_ {
        self.cores.iter().flat_map(|kind| std::iter::repeat_n(*kind, kind.count))
    }

    /// The capacities that the kernel reports.
    pub fn capacities(&self) -> Vec<u32> {
        self.each().map(|core| (core.speed * 1024.0).round() as u32).collect()
    }

    /// Tokens per second of `threads` threads at full speed.
    pub fn full_rate(&self, threads: usize) -> f64 {
        self.rate(threads, Limit::NONE, 0)
    }

    /// Tokens per second of `threads` threads, with `busy` cores, the strongest, each shared with another program's thread.
    pub fn rate(&self, threads: usize, limit: Limit, busy: usize) -> f64 {
        let (mut speed, mut slowest, mut shared) = (0.0, f64::INFINITY, 0);
        // Threads take the strongest free cores first, then those that other programs use.
        let free = self.each().skip(busy).map(|core| (core.speed, false));
        let taken = self.each().take(busy).map(|core| (core.speed * 0.5, true));
        for (core, is_shared) in free.chain(taken).take(threads) {
            let core = core * limit.clock;
            speed += core;
            slowest = f64::min(slowest, core);
            shared += usize::from(is_shared);
        }
        let work = 1.0 / self.tokens_per_core;
        let compute = work / speed;
        let memory = 1.0 / (self.tokens_of_memory * limit.memory);
        // A soft maximum: near saturation, cores and memory wait for each other.
        let both = (compute.powi(4) + memory.powi(4)).sqrt().sqrt();
        let tail = work / (threads as f64 * TASKS * 2.0) / slowest;
        let frames = if threads + busy >= self.n_cores() { FRAMES } else { 0.0 };
        (1.0 - frames) / (both + tail + WAKE * (threads as f64 - 1.0) + SHARED_STALL * shared as f64)
    }

    fn power_at(&self, clock: f64) -> f64 {
        let curve = self.power_curve;
        let above = curve.partition_point(|(at, _)| *at < clock).clamp(1, curve.len() - 1);
        let ((x0, y0), (x1, y1)) = (curve[above - 1], curve[above]);
        (y0 + (y1 - y0) * (clock - x0) / (x1 - x0)).max(0.0)
    }

    /// Watts of `threads` cores that are busy all the time.
    fn core_watts(&self, threads: usize, limit: Limit) -> f64 {
        let clock = limit.clock;
        let full: f64 = self.each().take(threads).map(|core| core.watts).sum();
        // The share of the time in which cores compute instead of waiting for memory.
        let speed: f64 = self.each().take(threads).map(|core| core.speed * clock).sum();
        let computing = (self.rate(threads, limit, 0) / (speed * self.tokens_per_core)).min(1.0);
        full * self.power_at(clock) * (WAITING_POWER + (1.0 - WAITING_POWER) * computing)
    }

    /// The lowest clock, up to `limit`, at which `cap` tokens per second keep the cores busy for 80 % of the time.
    fn clock_for(&self, threads: usize, cap: f64, limit: Limit) -> f64 {
        let (mut low, mut high) = (LOWEST_CLOCK.min(limit.clock), limit.clock);
        if self.rate(threads, limit, 0) <= SCHEDUTIL * cap {
            return high;
        }
        for _ in 0..12 {
            let middle = 0.5 * (low + high);
            if self.rate(threads, limit.at(middle), 0) < SCHEDUTIL * cap {
                low = middle
            } else {
                high = middle
            }
        }
        high
    }

    /// The clock at which busy cores draw `watts`.
    fn clock_of_watts(&self, threads: usize, watts: f64) -> f64 {
        let (mut low, mut high) = (LOWEST_CLOCK, 1.0);
        if self.core_watts(threads, Limit::NONE) <= watts {
            return high;
        }
        for _ in 0..12 {
            let middle = 0.5 * (low + high);
            if self.core_watts(threads, Limit::NONE.at(middle)) <= watts {
                low = middle
            } else {
                high = middle
            }
        }
        low
    }
}

impl Phone {
    /// The phone with a language model that is `factor` times as large.
    pub fn with_larger_model(mut self, factor: f64) -> Self {
        self.tokens_per_core /= factor;
        self.tokens_of_memory /= factor;
        self.memory_joules *= factor;
        self
    }

    fn pace(&self, setting: Setting) -> Pace {
        let Setting { threads, cap, limit, competitors } = setting;
        let able = self.rate(threads, limit, competitors);
        let (rate, limit, busy) = match cap {
            Some(cap) if cap < able => {
                let limit = limit.at(self.clock_for(threads, cap, limit));
                (cap, limit, (cap / self.rate(threads, limit, competitors)).min(1.0))
            }
            _ => (able, limit, 1.0),
        };
        let watts = self.core_watts(threads, limit) * busy + self.memory_joules * rate + self.other_watts;
        Pace { rate, busy, watts }
    }
}

/// A phone's state.
#[derive(Clone, Debug)]
pub struct Device {
    pub phone: Phone,
    pub soc: f64,
    pub case: f64,
    /// What throttling allows.
    pub limit: Limit,
    pub time: f64,
    integral: f64,
    active: Vec<bool>,
    next_look: f64,
    /// Number of the strongest cores that other programs keep busy.
    pub competitors: usize,
    /// The last setting and its result, so that a constant setting is computed once per limit.
    last: Option<(Setting, Pace)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Setting {
    threads: usize,
    cap: Option<f64>,
    limit: Limit,
    competitors: usize,
}

/// Tokens per second, share of the time spent computing, and watts.
#[derive(Clone, Copy, Debug)]
struct Pace {
    rate: f64,
    busy: f64,
    watts: f64,
}

/// The result of a step.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    pub tokens: f64,
    /// Seconds of computing.
    pub busy: f64,
    pub watts: f64,
}

impl Device {
    pub fn new(phone: &Phone) -> Self {
        // After a long time without work, the other parts keep the case a little warm.
        let case = phone.ambient + phone.r_case * phone.other_watts * 0.3;
        let steps = match &phone.throttle {
            Throttle::Steps { steps, .. } => steps.len(),
            Throttle::Allocator { .. } => 0,
        };
        Self {
            soc: case,
            case,
            limit: Limit::NONE,
            time: 0.0,
            integral: 0.0,
            active: vec![false; steps],
            next_look: 0.0,
            competitors: 0,
            last: None,
            phone: phone.clone(),
        }
    }

    /// Computes for `dt` seconds.
    pub fn step(&mut self, threads: usize, cap: Option<f64>, dt: f64) -> Made {
        let pace = self.pace(threads, cap);
        self.heat(pace.watts, dt);
        Made { tokens: pace.rate * dt, busy: pace.busy * dt, watts: pace.watts }
    }

    /// Computes one token, without the pause after it that the cap asks for.
    pub fn token(&mut self, threads: usize, cap: Option<f64>) {
        let pace = self.pace(threads, cap);
        // What a capped token draws is drawn while it is computed.
        let idle = self.phone.other_watts;
        self.heat(idle + (pace.watts - idle) / pace.busy, pace.busy / pace.rate);
    }

    /// Waits for `dt` seconds.
    pub fn rest(&mut self, dt: f64) {
        self.look(self.last.map_or(1, |(setting, _)| setting.threads));
        self.heat(self.phone.other_watts, dt);
    }

    fn pace(&mut self, threads: usize, cap: Option<f64>) -> Pace {
        self.look(threads);
        let setting = Setting { threads, cap, limit: self.limit, competitors: self.competitors };
        let pace = match self.last {
            Some((last, pace)) if last == setting => pace,
            _ => self.phone.pace(setting),
        };
        self.last = Some((setting, pace));
        pace
    }

    /// Lets `dt` seconds go by at this power.
    fn heat(&mut self, watts: f64, dt: f64) {
        let phone = &self.phone;
        let to_case = (self.soc - self.case) / phone.r_soc;
        let to_air = (self.case - phone.ambient) / phone.r_case;
        self.soc += dt * (watts - to_case) / phone.c_soc;
        self.case += dt * (to_case - to_air) / phone.c_case;
        self.time += dt;
    }

    /// Applies the system's own throttling.
    fn look(&mut self, threads: usize) {
        if self.time < self.next_look {
            return;
        }
        let temperature = if self.phone.sensor == Sensor::Soc { self.soc } else { self.case };
        match &self.phone.throttle {
            Throttle::Allocator {
                set_point,
                sustainable,
                gain,
                integral,
                integral_limit,
                least,
                most,
                period,
            } => {
                let error = set_point - temperature;
                if error.abs() < 3.0 {
                    self.integral =
                        (self.integral + integral * error).clamp(-integral_limit, *integral_limit);
                }
                let watts = (sustainable + gain * error + self.integral).clamp(*least, *most);
                self.limit = Limit::NONE.at(self.phone.clock_of_watts(threads, watts));
                self.next_look += period;
            }
            Throttle::Steps { steps, period } => {
                self.limit = Limit::NONE;
                for (step, active) in steps.iter().zip(&mut self.active) {
                    *active = temperature >= if *active { step.off } else { step.on };
                    if *active && step.limit.clock < self.limit.clock {
                        self.limit = step.limit;
                    }
                }
                self.next_look += period;
            }
        }
    }

    /// The headroom as on Android: 30 K below severe is 0.0.
    pub fn headroom(&self) -> f64 {
        ((self.case - (self.phone.severe - 30.0)) / 30.0).max(0.0)
    }
}
