//! The search for formats without a minimum: an element is `d * scale * q`.

use super::round;
use crate::formats::search::signed_max;
use half::f16;

/// The integers that a format can store.
pub(super) trait Levels {
    /// Finds the integers nearest to `x * inverse`. `w` weighs the errors of elements that are encoded together.
    fn nearest(&self, x: &[f32], w: &[f32], inverse: f32, q: &mut [i8]);
    /// Returns the level that the greatest magnitude becomes in each try.
    fn steps(&self) -> &[f32];
    /// Whether scales can be negative. If so, steps have the sign that the value of greatest magnitude gets.
    const SIGNED: bool;
}

/// All integers from `LO` to `HI`.
pub(super) struct Range<const LO: i8, const HI: i8> {
    steps: [f32; 24],
}

impl<const LO: i8, const HI: i8> Range<LO, HI> {
    /// Makes the tries: the greatest magnitude becomes about `LO` or about `HI`.
    pub(super) fn new() -> Self {
        let steps = std::array::from_fn(|i| match i {
            0..17 => f32::from(LO) + (i as f32 - 8.0) * 0.1,
            _ => f32::from(HI) + (i as f32 - 20.0) * 0.2,
        });
        Self { steps }
    }
}

impl<const LO: i8, const HI: i8> Levels for Range<LO, HI> {
    const SIGNED: bool = true;

    #[inline]
    fn nearest(&self, x: &[f32], _w: &[f32], inverse: f32, q: &mut [i8]) {
        for (q, x) in q.iter_mut().zip(x) {
            *q = round::nearest(x * inverse).clamp(i32::from(LO), i32::from(HI)) as i8;
        }
    }

    fn steps(&self) -> &[f32] {
        &self.steps
    }
}

/// Returns the sums of `w x q` and `w q q`. Their quotient is the best scale for these integers. The square of the first,
/// divided by the second, is how much that scale reduces the error.
fn sums(x: &[f32], w: &[f32], q: &[i8]) -> (f32, f32) {
    let (mut xq, mut qq) = (0.0, 0.0);
    for ((x, w), &q) in x.iter().zip(w).zip(q) {
        let q = f32::from(q);
        xq += w * x * q;
        qq += w * q * q;
    }
    (xq, qq)
}

/// Returns the weighted error of `scale * q`.
pub(super) fn error(x: &[f32], w: &[f32], q: &[i8], scale: f32) -> f32 {
    x.iter()
        .zip(w)
        .zip(q)
        .map(|((x, w), &q)| (x - scale * f32::from(q)) * (x - scale * f32::from(q)) * w)
        .sum()
}

/// Length of the longest sub-block.
const MAX_SUB: usize = 32;

/// Returns the best scale that was found for a sub-block by itself, or 0 if all values are 0.
pub(super) fn fit<L: Levels>(levels: &L, x: &[f32], w: &[f32]) -> f32 {
    let max = signed_max(x);
    let max = if L::SIGNED { max } else { max.abs() };
    let (mut best, mut scale) = (0.0, 0.0);
    if max == 0.0 || !max.is_finite() {
        return 0.0;
    }
    let mut q = [0; MAX_SUB];
    let q = &mut q[..x.len()];
    for step in levels.steps() {
        let mut inverse = step / max;
        // The second pass starts from the scale that the first one found.
        for _ in 0..2 {
            levels.nearest(x, w, inverse, q);
            let (xq, qq) = sums(x, w, q);
            if !(qq > 0.0 && (xq > 0.0 || L::SIGNED && xq < 0.0)) {
                break;
            }
            if xq * xq > best * qq {
                (best, scale) = (xq / qq * xq, xq / qq);
            }
            inverse = qq / xq;
        }
    }
    scale
}

/// The sub-scales that a format can store.
#[derive(Clone, Copy)]
pub(super) struct Scales {
    /// The least.
    pub(super) lo: i32,
    /// The greatest.
    pub(super) hi: i32,
    /// The distance between two sub-scales: 1, or 2 if only odd numbers are stored.
    pub(super) step: i32,
    /// The sub-scale that the greatest scale becomes in each try for `d`.
    pub(super) ends: &'static [i8],
    /// The effective `d`, divided by the stored f16.
    pub(super) unit: f32,
}

