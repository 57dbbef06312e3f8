//! The points of the IQ tables as [`Levels`]: every point is tried to find the nearest.
//!
//! With `v = x / scale`, the weighted error of a point `g` is the sum of `w g g - 2 w v g`, plus a term that does not depend
//! on the point. Tables store eight points side by side, so that a vector register holds one coordinate of several points.
//! The sum of each point is still formed in the order of its coordinates.

use super::Levels;
use crate::formats::{lattice, lattice::Points};
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

/// Number of points that are compared at once. The number of points of every table is a multiple of it.
const LANES: usize = 8;

/// A table of points of `N` coordinates: coordinate `i` of point `LANES c + l` is `[c][i][l]`.
type Table<const N: usize> = [[[f32; LANES]; N]];

/// Magnitudes of `N` elements at a time, and signs of 8.
pub(super) struct Magnitudes<const N: usize> {
    points: &'static Table<N>,
    signs: Signs,
    steps: &'static [f32],
}

/// IQ1: no signs, but all points of a run are shifted up or down. A run is 8 elements or a whole sub-block.
pub(super) struct Shifted {
    points: &'static Table<8>,
    /// Number of elements that share a shift.
    run: usize,
}

fn floats<const N: usize>(points: Points<N>) -> Vec<[[f32; LANES]; N]> {
    let (chunks, rest) = points.as_chunks::<LANES>();
    debug_assert!(rest.is_empty());
    let abreast = |c: &[[i8; N]; LANES]| array::from_fn(|i| array::from_fn(|l| f32::from(c[l][i])));
    chunks.iter().map(abreast).collect()
}

macro_rules! table {
    ($name:ident, $n:literal, $points:ident) => {
        static $name: LazyLock<Vec<[[f32; LANES]; $n]>> = LazyLock::new(|| floats(&lattice::$points));
    };
}
table!(IQ2_XXS, 8, IQ2_XXS);
table!(IQ2_XS, 8, IQ2_XS);
table!(IQ2_S, 8, IQ2_S);
table!(IQ1, 8, IQ1);
table!(IQ3_XXS, 4, IQ3_XXS);
table!(IQ3_S, 4, IQ3_S);

/// The values that the greatest magnitude becomes in each try. Some exceed the greatest level: normally distributed weights
/// are best encoded with their tails cut off.
const STEPS_2: [f32; 9] = [32.0, 38.0, 43.0, 47.0, 52.0, 57.0, 63.0, 70.0, 80.0];
const STEPS_3_XXS: [f32; 8] = [50.0, 54.0, 58.0, 62.0, 66.0, 70.0, 75.0, 80.0];
const STEPS_3_S: [f32; 9] = [11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0, 18.0, 20.0];
const STEPS_1: [f32; 9] = [7.0, 9.0, 11.0, 12.5, 14.0, 16.0, 18.0, 21.0, 25.0];

pub(super) fn iq2_xxs() -> Magnitudes<8> {
    Magnitudes { points: &IQ2_XXS, signs: Signs::Even, steps: &STEPS_2 }
}
pub(super) fn iq2_xs() -> Magnitudes<8> {
    Magnitudes { points: &IQ2_XS, signs: Signs::Even, steps: &STEPS_2 }
}
pub(super) fn iq2_s() -> Magnitudes<8> {
    Magnitudes { points: &IQ2_S, signs: Signs::All, steps: &STEPS_2 }
}
pub(super) fn iq3_xxs() -> Magnitudes<4> {
    Magnitudes { points: &IQ3_XXS, signs: Signs::Even, steps: &STEPS_3_XXS }
}
pub(super) fn iq3_s() -> Magnitudes<4> {
    Magnitudes { points: &IQ3_S, signs: Signs::All, steps: &STEPS_3_S }
}
/// One shift per `run` elements.
pub(super) fn iq1(run: usize) -> Shifted {
    Shifted { points: &IQ1, run }
}

