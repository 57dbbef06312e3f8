//! Decides how many guesses are worth their rows.
//!
//! ```text
//! cost(n)   the time of a pass of n rows, in passes of one row: a moving mean of measurements; before them, FIRST_ROW for each further row
//! rate(kind)  how often a guess of this kind was right if all guesses before it were, lately
//! tokens(k) = 1 + r1 + r1 r2 + ... + r1..rk        the expected number of tokens from a pass with k guesses
//! depth     the k with the greatest tokens(k) / (cost(1 + k) + the time that finding the guesses took); 0 if none is better by MARGIN
//! ```
//!
//! Guesses that are not computed are also compared with the chosen tokens, so measuring rates is free. Measuring costs is not: after PROBE
//! proposals that would pay with the assumed costs, but not with the measured ones, one is computed to measure again.

use super::{MAX_DRAFT, lookup};

/// Maximum number of rows of a pass with guesses.
const ROWS: usize = MAX_DRAFT + 1;
/// Assumed cost of each row after the first, in passes of one row, until it is measured.
const FIRST_ROW: f64 = 0.2;
/// How much faster than a plain pass guesses must seem. Estimates are not exact, and a plain pass has no risk.
const MARGIN: f64 = 1.08;
/// Number of proposals between two tries of guesses that don't seem to pay.
const PROBE: u32 = 64;
/// Number of plain passes before the first guess, and number of passes with guesses after which one plain pass is measured again. Costs are
/// in plain passes, which would otherwise become rare.
const PLAIN: u32 = 2;
const PLAIN_AGAIN: u32 = 128;
/// Number of measured passes of a size after which a different time tells of the device's speed rather than of the size.
const SETTLED: u32 = 8;
/// Weight of a new measurement in the moving mean, once there are several.
const FRESH: f64 = 0.1;

/// Number of kinds of guesses: those of lookup, then those of a draft model.
const KINDS: usize = lookup::KINDS + DRAFT_KINDS;
/// Number of kinds of a draft model's guesses, by how far its best token is ahead of its second.
pub(super) const DRAFT_KINDS: usize = 6;
/// The first kind of a draft model's guesses.
pub(super) const DRAFT: u8 = lookup::KINDS as u8;

/// Assumed rates before measurements. In lookup, longer matches and those near the previous copy are right more often.
const FIRST_RATES: [f64; KINDS] =
    [0.05, 0.3, 0.15, 0.45, 0.3, 0.6, 0.5, 0.7, 0.65, 0.85, 0.3, 0.4, 0.55, 0.7, 0.8, 0.9];

/// How often a guess was right lately.
#[derive(Clone, Copy)]
struct Rate {
    hits: f64,
    tries: f64,
}

impl Rate {
    /// Factor for the weight of older events with each new one. About the last 20 count.
    const KEPT: f64 = 0.95;

    /// Starts with three assumed events of this rate.
    fn assumed(rate: f64) -> Self {
        Self { hits: 3.0 * rate, tries: 3.0 }
    }

    fn get(&self) -> f64 {
        self.hits / self.tries
    }

    fn add(&mut self, hit: bool) {
        self.hits = self.hits * Self::KEPT + f64::from(u8::from(hit));
        self.tries = self.tries * Self::KEPT + 1.0;
    }
}

/// Measured costs and rates.
pub(super) struct Pace {
    adaptive: bool,
    /// Seconds of a pass of one row. 0 until one is measured.
    one: f64,
    /// Costs of passes of 1 to [`ROWS`] rows, in passes of one row. The first is 1.
    costs: [f64; ROWS],
    /// Number of measured passes of each size.
    seen: [u32; ROWS],
    /// Number of passes with guesses since the last plain one.
    since_plain: u32,
    rates: [Rate; KINDS],
    /// The rate of all guesses of a draft model.
    drafts: Rate,
    /// Number of proposals that were not computed since the last try.
    quiet: u32,
}

impl Pace {
    /// Starts without measurements. If it is not adaptive, every guess is computed.
    pub(super) fn new(adaptive: bool) -> Self {
        Self {
            adaptive,
            one: 0.0,
            costs: [1.0; ROWS],
            seen: [0; ROWS],
            since_plain: 0,
            rates: FIRST_RATES.map(Rate::assumed),
            drafts: Rate::assumed(0.7),
            quiet: 0,
        }
    }

