//! Sums over a row, which only a few layers need. Element `i` goes to lane `i % 16`, every operation rounds, and the lanes are added in the
//! order that `docs/numerics.md` describes. Because every machine runs the same plain code, the bits are the same without kernels.

/// Returns the sum of `f` over a row.
fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (whole, rest) = x.as_chunks::<16>();
    for x in whole {
        for (lane, x) in lanes.iter_mut().zip(x) {
            *lane += f(*x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += f(*x);
    }
    tree(lanes)
}

/// Returns `sum x y`, computed with fused multiply-adds.
pub(crate) fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    for (x, y) in x.chunks(16).zip(y.chunks(16)) {
        for (lane, (x, y)) in lanes.iter_mut().zip(x.iter().zip(y)) {
            *lane = x.mul_add(*y, *lane);
        }
    }
    tree(lanes)
}

/// Returns the sum of the lanes.
fn tree(mut lanes: [f32; 16]) -> f32 {
    for half in [8, 4, 2, 1] {
        let (low, high) = lanes.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
    }
    lanes[0]
}

/// Returns `sqrt(sum x^2)`.
pub(super) fn length(x: &[f32]) -> f32 {
    sum(x, |x| x * x).sqrt()
}

/// Computes `x = max(x - (mean + m * deviation), 0)`: only values that are more than `m` standard deviations above the mean stay above 0.
pub(super) fn above_deviations(x: &mut [f32], m: f32) {
    let n = x.len() as f32;
    let mean = sum(x, |x| x) / n;
    let deviation = (sum(x, |x| (x - mean) * (x - mean)) / n).sqrt();
    let cut = mean + m * deviation;
    x.iter_mut().for_each(|x| *x = (*x - cut).max(0.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_right_at_edge_sizes() {
        for n in [1usize, 2, 15, 16, 17, 33, 100] {
            let x: Vec<f32> = (0..n).map(|i| ((i * 37) % 11) as f32 - 4.0).collect();
            let truth: f64 = x.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>();
            assert!((f64::from(length(&x)) - truth.sqrt()).abs() < 1e-4, "{n}");
            assert!((f64::from(dot(&x, &x)) - truth).abs() < 1e-3, "{n}");
            let mean = x.iter().sum::<f32>() / n as f32;
            let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / n as f32;
            let mut y = x.clone();
            above_deviations(&mut y, 0.5);
            for (x, y) in x.iter().zip(&y) {
                assert!((y - (x - (mean + 0.5 * variance.sqrt())).max(0.0)).abs() < 1e-4, "{n}");
            }
        }
    }
}
