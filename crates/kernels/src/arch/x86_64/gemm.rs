//! Many tokens: 16 rows are unpacked into the panel once, then multiplied with all tokens.
//!
//! ```text
//! panel, for each unit, in lines of 64 bytes (16 rows x 4 bytes):
//!     LEN / 4    lines   4 integers a row, unsigned (signed for Q8_0 on AVX2)
//!     SUBS       lines   sub-scales                                            \ formats with sub-blocks
//!     LEN / 32   lines   i16 pairs that go with two sums of 16 activations     /
//!     1          line    d
//!     1          line    scale of the minimum                                    formats with a minimum
//!
//! for each tile of T tokens, for each unit, with 16 rows in lanes:
//!     for each sub-block:    p = sum of integers * activations;  isum += sub-scale * p
//!     isum += pairs * sums of activations        (minus the offset; or msum, for the minimum)
//!     acc = fma(isum, d * da, acc);  acc = fma(-msum, dmin * da, acc)
//! ```

use super::decode::{Decode, is_signed};
use super::panel;
use super::products::{RowProducts, X86Products};
use super::vector::array;
use crate::acts::Acts;
use crate::linear::Panel;
use crate::linear::source::Source;
use crate::pool::Columns;
use core::hint::black_box;
use core::marker::PhantomData;

/// Rows of a panel.
pub(super) const ROWS: usize = 16;

/// A line of the panel.
pub(super) type Line = [u8; 64];

/// The layout of a unit in the panel.
pub(super) struct Layout<I, F>(PhantomData<(I, F)>);

impl<I: RowProducts, F: Decode> Layout<I, F> {
    /// Lines of integers.
    pub(super) const QUANTS: usize = F::LEN / 4;
    /// Lines of sub-scales.
    pub(super) const SCALES: usize = if F::SUBS > 1 { F::SUBS } else { 0 };
    /// Lines of pairs; none if signed bytes are multiplied as such.
    pub(super) const PAIRS: usize =
        if F::SUBS > 1 && !(I::SIGNED && is_signed::<F>()) { F::LEN / 32 } else { 0 };
    /// All lines.
    pub(super) const LINES: usize =
        Self::QUANTS + Self::SCALES + Self::PAIRS + 1 + if F::HAS_MIN { 1 } else { 0 };
    /// Lines of integers in a sub-block.
    const SUB: usize = Self::QUANTS / F::SUBS;
    /// Number of steps of 4 integers whose products fit into a lane; after these the sums are moved out. It divides
    /// [`Self::SUB`].
    pub(super) const STEPS: usize = {
        let fit = (I::SUM_MAX / (2 * 127 * F::MAX)) as usize;
        let mut steps = Self::SUB;
        while steps > fit {
            steps /= 2;
        }
        steps
    };
    /// Runs of steps in one turn of the loop: several if a run is a single step.
    const RUNS: usize = if Self::STEPS == 1 { 4 } else { 1 };
    /// What must be subtracted from the integers in the panel.
    pub(super) const OFFSET: i32 = if I::SIGNED && is_signed::<F>() { 0 } else { F::OFFSET as i32 };
}

/// Returns the size in bytes of a panel for rows of `k` weights.
pub(super) fn panel_bytes<I: X86Products, F: Decode>(k: usize) -> usize {
    (k / F::LEN * F::REPEAT).saturating_mul(Layout::<I, F>::LINES * size_of::<Line>())
}

/// See [`crate::linear::Gemm`]: for formats that are decoded in place.
#[inline(always)]
pub(super) fn gemm<I: X86Products, F: Decode + Source>(
    s: I,
    w: &[u8],
    x: Acts<'_>,
    y: &mut Columns<'_>,
    panel: &mut Panel,
) {
    let (units, width) = (x.k / F::LEN * F::REPEAT / <F as Decode>::PARTS, y.width());
    x.assert_fits(F::KIND, w, width, units.saturating_mul(size_of::<F>()));
    let blocks = F::blocks(&w[..width * units * size_of::<F>()]);
    assert!(blocks.len() == width * units);
    panels::<I, F>(
        s,
        x,
        y,
        panel,
        #[inline(always)]
        |first, lines| {
            // An incomplete panel repeats the last row.
            let mut rows = [blocks; ROWS];
            for (r, row) in rows.iter_mut().enumerate() {
                *row = &blocks[(first + r).min(width - 1) * units..][..units];
            }
            let next = &w[((first + ROWS) * units * size_of::<F>()).min(w.len())..];
            panel::fill::<I, F>(s, rows, next, lines);
        },
    );
}

/// Multiplies all panels. `fill` is called with the first row of each panel and its lines.
#[inline(always)]
pub(super) fn panels<I: X86Products, F: Decode>(
    s: I,
    x: Acts<'_>,
    y: &mut Columns<'_>,
    panel: &mut Panel,
    fill: impl Fn(usize, &mut [Line]),
) {
    let width = y.width();
    if width == 0 || x.rows == 0 {
        return;
    }
    x.assert_whole(F::KIND);
    assert!(y.rows() >= x.rows);
    let lines = panel.bytes_mut(panel_bytes::<I, F>(x.k)).as_chunks_mut().0;
    let trips = Trips::new::<I, F>();
    for first in (0..width).step_by(ROWS) {
        fill(first, lines);
        let mut t = 0;
        while t < x.rows {
            let n = (x.rows - t).min(I::TOKENS);
            // SAFETY: the shapes were checked above, and `t + n` is at most `x.rows`; each arm takes at most `n`.
            t += unsafe {
                match n {
                    8.. => tile::<I, F, 8>(s, lines, x, t, trips, y, first),
                    4.. => tile::<I, F, 4>(s, lines, x, t, trips, y, first),
                    2.. => tile::<I, F, 2>(s, lines, x, t, trips, y, first),
                    _ => tile::<I, F, 1>(s, lines, x, t, trips, y, first),
                }
            };
        }
    }
}

