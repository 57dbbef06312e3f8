//! The search for formats with a minimum: an element is `d * scale * q - dmin * min`, with unsigned integers.

use super::round;
use half::f16;

/// The integers of a format: `0 ..= q`, sub-scales and sub-minimums `0 ..= scale`.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) q: i32,
    pub(super) scale: i32,
}

/// An encoded super-block of `N` sub-blocks.
pub(super) struct Fitted<const N: usize> {
    pub(super) d: f32,
    pub(super) dmin: f32,
    pub(super) scales: [u8; N],
    pub(super) mins: [u8; N],
    pub(super) q: [u8; 256],
    error: f32,
}

const MAX_SUB: usize = 32;

/// Sets `q[i] = round((x[i] + min) * inverse)`, clamped to `0 ..= hi`.
fn nearest(x: &[f32], min: f32, inverse: f32, hi: i32, q: &mut [u8]) {
    for (q, x) in q.iter_mut().zip(x) {
        *q = round::nearest((x + min) * inverse).clamp(0, hi) as u8;
    }
}

/// Returns the weighted error of `scale * q - min`.
fn error(x: &[f32], w: &[f32], q: &[u8], scale: f32, min: f32) -> f32 {
    let one = |x: f32, q: u8| x - (scale * f32::from(q) - min);
    x.iter().zip(w).zip(q).map(|((&x, w), &q)| one(x, q) * one(x, q) * w).sum()
}

/// Returns the best scale and minimum of a sub-block by itself. The minimum is subtracted. Unless `any_sign` is set, it is not
/// negative.
pub(super) fn fit(x: &[f32], w: &[f32], hi: i32, any_sign: bool) -> (f32, f32) {
    // Comparisons, since `f32::max` treats signaling NaNs differently on different machines.
    let (low, high) = x.iter().fold((f32::MAX, f32::MIN), |(low, high), &v| {
        (if v < low { v } else { low }, if v > high { v } else { high })
    });
    let low = if any_sign { low } else { low.min(0.0) };
    let range = high - low;
    if !(range > 0.0 && range.is_finite()) {
        return if low.is_finite() { (0.0, -low) } else { (0.0, 0.0) };
    }
    let mut best = (f32::INFINITY, 0.0, -low);
    let mut q = [0; MAX_SUB];
    let q = &mut q[..x.len()];
    for step in -10..=12 {
        let mut inverse = (hi as f32 + step as f32 * 0.1) / range;
        let mut min = -low;
        // The second pass starts from what the first one found.
        for _ in 0..2 {
            nearest(x, min, inverse, hi, q);
            // Least squares of x = scale q - min.
            let (mut sw, mut sx, mut sq, mut sqq, mut sqx) = (0.0, 0.0, 0.0, 0.0, 0.0);
            for ((x, w), &q) in x.iter().zip(w).zip(&*q) {
                let q = f32::from(q);
                sw += w;
                sx += w * x;
                sq += w * q;
                sqq += w * q * q;
                sqx += w * q * x;
            }
            let det = sw * sqq - sq * sq;
            if det <= 0.0 {
                break;
            }
            let mut scale = (sw * sqx - sx * sq) / det;
            min = (sq * sqx - sqq * sx) / det;
            if min < 0.0 && !any_sign {
                (scale, min) = (sqx / sqq, 0.0);
            }
            let error = error(x, w, q, scale, min);
            if error < best.0 {
                best = (error, scale, min);
            }
            if scale <= 0.0 {
                break;
            }
            inverse = 1.0 / scale;
        }
    }
    (best.1, best.2)
}

/// Returns the nearest integer and its neighbors, all within `0 ..= hi`.
fn around(v: f32, hi: i32) -> [i32; 3] {
    let n = round::nearest(v).clamp(0, hi);
    [n, (n + 1).min(hi), (n - 1).max(0)]
}

fn stored(d: f32) -> f32 {
    f16::from_f32(d).to_f32()
}