/// Returns the point nearest to `v`; the first one if there are several.
fn nearest_point<const N: usize>(points: &Table<N>, v: [f32; N], w: [f32; N]) -> [f32; N] {
    let wv: [f32; N] = array::from_fn(|i| v[i] * (2.0 * w[i]));
    // The least error of each lane, and its chunk. With a NaN, no error is less than infinity, and the first point is taken:
    // any point will do.
    let (mut least, mut chunks) = ([f32::INFINITY; LANES], [0u32; LANES]);
    for (c, chunk) in (0..).zip(points) {
        let mut errors = [0.0; LANES];
        for ((p, w), wv) in chunk.iter().zip(w).zip(wv) {
            for (error, p) in errors.iter_mut().zip(p) {
                *error += p * (w * p - wv);
            }
        }
        for l in 0..LANES {
            let less = errors[l] < least[l];
            least[l] = if less { errors[l] } else { least[l] };
            chunks[l] = if less { c } else { chunks[l] };
        }
    }
    let mut best = (f32::INFINITY, 0, 0);
    for (l, (error, chunk)) in least.into_iter().zip(chunks).enumerate() {
        if error < best.0 || error == best.0 && chunk < best.1 {
            best = (error, chunk, l);
        }
    }
    points[best.1 as usize].map(|p| p[best.2])
}

impl<const N: usize> Levels for Magnitudes<N> {
    const SIGNED: bool = false;

    fn nearest(&self, x: &[f32], w: &[f32], inverse: f32, q: &mut [i8]) {
        let eights = x.as_chunks::<8>().0.iter().zip(w.as_chunks::<8>().0).zip(q.as_chunks_mut::<8>().0);
        for ((x, w), q) in eights {
            let mut minus = x.map(|x| x * inverse < 0.0);
            if self.signs == Signs::Even && !minus.iter().filter(|m| **m).count().is_multiple_of(2) {
                // Flip the sign of the element that matters least.
                let (mut least, mut which) = (f32::INFINITY, 0);
                for (i, (x, w)) in x.iter().zip(w).enumerate() {
                    if w * x * x < least {
                        (least, which) = (w * x * x, i);
                    }
                }
                minus[which] = !minus[which];
            }
            let mut v = [0.0; 8];
            for i in 0..8 {
                v[i] = if minus[i] { -x[i] * inverse } else { x[i] * inverse };
            }
            let parts = v.as_chunks::<N>().0.iter().zip(w.as_chunks::<N>().0);
            for (part, (v, w)) in parts.enumerate() {
                let point = nearest_point(self.points, *v, *w);
                for (i, p) in point.into_iter().enumerate() {
                    let at = part * N + i;
                    q[at] = if minus[at] { -p as i8 } else { p as i8 };
                }
            }
        }
    }

    fn steps(&self) -> &[f32] {
        self.steps
    }
}

impl Levels for Shifted {
    const SIGNED: bool = false;

    fn nearest(&self, x: &[f32], w: &[f32], inverse: f32, q: &mut [i8]) {
        let runs = x.chunks_exact(self.run).zip(w.chunks_exact(self.run)).zip(q.chunks_exact_mut(self.run));
        for ((x, w), q) in runs {
            let mut best = f32::INFINITY;
            for shift in [1.0, -1.0f32] {
                let (mut error, mut this) = (0.0, [0; 32]);
                let eights = x.as_chunks::<8>().0.iter().zip(w.as_chunks::<8>().0);
                for ((x, w), this) in eights.zip(this.as_chunks_mut::<8>().0) {
                    let point = nearest_point(self.points, x.map(|x| x * inverse - shift), *w);
                    for i in 0..8 {
                        let value = point[i] + shift;
                        error += (x[i] * inverse - value) * (x[i] * inverse - value) * w[i];
                        this[i] = value as i8;
                    }
                }
                if error < best || best == f32::INFINITY {
                    best = error;
                    q.copy_from_slice(&this[..q.len()]);
                }
            }
        }
    }

    fn steps(&self) -> &[f32] {
        &STEPS_1
    }
}
