//! Scans over a block's values with which encoders start.

/// Returns the value with the greatest magnitude, with its sign; the first one if there are several, 0 if all are 0 or NaN.
pub(crate) fn signed_max(x: &[f32]) -> f32 {
    let mut max = 0.0f32;
    for &v in x {
        if max.abs() < v.abs() {
            max = v;
        }
    }
    max
}

/// Returns the least and the greatest value.
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
