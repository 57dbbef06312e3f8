//! The wall clock of `strftime_now`, without a time zone database.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// A date and time of day without a time zone, which `strftime_now` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    year: i64,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    micro: u32,
}

/// The error for a text that is not a date and time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a time must look like 2026-03-14T09:26:53, found `{0}`")]
pub struct ClockParseError(String);

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl LocalTime {
    /// Makes a time of the Gregorian calendar. Returns `None` if there is no such day or time of day. Years are 1 to 9999.
    pub fn new(year: i64, month: u32, day: u32, hour: u32, minute: u32, second: u32) -> Option<Self> {
        let date = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day);
        let time = hour < 24 && minute < 60 && second < 60;
        (date && time).then_some(LocalTime { year, month, day, hour, minute, second, micro: 0 })
    }

    /// Returns the time of the system's clock, in UTC. The standard library knows no time zones: a program that wants local
    /// time has to pass it.
    pub fn now_utc() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut t = Self::from_unix(i64::try_from(since.as_secs()).unwrap_or(0));
        t.micro = since.subsec_micros();
        t
    }

    /// Makes a time from the seconds since 1970-01-01T00:00:00. Times outside of the years 1 to 9999 are clamped.
    pub fn from_unix(seconds: i64) -> Self {
        let seconds = seconds.clamp(-62_135_596_800, 253_402_300_799);
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // civil_from_days of Howard Hinnant's "chrono-compatible low-level date algorithms".
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
        let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
        let year = yoe + era * 400 + i64::from(month <= 2);
        let rest = rest as u32;
        LocalTime { year, month, day, hour: rest / 3600, minute: rest / 60 % 60, second: rest % 60, micro: 0 }
    }

    /// Returns the day of the year, from 0.
    fn day_of_year(&self) -> u32 {
        (1..self.month).map(|m| days_in_month(self.year, m)).sum::<u32>() + self.day - 1
    }

    /// Returns the number of days since Sunday.
    fn weekday(&self) -> u32 {
        // Sakamoto's method over the proleptic Gregorian calendar.
        const SHIFT: [i64; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
        let y = if self.month < 3 { self.year - 1 } else { self.year };
        let shift = SHIFT.get(self.month as usize - 1).copied().unwrap_or(0);
        (y + y / 4 - y / 100 + y / 400 + shift + i64::from(self.day)).rem_euclid(7) as u32
    }

    /// Formats like Python's `datetime.strftime` in the C locale. Unknown directives are left as they are. Time zone directives
    /// (`%Z`, `%z`) become empty, as for a datetime without a time zone.
    pub fn strftime(&self, format: &str) -> String {
        let mut out = String::with_capacity(format.len() + 16);
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let Some(mut directive) = chars.next() else {
                out.push('%');
                break;
            };
            // `-` (glibc): no padding.
            let padded = directive != '-';
            if !padded {
                let Some(next) = chars.next() else {
                    out.push_str("%-");
                    break;
                };
                directive = next;
            }
            self.directive(&mut out, directive, padded);
        }
        out
    }

    fn directive(&self, out: &mut String, directive: char, padded: bool) {
        let name = |names: &[&'static str], i: u32| names.get(i as usize).copied().unwrap_or("");
        let hour12 = (self.hour + 11) % 12 + 1;
        let (weekday, doy) = (self.weekday(), self.day_of_year());
        let number = match directive {
            'd' => Some((i64::from(self.day), 2)),
            'm' => Some((i64::from(self.month), 2)),
            'y' => Some((self.year % 100, 2)),
            'Y' => Some((self.year, 1)),
            'H' => Some((i64::from(self.hour), 2)),
            'I' => Some((i64::from(hour12), 2)),
            'M' => Some((i64::from(self.minute), 2)),
            'S' => Some((i64::from(self.second), 2)),
            'f' => Some((i64::from(self.micro), 6)),
            'j' => Some((i64::from(doy) + 1, 3)),
            'w' => Some((i64::from(weekday), 1)),
            'u' => Some((i64::from((weekday + 6) % 7) + 1, 1)),
            'U' => Some((i64::from((doy + 7 - weekday) / 7), 2)),
            'W' => Some((i64::from((doy + 7 - (weekday + 6) % 7) / 7), 2)),
            'C' => Some((self.year / 100, 2)),
            _ => None,
        };
        if let Some((value, width)) = number {
            let width = if padded { width } else { 1 };
            // Writing to a String cannot fail.
            let _ = write!(out, "{value:0width$}");
            return;
        }
        let text = match directive {
            'B' => name(&MONTHS, self.month - 1).to_owned(),
            'b' | 'h' => name(&MONTHS, self.month - 1).chars().take(3).collect(),
            'A' => name(&DAYS, weekday).to_owned(),
            'a' => name(&DAYS, weekday).chars().take(3).collect(),
            'p' => if self.hour < 12 { "AM" } else { "PM" }.to_owned(),
            'e' => format!("{:2}", self.day),
            'k' => format!("{:2}", self.hour),
            'l' => format!("{hour12:2}"),
            'D' | 'x' => self.strftime("%m/%d/%y"),
            'F' => self.strftime("%Y-%m-%d"),
            'R' => self.strftime("%H:%M"),
            'T' | 'X' => self.strftime("%H:%M:%S"),
            'r' => self.strftime("%I:%M:%S %p"),
            'c' => self.strftime("%a %b %e %H:%M:%S %Y"),
            'n' => "\n".to_owned(),
            't' => "\t".to_owned(),
            'Z' | 'z' => String::new(),
            '%' => "%".to_owned(),
            other => format!("%{}{other}", if padded { "" } else { "-" }),
        };
        out.push_str(&text);
    }
}

