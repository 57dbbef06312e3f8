//! Numbers between bounds, as terms over the characters of their decimal spelling.
//!
//! ```text
//! x >= 305, whole:      more digits | 3 0 [5-9] | 3 [1-9] d | [4-9] d d
//! x >= 2.5, fraction:   a whole part above 2, any fraction | 2 . (5 d* | [6-9] d*)
//! x <= ..               the same downwards; negative numbers: the bounds of the size change places
//! ```

use super::decimal::Decimal;
use super::shape::Shape;
use super::types::{FRACTION, INTEGER};
use crate::charset::CharSet;
use crate::regular::{Algebra, EMPTY, Term};

/// A bound. An exclusive bound is not part of the range itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) value: Decimal,
    pub(super) exclusive: bool,
}

/// The number of digits before and after the point. More are no use to a model, and f64 cannot hold them.
const DIGITS: u32 = 16;
/// The number of digits in the specification's reading.
const WIDE_DIGITS: u32 = 40;

/// The spellings of a shape's numbers. `wide` allows more digits, and a decimal point for whole numbers.
pub(super) fn numbers(shape: &Shape<'_>, wide: bool, a: &mut Algebra) -> Term {
    numbers_of(shape, wide, if wide { WIDE_DIGITS } else { DIGITS }, a)
}

/// The spellings of a shape's numbers, of any length.
pub(super) fn of_any_length(shape: &Shape<'_>, a: &mut Algebra) -> Term {
    numbers_of(shape, true, u32::MAX, a)
}

/// What [`numbers`] leaves out.
pub(super) const LEFT_OUT: &str = "numbers of more than 40 digits before or after the point";

fn numbers_of(shape: &Shape<'_>, wide: bool, digits: u32, a: &mut Algebra) -> Term {
    let integer = shape.types & FRACTION == 0 || shape.multiples.iter().any(|(_, places)| *places == 0);
    let decimals = shape.multiples.iter().map(|(_, places)| *places).min();
    let mut terms = shape.numbers.clone();
    for &(modulus, places) in &shape.multiples {
        terms.push(multiple(modulus, places, a));
    }
    if shape.types & INTEGER == 0 {
        let whole = multiple(1, 0, a);
        terms.push(a.not(whole));
    }
    let exact = !terms.is_empty() || shape.min.is_some() || shape.max.is_some();
    let (min, max) = (shape.min.as_ref(), shape.max.as_ref());
    if wide && integer {
        terms.push(multiple(1, 0, a));
        terms.push(range(min, max, false, None, true, digits, a));
    } else {
        terms.push(range(min, max, integer, decimals, exact, digits, a));
    }
    a.and(terms)
}

/// The spellings of one number, of any length, without an exponent.
pub(super) fn equal(number: &Decimal, a: &mut Algebra) -> Term {
    let minus = a.literal("-");
    let sign = match number.negative {
        true => minus,
        false if number.is_zero() => a.optional(minus),
        false => EMPTY,
    };
    let whole = a.literal(if number.whole.is_empty() { "0" } else { &number.whole });
    let (point, digits, zero) = (a.literal("."), a.literal(&number.fraction), a.literal("0"));
    let zeros = a.repeat(zero, u32::from(number.is_integer()), None);
    let mut fraction = a.concat([point, digits, zeros]);
    if number.is_integer() {
        fraction = a.optional(fraction);
    }
    a.concat([sign, whole, fraction])
}

/// The numbers in their only accepted spelling, so that equal numbers have equal texts: `1`, not `1.0` or `1e0`; `0`,
/// not `-0`.
pub(super) fn shortest(a: &mut Algebra) -> Term {
    let (anything, point, zero) = (a.anything(), a.literal("."), a.literal("0"));
    let trailing = a.concat([anything, point, anything, zero]);
    let minus_zero = a.literal("-0");
    let e = a.chars("eE");
    let exponent = a.concat([anything, e, anything]);
    let others = a.or([trailing, minus_zero, exponent]);
    a.not(others)
}

