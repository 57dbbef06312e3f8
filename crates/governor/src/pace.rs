//! Keeps the device just below the heat at which its own throttling takes more speed than cooling needs.
//!
//! ```text
//! Free ──the system suddenly slows down by a third or more──> Watching ──it still gets hotter: that was needed──> Free
//!                                                               │
//!                                                               └─it gets cooler: that was too much─────────────> Holding
//! Holding, slowed down:    wait until the speed is back; if that would take long, cool down at half of what is left
//! Holding, at full speed:  cap = base (1 + P error), and base follows the error slowly
//! ```
//! A system that lowers the clock step by step until the heat is stable finds the best pace by itself, and a cap could only lose speed.
//! A system that halves the speed at a threshold, and gives it back some degrees below, swings between too much and too little. Or it
//! stays at half the speed, which still makes almost all the heat that the device can lose. So a cap is set only after a slowdown that
//! cooled the device, near the heat at which it came (the *knee*). The knee can be cached, so that the next session does not reach it.

/// A sudden slowdown to less than this share of the speed is an event. Smaller ones swing so little that a cap gains nothing.
const EVENT: f64 = 0.7;
/// Distance of the heat that is held from the knee (0.36 K on Android). A fall by as much proves that a slowdown was too much.
const MARGIN: f64 = 0.012;
/// A rise by this much proves that the slowdown was needed.
const RISE: f64 = 0.02;
/// Seconds after a slowdown from which on the slope is used, too. Before, it is the slope of the time before the slowdown.
const SETTLED: f64 = 30.0;
/// A slowdown is over if the speed is within this fraction of the speed before.
const RESTORED: f64 = 0.03;
/// Distance from the knee at which speed is given back, until it has been observed (2 K on Android).
const USUAL_WIDTH: f64 = 0.067;
/// If waiting for the speed takes longer than this many seconds, it is better to cool down.
const LONG: f64 = 200.0;
/// The share of the speed that is kept while cooling down. This is enough to read along.
const COOLING: f64 = 0.5;
/// While cooling down without knowing the clock, the full speed is tried once in this many seconds, for `LOOK_FOR` seconds.
const LOOK_EVERY: f64 = 20.0;
const LOOK_FOR: f64 = 3.0;
/// If the device is this much below the knee (6 K on Android), the slowdown has another cause, and cooling down is given up.
const DEEP: f64 = 0.2;
/// Without a knee, heat is held here. At 1.0, the system throttles severely.
const SEVERE: f64 = 0.97;
/// Relative change of the cap for an error of 1.0 in headroom. A case of 170 J/K at 2.5 W then settles within about a minute.
const PROPORTIONAL: f64 = 10.0;
/// The same per second. It is three times as much downwards, because the way back from above the knee is long.
const INTEGRAL: f64 = 0.06;
/// An error that falls by this much per second is not summed up, since the way to the target says nothing about the pace at it.
const MOVING: f64 = 1e-4;
/// The target is approached in about this many seconds.
const APPROACH: f64 = 60.0;
/// Change of the cap per second for a slope that is too steep by 1.0 per second.
const DAMPING: f64 = 15.0;
/// The speed "before" a slowdown follows the present speed within this many seconds.
const CALM: f64 = 10.0;

#[derive(Clone, Debug)]
enum State {
    Free,
    Watching(Event),
    Holding(Hold),
}

/// The start of a slowdown.
#[derive(Clone, Debug)]
struct Event {
    at: f64,
    heat: f64,
    /// The ability, rate and slope before it.
    before: f64,
    rate: f64,
    slope: f64,
}

#[derive(Clone, Debug)]
struct Hold {
    target: f64,
    /// The ability without a slowdown.
    before: f64,
    /// The lowest cap: the system leaves as much when it slows down.
    floor: f64,
    /// The tokens per second at which the heat is stable, as far as is known.
    base: f64,
    /// The time since which the system slows down, and whether we cool down because of it.
    slowed: Option<f64>,
    cooling: bool,
}

/// The inputs of the pace at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Seconds.
    pub(crate) at: f64,
    /// Headroom.
    pub(crate) heat: f64,
    /// Its change per second; 0.0 if unknown.
    pub(crate) slope: f64,
    /// The speed that is possible now, relative to the full speed.
    pub(crate) ability: f64,
    /// The tokens per second that are possible now.
    pub(crate) rate: f64,
    /// Whether the ability is known only from the speed, which a cap hides.
    pub(crate) blind: bool,
}

/// Decides the cap.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    state: State,
    /// A slow average of the ability.
    calm: f64,
    at: f64,
    knee: Option<f64>,
    /// Distance from the knee at which the speed comes back.
    width: f64,
    cap: Option<f64>,
}

impl Pace {
    pub(crate) fn new(knee: Option<f64>) -> Self {
        Self { state: State::Free, calm: 1.0, at: f64::NEG_INFINITY, knee, width: USUAL_WIDTH, cap: None }
    }

    /// Returns the heat at which the system took too much speed, if it did.
    pub(crate) fn knee(&self) -> Option<f64> {
        self.knee
    }

    /// Returns the maximum tokens per second.
    pub(crate) fn cap(&self) -> Option<f64> {
        self.cap
    }

