//! Measurements of a device, as text that a file can keep.

use core::fmt;
use core::str::FromStr;

/// Tokens per second by number of threads, for one device and one class of models. They are measured while the device is cool and
/// not shared with other programs.
///
/// As text, the table is one line with fields separated by tabs. It can be cached and passed as
/// [`Config::table`](crate::Config::table):
///
/// ```
/// use happy_governor::RateTable;
/// let line = "happy-governor 1\tPixel 6, Android 16\t1.5B Q4_0\t1=9.81 2=17.4 4=22.05\tknee=0.87";
/// let table: RateTable = line.parse()?;
/// assert_eq!(table.rate(2), Some(17.4));
/// assert_eq!(table.knee(), Some(0.87));
/// assert_eq!(table.to_string(), line);
/// # Ok::<(), happy_governor::TableError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RateTable {
    device: String,
    model_class: String,
    /// The index is the number of threads minus one. 0.0 means that nothing was measured.
    rates: Vec<f64>,
    knee: Option<f64>,
}

const HEAD: &str = "happy-governor 1";

impl RateTable {
    /// Makes an empty table.
    ///
    /// `device` should change when the system is updated (device model and build), and `model_class` when speeds change (size and
    /// format of the weights). Control characters in the names become spaces.
    pub fn new(device: &str, model_class: &str) -> Self {
        let plain = |text: &str| text.replace(|c: char| c.is_control(), " ");
        Self { device: plain(device), model_class: plain(model_class), rates: Vec::new(), knee: None }
    }

    /// Returns the device that was measured.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Returns the class of models that was measured.
    pub fn model_class(&self) -> &str {
        &self.model_class
    }

    /// Returns the tokens per second with this number of threads, or `None` if it was not measured.
    pub fn rate(&self, threads: usize) -> Option<f64> {
        let rate = self.rates.get(threads.checked_sub(1)?).copied();
        rate.filter(|rate| *rate > 0.0)
    }

    /// Sets the tokens per second of a number of threads. Values out of range are ignored.
    pub fn set_rate(&mut self, threads: usize, rate: f64) {
        if (1..=crate::Config::MOST_THREADS).contains(&threads) && rate > 0.0 && rate.is_finite() {
            if self.rates.len() < threads {
                self.rates.resize(threads, 0.0);
            }
            self.rates[threads - 1] = rate;
        }
    }

    /// Reserves room for counts up to `threads`, so that setting their rates allocates nothing.
    pub(crate) fn reserve(&mut self, threads: usize) {
        self.rates.reserve(threads.saturating_sub(self.rates.len()));
    }

    /// Returns the measured numbers of threads, ascending, with their tokens per second.
    pub fn rates(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        (1..).zip(self.rates.iter().copied()).filter(|(_, rate)| *rate > 0.0)
    }

    /// Returns the heat (as headroom) at which the system once slowed the device down by more than cooling needs.
    pub fn knee(&self) -> Option<f64> {
        self.knee
    }

    /// Sets the knee. NaN and values outside of 0.0 to 2.0 are ignored.
    pub fn set_knee(&mut self, knee: f64) {
        if (0.0..=2.0).contains(&knee) {
            self.knee = Some(knee);
        }
    }
}

impl fmt::Display for RateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEAD}\t{}\t{}\t", self.device, self.model_class)?;
        for (i, (threads, rate)) in self.rates().enumerate() {
            write!(f, "{}{threads}={rate}", if i == 0 { "" } else { " " })?;
        }
        match self.knee {
            Some(knee) => write!(f, "\tknee={knee}"),
            None => Ok(()),
        }
    }
}

/// Why a line is not a table. Discard a cache that cannot be read: the table is measured again within two seconds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The line is not a table, or one of another version.
    #[error("not a table of speeds: the line does not begin with `{HEAD}`")]
    Head,
    /// The number of fields is wrong.
    #[error("a table of speeds has 4 or 5 fields separated by tabs, found {0}")]
    Fields(usize),
    /// A field cannot be read.
    #[error("a table of speeds has `{found}`, expected {expected}")]
    Value {
        /// The field.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
}

impl FromStr for RateTable {
    type Err = TableError;

