//! Rounding to integers without a special instruction. On targets that lack one, rounding is a function call, on which the
//! searches would spend most of their time.

/// 1.5 x 2^23. A float of this size has no fraction bits, so that adding it to a value rounds to nearest, ties to even, and
/// leaves the integer in the low bits.
const MAGIC: f32 = 12_582_912.0;
/// Greatest magnitude that can be added to [`MAGIC`] without leaving its binade.
const MAX: f32 = 2_097_152.0;

/// Returns the nearest integer, ties to even. A NaN becomes 0, and the magnitude of the result is at most 2^21.
#[inline]
pub(super) fn nearest(v: f32) -> i32 {
    let v = if v.is_nan() { 0.0 } else { v };
    (v.clamp(-MAX, MAX) + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32
}

/// Returns the integer of `lo ..= hi` that is nearest to `v`, ties to even, as a float; `lo` for a NaN. Both limits are integers
/// of less than 2^21. The comparisons are written so that they compile to one instruction each.
#[inline]
pub(super) fn within(v: f32, lo: f32, hi: f32) -> f32 {
    // The limits come last: before the sum, a compiler would fold them with the constant, and branch.
    let v = (v + MAGIC) - MAGIC;
    let v = if v > lo { v } else { lo };
    if v < hi { v } else { hi }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_nearest_with_ties_to_even() {
        let mut cases =
            vec![0.0, 0.5, 1.5, 2.5, 0.499_999_97, 1e-40, 127.5, 128.5, MAX, MAX - 0.5, 3e9, f32::INFINITY];
        cases.extend((0..4000).map(|i| i as f32 * 0.125));
        cases.extend(cases.clone().into_iter().map(|v| -v));
        cases.push(f32::NAN);
        let expected = |v: f32| (v.round_ties_even() as i32).clamp(-(MAX as i32), MAX as i32);
        let wrong: Vec<f32> = cases.iter().copied().filter(|&v| nearest(v) != expected(v)).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        cases.retain(|v| !v.is_nan());
        let expected = |v: f32| expected(v).clamp(-4, 3) as f32;
        let wrong: Vec<f32> = cases.into_iter().filter(|&v| within(v, -4.0, 3.0) != expected(v)).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        assert_eq!(within(f32::NAN, -4.0, 3.0), -4.0);
    }
}