/// Spellings of multiples of `modulus` times 10 to the power of minus `places`.
///
/// A number with j decimal places is a multiple if its digits, read as a whole number, are a multiple of modulus /
/// gcd(modulus, 10^(places - j)); further places are zeros.
pub(super) fn multiple(modulus: u64, places: u32, a: &mut Algebra) -> Term {
    let digit = digit(a);
    let (some, point, zero) = (a.repeat(digit, 1, None), a.literal("."), a.literal("0"));
    let mut ways = Vec::new();
    for j in 0..=places {
        let decimals = a.repeat(digit, j, Some(j));
        let fraction = if j == 0 { EMPTY } else { a.then(point, decimals) };
        let syntax = a.then(some, fraction);
        let of = a.multiple_of(modulus / gcd(modulus, 10u64.pow(places - j)));
        let mut way = a.and([syntax, of]);
        if j == places {
            let zeros = a.repeat(zero, u32::from(j == 0), None);
            let more = if j == 0 { a.then(point, zeros) } else { zeros };
            let more = a.optional(more);
            way = a.then(way, more);
        }
        ways.push(way);
    }
    let minus = a.literal("-");
    let minus = a.optional(minus);
    let sizes = a.or(ways);
    a.then(minus, sizes)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The spellings of numbers in a range: with `integer`, without point and exponent; with at most `decimals` digits
/// after the point; with `exact`, without exponents, since the spelling has to meet other conditions too.
fn range(
    min: Option<&Bound>,
    max: Option<&Bound>,
    integer: bool,
    decimals: Option<u32>,
    exact: bool,
    digits: u32,
    a: &mut Algebra,
) -> Term {
    let most = |part: fn(&Decimal) -> &String| {
        [min, max].into_iter().flatten().map(|b| part(&b.value).len() as u32).max().unwrap_or(0)
    };
    let syntax = {
        let whole = whole(most(|d| &d.whole).max(digits), a);
        let digit = digit(a);
        let places = decimals.unwrap_or(most(|d| &d.fraction).max(digits));
        let point = a.literal(".");
        let after = a.repeat(digit, 1, Some(places).filter(|places| *places < u32::MAX));
        let fraction = if places == 0 { EMPTY } else { a.then(point, after) };
        let fraction = a.optional(fraction);
        if integer { whole } else { a.then(whole, fraction) }
    };
    // Magnitudes of the non-negative numbers: from max(min, 0) to max; of the negative ones: from max(-max, 0) to -min.
    let below_zero = |b: &Bound| b.value.negative || (b.value.is_zero() && b.exclusive);
    let mut ways = Vec::new();
    if !max.is_some_and(below_zero) {
        let from = min.filter(|b| !b.value.negative);
        ways.push(sized(from, max, syntax, a));
    }
    if min.is_none_or(|b| b.value.negative) {
        let from = max.filter(|b| below_zero(b)).map(Bound::abs);
        let to = min.map(Bound::abs);
        let size = sized(from.as_ref(), to.as_ref(), syntax, a);
        let minus = a.literal("-");
        // Minus zero equals zero. It is left out where it might cross a bound, and is of no use elsewhere.
        let zero = zero(a);
        let not_zero = a.not(zero);
        let size = if exact || integer { a.and([size, not_zero]) } else { size };
        ways.push(a.then(minus, size));
    }
    let plain = a.or(ways);
    if exact || integer {
        return plain;
    }
    let (e, sign, digits) = (a.chars("eE"), a.chars("+-"), exponent(digits, a));
    let sign = a.optional(sign);
    let exponent = a.concat([e, sign, digits]);
    let exponent = a.optional(exponent);
    a.then(plain, exponent)
}

impl Bound {
    fn abs(&self) -> Self {
        Self { value: self.value.abs(), exclusive: self.exclusive }
    }
}

fn digit(a: &mut Algebra) -> Term {
    a.class(CharSet::new([(0x30, 0x39)]))
}

/// The digits of an exponent. With `digits` digits before the point, a number stays below 10^308, which parsers that
/// use f64 accept.
fn exponent(digits: u32, a: &mut Algebra) -> Term {
    let tens = if digits > DIGITS { '5' } else { '8' };
    let (digit, low, two) = (digit(a), a.chars("01"), a.literal("2"));
    let tens = a.class(CharSet::new([(0x30, u32::from(tens))]));
    let short = a.repeat(digit, 1, Some(2));
    let below_200 = a.concat([low, digit, digit]);
    let above = a.concat([two, tens, digit]);
    a.or([short, below_200, above])
}

fn whole(digits: u32, a: &mut Algebra) -> Term {
    let (zero, first, digit) = (a.literal("0"), a.class(CharSet::new([(0x31, 0x39)])), digit(a));
    let more = a.repeat(digit, 0, Some(digits).filter(|digits| *digits < u32::MAX).map(|digits| digits - 1));
    let number = a.then(first, more);
    a.or([zero, number])
}

/// Any spelling of zero without a sign.
fn zero(a: &mut Algebra) -> Term {
    let (zero, point) = (a.literal("0"), a.literal("."));
    let zeros = a.repeat(zero, 1, None);
    let fraction = a.then(point, zeros);
    let fraction = a.optional(fraction);
    a.then(zero, fraction)
}

/// Magnitudes from one bound to another, both at least 0.
fn sized(from: Option<&Bound>, to: Option<&Bound>, syntax: Term, a: &mut Algebra) -> Term {
    let mut parts = vec![syntax];
    for (bound, up) in [(from, true), (to, false)] {
        if let Some(bound) = bound {
            parts.push(side(bound, up, a));
        }
    }
    a.and(parts)
}

/// Unsigned spellings on one side of a bound, above or below. `syntax` takes care of leading zeros.
fn side(bound: &Bound, up: bool, a: &mut Algebra) -> Term {
    let digit = digit(a);
    let any = a.repeat(digit, 0, None);
    let point = a.literal(".");
    let digits = a.repeat(digit, 1, None);
    let fraction = a.then(point, digits);
    let fraction = a.optional(fraction);
    let whole = if bound.value.whole.is_empty() { "0" } else { &bound.value.whole };
    let mut ways = Vec::new();
    // A different number of digits.
    let len = whole.len() as u32;
    let other = if up { a.repeat(digit, len + 1, None) } else { a.repeat(digit, 1, Some(len - 1)) };
    if up || len > 1 {
        ways.push(a.then(other, fraction));
    }
    // The same number of digits, but one digit differs.
    for (before, differs, after) in deviations(whole, up) {
        let (before, differs) = (a.literal(before), a.class(differs));
        let rest = a.repeat(digit, after, Some(after));
        ways.push(a.concat([before, differs, rest, fraction]));
    }
    // The same whole part.
    let same = a.literal(whole);
    let part = &bound.value.fraction;
    let mut tails = Vec::new();
    for (before, differs, _) in deviations(part, up) {
        let (before, differs) = (a.literal(before), a.class(differs));
        tails.push(a.concat([point, before, differs, any]));
    }
    if up {
        // Exactly the bound's digits and more: above the bound if one of the others is not 0.
        let exact = a.literal(part);
        let nonzero = a.class(CharSet::new([(0x31, 0x39)]));
        let above = a.concat([any, nonzero, any]);
        tails.push(a.concat([point, exact, if bound.exclusive { above } else { any }]));
        if part.is_empty() && !bound.exclusive {
            tails.push(a.literal(""));
        }
    } else {
        // Prefixes of the bound's digits followed by zeros: below the bound, or equal if the prefix is all of them.
        let zero = a.literal("0");
        let zeros = a.repeat(zero, 0, None);
        for end in 0..=part.len() {
            if end == part.len() && bound.exclusive {
                continue;
            }
            let beginning = a.literal(&part[..end]);
            tails.push(a.concat([point, beginning, zeros]));
        }
        if !part.is_empty() || !bound.exclusive {
            tails.push(a.literal(""));
        }
    }
    let tails = a.or(tails);
    ways.push(a.then(same, tails));
    a.or(ways)
}

/// The ways to deviate upwards or downwards from a number's digits: the common prefix, the digits that differ, and how
/// many follow.
fn deviations(digits: &str, up: bool) -> Vec<(&str, CharSet, u32)> {
    let mut found = Vec::new();
    for (i, digit) in digits.bytes().enumerate() {
        let digit = u32::from(digit);
        let set = CharSet::new([if up { (digit + 1, 0x39) } else { (0x30, digit - 1) }]);
        if !set.is_empty() {
            found.push((&digits[..i], set, (digits.len() - i - 1) as u32));
        }
    }
    found
}
