//! The search for formats with a minimum: an element is `d * scale * q - dmin * min`, with unsigned integers.
//!
//! As in [`fit`](super::fit), a register holds the same element for several tries.

use super::fit::LANES;
use super::round;
use crate::formats::search::extremes;
use half::f16;

/// The integers of a format: `0 ..= q`, sub-scales and sub-minimums `0 ..= scale`.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) q: i32,
    pub(super) scale: i32,
    /// Whether all weights are 1.
    pub(super) even: bool,
}

/// An encoded super-block of `N` sub-blocks.
#[derive(Clone, Copy)]
pub(super) struct Fitted<const N: usize> {
    pub(super) d: f32,
    pub(super) dmin: f32,
    pub(super) scales: [u8; N],
    pub(super) mins: [u8; N],
    pub(super) q: [u8; 256],
    error: f32,
}

/// The tries of [`fit`]: what is added to the greatest integer before it is divided by the range. The values between the steps
/// of the first pass are reached by the second one.
const STEPS: [f32; LANES] = [-0.9, -0.6, -0.3, 0.0, 0.3, 0.6, 0.9, 1.2];

/// Returns the best scale and minimum of a sub-block by itself. The minimum is subtracted. Unless `any_sign` is set, it is not
/// negative.
pub(super) fn fit(x: &[f32], w: &[f32], hi: i32, even: bool, any_sign: bool) -> (f32, f32) {
    let (low, high) = extremes(x, f32::MAX, f32::MIN);
    let low = if any_sign { low } else { low.min(0.0) };
    let range = high - low;
    if !(range > 0.0 && range.is_finite()) {
        return if low.is_finite() { (0.0, -low) } else { (0.0, 0.0) };
    }
    let hi = hi as f32;
    // From here on, values count from the least one, so that a great offset takes no precision from the sums.
    let mut above = [0.0; MAX_SUB];
    let above = &mut above[..x.len()];
    let (mut sw, mut sx, mut sxx) = (0.0, 0.0, 0.0);
    for ((above, x), w) in above.iter_mut().zip(x).zip(w) {
        *above = x - low;
        sw += w;
        sx += w * *above;
        sxx += w * *above * *above;
    }
    // The least error of each lane, and its scale and minimum. Nothing branches, since no branch of a search can be predicted.
    let mut best = Best { errors: [f32::INFINITY; LANES], scales: [0.0; LANES], mins: [0.0; LANES] };
    let (mut inverses, mut mins) = (STEPS.map(|step| (hi + step) / range), [0.0; LANES]);
    // The second pass starts from what the first one found.
    for _ in 0..2 {
        let [sq, sqq, sqx] = sums(above, w, even, hi, &inverses, &mins);
        for l in 0..LANES {
            // Least squares of x = scale q - min; with the minimum fixed at 0 if it would be negative, or if all integers are the
            // same, so that nothing but rounding errors says what it is.
            let det = sw * sqq[l] - sq[l] * sq[l];
            let scale = (sw * sqx[l] - sx * sq[l]) / det;
            let min = (sq[l] * sqx[l] - sqq[l] * sx) / det;
            let is_fixed = det <= LEAST_DET * sw * sqq[l] || min < low && !any_sign;
            let scale = if is_fixed { (sqx[l] + low * sq[l]) / sqq[l] } else { scale };
            let min = if is_fixed { low } else { min };
            let error =
                sxx + scale * (scale * sqq[l] - 2.0 * sqx[l]) + min * (min * sw + 2.0 * (sx - scale * sq[l]));
            let better = error < best.errors[l];
            best.errors[l] = if better { error } else { best.errors[l] };
            best.scales[l] = if better { scale } else { best.scales[l] };
            best.mins[l] = if better { min } else { best.mins[l] };
            // A try without a scale is not pursued: all of its integers become 0.
            inverses[l] = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            mins[l] = if scale > 0.0 { min } else { 0.0 };
        }
    }
    let (scale, min) = best.least();
    (scale, min - low)
}

/// Length of the longest sub-block.
const MAX_SUB: usize = 32;

/// The part of `sw * sqq` that the determinant has at least, unless all integers are the same. With integers up to 31, of which
/// one differs from the others, it is about 2^-15; the rounding errors of 32 terms are about 2^-20.
const LEAST_DET: f32 = 1.0 / 262_144.0;

