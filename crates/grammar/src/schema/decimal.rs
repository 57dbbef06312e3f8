//! Decimal numbers as written, compared exactly.

use core::cmp::Ordering;
use core::fmt;
use serde_json::{Number, Value};

/// A decimal number: no leading zeros before the point, no trailing zeros after it, and zero is not negative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    pub(super) negative: bool,
    /// Digits before the point; empty for 0.
    pub(super) whole: String,
    /// Digits after the point.
    pub(super) fraction: String,
}

impl Decimal {
    pub(super) fn new(number: &Number) -> Self {
        let text = number.to_string();
        let (negative, text) = text.strip_prefix('-').map_or((false, text.as_str()), |rest| (true, rest));
        let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        // A JSON number that serde_json accepts is finite in f64, so its exponent is small.
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let (mut whole, mut fraction) = (whole.to_owned(), fraction.to_owned());
        for _ in 0..exponent.max(0) {
            whole.push(if fraction.is_empty() { '0' } else { fraction.remove(0) });
        }
        for _ in 0..(-exponent).max(0) {
            fraction.insert(0, whole.pop().unwrap_or('0'));
        }
        let whole = whole.trim_start_matches('0').to_owned();
        let fraction = fraction.trim_end_matches('0').to_owned();
        let negative = negative && !(whole.is_empty() && fraction.is_empty());
        Self { negative, whole, fraction }
    }

    pub(super) fn is_integer(&self) -> bool {
        self.fraction.is_empty()
    }

    /// The number without its sign.
    pub(super) fn abs(&self) -> Self {
        Self { negative: false, ..self.clone() }
    }

    pub(super) fn is_zero(&self) -> bool {
        self.whole.is_empty() && self.fraction.is_empty()
    }

    /// The whole number formed by the digits before the point and `n` digits after it; `None` if there are more digits,
    /// or if it does not fit in a u64.
    pub(super) fn scaled(&self, n: usize) -> Option<u64> {
        if self.fraction.len() > n {
            return None;
        }
        let digits = format!("0{}{:0<n$}", self.whole, self.fraction);
        digits.parse().ok()
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let whole = if self.whole.is_empty() { "0" } else { &self.whole };
        let point = if self.fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{}", self.fraction)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        fn size(d: &Decimal) -> (usize, &str, &str) {
            (d.whole.len(), &d.whole, &d.fraction)
        }
        match (self.negative, other.negative) {
            (false, false) => size(self).cmp(&size(other)),
            (true, true) => size(other).cmp(&size(self)),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The canonical text of a JSON value, the same for all its spellings: 1 equals 1.0, and members have no order.
pub(super) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Number(number) => text.push_str(&Decimal::new(number).to_string()),
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in members {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

/// Whether JSON Schema considers two values equal: 1 equals 1.0.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    // Most values already differ in type or size.
    core::mem::discriminant(a) == core::mem::discriminant(b) && canonical(a) == canonical(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::new(&serde_json::from_str(text).expect("a number"))
    }

    #[test]
    fn order() {
        let ascending = [
            "-1e20", "-100", "-99.5", "-99", "-0.5", "0", "1e-7", "0.05", "0.5", "1", "1.25", "10", "1e2",
            "2e20",
        ];
        for pair in ascending.windows(2) {
            assert!(decimal(pair[0]) < decimal(pair[1]), "{pair:?}");
        }
        for (a, b) in [("1", "1.0"), ("-0.0", "0"), ("1e2", "100"), ("0.1", "1e-1")] {
            assert_eq!(decimal(a), decimal(b));
        }
        assert_eq!(decimal("1.25").scaled(2), Some(125));
        assert_eq!(decimal("3").scaled(2), Some(300));
        assert_eq!(decimal("1.25").scaled(1), None);
    }
}