    pub(super) fn is_adaptive(&self) -> bool {
        self.adaptive
    }

    /// Records whether a guess was right.
    pub(super) fn learn(&mut self, kind: u8, right: bool) {
        if let Some(rate) = self.rates.get_mut(usize::from(kind)) {
            rate.add(right);
        }
        if kind >= DRAFT {
            self.drafts.add(right);
        }
    }

    /// Records how long a pass took.
    pub(super) fn passed(&mut self, rows: usize, seconds: f64) {
        let expected = self.one * self.cost(rows);
        let (Some(cost), Some(seen)) = (self.costs.get_mut(rows - 1), self.seen.get_mut(rows - 1)) else {
            return;
        };
        if seconds <= 0.0 {
            return;
        }
        if expected <= 0.0 {
            self.one = seconds / assumed(rows);
        } else {
            // Other programs may hold up a single pass.
            let ratio = (seconds / expected).clamp(0.25, 4.0);
            let fresh = FRESH.max(1.0 / f64::from(*seen + 1));
            if rows == 1 {
                self.one *= 1.0 + fresh * (ratio - 1.0);
            } else {
                *cost = (expected / self.one * (1.0 + fresh * (ratio - 1.0))).max(1.0);
                // If the device slows down, all passes do. The first measurements of a size only tell what that size costs.
                if *seen >= SETTLED {
                    self.one *= 1.0 + 0.2 * FRESH * (ratio - 1.0);
                }
            }
        }
        *seen = seen.saturating_add(1);
        self.since_plain = if rows == 1 { 0 } else { self.since_plain + 1 };
    }

    /// Converts seconds to passes of one row.
    pub(super) fn passes(&self, seconds: f64) -> f64 {
        if self.one > 0.0 { seconds / self.one } else { 0.0 }
    }

    /// Returns the cost of a pass of this many rows, in passes of one row.
    fn cost(&self, rows: usize) -> f64 {
        let measured =
            (1..=rows.min(ROWS)).rev().find(|n| self.seen.get(n - 1).is_some_and(|seen| *seen > 0));
        let (n, cost) = measured.map_or((1, 1.0), |n| (n, self.costs.get(n - 1).copied().unwrap_or(1.0)));
        cost + FIRST_ROW * (rows - n) as f64
    }

    /// Returns whether the next pass must be a plain one, to be measured.
    pub(super) fn plain_is_due(&self) -> bool {
        self.adaptive && (self.seen[0] < PLAIN || self.since_plain >= PLAIN_AGAIN)
    }

    /// Returns how many guesses of these kinds to compute. `spent` is the time that finding them took, in passes of one row.
    pub(super) fn depth(&mut self, kinds: &[u8], spent: f64) -> usize {
        if !self.adaptive {
            return kinds.len();
        }
        if self.plain_is_due() {
            return 0;
        }
        let depth = self.best(kinds, spent, |rows| self.cost(rows));
        if depth > 0 {
            return depth;
        }
        let hoped = self.best(kinds, spent, assumed);
        if hoped > 0 {
            self.quiet += 1;
        }
        if self.quiet < PROBE {
            return 0;
        }
        self.quiet = 0;
        hoped
    }

    fn best(&self, kinds: &[u8], spent: f64, cost: impl Fn(usize) -> f64) -> usize {
        let (mut chance, mut tokens) = (1.0, 1.0);
        let mut best = (0, MARGIN / (1.0 + spent));
        for (i, kind) in kinds.iter().enumerate() {
            chance *= self.rate(*kind);
            tokens += chance;
            let speed = tokens / (cost(i + 2) + spent);
            if speed > best.1 {
                best = (i + 1, speed);
            }
        }
        best.0
    }

    pub(super) fn rate(&self, kind: u8) -> f64 {
        self.rates.get(usize::from(kind)).map_or(0.0, Rate::get)
    }