impl Scales {
    /// Returns the sub-scale nearest to `v`, and its neighbors.
    fn around(&self, v: f32) -> [i32; 3] {
        let n = round::nearest((v - self.lo as f32) / self.step as f32);
        let last = (self.hi - self.lo) / self.step;
        let n = n.clamp(0, last);
        [n, (n + 1).min(last), (n - 1).max(0)].map(|n| self.lo + n * self.step)
    }

    /// Rounds `d` to a value that can be stored.
    fn round(&self, d: f32) -> f32 {
        f16::from_f32(d / self.unit).to_f32() * self.unit
    }
}

/// An encoded super-block of `N` sub-blocks.
pub(super) struct Fitted<const N: usize> {
    /// The scale, as it is stored.
    pub(super) stored_d: [u8; 2],
    pub(super) scales: [i32; N],
    pub(super) q: [i8; 256],
}

/// Searches for the best encoding of a super-block.
pub(super) fn super_block<const N: usize>(
    levels: &impl Levels,
    scales: Scales,
    x: &[f32; 256],
    w: &[f32; 256],
) -> Fitted<N> {
    let sub = 256 / N;
    let mut alone = [0.0; N];
    for ((s, x), w) in alone.iter_mut().zip(x.chunks_exact(sub)).zip(w.chunks_exact(sub)) {
        *s = fit(levels, x, w);
    }
    // The starting point is a scale of 0; every try has to be better.
    let zero = x.iter().zip(w).map(|(x, w)| w * x * x).sum();
    let mut best = Best { error: zero, d: 0.0, scales: [scales.lo.max(1); N], q: [0; 256] };
    levels_of_zero(levels, x, w, sub, &mut best.q);
    let greatest = signed_max(&alone);
    if greatest != 0.0 {
        for &end in scales.ends {
            best.attempt(levels, scales, x, w, &alone, scales.round(greatest / f32::from(end)));
        }
        for _ in 0..2 {
            let (mut xq, mut qq) = (0.0, 0.0);
            let subs = x.chunks_exact(sub).zip(w.chunks_exact(sub)).zip(best.q.chunks_exact(sub));
            for (((x, w), q), &scale) in subs.zip(&best.scales) {
                let sums = sums(x, w, q);
                xq += sums.0 * scale as f32;
                qq += sums.1 * (scale * scale) as f32;
            }
            if qq > 0.0 {
                best.attempt(levels, scales, x, w, &alone, scales.round(xq / qq));
            }
        }
    }
    let stored_d = f16::from_f32(best.d / scales.unit).to_le_bytes();
    Fitted { stored_d, scales: best.scales, q: best.q }
}

/// Chooses integers for a scale of 0. They do not matter, but the format must be able to store them.
fn levels_of_zero(levels: &impl Levels, x: &[f32; 256], w: &[f32; 256], sub: usize, q: &mut [i8; 256]) {
    for ((x, w), q) in x.chunks_exact(sub).zip(w.chunks_exact(sub)).zip(q.chunks_exact_mut(sub)) {
        levels.nearest(x, w, 0.0, q);
    }
}

/// The best encoding so far.
struct Best<const N: usize> {
    error: f32,
    d: f32,
    scales: [i32; N],
    q: [i8; 256],
}

impl<const N: usize> Best<N> {
    /// Encodes with `d`, and keeps the result if it is better.
    fn attempt(
        &mut self,
        levels: &impl Levels,
        scales: Scales,
        x: &[f32; 256],
        w: &[f32; 256],
        alone: &[f32; N],
        d: f32,
    ) {
        if d == 0.0 || !d.is_finite() {
            return;
        }
        let sub = 256 / N;
        let mut this = Best { error: 0.0, d, scales: [0; N], q: [0; 256] };
        let subs = x.chunks_exact(sub).zip(w.chunks_exact(sub)).zip(this.q.chunks_exact_mut(sub));
        for ((((x, w), best_q), best_scale), alone) in subs.zip(&mut this.scales).zip(alone) {
            let (mut least, mut q) = (f32::INFINITY, [0; MAX_SUB]);
            let q = &mut q[..sub];
            for scale in scales.around(alone / d) {
                let dl = d * scale as f32;
                levels.nearest(x, w, if dl == 0.0 { 0.0 } else { 1.0 / dl }, q);
                let error = error(x, w, q, dl);
                if error < least {
                    (least, *best_scale) = (error, scale);
                    best_q.copy_from_slice(q);
                }
            }
            this.error += least;
        }
        if this.error < self.error {
            *self = this;
        }
    }
}