/// Tries, one in each lane.
struct Best {
    errors: [f32; LANES],
    scales: [f32; LANES],
    mins: [f32; LANES],
}

impl Best {
    /// Returns the scale and the minimum with the least error; the first ones if there are several.
    #[inline]
    fn least(mut self) -> (f32, f32) {
        for half in [4, 2, 1] {
            for l in 0..half {
                let better = self.errors[l + half] < self.errors[l];
                for lanes in [&mut self.errors, &mut self.scales, &mut self.mins] {
                    lanes[l] = if better { lanes[l + half] } else { lanes[l] };
                }
            }
        }
        (self.scales[0], self.mins[0])
    }
}

/// Returns the sums of `w q`, `w q q` and `w q x` for the integers `q` nearest to `(x + min) * inverse`. `even` means that all
/// weights are 1.
#[inline(never)]
fn sums(
    x: &[f32],
    w: &[f32],
    even: bool,
    hi: f32,
    inverses: &[f32; LANES],
    mins: &[f32; LANES],
) -> [[f32; LANES]; 3] {
    let [mut sq, mut sqq, mut sqx] = [[0.0; LANES]; 3];
    if even {
        for &x in x {
            for l in 0..LANES {
                let q = round::within((x + mins[l]) * inverses[l], 0.0, hi);
                sq[l] += q;
                sqq[l] += q * q;
                sqx[l] += q * x;
            }
        }
        return [sq, sqq, sqx];
    }
    for (&x, &w) in x.iter().zip(w) {
        for l in 0..LANES {
            let q = round::within((x + mins[l]) * inverses[l], 0.0, hi);
            let wq = w * q;
            sq[l] += wq;
            sqq[l] += wq * q;
            sqx[l] += wq * x;
        }
    }
    [sq, sqq, sqx]
}

/// Returns the errors of the integers nearest to `(x + dm) * inverse`, with the scales `dl`.
#[inline(never)]
fn errors(x: &[f32], w: &[f32], even: bool, hi: f32, dl: &[f32; LANES], dm: &[f32; LANES]) -> [f32; LANES] {
    let inverses = dl.map(inverse);
    let mut errors = [0.0; LANES];
    if even {
        for &x in x {
            for l in 0..LANES {
                let v = x + dm[l];
                let rest = v - dl[l] * round::within(v * inverses[l], 0.0, hi);
                errors[l] += rest * rest;
            }
        }
        return errors;
    }
    for (&x, &w) in x.iter().zip(w) {
        for l in 0..LANES {
            let v = x + dm[l];
            let rest = v - dl[l] * round::within(v * inverses[l], 0.0, hi);
            errors[l] += w * (rest * rest);
        }
    }
    errors
}

/// Returns the nearest integer and its neighbors, all within `0 ..= hi`.
fn around(v: f32, hi: i32) -> [f32; 3] {
    let hi = hi as f32;
    let n = round::within(v, 0.0, hi);
    [n, if n < hi { n + 1.0 } else { n }, if n > 0.0 { n - 1.0 } else { n }]
}

/// Which neighbors of the sub-scale and of the sub-minimum are tried together. The ninth pair, a greater scale with a lesser
/// minimum, is almost never the best: both move the greatest value up.
const PAIRS: [(usize, usize); LANES] = [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2), (2, 2)];

fn stored(d: f32) -> f32 {
    f16::from_f32(d).to_f32()
}

/// Searches for the best encoding of a super-block.
pub(super) fn super_block<const N: usize>(limits: Limits, x: &[f32; 256], w: &[f32; 256]) -> Fitted<N> {
    let sub = 256 / N;
    let mut alone = [(0.0, 0.0); N];
    let (mut scale, mut min) = (0.0f32, 0.0f32);
    for ((alone, x), w) in alone.iter_mut().zip(x.chunks_exact(sub)).zip(w.chunks_exact(sub)) {
        *alone = fit(x, w, limits.q, limits.even, false);
        (scale, min) = (scale.max(alone.0), min.max(alone.1));
    }
    // The starting point is a scale of 0; the try has to be better. Other values of `d` and `dmin` to start from take 0.3% to 1.5% off
    // the error, and a fifth of the time each.
    let error = x.iter().zip(w).map(|(x, w)| w * x * x).sum();
    let mut best = Fitted { d: 0.0, dmin: 0.0, scales: [0; N], mins: [0; N], q: [0; 256], error };
    let top = limits.scale as f32;
    best.attempt(limits, x, w, &alone, (stored(scale / top), stored(min / top)));
    best.round(limits, x);
    let (d, dmin) = best.refined(x, w);
    if is_usable((d, dmin)) {
        (best.d, best.dmin) = (d, dmin);
        best.round(limits, x);
    }
    best
}