    /// Returns the cap, unless it is for cooling down.
    pub(crate) fn sustained(&self) -> Option<f64> {
        match &self.state {
            State::Holding(hold) if hold.slowed.is_none() => self.cap,
            State::Holding(hold) => Some(hold.base),
            _ => None,
        }
    }

    /// Returns whether heat is being held.
    pub(crate) fn holds(&self) -> bool {
        matches!(self.state, State::Holding(_))
    }

    /// Updates the cap, at most once per second. Earlier calls change nothing.
    pub(crate) fn update(&mut self, now: Moment) {
        let step = now.at - self.at;
        if step < 1.0 {
            return;
        }
        self.at = now.at;
        let slowed = now.ability < self.calm * EVENT;
        let next = match &mut self.state {
            State::Free => self.free(now, slowed),
            State::Watching(event) => {
                let event = event.clone();
                self.watch(now, slowed, &event)
            }
            State::Holding(hold) => {
                let mut hold = hold.clone();
                self.cap = self.hold(now, slowed, step.min(10.0), &mut hold);
                Some(State::Holding(hold))
            }
        };
        if let Some(next) = next {
            self.state = next;
        }
        if !self.holds() {
            self.cap = None;
        }
        // An event is judged once.
        let follow = if slowed { 1.0 } else { (step / CALM).min(1.0) };
        self.calm += (now.ability - self.calm) * follow;
    }

    fn event(&self, now: Moment) -> State {
        let Moment { at, heat, rate, slope, .. } = now;
        State::Watching(Event { at, heat, before: self.calm, rate, slope })
    }

    fn free(&self, now: Moment, slowed: bool) -> Option<State> {
        let limit = self.knee.map_or(SEVERE, |knee| knee - MARGIN);
        if slowed {
            return Some(self.event(now));
        }
        let near = now.heat + now.slope.max(0.0) * APPROACH * 0.5 >= limit;
        let (rate, before) = (now.rate, now.ability);
        near.then(|| {
            let floor = 0.3 * rate;
            State::Holding(Hold { target: limit, before, floor, base: rate, slowed: None, cooling: false })
        })
    }

    fn watch(&mut self, now: Moment, slowed: bool, event: &Event) -> Option<State> {
        let settled = now.at - event.at >= SETTLED;
        let cooled = now.heat <= event.heat - MARGIN || settled && now.slope < 0.0;
        let restored = now.ability >= event.before - RESTORED;
        if slowed && !cooled {
            return Some(self.event(now));
        }
        if cooled {
            // The speed at which the heat is stable, interpolated between the speeds before and after by their slopes.
            let (up, down) = (event.slope.max(0.0), (-now.slope).max(0.0));
            let share = if up + down > 0.0 { down / (up + down) } else { 0.5 };
            let base = now.rate + (event.rate - now.rate).max(0.0) * share;
            self.knee = Some(event.heat);
            return Some(State::Holding(Hold {
                target: event.heat - MARGIN,
                before: event.before,
                floor: now.rate,
                base,
                slowed: Some(event.at),
                cooling: false,
            }));
        }
        (restored || now.heat >= event.heat + RISE).then_some(State::Free)
    }

    /// Returns the cap while heat is held.
    fn hold(&mut self, now: Moment, slowed: bool, step: f64, hold: &mut Hold) -> Option<f64> {
        if slowed && hold.slowed.is_none() {
            // The held heat was too high: the threshold is lower than assumed, or it is measured elsewhere in the device.
            hold.target = hold.target.min(now.heat) - MARGIN;
            hold.base = (hold.base * 0.93).max(hold.floor);
            hold.slowed = Some(now.at);
            self.knee = Some(hold.target + MARGIN);
        }
        if let Some(since) = hold.slowed {
            if now.ability < hold.before - RESTORED {
                return self.cool(now, since, hold);
            }
            self.width = (hold.target + MARGIN - now.heat).clamp(MARGIN, DEEP);
            hold.slowed = None;
            hold.cooling = false;
        }
        let error = hold.target - now.heat;
        if now.slope * error.signum() < MOVING {
            let weight = if error < 0.0 { 3.0 } else { 1.0 };
            let most = now.rate.max(hold.floor) * 1.05;
            hold.base = (hold.base * (1.0 + INTEGRAL * weight * error * step)).clamp(hold.floor, most);
        }
        // The rise slows down near the target, since heat has momentum.
        let excess = now.slope - error.max(0.0) / APPROACH;
        if excess > 0.0 {
            hold.base = (hold.base * (1.0 - DAMPING * excess * step)).max(hold.floor);
        }
        let cap = (hold.base * (1.0 + PROPORTIONAL * error)).max(hold.floor);
        (cap < now.rate * 0.99).then_some(cap)
    }

    /// Returns the cap while the system slows the device down. Only if cooling down brings the speed back sooner does this return one.
    fn cool(&self, now: Moment, since: f64, hold: &mut Hold) -> Option<f64> {
        let knee = hold.target + MARGIN;
        let left = now.heat - (knee - self.width);
        let long = now.slope >= 0.0 || left / -now.slope > LONG;
        hold.cooling = (hold.cooling || now.at - since >= SETTLED && long) && now.heat > knee - DEEP;
        // If only the speed is known, the full speed is tried from time to time.
        let look = now.blind && (now.at - since) % LOOK_EVERY < LOOK_FOR;
        (hold.cooling && !look).then_some(now.rate * COOLING)
    }
}
