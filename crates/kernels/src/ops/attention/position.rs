//! Parts of attention that depend on the distance of two positions: windows, and biases of the scores.
//!
//! ```text
//! slopes:       s[j] = fma(-slope[head], |j - p|, s[j])                               ALiBi
//! by distance:  s[j] = s[j] + values[head][most + clamp(j - p, -most, most)]          T5
//! ```

use super::TILE;
use super::scores::LANES;
use crate::simd::Simd;

/// The positions near its own that a row sees, among those before [`AttnRow::end`](super::AttnRow::end).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Its own and those before it, this many in all; at least 1.
    Last(u32),
    /// Its own and this many on either side.
    Around(u32),
    /// Those of its own chunk. Positions are cut into chunks of this many, at least 1, from 0 on.
    Chunk(u32),
}

/// A bias that depends on the distance of two positions and is added to their score.
#[derive(Clone, Copy, Debug)]
pub enum PositionBias<'a> {
    /// A slope for each head, which is multiplied by the distance and subtracted (ALiBi).
    Slopes(&'a [f32]),
    /// For each head, `2 * most + 1` values for distances from `-most` (a key that far before the query) to `most`.
    /// Greater distances count as these (T5).
    ByDistance {
        /// `[head][2 * most + 1]`
        values: &'a [f32],
        /// The greatest distance with a value of its own.
        most: u32,
    },
}

impl<'a> PositionBias<'a> {
    /// Returns whether it has values for this many heads.
    pub(super) fn covers(&self, n_heads: usize) -> bool {
        match self {
            PositionBias::Slopes(slopes) => slopes.len() == n_heads,
            PositionBias::ByDistance { values, most } => {
                values.len() == (2 * *most as usize + 1).saturating_mul(n_heads)
            }
        }
    }

    /// Returns the bias of one query's head in the tile that starts at position `base`.
    pub(super) fn of(self, head: usize, base: usize, position: u32) -> TileBias<'a> {
        let first = base as i64 - i64::from(position);
        match self {
            PositionBias::Slopes(slopes) => TileBias::Slope { slope: slopes[head], first: first as f32 },
            PositionBias::ByDistance { values, most } => {
                let width = 2 * most as usize + 1;
                TileBias::Values { values: &values[head * width..(head + 1) * width], first }
            }
        }
    }
}

/// The bias of one query's head in one tile; `first` is the distance of the tile's first position.
pub(super) enum TileBias<'a> {
    Slope { slope: f32, first: f32 },
    Values { values: &'a [f32], first: i64 },
}

impl TileBias<'_> {
    /// Adds to the scores of 16 positions of the tile, from `at` on.
    #[inline(always)]
    pub(super) fn add<S: Simd>(&self, s: S, at: usize, scores: S::V) -> S::V {
        debug_assert!(at < TILE);
        match self {
            TileBias::Slope { slope, first } => {
                // whole numbers below 2^24: exact
                let distance = s.add(s.load(&LANES), s.splat(first + at as f32));
                let distance = s.max(distance, s.sub(s.splat(0.0), distance));
                s.fma(s.splat(-slope), distance, scores)
            }
            TileBias::Values { values, first } => {
                let last = values.len() as i64 - 1;
                let zero = first + at as i64 + last / 2;
                let mut lanes = [0.0; 16];
                for (lane, i) in lanes.iter_mut().zip(0..) {
                    *lane = values[(zero + i).clamp(0, last) as usize];
                }
                s.add(scores, s.load(&lanes))
            }
        }
    }
}