fn is_usable((d, dmin): (f32, f32)) -> bool {
    d.is_finite() && dmin.is_finite() && d >= 0.0 && dmin >= 0.0
}

/// Returns the sum of the lanes, always in the same order.
fn total(lanes: [f32; LANES]) -> f32 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

impl<const N: usize> Fitted<N> {
    /// Returns the `d` and `dmin` with the least squared error for the integers as they are.
    fn refined(&self, x: &[f32; 256], w: &[f32; 256]) -> (f32, f32) {
        let sub = 256 / N;
        let (mut aa, mut ab, mut bb, mut ax, mut bx) = (0.0, 0.0, 0.0, 0.0, 0.0);
        let subs = x.chunks_exact(sub).zip(w.chunks_exact(sub)).zip(self.q.chunks_exact(sub));
        for (((x, w), q), (scale, min)) in subs.zip(self.scales.into_iter().zip(self.mins)) {
            let [mut qq, mut wq, mut ww, mut qx, mut wx] = [[0.0; LANES]; 5];
            let eights = x.as_chunks::<LANES>().0.iter().zip(w.as_chunks::<LANES>().0);
            for ((x, w), q) in eights.zip(q.as_chunks::<LANES>().0) {
                for l in 0..LANES {
                    let q = f32::from(q[l]);
                    qq[l] += w[l] * q * q;
                    wq[l] += w[l] * q;
                    ww[l] += w[l];
                    qx[l] += w[l] * q * x[l];
                    wx[l] += w[l] * x[l];
                }
            }
            let (a, b) = (f32::from(scale), f32::from(min));
            aa += a * a * total(qq);
            ab += a * b * total(wq);
            bb += b * b * total(ww);
            ax += a * total(qx);
            bx += b * total(wx);
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
        if !is_usable((d, dmin)) {
            return;
        }
        let sub = 256 / N;
        let hi = limits.q as f32;
        let (mut scales, mut mins, mut sum) = ([0.0; N], [0.0; N], 0.0);
        let subs = x.chunks_exact(sub).zip(w.chunks_exact(sub));
        for (((x, w), &(scale, min)), (best_scale, best_min)) in
            subs.zip(alone).zip(scales.iter_mut().zip(&mut mins))
        {
            let near_scales = if d > 0.0 { around(scale / d, limits.scale) } else { [0.0; 3] };
            let near_mins = if dmin > 0.0 { around(min / dmin, limits.scale) } else { [0.0; 3] };
            let dl = PAIRS.map(|(l, _)| d * near_scales[l]);
            let dm = PAIRS.map(|(_, m)| dmin * near_mins[m]);
            let errors = errors(x, w, limits.even, hi, &dl, &dm);
            let tries = Best {
                errors,
                scales: PAIRS.map(|(l, _)| near_scales[l]),
                mins: PAIRS.map(|(_, m)| near_mins[m]),
            };
            (*best_scale, *best_min) = tries.least();
            sum += errors.into_iter().fold(f32::INFINITY, |a, b| if b < a { b } else { a });
            if sum >= self.error {
                return;
            }
        }
        (self.d, self.dmin, self.error) = (d, dmin, sum);
        (self.scales, self.mins) = (scales.map(|s| s as u8), mins.map(|m| m as u8));
    }

    /// Sets the integers that are nearest with the scales and minimums as they are.
    fn round(&mut self, limits: Limits, x: &[f32; 256]) {
        let sub = 256 / N;
        let subs = x.chunks_exact(sub).zip(self.q.chunks_exact_mut(sub));
        for ((x, q), (scale, min)) in subs.zip(self.scales.into_iter().zip(self.mins)) {
            let (dm, inverse) = (self.dmin * f32::from(min), inverse(self.d * f32::from(scale)));
            for (q, x) in q.iter_mut().zip(x) {
                *q = round::within((x + dm) * inverse, 0.0, limits.q as f32) as u8;
            }
        }
    }
}

fn inverse(d: f32) -> f32 {
    if d > 0.0 { 1.0 / d } else { 0.0 }
}
