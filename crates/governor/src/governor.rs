//! The state machine.
//!
//! ```text
//! observe(sample):
//!   heat, clock <- readings
//!   a survey runs?      measure the count in use; then the next count, or choose
//!   otherwise           every second of computing: did the speed change by an eighth or the clock by a tenth, did the device become
//!                       warm or cool, or has much time passed?  begin a survey
//!   pace                the cap that holds the heat (pace.rs)
//!   decision            threads, the lowest of all caps, the strongest reason
//!
//! choose:  cool         the smallest count within `tolerance` of the fastest
//!          warm         the count with the highest worth (energy.rs)
//!          with a goal  the count with the highest worth among those that are fast enough
//! ```

use crate::energy::Costs;
use crate::heat::Heat;
use crate::meter::{Meter, Window};
use crate::pace::{Moment, Pace};
use crate::survey::Survey;
use crate::{Config, ConfigError, Decision, Goal, RateTable, Reason, Sample, ThermalStatus};

/// From this headroom on, heat decides the number of threads. The CPU throttling of phones begins at 0.7 to 0.9.
const WARM: f64 = 0.8;
/// Below this headroom, it no longer does.
const COOL: f64 = 0.75;
/// The system limits the clock if it allows less than this.
const FULL_CLOCK: f64 = 0.97;
/// A speed that differs from the survey's by more than this is a surprise.
const SURPRISE: f64 = 0.12;
/// If the caller waits for other threads for more than this share of the time, there is a straggler.
const STALLED: f64 = 0.25;
/// Seconds of computing after which the speed is checked.
const WINDOW: f64 = 1.0;
/// Seconds between routine surveys.
const ROUTINE: f64 = 120.0;
/// Seconds between surveys that have a cause. Each doubles them, so that a load that comes and goes does not cause endless surveys.
const SHORTEST_GAP: f64 = 2.0;
const LONGEST_GAP: f64 = 60.0;
/// Seconds between choices while a pace is held.
const CHOICE: f64 = 10.0;
/// Loss of speed that the battery saver accepts.
const SAVER_SLOWDOWN: f64 = 0.3;
/// Another count replaces the one in use if it is better by more than this.
const BETTER: f64 = 0.03;

/// Chooses the number of threads and the pace from what it observes. See the crate's documentation.
#[derive(Clone, Debug)]
pub struct Governor {
    config: Config,
    costs: Costs,
    /// Rates measured while the device was cool and not shared. This is what a cache keeps.
    table: RateTable,
    /// Present tokens per second. The index is the number of threads minus one; 0.0 means unknown.
    now: Vec<f64>,
    threads: usize,
    /// The rate of the count in use when it was chosen.
    reference: f64,
    meter: Meter,
    survey: Option<Survey>,
    /// Whether other programs use a part of the cores.
    contended: bool,
    warm: bool,
    /// The clock limit at the last survey, and whether the device was warm.
    surveyed: (f64, bool),
    /// Number of consecutive windows with a surprise.
    surprises: u32,
    next_survey: f64,
    next_choice: f64,
    gap: f64,
    heat: Heat,
    pace: Pace,
    decision: Decision,
}