/// Searches for the best encoding of a super-block.
pub(super) fn super_block<const N: usize>(limits: Limits, x: &[f32; 256], w: &[f32; 256]) -> Fitted<N> {
    let sub = 256 / N;
    let mut alone = [(0.0, 0.0); N];
    let (mut scale, mut min) = (0.0f32, 0.0f32);
    for ((alone, x), w) in alone.iter_mut().zip(x.chunks_exact(sub)).zip(w.chunks_exact(sub)) {
        *alone = fit(x, w, limits.q, false);
        (scale, min) = (scale.max(alone.0), min.max(alone.1));
    }
    // The starting point is a scale of 0; every try has to be better.
    let error = x.iter().zip(w).map(|(x, w)| w * x * x).sum();
    let mut best = Fitted { d: 0.0, dmin: 0.0, scales: [0; N], mins: [0; N], q: [0; 256], error };
    let top = limits.scale as f32;
    for (a, b) in [(0.0, 0.0), (0.7, 0.0), (0.0, 0.7), (-0.3, -0.3)] {
        best.attempt(limits, x, w, &alone, (stored(scale / (top - a)), stored(min / (top - b))));
    }
    for _ in 0..2 {
        let d = best.refined(x, w);
        best.attempt(limits, x, w, &alone, d);
    }
    best
}

impl<const N: usize> Fitted<N> {
    /// Returns the `d` and `dmin` with the least squared error for the integers as they are.
    fn refined(&self, x: &[f32; 256], w: &[f32; 256]) -> (f32, f32) {
        let sub = 256 / N;
        let (mut aa, mut ab, mut bb, mut ax, mut bx) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (i, ((x, w), &q)) in x.iter().zip(w).zip(&self.q).enumerate() {
            let a = f32::from(self.scales[i / sub]) * f32::from(q);
            let b = f32::from(self.mins[i / sub]);
            aa += w * a * a;
            ab += w * a * b;
            bb += w * b * b;
            ax += w * a * x;
            bx += w * b * x;
        }
        let det = aa * bb - ab * ab;
        if det > 0.0 {
            (stored((ax * bb - bx * ab) / det), stored((ax * ab - bx * aa) / det))
        } else if aa > 0.0 {
            (stored(ax / aa), 0.0)
        } else {
            (self.d, self.dmin)
        }
    }

    /// Encodes with `d` and `dmin`, and keeps the result if it is better.
    fn attempt(
        &mut self,
        limits: Limits,
        x: &[f32; 256],
        w: &[f32; 256],
        alone: &[(f32, f32); N],
        (d, dmin): (f32, f32),
    ) {
        if !(d.is_finite() && dmin.is_finite() && d >= 0.0 && dmin >= 0.0) {
            return;
        }
        let sub = 256 / N;
        let mut this = Self { d, dmin, scales: [0; N], mins: [0; N], q: [0; 256], error: 0.0 };
        for (s, &(scale, min)) in alone.iter().enumerate() {
            let at = s * sub..(s + 1) * sub;
            let (x, w) = (&x[at.clone()], &w[at.clone()]);
            let (mut least, mut q) = (f32::INFINITY, [0; MAX_SUB]);
            let q = &mut q[..sub];
            let mins = if dmin > 0.0 { around(min / dmin, limits.scale) } else { [0; 3] };
            let scales = if d > 0.0 { around(scale / d, limits.scale) } else { [0; 3] };
            for m in mins {
                for l in scales {
                    let (dl, dm) = (d * l as f32, dmin * m as f32);
                    nearest(x, dm, if dl > 0.0 { 1.0 / dl } else { 0.0 }, limits.q, q);
                    let error = error(x, w, q, dl, dm);
                    if error < least {
                        (least, this.scales[s], this.mins[s]) = (error, l as u8, m as u8);
                        this.q[at.clone()].copy_from_slice(q);
                    }
                }
            }
            this.error += least;
        }
        if this.error < self.error {
            *self = this;
        }
    }
}
