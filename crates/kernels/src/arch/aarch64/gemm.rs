//! Many tokens: a panel of unpacked rows times tile after tile of tokens.
//!
//! ```text
//! for each stretch of K (a panel that fits the first-level cache):
//!     unpack 16 rows                                                              panel.rs
//!     for each tile of T tokens, for each 8 of the rows:
//!         acc = y (0 in the first stretch)                       f32 in memory is what it was in the register
//!         for each unit: for each sub-block: isum += scale * tile(w, a)           8 rows in lanes
//!                        acc = fma(isum, d * da, acc);  acc = fma(-msum, dmin * da, acc)
//!         y = acc
//! ```

use super::decode::Decode;
use super::gemv::blocks_of_activations;
use super::panel::{Layout, ROWS, unpack};
use super::products::ArmProducts;
use super::shape::Shape;
use super::tile::Token;
use super::vector::Bytes;
use crate::acts::Acts;
use crate::linear::Panel;
use crate::linear::source::Source;
use crate::pool::Columns;

/// Rows of a panel: two tiles, so that a tile's activations are read from the first-level cache the second time.
pub(super) const PANEL_ROWS: usize = 2 * ROWS;

/// Weights of a row that are unpacked at a time.
const STRETCH: usize = 1024;

/// Bytes of panel for rows of `k` weights.
pub(super) fn panel_bytes<F: Decode>(k: usize) -> usize {
    k.min(STRETCH) * 2 / F::LEN * F::REPEAT * Layout::<F::Shape>::UNIT * size_of::<Bytes>()
}

/// `y.row_mut(t)[r] = w[r] . x[t]`, for as many rows as `y` is wide: formats that are read as they are stored.
#[inline(always)]
pub(super) fn gemm<F: Decode + Source, D: ArmProducts>(
    dot: D,
    w: &[u8],
    x: Acts<'_>,
    y: &mut Columns<'_>,
    panel: &mut Panel,
) {
    let each = blocks_of_activations::<F>();
    let units = x.k / F::LEN / each;
    x.assert_fits(F::KIND, w, y.width(), units.saturating_mul(size_of::<F>()));
    let blocks = F::blocks(w);
    let last = y.width().saturating_sub(1);
    panels::<F, D>(dot, x, y, panel, |row, unit, n, panel| {
        // Rows beyond the last are the last again; their results are not stored.
        let mut rows = [&blocks[..0]; ROWS];
        for (r, slot) in rows.iter_mut().enumerate() {
            *slot = &blocks[(row + r).min(last) * units + unit / each..][..n / each];
        }
        unpack(rows, panel);
    });
}

/// All panels. `fill` is given a first row, a block of activations and how many, and unpacks what 8 rows have for them.
#[inline(always)]
pub(super) fn panels<F: Decode, D: ArmProducts>(
    dot: D,
    x: Acts<'_>,
    y: &mut Columns<'_>,
    panel: &mut Panel,
    fill: impl Fn(usize, usize, usize, &mut [Bytes]),
) {
    let units = x.k / F::LEN;
    let panel = panel.bytes_mut(panel_bytes::<F>(x.k)).as_chunks_mut::<16>().0;
    let half = panel.len() / 2;
    for row in (0..y.width()).step_by(PANEL_ROWS) {
        let tiles = (y.width() - row).div_ceil(ROWS).min(2);
        for unit in (0..units).step_by(STRETCH / F::LEN) {
            let n = (units - unit).min(STRETCH / F::LEN);
            for (i, panel) in panel.chunks_exact_mut(half).enumerate().take(tiles) {
                fill(row + ROWS * i, unit, n, panel);
            }
            let mut t = 0;
            while t < x.rows {
                let place = Place { t, row, unit, n };
                t += match x.rows - t {
                    4.. if const { D::TOKENS >= 4 } => tokens::<F, D, 4>(dot, place, panel, x, y),
                    2.. => tokens::<F, D, 2>(dot, place, panel, x, y),
                    _ => tokens::<F, D, 1>(dot, place, panel, x, y),
                };
            }
        }
    }
}

/// Where a tile lies: its first token, the first row of its panel, and the units of the stretch.
#[derive(Clone, Copy)]
struct Place {
    t: usize,
    row: usize,
    unit: usize,
    n: usize,
}

/// Multiplies the panel by `T` tokens and returns `T`.
#[inline(always)]
fn tokens<F: Decode, D: ArmProducts, const T: usize>(
    dot: D,
    place: Place,
    panel: &[Bytes],
    x: Acts<'_>,
    y: &mut Columns<'_>,
) -> usize {
    let Place { t, row, unit, n } = place;
    let mut a = [Token::<F::Shape> { q: &[], d: &[], sums: &[] }; T];
    for (i, a) in a.iter_mut().enumerate() {
        let from = (t + i) * x.k + unit * F::LEN;
        *a = Token {
            q: F::Shape::quants(&x.q[from..][..n * F::LEN]),
            d: &x.d[from / F::LEN..][..n],
            sums: F::Shape::sums(&x.sums[from / 16..][..n * F::LEN / 16]),
        };
    }
    for (i, panel) in panel.chunks_exact(panel.len() / 2).enumerate() {
        let first = row + ROWS * i;
        let width = y.width().saturating_sub(first).min(ROWS);
        if width == 0 {
            break;
        }
        let mut acc = [[0.0; ROWS]; T];
        if unit > 0 {
            for (i, acc) in acc.iter_mut().enumerate() {
                copy(&y.row_mut(t + i)[first..][..width], acc);
            }
        }
        dot.tile::<F::Shape, T>(panel, &a, &mut acc);
        for (i, acc) in acc.iter().enumerate() {
            copy(acc, &mut y.row_mut(t + i)[first..][..width]);
        }
    }
    T
}

/// Copies as many values as both have: mostly a whole row of a tile, for which this is two vectors.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    if let (Some(from), Some(to)) = (from.first_chunk::<ROWS>(), to.first_chunk_mut::<ROWS>()) {
        *to = *from;
    } else {
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
    }
}