impl std::str::FromStr for LocalTime {
    type Err = ClockParseError;

    /// Reads `2026-03-14T09:26:53`. A space may replace the `T`, and the time of day may be missing.
    fn from_str(s: &str) -> Result<Self, ClockParseError> {
        let parse = || {
            let (date, time) = s.split_once(['T', ' ']).unwrap_or((s, "00:00:00"));
            let numbers = |text: &str, separator: char, widths: [usize; 3]| -> Option<[u32; 3]> {
                let mut parts = text.split(separator);
                let mut out = [0u32; 3];
                for (slot, width) in out.iter_mut().zip(widths) {
                    let part =
                        parts.next().filter(|p| p.len() == width && p.bytes().all(|b| b.is_ascii_digit()))?;
                    *slot = part.parse().ok()?;
                }
                parts.next().is_none().then_some(out)
            };
            let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
            let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
            LocalTime::new(i64::from(year), month, day, hour, minute, second)
        };
        parse().ok_or_else(|| ClockParseError(s.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_like_python() {
        let t: LocalTime = "2026-03-14T09:26:53".parse().unwrap();
        let cases = [
            ("%Y-%m-%d", "2026-03-14"),
            ("%d %b %Y", "14 Mar 2026"),
            ("%B %d, %Y", "March 14, 2026"),
            ("%A %a %j %U %W %w %u", "Saturday Sat 073 10 10 6 6"),
            ("%H:%M:%S %I %p %-d %-m %%", "09:26:53 09 AM 14 3 %"),
            ("%c|%x|%X|%f|%Q|%", "Sat Mar 14 09:26:53 2026|03/14/26|09:26:53|000000|%Q|%"),
        ];
        for (format, expect) in cases {
            assert_eq!(t.strftime(format), expect, "{format}");
        }
    }

    #[test]
    fn days_from_the_epoch() {
        let cases = [
            (0, "1970-01-01 00:00:00 Thursday"),
            (951_782_399, "2000-02-28 23:59:59 Monday"),
            (1_773_480_413, "2026-03-14 09:26:53 Saturday"),
            (4_107_542_400, "2100-03-01 00:00:00 Monday"),
            (i64::MAX, "9999-12-31 23:59:59 Friday"),
            (i64::MIN, "1-01-01 00:00:00 Monday"),
        ];
        for (seconds, expect) in cases {
            assert_eq!(LocalTime::from_unix(seconds).strftime("%Y-%m-%d %H:%M:%S %A"), expect);
        }
    }

    #[test]
    fn wrong_times_are_errors() {
        for s in [
            "",
            "2026-02-29",
            "2026-13-01",
            "2026-01-01T24:00:00",
            "2026-1-1",
            "+026-01-01",
            "2026-01-01T00:00",
        ] {
            assert!(s.parse::<LocalTime>().is_err(), "{s}");
        }
    }
}
