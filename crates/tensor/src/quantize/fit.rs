//! The search for formats without a minimum: an element is `d * scale * q`.
//!
//! ```text
//! xq = sum of w x q,  qq = sum of w q q      for the integers q of a scale s
//!
//! the best scale for these integers          xq / qq
//! what it takes off the error                xq xq / qq
//! the error with the scale s                 (sum of w x x) + s (s qq - 2 xq)
//! ```
//!
//! So the two sums are all that a search needs, and [`Levels::sums`] returns them for several scales at once. A vector register
//! holds the same element for several scales: each sum is formed in the order of the elements, whatever the registers' width.

use super::round;
use crate::formats::search::signed_max;
use half::f16;

/// Number of scales that are tried at once: two registers of 128 bits, which all targets have.
pub(super) const LANES: usize = 8;

/// The sums of `w x q` and `w q q`, one for each scale.
#[derive(Clone, Copy)]
pub(super) struct Sums {
    pub(super) xq: [f32; LANES],
    pub(super) qq: [f32; LANES],
}

/// The integers that a format can store.
pub(super) trait Levels {
    /// Returns the sums for the integers nearest to `x * inverse`, for each inverse; those of the inverse 0 don't matter. `w` weighs
    /// the errors of elements that are encoded together.
    fn sums(&self, x: &[f32], w: &[f32], inverses: &[f32; LANES]) -> Sums;
    /// Finds the integers nearest to `x * inverse`.
    fn nearest(&self, x: &[f32], w: &[f32], inverse: f32, q: &mut [i8]);
    /// Returns the level that the greatest magnitude becomes in each try.
    fn steps(&self) -> &[f32];
    /// What the inverse of the best scale of these tries is multiplied by in further tries.
    const NEAR: &[f32];
    /// Whether scales can be negative. If so, steps have the sign that the value of greatest magnitude gets.
    const SIGNED: bool;
}

/// All integers from `LO` to `HI`.
pub(super) struct Range<const LO: i8, const HI: i8> {
    steps: [f32; 8],
    /// Whether all weights are 1.
    even: bool,
}

impl<const LO: i8, const HI: i8> Range<LO, HI> {
    /// Makes the tries: the greatest magnitude becomes about `LO` or about `HI`. `even` means that all weights are 1.
    pub(super) fn new(even: bool) -> Self {
        let steps = std::array::from_fn(|i| match i {
            0..5 => f32::from(LO) + (i as f32 - 2.0) * 0.3,
            _ => f32::from(HI) + (i as f32 - 5.5) * 0.5,
        });
        Self { steps, even }
    }
}

impl<const LO: i8, const HI: i8> Levels for Range<LO, HI> {
    const SIGNED: bool = true;
    const NEAR: &[f32] = &[];

    #[inline(never)]
    fn sums(&self, x: &[f32], w: &[f32], inverses: &[f32; LANES]) -> Sums {
        let (lo, hi) = (f32::from(LO), f32::from(HI));
        let (mut xq, mut qq) = ([0.0; LANES], [0.0; LANES]);
        if self.even {
            for &x in x {
                for l in 0..LANES {
                    let q = round::within(x * inverses[l], lo, hi);
                    xq[l] += x * q;
                    qq[l] += q * q;
                }
            }
            return Sums { xq, qq };
        }
        for (&x, &w) in x.iter().zip(w) {
            let wx = w * x;
            for l in 0..LANES {
                let q = round::within(x * inverses[l], lo, hi);
                xq[l] += wx * q;
                qq[l] += w * (q * q);
            }
        }
        Sums { xq, qq }
    }

    #[inline]
    fn nearest(&self, x: &[f32], _w: &[f32], inverse: f32, q: &mut [i8]) {
        for (q, x) in q.iter_mut().zip(x) {
            *q = round::within(x * inverse, f32::from(LO), f32::from(HI)) as i8;
        }
    }

    fn steps(&self) -> &[f32] {
        &self.steps
    }
}

/// Returns the best scale that was found for a sub-block by itself, or 0 if all values are 0.
pub(super) fn fit<L: Levels>(levels: &L, x: &[f32], w: &[f32]) -> f32 {
    let max = signed_max(x);
    let max = if L::SIGNED { max } else { max.abs() };
    if max == 0.0 || !max.is_finite() {
        return 0.0;
    }
    // What the best try of each lane takes off the error, and its scale. Nothing here branches, since no branch of a search can
    // be predicted.
    let (mut gains, mut scales) = ([0.0; LANES], [0.0; LANES]);
    let mut attempt = |factors: &[f32], inverse: f32| {
        for factors in factors.chunks(LANES) {
            let mut inverses = [0.0; LANES];
            for (inverses, factor) in inverses.iter_mut().zip(factors) {
                *inverses = factor * inverse;
            }
            let sums = levels.sums(x, w, &inverses);
            for l in 0..LANES {
                let scale = sums.xq[l] / sums.qq[l];
                let gain = if L::SIGNED || scale > 0.0 { scale * sums.xq[l] } else { 0.0 };
                let better = gain > gains[l];
                gains[l] = if better { gain } else { gains[l] };
                scales[l] = if better { scale } else { scales[l] };
            }
        }
        greatest(&gains, &scales)
    };
    let scale = attempt(levels.steps(), 1.0 / max);
    if scale == 0.0 || L::NEAR.is_empty() { scale } else { attempt(L::NEAR, 1.0 / scale) }
}

