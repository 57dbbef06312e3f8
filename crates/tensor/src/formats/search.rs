//! The scans over a block's values that the encoders of the 4- and 5-bit formats start with.

/// The value with the greatest magnitude, with its sign; the first one of several. 0 when all are 0 or NaN.
pub(crate) fn signed_max(x: &[f32]) -> f32 {
    let mut max = 0.0f32;
    for &v in x {
        if max.abs() < v.abs() {
            max = v;
        }
    }
    max
}

/// The least and the greatest value.
pub(super) fn min_max<const N: usize>(x: &[f32; N]) -> (f32, f32) {
    let (mut min, mut max) = (f32::MAX, f32::MIN);
    for &v in x {
        if v < min {
            min = v;
        }
        if v > max {
            max = v;
        }
    }
    (min, max)
}
