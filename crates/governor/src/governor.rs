//! The state machine.
//!
//! ```text
//! observe(sample):
//!   heat, clock <- readings
//!   a survey runs?      measure the count in use; next count, or choose
//!   otherwise           every second of computing: has the speed changed by an eighth, the clock by a tenth, the device become
//!                       warm or cool, or has a while passed?  begin a survey
//!   pace                the cap that holds the heat (pace.rs)
//!   decision            threads, the least of all caps, the strongest reason
//!
//! choose:  cool         the smallest count within `tolerance` of the fastest
//!          warm         the count of most worth (energy.rs)
//!          with a goal  the count of most worth among those that are fast enough
//! ```

use crate::energy::Costs;
use crate::heat::Heat;
use crate::meter::{Meter, Window};
use crate::pace::{Moment, Pace};
use crate::survey::Survey;
use crate::{Config, ConfigError, Decision, Goal, RateTable, Reason, Sample, ThermalStatus};

/// From this headroom on, heat decides over the number of threads. The CPU throttling of phones begins at 0.7 to 0.9.
const WARM: f64 = 0.8;
/// And until it falls below this.
const COOL: f64 = 0.75;
/// The system limits the clock if it allows less than this.
const FULL_CLOCK: f64 = 0.97;
/// A speed that differs by more from the survey's is a surprise.
const SURPRISE: f64 = 0.12;
/// A caller that waits for other threads for so much of the time has a straggler.
const STALLED: f64 = 0.25;
/// Seconds of computing between looks at the speed.
const WINDOW: f64 = 1.0;
/// Seconds between surveys without a cause.
const ROUTINE: f64 = 120.0;
/// Seconds between surveys for a cause: doubled by each, so that a load that comes and goes does not keep us measuring.
const SHORTEST_GAP: f64 = 2.0;
const LONGEST_GAP: f64 = 60.0;
/// Seconds between choices while a pace is held.
const CHOICE: f64 = 10.0;
/// The battery saver accepts so much less speed.
const SAVER_SLOWDOWN: f64 = 0.3;
/// A count in use is left for one that is better by so much.
const BETTER: f64 = 0.03;

/// Chooses threads and pace from what it observes. See the crate's documentation.
#[derive(Clone, Debug)]
pub struct Governor {
    config: Config,
    costs: Costs,
    /// Measured cool and alone; what a cache keeps.
    table: RateTable,
    /// Tokens per second now, by number of threads less one; 0.0 if unknown.
    now: Vec<f64>,
    threads: usize,
    /// The rate of the count in use when it was chosen.
    reference: f64,
    meter: Meter,
    survey: Option<Survey>,
    /// Something else takes a part of the cores.
    contended: bool,
    warm: bool,
    /// Clock limit and warmth at the last survey.
    surveyed: (f64, bool),
    /// Windows in a row that surprised.
    surprises: u32,
    next_survey: f64,
    next_choice: f64,
    gap: f64,
    heat: Heat,
    pace: Pace,
    decision: Decision,
}

impl Governor {
    /// A governor that has seen nothing yet.
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

    /// The decision in force.
    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// What was measured, to be cached for the next session on this device with this class of models.
    pub fn table(&self) -> &RateTable {
        &self.table
    }

    /// Another goal from now on.
    ///
    /// # Errors
    /// If it is out of range; the goal before stays.
    pub fn set_goal(&mut self, goal: Goal) -> Result<(), ConfigError> {
        let before = core::mem::replace(&mut self.config.goal, goal);
        self.config.check().inspect_err(|_| self.config.goal = before)?;
        if self.survey.is_none() {
            self.choose();
        }
        self.decide();
        Ok(())
    }

    /// Tokens per second that are expected from now on: the rate of the count in use, or the cap if that is less. `None` while nothing
    /// is measured. A performance hint session takes its inverse as the target duration of a token.
    pub fn expected_rate(&self) -> Option<f64> {
        let rate = self.now[self.threads - 1];
        let capped = self.decision.tokens_per_second_cap.map_or(rate, |cap| cap.min(rate));
        (rate > 0.0).then_some(capped)
    }

    /// Takes what happened since the last call and says how to go on. Call it after every token or every few; also, with 0
    /// tokens, while the engine is idle, so that the heat is known when it goes on. Allocates nothing.
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

    /// The clock that the system allows, relative to the hardware's; 1.0 if unknown.
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

    /// What a count is worth at the moment. Cool and as fast as possible: its rate. At a pace: the less power it takes, the more.
    /// Warm without a pace: its rate at the power that is sustained.
    fn value(&self, threads: usize) -> f64 {
        let rate = self.now[threads - 1];
        if rate <= 0.0 {
            return 0.0;
        }
        // Rates were measured at the clock that the system allows.
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
        // Warm, and not limited yet: phones sustain about half of what they draw at full speed.
        let power = if clock < FULL_CLOCK { used } else { 0.5 * used };
        self.costs.worth(threads, rate, single, power, 1.0 / clock)
    }

    /// The pace that is to be kept, if it is one.
    fn target(&self) -> Option<f64> {
        let goal = match self.goal() {
            Goal::Fastest => None,
            Goal::Rate(rate) => Some(rate),
            Goal::Energy { slowdown } => Some(self.fastest() * (1.0 - slowdown)),
        };
        let pace = self.pace.sustained().filter(|pace| *pace < self.fastest());
        pace.map_or(goal, |pace| Some(goal.map_or(pace, |goal| goal.min(pace))))
    }

    /// The caller's goal, or what the battery saver makes of it.
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

    /// Least rate that the pace accepts.
    fn needed(&self) -> f64 {
        // A count that is as fast as the pace and no faster misses it as soon as anything disturbs it.
        self.target().map_or(0.0, |target| (target * 1.03).min(self.fastest()))
    }

    /// Sets `threads` from the rates that are known.
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
        // Severe heat is no time for full speed.
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

    /// A second of computing has passed outside of a survey.
    fn look(&mut self, at: f64, window: Window) {
        // Under a cap the clock follows the load, so that the speed says nothing unless the cap is missed.
        let missed = self.decision.tokens_per_second_cap.is_none_or(|cap| window.rate < cap * 0.97);
        if missed {
            let before = self.now[self.threads - 1];
            if before > 0.0 {
                // Whatever slows this count down slows the others down too, until they are measured.
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
        // Another pace, another best count.
        if at >= self.next_choice {
            self.next_choice = at + CHOICE;
            if self.target().is_some() {
                self.choose();
            }
        }
    }

    /// Puts the decision together.
    fn decide(&mut self) {
        let capped = self.decision.tokens_per_second_cap.is_some();
        self.decision = self.put_together();
        // Speeds with and without pauses are not to be mixed.
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