impl Governor {
    /// Makes a governor.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let costs = Costs::new(&config.capacities, config.max_threads);
        let mut table = config.table.clone().unwrap_or_else(|| RateTable::new("", ""));
        table.reserve(config.max_threads);
        let threads = config.first_threads;
        let mut governor = Self {
            costs,
            now: (1..=config.max_threads).map(|n| table.rate(n).unwrap_or(0.0)).collect(),
            threads,
            reference: 0.0,
            meter: Meter::default(),
            survey: None,
            contended: false,
            warm: false,
            surveyed: (1.0, false),
            surprises: 0,
            next_survey: 0.0,
            next_choice: 0.0,
            gap: SHORTEST_GAP,
            heat: Heat::new(),
            pace: Pace::new(table.knee()),
            decision: Decision { threads, tokens_per_second_cap: None, reason: Reason::Start },
            table,
            config,
        };
        if governor.now.iter().any(|rate| *rate > 0.0) {
            governor.choose();
            governor.next_survey = ROUTINE;
            governor.decide();
        } else if governor.config.max_threads > 1 {
            governor.survey = Some(Survey::all(threads, governor.config.max_threads));
        }
        Ok(governor)
    }

    /// Returns the current decision.
    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// Returns what was measured. Cache it for the next session on this device with this class of models.
    pub fn table(&self) -> &RateTable {
        &self.table
    }

    /// Changes the goal.
    ///
    /// # Errors
    /// If the goal is out of range. The previous goal then stays.
    pub fn set_goal(&mut self, goal: Goal) -> Result<(), ConfigError> {
        let before = core::mem::replace(&mut self.config.goal, goal);
        self.config.check().inspect_err(|_| self.config.goal = before)?;
        if self.survey.is_none() {
            self.choose();
        }
        self.decide();
        Ok(())
    }

    /// Returns the expected tokens per second: the rate of the count in use, or the cap if that is lower. It is `None` until something
    /// was measured. Android's performance hint sessions take the inverse as the target duration of a token.
    pub fn expected_rate(&self) -> Option<f64> {
        let rate = self.now[self.threads - 1];
        let capped = self.decision.tokens_per_second_cap.map_or(rate, |cap| cap.min(rate));
        (rate > 0.0).then_some(capped)
    }

    /// Takes what happened since the last call, and returns how to go on. Call it after every token or every few tokens. Also call it
    /// with 0 tokens from time to time while the engine is idle, so that the heat is known when it continues. This allocates nothing.
    pub fn observe(&mut self, sample: &Sample) -> Decision {
        let at = sample.at.as_secs_f64();
        self.heat.update(at, sample.readings);
        self.feel();
        if sample.threads == self.threads {
            self.meter.add(sample);
        }
        if self.survey.is_some() {
            if let Some(window) = self.meter.take(self.config.probe.as_secs_f64()) {
                self.survey_step(at, window);
            }
        } else if let Some(window) = self.meter.take(WINDOW) {
            self.look(at, window);
        }
        if self.survey.is_none() {
            self.keep_pace(at);
        }
        self.decide();
        self.decision
    }

    /// Returns the clock that the system allows, relative to the hardware's, or 1.0 if it is unknown.
    fn clock(&self) -> f64 {
        self.heat.readings.speed_limit.unwrap_or(1.0)
    }

    fn feel(&mut self) {
        let status = self.heat.readings.status.unwrap_or(ThermalStatus::None);
        let threshold = if self.warm { COOL } else { WARM };
        let hot = self.heat.headroom().is_some_and(|headroom| headroom >= threshold);
        self.warm =
            hot || status >= ThermalStatus::Moderate || self.clock() < FULL_CLOCK || self.pace.holds();
    }

    /// Returns the present worth of a count. If the device is cool and no pace is set, this is its rate. With a pace, less power is
    /// worth more. If the device is warm and no pace is set, it is the rate at the power that can be sustained.
    fn value(&self, threads: usize) -> f64 {
        let rate = self.now[threads - 1];
        if rate <= 0.0 {
            return 0.0;
        }
        // Rates were measured at the clock that the system allows now.
        let clock = self.clock();
        let single = self.table.rate(1).unwrap_or(self.now[0]) * clock;
        if let Some(target) = self.target() {
            let reached = (rate / target).min(1.0);
            return reached / self.costs.paced(threads, rate, single, target);
        }
        if !self.warm {
            return rate;
        }
        let used = self.costs.of(self.threads);
        // Warm, but not limited yet: phones sustain about half of the power that they draw at full speed.
        let power = if clock < FULL_CLOCK { used } else { 0.5 * used };
        self.costs.worth(threads, rate, single, power, 1.0 / clock)
    }

    /// Returns the pace to keep, if there is one.
    fn target(&self) -> Option<f64> {
        let goal = match self.goal() {
            Goal::Fastest => None,
            Goal::Rate(rate) => Some(rate),
            Goal::Energy { slowdown } => Some(self.fastest() * (1.0 - slowdown)),
        };
        let pace = self.pace.sustained().filter(|pace| *pace < self.fastest());
        pace.map_or(goal, |pace| Some(goal.map_or(pace, |goal| goal.min(pace))))
    }

    /// Returns the caller's goal, or the goal of the battery saver if it is on.
    fn goal(&self) -> Goal {
        match self.config.goal {
            Goal::Fastest if self.heat.readings.battery_saver => Goal::Energy { slowdown: SAVER_SLOWDOWN },
            Goal::Energy { slowdown } if self.heat.readings.battery_saver => {
                Goal::Energy { slowdown: slowdown.max(SAVER_SLOWDOWN) }
            }
            goal => goal,
        }
    }

    fn fastest(&self) -> f64 {
        self.now.iter().copied().fold(0.0, f64::max)
    }

    /// Returns the lowest rate that is enough for the pace.
    fn needed(&self) -> f64 {
        // A count that is only as fast as the pace would miss it after any disturbance.
        self.target().map_or(0.0, |target| (target * 1.03).min(self.fastest()))
    }

    /// Chooses `threads` by the known rates.
    fn choose(&mut self) {
        let fastest = self.fastest();
        let enough = |rate: f64, least: f64| rate > 0.0 && rate >= least;
        let small = |least: f64| (1..).zip(&self.now).find(|(_, rate)| enough(**rate, least)).map(|(n, _)| n);
        let cool = !self.warm && self.target().is_none();
        let needed = self.needed();
        let chosen = if cool || fastest < needed {
            small(fastest * (1.0 - self.config.tolerance))
        } else {
            let able = (1..).zip(&self.now).filter(|(_, rate)| enough(**rate, needed)).map(|(n, _)| n);
            let best = able.max_by(|a, b| self.value(*a).total_cmp(&self.value(*b)));
            let stays = best.is_some_and(|best| {
                let used = self.now[self.threads - 1];
                enough(used, needed) && self.value(self.threads) >= self.value(best) * (1.0 - BETTER)
            });
            if stays { Some(self.threads) } else { best }
        };
        self.use_threads(chosen.unwrap_or(self.config.first_threads));
    }

    fn use_threads(&mut self, threads: usize) {
        self.threads = threads;
        self.reference = self.now[threads - 1];
        self.surprises = 0;
        self.meter.restart();
    }

    fn survey_step(&mut self, at: f64, window: Window) {
        self.now[self.threads - 1] = window.rate;
        let value = self.value(self.threads);
        let slack = if self.warm { 0.0 } else { self.config.tolerance };
        let Some(survey) = &mut self.survey else { return };
        let more = survey.advance(value, slack);
        let next = survey.at;
        // No survey at full speed during severe heat.
        if more && self.heat.readings.status < Some(ThermalStatus::Severe) {
            self.threads = next;
            self.meter.restart();
            return;
        }
        self.survey = None;
        self.surveyed = (self.clock(), self.warm);
        self.choose();
        let expected = self.table.rate(self.threads).unwrap_or(0.0);
        self.contended = !self.warm && self.reference < expected * (1.0 - SURPRISE);
        if !self.warm {
            for (threads, rate) in (1..).zip(&self.now) {
                if *rate > self.table.rate(threads).unwrap_or(0.0) {
                    self.table.set_rate(threads, *rate);
                }
            }
        }
        self.next_survey = at + if self.contended { self.gap } else { ROUTINE };
    }

    /// Handles a second of computing outside of a survey.
    fn look(&mut self, at: f64, window: Window) {
        // With a cap, the clock follows the load, so the speed means nothing unless the cap is missed.
        let missed = self.decision.tokens_per_second_cap.is_none_or(|cap| window.rate < cap * 0.97);
        if missed {
            let before = self.now[self.threads - 1];
            if before > 0.0 {
                // Whatever slows this count down also slows down the others, until they are measured.
                self.now.iter_mut().for_each(|rate| *rate *= window.rate / before);
            } else {
                self.now[self.threads - 1] = window.rate;
                self.reference = window.rate;
            }
        }
        let differs = missed && (window.rate - self.reference).abs() > SURPRISE * self.reference;
        let straggles = self.threads > 1 && window.stalled > STALLED;
        self.surprises = if differs || straggles { self.surprises + 1 } else { 0 };
        let clock_moved = (self.clock() - self.surveyed.0).abs() >= 0.1;
        let cause = self.surprises >= 2 || clock_moved || self.warm != self.surveyed.1;
        let due = at >= self.next_survey;
        let calm = self.heat.readings.status.is_none_or(|status| status < ThermalStatus::Severe);
        if self.config.max_threads == 1
            || !calm
            || !(due || cause && at >= self.next_survey - ROUTINE + self.gap)
        {
            return;
        }
        self.gap = if cause || self.contended { (self.gap * 2.0).min(LONGEST_GAP) } else { SHORTEST_GAP };
        self.survey = Some(Survey::around(self.threads, self.config.max_threads));
        self.meter.restart();
    }

    fn keep_pace(&mut self, at: f64) {
        let Some(heat) = self.heat.headroom() else { return };
        let rate = self.now[self.threads - 1];
        if rate <= 0.0 {
            return;
        }
        let ability = match self.heat.readings.speed_limit {
            Some(clock) => clock,
            None => self.table.rate(self.threads).map_or(1.0, |cool| (rate / cool).min(1.0)),
        };
        let slope = self.heat.slope(at, 20.0).unwrap_or(0.0);
        let blind = self.heat.readings.speed_limit.is_none();
        self.pace.update(Moment { at, heat, slope, ability, rate, blind });
        if let Some(knee) = self.pace.knee() {
            self.table.set_knee(knee);
        }
        // The best count depends on the pace.
        if at >= self.next_choice {
            self.next_choice = at + CHOICE;
            if self.target().is_some() {
                self.choose();
            }
        }
    }

    /// Makes the decision.
    fn decide(&mut self) {
        let capped = self.decision.tokens_per_second_cap.is_some();
        self.decision = self.put_together();
        // Speeds with and without pauses must not be mixed.
        if self.decision.tokens_per_second_cap.is_some() != capped {
            self.meter.restart();
        }
    }

    fn put_together(&self) -> Decision {
        let mut decision =
            Decision { threads: self.threads, tokens_per_second_cap: None, reason: Reason::Fastest };
        let mut cap = |rate: f64, reason: Reason| {
            if decision.tokens_per_second_cap.is_none_or(|cap| rate < cap) {
                decision.tokens_per_second_cap = Some(rate);
                decision.reason = reason;
            }
        };
        if self.survey.is_some() {
            decision.reason = if self.fastest() > 0.0 { Reason::Survey } else { Reason::Start };
            return decision;
        }
        let saver = self.heat.readings.battery_saver && !matches!(self.config.goal, Goal::Rate(_));
        let why = if saver { Reason::BatterySaver } else { Reason::Goal };
        match self.goal() {
            Goal::Rate(rate) => cap(rate, why),
            Goal::Energy { slowdown } if self.fastest() > 0.0 => cap(self.fastest() * (1.0 - slowdown), why),
            _ => {}
        }
        if let Some(rate) = self.pace.cap() {
            cap(rate, Reason::Heat);
        }
        let fastest = self.table.rates().map(|(_, rate)| rate).fold(self.fastest(), f64::max);
        match self.heat.readings.status {
            Some(ThermalStatus::Severe) if fastest > 0.0 => cap(fastest * 0.5, Reason::Status),
            Some(ThermalStatus::Critical) if fastest > 0.0 => cap(fastest * 0.25, Reason::Status),
            Some(status) if status >= ThermalStatus::Critical => {
                cap(1.0, Reason::Status);
                decision.threads = 1;
            }
            _ => {}
        }
        if decision.reason == Reason::Fastest && self.warm {
            decision.reason = Reason::Warm;
        }
        decision
    }
}
