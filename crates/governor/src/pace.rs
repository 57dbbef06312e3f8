//! Holding the device just below the heat at which its own throttling takes more than cooling needs.
//!
//! ```text
//! Free ──the system slows down at once by a third or more───> Watching ──it still gets hotter──> Free: it had to
//!                                                               │
//!                                                               └─it gets cooler: too much was taken──> Holding
//! Holding, slowed:  wait until the system gives the speed back; if that would take long, cool down with half of the speed left
//! Holding, at full speed:  cap = base (1 + P error), base follows the error slowly
//! ```
//! A system that lowers the clock bit by bit until the heat stays finds the best pace by itself, and a cap could only lose. One that
//! halves the speed at a threshold and gives it back some degrees below swings between too much and too little, or is caught
//! below: half the speed still makes almost all the heat that the device can lose. So a cap is set only after a slowdown that
//! cooled the device, near the heat (the *knee*) at which it came. The knee can be cached, so that the next session does not meet it.

/// A slowdown to less than this share of the speed, at once, is an event. What takes less swings so little that a cap gains nothing.
const EVENT: f64 = 0.7;
/// The heat that is held is so much below the knee (0.36 K on Android), and a fall by as much proves that too much was taken.
const MARGIN: f64 = 0.012;
/// A rise by so much proves that the slowdown was needed.
const RISE: f64 = 0.02;
/// Seconds after a slowdown from which on the slope tells as well: until then it is that of the time before.
const SETTLED: f64 = 30.0;
/// Within this of the speed before, a slowdown is over.
const RESTORED: f64 = 0.03;
/// Speed is given back so far below the knee, unless it was seen where (2 K on Android).
const USUAL_WIDTH: f64 = 0.067;
/// Waiting longer than so many seconds for the speed is worse than cooling down for it.
const LONG: f64 = 200.0;
/// The share of the speed that is kept while cooling down: enough to read along.
const COOLING: f64 = 0.5;
/// While cooling down, the full speed is tried once in so many seconds, for so many, if the clock is not known.
const LOOK_EVERY: f64 = 20.0;
const LOOK_FOR: f64 = 3.0;
/// Below the knee by so much (6 K on Android), speed is kept for another cause, and cooling is given up.
const DEEP: f64 = 0.2;
/// Without a knee, heat is held here: at 1.0 the system throttles severely.
const SEVERE: f64 = 0.97;
/// Change of the cap for an error of 1.0 in headroom. A case of 170 J/K at 2.5 W then settles within about a minute.
const PROPORTIONAL: f64 = 10.0;
/// And per second; three times as much downwards, because the way back over the knee is long.
const INTEGRAL: f64 = 0.06;
/// An error that falls by so much per second is not summed up: the way to the target says nothing about the pace at it.
const MOVING: f64 = 1e-4;
/// The target is neared in about so many seconds.
const APPROACH: f64 = 60.0;
/// Change of the cap per second for a slope that is too steep by 1.0 per second.
const DAMPING: f64 = 15.0;
/// The speed that is "before" a slowdown follows the present one within so many seconds.
const CALM: f64 = 10.0;

#[derive(Clone, Debug)]
enum State {
    Free,
    Watching(Event),
    Holding(Hold),
}

/// A slowdown, as it began.
#[derive(Clone, Debug)]
struct Event {
    at: f64,
    heat: f64,
    /// Ability, rate and slope of the time before.
    before: f64,
    rate: f64,
    slope: f64,
}

#[derive(Clone, Debug)]
struct Hold {
    target: f64,
    /// The ability without a slowdown.
    before: f64,
    /// No cap is lower: the system leaves as much when it slows down.
    floor: f64,
    /// Tokens per second at which the heat stays, as far as is known.
    base: f64,
    /// Since when the system slows down, and whether we cool down for that.
    slowed: Option<f64>,
    cooling: bool,
}

/// What the pace depends on, at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Seconds.
    pub(crate) at: f64,
    /// Headroom.
    pub(crate) heat: f64,
    /// Its change per second; 0.0 if unknown.
    pub(crate) slope: f64,
    /// Present speed relative to the full one, without a cap.
    pub(crate) ability: f64,
    /// Tokens per second that are possible now, without a cap.
    pub(crate) rate: f64,
    /// Whether the ability is seen by the speed alone, which a cap hides.
    pub(crate) blind: bool,
}

/// Decides the cap.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    state: State,
    /// The ability, slowly.
    calm: f64,
    at: f64,
    knee: Option<f64>,
    /// How far below the knee the speed comes back.
    width: f64,
    cap: Option<f64>,
}

impl Pace {
    pub(crate) fn new(knee: Option<f64>) -> Self {
        Self { state: State::Free, calm: 1.0, at: f64::NEG_INFINITY, knee, width: USUAL_WIDTH, cap: None }
    }

    /// Where the system took too much, if it did.
    pub(crate) fn knee(&self) -> Option<f64> {
        self.knee
    }

    /// Tokens per second at most.
    pub(crate) fn cap(&self) -> Option<f64> {
        self.cap
    }

    /// The cap, unless it is one to cool down with.
    pub(crate) fn sustained(&self) -> Option<f64> {
        match &self.state {
            State::Holding(hold) if hold.slowed.is_none() => self.cap,
            State::Holding(hold) => Some(hold.base),
            _ => None,
        }
    }

    /// Whether heat is being held.
    pub(crate) fn holds(&self) -> bool {
        matches!(self.state, State::Holding(_))
    }

    /// Once per second is enough; earlier calls change nothing.
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
            // Where the heat would stay: on the line through the speeds before and after, by the slopes that they had.
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

    /// The cap while heat is held.
    fn hold(&mut self, now: Moment, slowed: bool, step: f64, hold: &mut Hold) -> Option<f64> {
        if slowed && hold.slowed.is_none() {
            // Held too high: the threshold is lower than thought, or is measured elsewhere in the device.
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
        // On the way up, slower the nearer: heat has momentum.
        let excess = now.slope - error.max(0.0) / APPROACH;
        if excess > 0.0 {
            hold.base = (hold.base * (1.0 - DAMPING * excess * step)).max(hold.floor);
        }
        let cap = (hold.base * (1.0 + PROPORTIONAL * error)).max(hold.floor);
        (cap < now.rate * 0.99).then_some(cap)
    }

    /// The cap while the system slows the device down: none, unless cooling down is the faster way back.
    fn cool(&self, now: Moment, since: f64, hold: &mut Hold) -> Option<f64> {
        let knee = hold.target + MARGIN;
        let left = now.heat - (knee - self.width);
        let long = now.slope >= 0.0 || left / -now.slope > LONG;
        hold.cooling = (hold.cooling || now.at - since >= SETTLED && long) && now.heat > knee - DEEP;
        // Whoever sees the speed alone looks from time to time whether it is back.
        let look = now.blind && (now.at - since) % LOOK_EVERY < LOOK_FOR;
        (hold.cooling && !look).then_some(now.rate * COOLING)
    }
}
