//! Rounding to integers where the target has no instruction for it: a call for each element is what the searches would
//! spend most of their time on.

/// 1.5 x 2^23: a float of this size has no room for a fraction, so that adding it rounds to the nearest, ties to even, and
/// leaves the integer in the low bits.
const MAGIC: f32 = 12_582_912.0;
/// What can be added to [`MAGIC`] without leaving its binade.
const MAX: f32 = 2_097_152.0;

/// The nearest integer, ties to even; 0 for a NaN, and at most 2^21 either way.
#[inline]
pub(super) fn nearest(v: f32) -> i32 {
    let v = if v.is_nan() { 0.0 } else { v };
    (v.clamp(-MAX, MAX) + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32
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
        let wrong: Vec<f32> = cases.into_iter().filter(|&v| nearest(v) != expected(v)).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
