//! The points of the IQ tables as [`Levels`].

use super::Levels;
use super::fit::{LANES, Sums};
use super::neighbors::{Neighbors, sum};
use crate::formats::lattice;
use std::array;
use std::sync::LazyLock;

/// Which signs 8 elements can have.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Signs {
    /// Any.
    All,
    /// An even number of minus signs.
    Even,
}

/// Magnitudes of `N` elements at a time, and signs of 8.
pub(super) struct Magnitudes<const N: usize, const M: usize> {
    points: &'static Neighbors<N, M>,
    signs: Signs,
    steps: &'static [f32],
}

/// IQ1: no signs, but all points of a run are shifted up or down. A run is 8 elements or a whole sub-block.
pub(super) struct Shifted {
    points: &'static Neighbors<8, 2>,
    /// Number of elements that share a shift.
    run: usize,
}

macro_rules! table {
    ($name:ident, $n:literal, $m:literal, $levels:expr) => {
        static $name: LazyLock<Neighbors<$n, $m>> =
            LazyLock::new(|| Neighbors::new(&lattice::$name, &$levels));
    };
}
table!(IQ2_XXS, 8, 2, [8, 25, 43]);
table!(IQ2_XS, 8, 2, [8, 25, 43]);
table!(IQ2_S, 8, 2, [8, 25, 43]);
table!(IQ1, 8, 2, [-8, 0, 8]);
table!(IQ3_XXS, 4, 7, [4, 12, 20, 28, 36, 44, 52, 62]);
table!(IQ3_S, 4, 7, [1, 3, 5, 7, 9, 11, 13, 15]);

/// The values that the greatest magnitude becomes in each try. Some exceed the greatest level: normally distributed weights
/// are best encoded with their tails cut off.
const STEPS_2: [f32; 8] = [35.0, 40.0, 44.0, 48.0, 53.0, 59.0, 66.0, 75.0];
const STEPS_3_XXS: [f32; 8] = [50.0, 54.0, 58.0, 62.0, 66.0, 70.0, 75.0, 80.0];
const STEPS_3_S: [f32; 8] = [11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.5, 19.0];
const STEPS_1: [f32; 5] = [9.0, 12.0, 15.0, 18.5, 23.0];

pub(super) fn iq2_xxs() -> Magnitudes<8, 2> {
    Magnitudes { points: &IQ2_XXS, signs: Signs::Even, steps: &STEPS_2 }
}
pub(super) fn iq2_xs() -> Magnitudes<8, 2> {
    Magnitudes { points: &IQ2_XS, signs: Signs::Even, steps: &STEPS_2 }
}
pub(super) fn iq2_s() -> Magnitudes<8, 2> {
    Magnitudes { points: &IQ2_S, signs: Signs::All, steps: &STEPS_2 }
}
pub(super) fn iq3_xxs() -> Magnitudes<4, 7> {
    Magnitudes { points: &IQ3_XXS, signs: Signs::Even, steps: &STEPS_3_XXS }
}
pub(super) fn iq3_s() -> Magnitudes<4, 7> {
    Magnitudes { points: &IQ3_S, signs: Signs::All, steps: &STEPS_3_S }
}
/// One shift per `run` elements.
pub(super) fn iq1(run: usize) -> Shifted {
    Shifted { points: &IQ1, run }
}

impl<const N: usize, const M: usize> Magnitudes<N, M> {
    /// Returns the signs of 8 elements and their magnitudes. An element whose sign had to be flipped has a negative one.
    #[inline]
    fn split(&self, x: &[f32; 8], w: &[f32; 8]) -> ([bool; 8], [f32; 8]) {
        let mut minus = x.map(|x| x < 0.0);
        let mut magnitudes = x.map(f32::abs);
        if self.signs == Signs::Even && !minus.iter().filter(|m| **m).count().is_multiple_of(2) {
            // Flip the sign of the element that matters least.
            let (mut least, mut which) = (f32::INFINITY, 0);
            for (i, (x, w)) in x.iter().zip(w).enumerate() {
                if w * x * x < least {
                    (least, which) = (w * x * x, i);
                }
            }
            minus[which] = !minus[which];
            magnitudes[which] = -magnitudes[which];
        }
        (minus, magnitudes)
    }