/// Returns the value that belongs to the greatest key, the first one if there are several.
fn greatest(keys: &[f32; LANES], values: &[f32; LANES]) -> f32 {
    let (mut keys, mut values) = (*keys, *values);
    for half in [4, 2, 1] {
        for l in 0..half {
            let better = keys[l + half] > keys[l];
            keys[l] = if better { keys[l + half] } else { keys[l] };
            values[l] = if better { values[l + half] } else { values[l] };
        }
    }
    values[0]
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
    /// The sub-scale that the greatest scale becomes in each try for `d`. At most [`STARTS`].
    pub(super) ends: &'static [i8],
    /// The effective `d`, divided by the stored f16.
    pub(super) unit: f32,
}

impl Scales {
    /// Returns the sub-scale nearest to `v`, and the one on the other side of it.
    #[inline]
    fn around(&self, v: f32) -> (f32, f32) {
        let (lo, hi, step) = (self.lo as f32, self.hi as f32, self.step as f32);
        let nearest = round::within((v - lo) * (1.0 / step), 0.0, (hi - lo) * (1.0 / step)) * step + lo;
        let toward = if v > nearest { step } else { -step };
        // At an end, there is only one.
        let other = if nearest + toward > hi { hi } else { nearest + toward };
        (nearest, if other < lo { lo } else { other })
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

/// Number of values of `d` that are tried at once, each with two sub-scales.
const TRIES: usize = LANES / 2;

/// Several values of `d`, and the best sub-scales for each.
struct Tries<const N: usize> {
    d: [f32; TRIES],
    /// The error, less the one of a block of zeros.
    error: [f32; TRIES],
    scales: [[f32; TRIES]; N],
    /// Sums over the super-block, with `scale * q` for `q`. Their quotient is the best `d` for these integers.
    xq: [f32; TRIES],
    qq: [f32; TRIES],
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
    let (mut d, mut error, mut best) = (0.0, 0.0, [scales.lo.max(1) as f32; N]);
    let greatest = signed_max(&alone);
    let mut tries = Tries {
        d: [0.0; TRIES],
        error: [0.0; TRIES],
        scales: [[0.0; TRIES]; N],
        xq: [0.0; TRIES],
        qq: [0.0; TRIES],
    };
    for (d, end) in tries.d.iter_mut().zip(scales.ends) {
        *d = scales.round(greatest / f32::from(*end));
    }
    for _ in 0..ROUNDS {
        tries.attempt(levels, scales, (x, w), &alone);
        for i in 0..TRIES {
            // Better with the integers as they are, and better still with those that are nearest to it.
            let refined = if tries.qq[i] > 0.0 { scales.round(tries.xq[i] / tries.qq[i]) } else { 0.0 };
            if tries.error[i] < error {
                (d, error, best) = (refined, tries.error[i], tries.scales.map(|scales| scales[i]));
            }
            tries.d[i] = refined;
        }
    }
    let mut q = [0; 256];
    let subs = x.chunks_exact(sub).zip(w.chunks_exact(sub)).zip(q.chunks_exact_mut(sub));
    for (((x, w), q), scale) in subs.zip(best) {
        levels.nearest(x, w, inverse(d * scale), q);
    }
    let stored_d = f16::from_f32(d / scales.unit).to_le_bytes();
    Fitted { stored_d, scales: best.map(|s| s as i32), q }
}

/// How often `d` is tried: the first values, and those that are best for the integers of the round before.
const ROUNDS: usize = 1;

#[inline]
fn inverse(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

impl<const N: usize> Tries<N> {
    /// Finds the best sub-scales for each `d`.
    fn attempt(
        &mut self,
        levels: &impl Levels,
        scales: Scales,
        (x, w): (&[f32; 256], &[f32; 256]),
        alone: &[f32; N],
    ) {
        let inverse_d = self.d.map(inverse);
        let (mut error, mut sum_xq, mut sum_qq) = ([0.0; TRIES], [0.0; TRIES], [0.0; TRIES]);
        let sub = 256 / N;
        let subs = x.chunks_exact(sub).zip(w.chunks_exact(sub)).zip(alone);
        for (((x, w), alone), best) in subs.zip(&mut self.scales) {
            // The nearest sub-scales of all tries, then the others.
            let (mut pairs, mut dl, mut inverses) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
            for i in 0..TRIES {
                (pairs[i], pairs[i + TRIES]) = scales.around(alone * inverse_d[i]);
            }
            for l in 0..LANES {
                dl[l] = self.d[l % TRIES] * pairs[l];
                inverses[l] = inverse(dl[l]);
            }
            let Sums { xq, qq } = levels.sums(x, w, &inverses);
            let mut errors = [0.0; LANES];
            for l in 0..LANES {
                errors[l] = dl[l] * (dl[l] * qq[l] - 2.0 * xq[l]);
            }
            for i in 0..TRIES {
                let j = i + TRIES;
                let other = errors[j] < errors[i];
                let pick = |lanes: &[f32; LANES]| if other { lanes[j] } else { lanes[i] };
                let scale = pick(&pairs);
                best[i] = scale;
                error[i] += pick(&errors);
                sum_xq[i] += scale * pick(&xq);
                sum_qq[i] += scale * scale * pick(&qq);
            }
        }
        (self.error, self.xq, self.qq) = (error, sum_xq, sum_qq);
    }
}
