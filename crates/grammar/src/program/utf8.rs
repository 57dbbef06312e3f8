//! Ranges of characters as sequences of byte ranges.

/// Splits a range of fixed-width numbers into products of digit ranges, most significant digit first.
///
/// `low` and `high` have `digits` digits of `bits` bits. Each result is a list of `digits` ranges; together they cover
/// the range exactly once. Also used for hexadecimal digits.
pub(crate) fn digit_ranges(low: u32, high: u32, bits: u32, digits: u32) -> Vec<Vec<(u32, u32)>> {
    let mut found = Vec::new();
    split(low, high, bits, digits, &mut Vec::new(), &mut found);
    found
}

fn split(
    low: u32,
    high: u32,
    bits: u32,
    digits: u32,
    before: &mut Vec<(u32, u32)>,
    found: &mut Vec<Vec<(u32, u32)>>,
) {
    let shift = bits * (digits - 1);
    let (first, last) = (low >> shift, high >> shift);
    if digits == 1 {
        found.push(before.iter().copied().chain([(first, last)]).collect());
        return;
    }
    let mask = (1 << shift) - 1;
    let (mut from, mut to) = (first, last);
    let mut digit = |a: u32, b: u32, low: u32, high: u32, before: &mut Vec<(u32, u32)>| {
        before.push((a, b));
        split(low, high, bits, digits - 1, before, found);
        before.pop();
    };
    if first == last {
        digit(first, last, low & mask, high & mask, before);
        return;
    }
    if low & mask != 0 {
        digit(first, first, low & mask, mask, before);
        from += 1;
    }
    if high & mask != mask {
        to -= 1;
    }
    if from <= to {
        digit(from, to, 0, mask, before);
    }
    if high & mask != mask {
        digit(last, last, 0, high & mask, before);
    }
}

/// The UTF-8 of all characters from `low` to `high`, as products of byte ranges.
pub(crate) fn sequences(low: u32, high: u32) -> Vec<Vec<(u8, u8)>> {
    // Length, first and last character of that length, and the marker bits of the first byte.
    const LENGTHS: [(u32, u32, u32, u32); 4] =
        [(1, 0, 0x7F, 0), (2, 0x80, 0x7FF, 0xC0), (3, 0x800, 0xFFFF, 0xE0), (4, 0x1_0000, 0x10_FFFF, 0xF0)];
    let mut found = Vec::new();
    for (len, first, last, mark) in LENGTHS {
        let (low, high) = (low.max(first), high.min(last));
        if low > high {
            continue;
        }
        // A sequence is a number of `len` digits of six bits, where the first digit also holds the marker. A single
        // byte has seven bits.
        let bits = if len == 1 { 7 } else { 6 };
        for digits in digit_ranges(low, high, bits, len) {
            let byte = |i: usize, d: u32| (d | if i == 0 { mark } else { 0x80 }) as u8;
            found.push(digits.iter().enumerate().map(|(i, &(a, b))| (byte(i, a), byte(i, b))).collect());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_spelled_once() {
        let ranges =
            [(0, 0x10_FFFF), (0x41, 0x41), (0x7F, 0x80), (0x7FF, 0x801), (0xE9, 0x20AC), (0xFFFF, 0x1_0001)];
        for (low, high) in ranges {
            let sequences = sequences(low, high);
            for c in (0..=0x10_FFFF).filter_map(char::from_u32) {
                let mut buffer = [0; 4];
                let bytes = c.encode_utf8(&mut buffer).as_bytes();
                let matches = |s: &Vec<(u8, u8)>| {
                    s.len() == bytes.len() && s.iter().zip(bytes).all(|(&(a, b), &x)| a <= x && x <= b)
                };
                let count = sequences.iter().filter(|s| matches(s)).count();
                assert_eq!(
                    count,
                    usize::from((low..=high).contains(&(c as u32))),
                    "{c:?} of {low:x}-{high:x}"
                );
            }
        }
    }

    #[test]
    fn hexadecimal_numbers_are_covered_once() {
        for (low, high) in [(0, 0xFFFF), (0x20, 0x2F), (0x1F, 0x120), (0xABCD, 0xABCD), (0x0FFF, 0x1000)] {
            let products = digit_ranges(low, high, 4, 4);
            for n in 0..=0xFFFFu32 {
                let digit = |i: usize| n >> (12 - 4 * i) & 15;
                let matches = |p: &Vec<(u32, u32)>| {
                    p.iter().enumerate().all(|(i, &(a, b))| (a..=b).contains(&digit(i)))
                };
                let count = products.iter().filter(|p| matches(p)).count();
                assert_eq!(count, usize::from((low..=high).contains(&n)), "{n:x} of {low:x}-{high:x}");
            }
        }
    }
}
