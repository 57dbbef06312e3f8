//! Decides which thread counts to measure, one after the other.
//!
//! ```text
//! at the start:  the first count, then 1, 2, 3 ... until two in a row are clearly slower than the best
//! later:         the count in use, then downwards and then upwards from it, each until two in a row are worse
//! ```
//! It takes two, because the speed can dip when the first core of a weaker kind joins, and rise again with the second.

/// A walk over thread counts.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    center: usize,
    most: usize,
    /// The count that is being measured.
    pub(crate) at: usize,
    way: Way,
    /// Number of consecutive counts that were worse.
    worse: usize,
    best: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    All,
    Center,
    Down,
    Up,
}

/// Number of consecutive worse counts after which the walk turns.
const PATIENCE: usize = 2;

impl Survey {
    /// Makes a survey of every count up to `most` that may be useful, if nothing is known.
    pub(crate) fn all(first: usize, most: usize) -> Self {
        Self { center: first, most, at: first, way: Way::All, worse: 0, best: 0.0 }
    }

    /// Makes a survey of the counts around the one in use.
    pub(crate) fn around(center: usize, most: usize) -> Self {
        Self { way: Way::Center, ..Self::all(center, most) }
    }

    /// Takes the value of the measured count, where larger is better. Returns false if it was the last.
    pub(crate) fn advance(&mut self, value: f64, slack: f64) -> bool {
        let better = value > self.best * (1.0 - slack);
        self.worse = if better { 0 } else { self.worse + 1 };
        self.best = self.best.max(value);
        match self.way {
            Way::All => {
                let next = if self.at == self.center && self.center != 1 { 1 } else { self.at + 1 };
                let next = if next == self.center { next + 1 } else { next };
                // Slower counts below the first one say nothing about those above it.
                if next == self.center + 1 {
                    self.worse = 0;
                }
                if next > self.center + 1 && self.worse >= PATIENCE {
                    return false;
                }
                self.at = next;
            }
            Way::Center => {
                self.way = Way::Down;
                self.at -= 1;
            }
            Way::Down | Way::Up if self.worse >= PATIENCE => self.turn(),
            Way::Down => self.at -= 1,
            Way::Up => self.at += 1,
        }
        if self.at == 0 {
            self.turn();
        }
        self.at <= self.most
    }

    fn turn(&mut self) {
        self.at = if self.way == Way::Down { self.center + 1 } else { self.most + 1 };
        self.way = Way::Up;
        self.worse = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(mut survey: Survey, value: impl Fn(usize) -> f64, slack: f64) -> Vec<usize> {
        let mut visited = vec![survey.at];
        while survey.advance(value(survey.at), slack) {
            visited.push(survey.at);
            assert!(visited.len() < 100);
        }
        visited
    }

    #[test]
    fn the_first_survey_stops_after_the_best() {
        let peak_at_3 = |n: usize| 10.0 - (n as f64 - 3.0).abs();
        assert_eq!(walk(Survey::all(4, 8), peak_at_3, 0.0), [4, 1, 2, 3, 5, 6]);
        assert_eq!(walk(Survey::all(2, 8), peak_at_3, 0.0), [2, 1, 3, 4, 5]);
        assert_eq!(walk(Survey::all(1, 8), peak_at_3, 0.0), [1, 2, 3, 4, 5]);
        assert_eq!(walk(Survey::all(1, 1), peak_at_3, 0.0), [1]);
        assert_eq!(walk(Survey::all(2, 2), peak_at_3, 0.0), [2, 1]);
        let rising = |n: usize| n as f64;
        assert_eq!(walk(Survey::all(4, 6), rising, 0.0), [4, 1, 2, 3, 5, 6]);
        // A dip of one count is walked over.
        let dip = |n: usize| if n == 3 { 0.5 } else { n as f64 };
        assert_eq!(walk(Survey::all(2, 5), dip, 0.0), [2, 1, 3, 4, 5]);
    }

    #[test]
    fn later_surveys_look_around() {
        let flat = |_: usize| 1.0;
        assert_eq!(walk(Survey::around(3, 8), flat, 0.05), [3, 2, 1, 4, 5, 6, 7, 8]);
        assert_eq!(walk(Survey::around(3, 8), flat, 0.0), [3, 2, 1, 4, 5]);
        let peak_at_3 = |n: usize| 10.0 - (n as f64 - 3.0).abs();
        assert_eq!(walk(Survey::around(5, 8), peak_at_3, 0.0), [5, 4, 3, 2, 1, 6, 7]);
        assert_eq!(walk(Survey::around(1, 8), peak_at_3, 0.0), [1, 2, 3, 4, 5]);
        assert_eq!(walk(Survey::around(1, 1), peak_at_3, 0.0), [1]);
        assert_eq!(walk(Survey::around(8, 8), |n| n as f64, 0.0), [8, 7, 6]);
    }
}