    /// Returns the points for 8 magnitudes.
    #[inline]
    fn points(&self, magnitudes: &[f32; 8], w: &[f32; 8], inverse: f32) -> [f32; 8] {
        let v = magnitudes.map(|m| m * inverse);
        let mut points = [0.0; 8];
        let parts = v.as_chunks::<N>().0.iter().zip(w.as_chunks::<N>().0);
        for ((v, w), point) in parts.zip(points.as_chunks_mut::<N>().0) {
            *point = self.points.nearest(v, w).0;
        }
        points
    }
}

fn eights<'a>(x: &'a [f32], w: &'a [f32]) -> impl Iterator<Item = (&'a [f32; 8], &'a [f32; 8])> {
    x.as_chunks::<8>().0.iter().zip(w.as_chunks::<8>().0)
}

impl<const N: usize, const M: usize> Levels for Magnitudes<N, M> {
    const SIGNED: bool = false;
    const NEAR: &[f32] = &[1.0];

    fn sums(&self, x: &[f32], w: &[f32], inverses: &[f32; LANES]) -> Sums {
        let mut sums = Sums { xq: [0.0; LANES], qq: [0.0; LANES] };
        for (x, w) in eights(x, w) {
            let (_, magnitudes) = self.split(x, w);
            for (l, inverse) in inverses.iter().enumerate().filter(|(_, inverse)| **inverse != 0.0) {
                let q = self.points(&magnitudes, w, *inverse);
                sums.xq[l] += sum::<8>(array::from_fn(|i| w[i] * magnitudes[i] * q[i]));
                sums.qq[l] += sum::<8>(array::from_fn(|i| w[i] * q[i] * q[i]));
            }
        }
        sums
    }

    fn nearest(&self, x: &[f32], w: &[f32], inverse: f32, q: &mut [i8]) {
        for ((x, w), q) in eights(x, w).zip(q.as_chunks_mut::<8>().0) {
            let (minus, magnitudes) = self.split(x, w);
            let points = self.points(&magnitudes, w, inverse);
            for ((q, point), minus) in q.iter_mut().zip(points).zip(minus) {
                *q = if minus { -point as i8 } else { point as i8 };
            }
        }
    }

    fn steps(&self) -> &[f32] {
        self.steps
    }
}

impl Shifted {
    /// Finds the levels of a run.
    #[inline]
    fn levels(&self, x: &[f32], w: &[f32], inverse: f32) -> [f32; 32] {
        let (mut best, mut least) = ([0.0; 32], f32::INFINITY);
        for shift in [1.0, -1.0f32] {
            let (mut error, mut this) = (0.0, [0.0; 32]);
            for ((x, w), this) in eights(x, w).zip(this.as_chunks_mut::<8>().0) {
                let v = x.map(|x| x * inverse - shift);
                let (point, its_error) = self.points.nearest(&v, w);
                // The error of a point is less the sum of `w v v`, which differs between the shifts.
                error += its_error + sum::<8>(array::from_fn(|i| w[i] * v[i] * v[i]));
                *this = point.map(|p| p + shift);
            }
            if error < least || least == f32::INFINITY {
                (best, least) = (this, error);
            }
        }
        best
    }

    fn runs<'a>(&self, x: &'a [f32], w: &'a [f32]) -> impl Iterator<Item = (&'a [f32], &'a [f32])> {
        x.chunks_exact(self.run).zip(w.chunks_exact(self.run))
    }
}

impl Levels for Shifted {
    const SIGNED: bool = false;
    const NEAR: &[f32] = &[1.0];

    fn sums(&self, x: &[f32], w: &[f32], inverses: &[f32; LANES]) -> Sums {
        let mut sums = Sums { xq: [0.0; LANES], qq: [0.0; LANES] };
        for (x, w) in self.runs(x, w) {
            for (l, inverse) in inverses.iter().enumerate().filter(|(_, inverse)| **inverse != 0.0) {
                let levels = self.levels(x, w, *inverse);
                for ((x, w), q) in eights(x, w).zip(levels.as_chunks::<8>().0) {
                    sums.xq[l] += sum::<8>(array::from_fn(|i| w[i] * x[i] * q[i]));
                    sums.qq[l] += sum::<8>(array::from_fn(|i| w[i] * q[i] * q[i]));
                }
            }
        }
        sums
    }

    fn nearest(&self, x: &[f32], w: &[f32], inverse: f32, q: &mut [i8]) {
        for ((x, w), q) in self.runs(x, w).zip(q.chunks_exact_mut(self.run)) {
            let levels = self.levels(x, w, inverse);
            for (q, level) in q.iter_mut().zip(levels) {
                *q = level as i8;
            }
        }
    }

    fn steps(&self) -> &[f32] {
        &STEPS_1
    }
}