/// The trip counts of the inner loops of a tile.
///
/// They are constants that are hidden from the compiler. Otherwise it would unroll the loops, load all weights of a
/// sub-block before the first product, and run out of registers.
#[derive(Clone, Copy)]
struct Trips {
    turns: usize,
    pairs: usize,
}

impl Trips {
    fn new<I: X86Products, F: Decode>() -> Self {
        let (parts, steps) = (Layout::<I, F>::QUANTS / Layout::<I, F>::STEPS, Layout::<I, F>::STEPS);
        Self {
            turns: if parts > 1 { black_box(parts / Layout::<I, F>::RUNS) } else { 1 },
            pairs: if steps > 2 { black_box(steps / 2) } else { 1 },
        }
    }
}

/// Multiplies the panel with tokens `t .. t + T` and returns `T`.
///
/// # Safety
/// The panel is as long as [`panel_bytes`] says, the parts of `x` are as long as `x.rows` and `x.k` say, `t + T` is at
/// most `x.rows`, and `trips` is [`Trips::new`].
#[inline(always)]
unsafe fn tile<I: X86Products, F: Decode, const T: usize>(
    s: I,
    panel: &[Line],
    x: Acts<'_>,
    t: usize,
    trips: Trips,
    y: &mut Columns<'_>,
    first: usize,
) -> usize {
    let blocks = x.k / F::LEN;
    let units = blocks * F::REPEAT;
    let mut acc = [s.zero_r(); T];
    for u in 0..units {
        // The index of each token's unit in `x.d`.
        let mut at = [0; T];
        for (i, at) in at.iter_mut().enumerate() {
            *at = (t + i) * blocks + u / F::REPEAT;
        }
        // SAFETY: `u` is below `units`, so these are the lines of a unit.
        let unit: &[Line] =
            unsafe { panel.get_unchecked(u * Layout::<I, F>::LINES..(u + 1) * Layout::<I, F>::LINES) };
        let (quants, rest) = unit.split_at(Layout::<I, F>::QUANTS);
        let (sub_scales, rest) = rest.split_at(Layout::<I, F>::SCALES);
        let (pairs, d) = rest.split_at(Layout::<I, F>::PAIRS);

        let mut isum = [s.zero_i(); T];
        for turn in 0..trips.turns {
            for part in turn * Layout::<I, F>::RUNS..(turn + 1) * Layout::<I, F>::RUNS {
                let start = part * Layout::<I, F>::STEPS;
                let mut p = [s.zero_p(); T];
                for pair in 0..trips.pairs {
                    for step in 0..if Layout::<I, F>::STEPS > 1 { 2 } else { 1 } {
                        let j = start + 2 * pair + step;
                        // SAFETY: `j` counts the `LEN / 4` lines of integers.
                        let w = s.load_w(unsafe { quants.get_unchecked(j) });
                        for i in 0..T {
                            // SAFETY: a line of integers is multiplied with 4 activations of each token.
                            let a = unsafe { *array(x.q, at[i] * F::LEN + 4 * j) };
                            p[i] = s.step::<F>(p[i], w, a);
                        }
                    }
                }
                for i in 0..T {
                    isum[i] = if F::SUBS > 1 {
                        // SAFETY: the sub-block of line `start`, of `LEN / 4` lines.
                        s.add_scaled(isum[i], p[i], unsafe {
                            sub_scales.get_unchecked(start / Layout::<I, F>::SUB)
                        })
                    } else {
                        s.add_sums(isum[i], p[i])
                    };
                }
            }
        }
        let dw = s.load_r(&d[0]);
        for i in 0..T {
            // SAFETY: `at[i]` is below `x.rows * blocks`, the length of `x.d`.
            let da = unsafe { array::<_, 1>(x.d, at[i])[0] };
            // SAFETY: `x.sums` has `LEN / 16` elements for one of `x.d`, two for a `p` of `LEN / 32`.
            let sums = |p: usize| unsafe { *array::<i16, 2>(x.sums, at[i] * (F::LEN / 16) + 2 * p) };
            if F::SUBS == 1 {
                if Layout::<I, F>::OFFSET != 0 {
                    isum[i] = s.add_i(isum[i], s.splat_dot(sums(0), -Layout::<I, F>::OFFSET as i16));
                }
                acc[i] = s.fma(acc[i], isum[i], dw, da);
                if F::HAS_MIN {
                    // The minimum is stored with the sign with which it is added.
                    acc[i] = s.fma(acc[i], s.splat_dot(sums(0), 1), s.load_r(&d[1]), da);
                }
            } else if F::HAS_MIN {
                acc[i] = s.fma(acc[i], isum[i], dw, da);
                let mut msum = s.zero_i();
                for (p, pairs) in pairs.iter().enumerate() {
                    msum = s.add_pairs(msum, pairs, sums(p));
                }
                acc[i] = s.nfma(acc[i], msum, s.load_r(&d[1]), da);
            } else {
                for (p, pairs) in pairs.iter().enumerate() {
                    isum[i] = s.add_pairs(isum[i], pairs, sums(p));
                }
                acc[i] = s.fma(acc[i], isum[i], dw, da);
            }
        }
    }
    for (i, acc) in acc.into_iter().enumerate() {
        let y = &mut y.row_mut(t + i)[first..];
        if let Some(y) = y.first_chunk_mut() {
            s.store(acc, y);
        } else {
            let mut out = [0.0; ROWS];
            s.store(acc, &mut out);
            y.copy_from_slice(&out[..y.len()]);
        }
    }
    T
}
