//! Scans over a block's values with which encoders start. Eight lanes keep a vector unit busy, and comparisons return the same on
//! every machine: `f32::max` treats signaling NaNs differently on different ones.

const LANES: usize = 8;

/// Returns the least and the greatest value, or what they start with. NaNs are skipped.
#[inline]
pub(crate) fn extremes(x: &[f32], mut least: f32, mut greatest: f32) -> (f32, f32) {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let (mut low, mut high) = ([least; LANES], [greatest; LANES]);
    for chunk in chunks {
        for l in 0..LANES {
            low[l] = if chunk[l] < low[l] { chunk[l] } else { low[l] };
            high[l] = if chunk[l] > high[l] { chunk[l] } else { high[l] };
        }
    }
    for &v in low.iter().chain(rest) {
        least = if v < least { v } else { least };
    }
    for &v in high.iter().chain(rest) {
        greatest = if v > greatest { v } else { greatest };
    }
    (least, greatest)
}

/// Returns the value with the greatest magnitude, with its sign; the first one if there are several, 0 if all are 0 or NaN.
#[inline]
pub(crate) fn signed_max(x: &[f32]) -> f32 {
    let (least, greatest) = extremes(x, 0.0, 0.0);
    if greatest == -least && greatest > 0.0 {
        return x.iter().copied().find(|v| v.abs() == greatest).unwrap_or(0.0);
    }
    if greatest >= -least { greatest } else { least }
}

/// Returns the greatest magnitude, or 0 if all values are NaN.
#[inline]
pub(super) fn greatest_magnitude(x: &[f32]) -> f32 {
    let (least, greatest) = extremes(x, 0.0, 0.0);
    if greatest >= -least { greatest } else { -least }
}

/// Returns the least and the greatest value.
#[inline]
pub(super) fn min_max<const N: usize>(x: &[f32; N]) -> (f32, f32) {
    extremes(x, f32::MAX, f32::MIN)
}

/// 1.5 x 2^23: adding it to a small value rounds to the nearest integer, which the low bits then hold.
const MAGIC: f32 = 12_582_912.0;

/// Returns the integer part of `v`, between 0 and `hi`, which is less than 256; 0 for a NaN. A cast does the same, but not in
/// vector registers.
#[inline]
pub(super) fn integer_part(v: f32, hi: f32) -> u8 {
    let v = if v > 0.0 { v } else { 0.0 };
    let nearest = (v + MAGIC) - MAGIC;
    let part = nearest - if nearest > v { 1.0 } else { 0.0 };
    let part = if part < hi { part } else { hi };
    (part + MAGIC).to_bits() as u8
}

/// Returns the integer nearest to `v`, of at most the magnitude `hi`, which is less than 128; 0 for a NaN. Halves round away from
/// zero, as those of [`f32::round`], which is a function call.
#[inline]
pub(super) fn round_away(v: f32, hi: f32) -> i8 {
    let magnitude = if v.abs() > 0.0 { v.abs() } else { 0.0 };
    let even = (magnitude + MAGIC) - MAGIC;
    let away = even + if magnitude - even == 0.5 { 1.0 } else { 0.0 };
    let away = if away < hi { away } else { hi };
    let signed = if v < 0.0 { -away } else { away };
    (signed + MAGIC).to_bits() as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_find_the_first_of_equal_magnitudes_and_skip_nans() {
        let nan = f32::NAN;
        let mut long = [0.5; 19];
        (long[3], long[11], long[18]) = (-2.0, 2.0, nan);
        for (x, signed, magnitude) in [
            (&[][..], 0.0, 0.0),
            (&[nan, nan], 0.0, 0.0),
            (&[-0.0; 9], 0.0, 0.0),
            (&[1.0, nan, -3.0, 3.0], -3.0, 3.0),
            (&[1.0, 3.0, -3.0], 3.0, 3.0),
            (&[-1.0, -0.5], -1.0, 1.0),
            (&long, -2.0, 2.0),
        ] {
            // The bits, since a scale of -0 would be stored as such.
            let found = [signed_max(x), greatest_magnitude(x)].map(f32::to_bits);
            assert_eq!(found, [signed, magnitude].map(f32::to_bits), "{x:?}");
        }
        long[18] = -7.0;
        assert_eq!(min_max(&long), (-7.0, 2.0));
        assert_eq!(min_max(&[nan; 9]), (f32::MAX, f32::MIN));
    }

    #[test]
    fn integer_parts_are_those_of_a_cast() {
        let mut cases: Vec<f32> = (0..9000).map(|i| i as f32 / 500.0 - 1.0).collect();
        cases.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e9, -1e9, 15.999_999, 0.999_999_94]);
        let wrong: Vec<f32> =
            cases.into_iter().filter(|v| integer_part(*v, 15.0) != (*v as i8).clamp(0, 15) as u8).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn halves_round_away_from_zero() {
        let mut cases: Vec<f32> = (-1100..1100).map(|i| i as f32 / 8.0).collect();
        cases.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e9, -1e9, 0.499_999_97, -1.499_999_9]);
        let expected = |v: f32| (v.round() as i8).clamp(-127, 127);
        let wrong: Vec<f32> = cases.into_iter().filter(|v| round_away(*v, 127.0) != expected(*v)).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
