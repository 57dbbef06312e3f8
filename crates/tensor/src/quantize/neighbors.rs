//! Tables that find the nearest point of an IQ format without comparing with all of them.
//!
//! ```text
//! cell of v       each coordinate rounded to the nearest level: 3^8 cells of 8 coordinates, 8^4 of 4
//! list of a cell  the points nearest to its middle; if a point is the middle itself, that point alone
//!
//! nearest(v)      the best point of the list of v's cell, with the weights
//! ```
//!
//! A point that is the middle of its cell is the nearest for any weights, since each coordinate by itself is. Otherwise, a point
//! outside the list may be better, but rarely.

use crate::formats::lattice::Points;

/// Number of points in a list.
const LIST: usize = 8;

/// The points of a table and the lists of its cells.
pub(super) struct Neighbors<const N: usize, const M: usize> {
    points: Vec<[f32; N]>,
    /// The middles between the `M + 1` levels of a coordinate.
    middles: [f32; M],
    /// What a coordinate's level is multiplied by in the number of a cell.
    factors: [f32; N],
    lists: Vec<List>,
}

/// The points of a cell.
struct List {
    points: [u16; LIST],
    /// Whether the first point is the cell's middle.
    exact: bool,
}

impl<const N: usize, const M: usize> Neighbors<N, M> {
    /// Makes the lists for a table. The levels are in ascending order.
    pub(super) fn new(points: Points<N>, levels: &[i8]) -> Self {
        let cells = levels.len().pow(N as u32);
        let mut lists = Vec::with_capacity(cells);
        for cell in 0..cells {
            let mut rest = cell;
            let middle: [i32; N] = std::array::from_fn(|_| {
                let digit = rest % levels.len();
                rest /= levels.len();
                i32::from(levels[digit])
            });
            let mut nearest = [(i32::MAX, 0); LIST];
            for (number, point) in (0u16..).zip(points) {
                let distance: i32 =
                    middle.iter().zip(point).map(|(m, p)| (m - i32::from(*p)) * (m - i32::from(*p))).sum();
                if distance < nearest[LIST - 1].0 {
                    let at = nearest.partition_point(|(other, _)| *other <= distance);
                    nearest[at..].rotate_right(1);
                    nearest[at] = (distance, number);
                }
            }
            lists.push(List { points: nearest.map(|(_, number)| number), exact: nearest[0].0 == 0 });
        }
        let middles = std::array::from_fn(|i| (f32::from(levels[i]) + f32::from(levels[i + 1])) / 2.0);
        let factors = std::array::from_fn(|i| levels.len().pow(i as u32) as f32);
        Self { points: points.iter().map(|p| p.map(f32::from)).collect(), middles, factors, lists }
    }

    /// Returns the point nearest to `v`, as far as the lists know, and its error, less the sum of `w v v`.
    #[inline(always)]
    pub(super) fn nearest(&self, v: &[f32; N], w: &[f32; N]) -> ([f32; N], f32) {
        let mut terms = [0.0; N];
        for middle in self.middles {
            for ((term, v), factor) in terms.iter_mut().zip(v).zip(self.factors) {
                *term += if *v > middle { factor } else { 0.0 };
            }
        }
        let wv: [f32; N] = std::array::from_fn(|i| 2.0 * w[i] * v[i]);
        let error =
            |point: &[f32; N]| sum::<N>(std::array::from_fn(|i| point[i] * (w[i] * point[i] - wv[i])));
        let list = &self.lists[sum(terms) as usize];
        let tried = if list.exact { &list.points[..1] } else { &list.points[..] };
        let (mut best, mut least) = (list.points[0], f32::INFINITY);
        for &number in tried {
            let error = error(&self.points[usize::from(number)]);
            best = if error < least { number } else { best };
            least = if error < least { error } else { least };
        }
        (self.points[usize::from(best)], least)
    }
}

/// Returns the sum, always in the same order.
#[inline]
pub(super) fn sum<const N: usize>(terms: [f32; N]) -> f32 {
    let mut fours = [0.0; 4];
    for terms in terms.as_chunks::<4>().0 {
        for (four, term) in fours.iter_mut().zip(terms) {
            *four += term;
        }
    }
    (fours[0] + fours[2]) + (fours[1] + fours[3])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::lattice;

    /// Compares with all points: equal weights, and weights that differ by up to a factor of 10.
    #[test]
    fn lists_lose_little_against_all_points() {
        let table = Neighbors::<8, 2>::new(&lattice::IQ2_XS, &[8, 25, 43]);
        let mut state = 1u32;
        let mut uniform = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        for spread in [0.0, 0.9] {
            let (mut found, mut least) = (0.0, 0.0);
            for _ in 0..300 {
                let v: [f32; 8] = std::array::from_fn(|_| 50.0 * uniform());
                let w: [f32; 8] = std::array::from_fn(|_| 1.0 - spread * uniform());
                let error =
                    |p: &[f32; 8]| sum::<8>(std::array::from_fn(|i| w[i] * (v[i] - p[i]) * (v[i] - p[i])));
                let (point, its_error) = table.nearest(&v, &w);
                assert!(table.points.contains(&point));
                let wvv: f32 = (0..8).map(|i| w[i] * v[i] * v[i]).sum();
                assert!((its_error + wvv - error(&point)).abs() < 1e-2, "{its_error} {wvv} {v:?}");
                found += error(&point);
                least += table.points.iter().map(error).fold(f32::INFINITY, f32::min);
            }
            assert!(found >= least && found < 1.08 * least, "{found} {least}");
        }
    }

    #[test]
    fn a_point_is_its_own_nearest() {
        let table = Neighbors::<4, 7>::new(&lattice::IQ3_S, &[1, 3, 5, 7, 9, 11, 13, 15]);
        let w = [0.1, 5.0, 1.0, 0.0];
        let wrong = table.points.iter().filter(|p| table.nearest(p, &w).0 != **p).count();
        assert_eq!(wrong, 0);
    }
}