    /// Returns whether asking a draft model for up to `most` tokens pays, if each costs `each` passes of one row.
    pub(super) fn draft_pays(&self, most: usize, each: f64) -> bool {
        let (mut chance, mut tokens) = (1.0, 1.0);
        (1..=most).any(|k| {
            chance *= self.drafts.get();
            tokens += chance;
            tokens > MARGIN * (self.cost(k + 1) + k as f64 * each)
        })
    }

    /// Returns whether one more token of a draft model pays, after `depth` tokens with the expected number `tokens`, all of which are right
    /// with probability `chance`.
    pub(super) fn goes_on(&self, depth: usize, chance: f64, tokens: f64, each: f64) -> bool {
        let speed = |tokens: f64, depth: usize| tokens / (self.cost(depth + 1) + depth as f64 * each);
        speed(tokens + chance * self.drafts.get(), depth + 1) > speed(tokens, depth)
    }
}

/// Returns the assumed cost of a pass of this many rows, before any is measured.
fn assumed(rows: usize) -> f64 {
    1.0 + FIRST_ROW * (rows - 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device on which a row more costs this much, and a guess is right in so many of a hundred cases. Returns the guesses of each of
    /// `n` passes.
    fn depths(pace: &mut Pace, row: f64, right: usize, n: usize) -> Vec<usize> {
        let kinds = [9; MAX_DRAFT];
        let mut tried = 0;
        (0..n)
            .map(|_| {
                let depth = pace.depth(&kinds, 0.0);
                for kind in kinds {
                    // Spread evenly, the same in every run.
                    tried += 37;
                    let hit = tried % 100 < right;
                    pace.learn(kind, hit);
                    if !hit {
                        break;
                    }
                }
                pace.passed(1 + depth, 0.02 * (1.0 + row * depth as f64));
                depth
            })
            .collect()
    }

    #[test]
    fn depth_follows_costs_and_rates() {
        // The middle of the last ones, since what does not pay is tried now and then.
        let last = |row, right| {
            let mut last = depths(&mut Pace::new(true), row, right, 120).split_off(99);
            last.sort_unstable();
            last[10]
        };
        assert_eq!(last(0.05, 99), MAX_DRAFT, "rows cost little, guesses are right");
        assert_eq!(last(0.05, 5), 0, "guesses are wrong");
        assert_eq!(last(1.1, 99), 0, "a row costs more than a pass");
        let middle = last(0.3, 70);
        assert!((1..MAX_DRAFT).contains(&middle), "{middle}");
    }

    /// What doesn't pay is tried now and then; once it pays, it is done.
    #[test]
    fn what_does_not_pay_is_tried_seldom() {
        let mut pace = Pace::new(true);
        depths(&mut pace, 1.5, 95, 100);
        let tried = depths(&mut pace, 1.5, 95, 1000).iter().filter(|depth| **depth > 0).count();
        assert!((5..=1000 / PROBE as usize + 1).contains(&tried), "{tried} of 1,000");
        let later = depths(&mut pace, 0.05, 95, 4000);
        let last = &later[3900..];
        assert!(last.iter().filter(|depth| **depth > 3).count() >= 98, "{last:?}");
        // Guesses that are wrong are not tried at all: what they would have given is known.
        let mut pace = Pace::new(true);
        depths(&mut pace, 0.1, 2, 100);
        assert_eq!(depths(&mut pace, 0.1, 2, 1000).iter().sum::<usize>(), 0);
    }

    #[test]
    fn a_pass_that_is_held_up_changes_little() {
        let mut pace = Pace::new(true);
        depths(&mut pace, 0.1, 95, 50);
        (0..20).for_each(|_| pace.passed(8, 0.034));
        let before = pace.cost(8);
        pace.passed(8, 60.0);
        assert!(pace.cost(8) < before * 1.5, "{} after {before}", pace.cost(8));
        pace.passed(8, 0.0);
        pace.passed(9, 1.0);
        assert!(pace.cost(8) < before * 1.5);
    }

    #[test]
    fn the_unadaptive_pace_takes_everything() {
        let mut pace = Pace::new(false);
        assert_eq!(depths(&mut pace, 9.0, 0, 20), [MAX_DRAFT; 20]);
        assert_eq!(pace.depth(&[], 0.0), 0);
    }
}