    fn from_str(line: &str) -> Result<Self, TableError> {
        let fields: Vec<&str> = line.trim_end_matches(['\r', '\n']).split('\t').take(6).collect();
        if fields[0] != HEAD {
            return Err(TableError::Head);
        }
        let (device, class, rates, knee) = match fields[..] {
            [_, device, class, rates] => (device, class, rates, None),
            [_, device, class, rates, knee] => (device, class, rates, Some(knee)),
            _ => return Err(TableError::Fields(fields.len())),
        };
        let wrong = |found: &str, expected| TableError::Value { found: found.into(), expected };
        let mut table = Self::new(device, class);
        for entry in rates.split(' ').filter(|entry| !entry.is_empty()) {
            let pair = entry.split_once('=').and_then(|(t, r)| Some((t.parse().ok()?, r.parse().ok()?)));
            let (threads, rate) = pair.ok_or_else(|| wrong(entry, "threads=tokens per second"))?;
            table.set_rate(threads, rate);
            if table.rate(threads) != Some(rate) {
                return Err(wrong(entry, "1 to 256 threads and a speed above 0"));
            }
        }
        if let Some(entry) = knee {
            let value = entry.strip_prefix("knee=").and_then(|value| value.parse().ok());
            table.set_knee(value.unwrap_or(f64::NAN));
            if table.knee.is_none() {
                return Err(wrong(entry, "knee=0.0 to 2.0"));
            }
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let mut table = RateTable::new("a\tphone\n", "");
        assert_eq!(table.to_string().parse(), Ok(table.clone()));
        // Numbers whose digits a shorter form would lose.
        for (threads, rate) in [(1, 0.1 + 0.2), (3, 1.0 / 3.0), (256, 1e-9)] {
            table.set_rate(threads, rate);
        }
        table.set_knee(2.0 / 3.0);
        assert_eq!(table.device(), "a phone ");
        assert_eq!(table.rates().map(|(threads, _)| threads).collect::<Vec<_>>(), [1, 3, 256]);
        assert_eq!(format!("{table}\r\n").parse(), Ok(table.clone()));
        for (threads, rate) in [(0, 1.0), (257, 1.0), (2, 0.0), (2, -1.0), (2, f64::NAN), (2, f64::INFINITY)]
        {
            table.set_rate(threads, rate);
        }
        table.set_knee(f64::NAN);
        assert_eq!(table.rates().count(), 3);
        assert_eq!(table.knee(), Some(2.0 / 3.0));
        assert_eq!(table.rate(0), None);
        assert_eq!(table.rate(usize::MAX), None);
    }

    #[test]
    fn damaged_lines_are_errors() {
        let value = |found: &str, expected| Err(TableError::Value { found: found.into(), expected });
        let (pair, range) = ("threads=tokens per second", "1 to 256 threads and a speed above 0");
        let cases: Vec<(&str, Result<RateTable, TableError>)> = vec![
            ("", Err(TableError::Head)),
            ("happy-governor 2\ta\tb\t1=1", Err(TableError::Head)),
            ("happy-governor 1\ta\tb", Err(TableError::Fields(3))),
            ("happy-governor 1\ta\tb\t1=1\tknee=0.5\tx", Err(TableError::Fields(6))),
            ("happy-governor 1\ta\tb\t1", value("1", pair)),
            ("happy-governor 1\ta\tb\t-1=1", value("-1=1", pair)),
            ("happy-governor 1\ta\tb\t1=x", value("1=x", pair)),
            ("happy-governor 1\ta\tb\t0=1", value("0=1", range)),
            ("happy-governor 1\ta\tb\t999999999999=1", value("999999999999=1", range)),
            ("happy-governor 1\ta\tb\t1=NaN", value("1=NaN", range)),
            ("happy-governor 1\ta\tb\t1=inf", value("1=inf", range)),
            ("happy-governor 1\ta\tb\t1=1\tknee=9", value("knee=9", "knee=0.0 to 2.0")),
            ("happy-governor 1\ta\tb\t1=1\t0.5", value("0.5", "knee=0.0 to 2.0")),
        ];
        for (line, expected) in cases {
            assert_eq!(line.parse(), expected, "{line:?}");
        }
    }
}
