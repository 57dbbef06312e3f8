//! Many tokens: rows are unpacked into a panel, which is multiplied with one tile of tokens after the other.
//!
//! ```text
//! for each stretch of K (a panel that fits the first-level cache):
//!     unpack 16 or 32 rows                                                        panel.rs
//!     for each tile of T tokens, for each 8 of the rows:                          tile.rs, i8mm.rs
//!         acc = y (0 in the first stretch)                       f32 in memory is what it was in the register
//!         for each unit: isum of 8 rows;  acc = fma(isum, d * da, acc);  acc = fma(-msum, dmin * da, acc)
//!         y = acc
//! ```

use super::decode::Decode;
use super::gemv::blocks_of_activations;
use super::panel::{ROWS, unit_len, unpack};
use super::products::ArmProducts;
use super::shape::Shape;
use super::tile::Token;
use super::vector::Bytes;
use crate::acts::Acts;
use crate::linear::Panel;
use crate::linear::products::Products;
use crate::linear::source::Source;
use crate::pool::Columns;

/// Weights of a row that are unpacked at a time.
const STRETCH: usize = 1024;

/// How an instruction set multiplies panels.
pub(super) trait Panels: Products {
    /// The products that multiply a single token.
    type Rows: ArmProducts;
    /// The shape whose code serves shape `S`.
    type Of<S: Shape>: Shape;
    /// Whether panels hold pairs of rows, instead of rows in lanes.
    const PAIRS: bool;
    /// Groups of 8 rows in a panel.
    const TILES: usize;

    /// Returns the number of vectors of scratch for tokens of `k` values.
    fn scratch_len<S: Shape>(k: usize) -> usize;

    /// Multiplies the panel with a tile of tokens and returns their number.
    fn tokens<S: Shape>(
        self,
        place: Place,
        panel: &[Bytes],
        scratch: &mut [Bytes],
        x: Acts<'_>,
        y: &mut Columns<'_>,
    ) -> usize;
}

/// Rows in lanes. A panel is two tiles, so that the activations of a tile come from the first-level cache the second
/// time.
impl<D: ArmProducts> Panels for D {
    type Rows = D;
    type Of<S: Shape> = D::Of<S>;
    const PAIRS: bool = false;
    const TILES: usize = 2;

    fn scratch_len<S: Shape>(_: usize) -> usize {
        0
    }

    #[inline(always)]
    fn tokens<S: Shape>(
        self,
        place: Place,
        panel: &[Bytes],
        _: &mut [Bytes],
        x: Acts<'_>,
        y: &mut Columns<'_>,
    ) -> usize {
        match x.rows - place.t {
            4.. if const { D::TOKENS >= 4 } => tokens::<S, D, 4>(self, place, panel, x, y),
            2.. => tokens::<S, D, 2>(self, place, panel, x, y),
            _ => tokens::<S, D, 1>(self, place, panel, x, y),
        }
    }
}

/// Returns the number of blocks of activations in a stretch of rows of `k` values, or in the whole row if it is
/// shorter.
pub(super) fn stretch_len<S: Shape>(k: usize) -> usize {
    k.min(STRETCH) / S::LEN
}

/// Returns the number of vectors of an unpacked stretch of 8 rows.
fn tile_len<S: Shape, P: Panels>(k: usize) -> usize {
    stretch_len::<S>(k) * S::REPEAT * unit_len::<S>(P::PAIRS)
}

/// Returns the size in bytes of a panel for rows of `k` weights.
pub(super) fn panel_bytes<S: Shape, P: Panels>(k: usize) -> usize {
    (P::TILES * tile_len::<S, P>(k) + P::scratch_len::<S>(k)) * size_of::<Bytes>()
}

/// Computes `y.row_mut(t)[r] = w[r] . x[t]` for as many rows as `y` is wide: for formats that are decoded in place.
pub(super) fn gemm<F: Decode + Source, P: Panels>(
    w: &[u8],
    x: Acts<'_>,
    y: &mut Columns<'_>,
    panel: &mut Panel,
) {
    unpacking::<F>(w, x, y, panel, P::PAIRS, panels::<P::Of<F::Shape>, P>);
}

/// Unpacks rows of 8 for [`panels`]: a first row, a first block of activations, the number of blocks, and the panel.
type Fill<'a> = dyn Fn(usize, usize, usize, &mut [Bytes]) + 'a;

/// Runs `panels` with the weights of a format. It is not inlined, so that all instruction sets share it.
#[inline(never)]
fn unpacking<F: Decode + Source>(
    w: &[u8],
    x: Acts<'_>,
    y: &mut Columns<'_>,
    panel: &mut Panel,
    pairs: bool,
    panels: fn(Acts<'_>, &mut Columns<'_>, &mut Panel, &Fill<'_>),
) {
    let each = blocks_of_activations::<F>();
    let units = x.k / F::LEN / each;
    x.check_fits(F::KIND, w, y.width(), units.saturating_mul(size_of::<F>()));
    let blocks = F::blocks(w);
    let last = y.width().saturating_sub(1);
    panels(x, y, panel, &|row, unit, n, panel| {
        // Rows past the end repeat the last one; their results are not stored.
        let mut rows = [&blocks[..0]; ROWS];
        for (r, slot) in rows.iter_mut().enumerate() {
            *slot = &blocks[(row + r).min(last) * units + unit / each..][..n / each];
        }
        unpack(rows, panel, pairs);
    });
}

/// Multiplies all panels. `fill` is called with a first row, a first block of activations and the number of blocks, and
/// unpacks the weights of 8 rows that belong to them.
///
/// It is called through a pointer, so that formats of one shape share this function.
#[inline(never)]
pub(super) fn panels<S: Shape, P: Panels>(
    x: Acts<'_>,
    y: &mut Columns<'_>,
    panel: &mut Panel,
    fill: &Fill<'_>,
) {
    let dot = P::proof();
    let units = x.k / S::LEN;
    let tile = tile_len::<S, P>(x.k);
    let panel = panel.bytes_mut(panel_bytes::<S, P>(x.k)).as_chunks_mut::<16>().0;
    let (panel, scratch) = panel.split_at_mut(P::TILES * tile);
    for row in (0..y.width()).step_by(P::TILES * ROWS) {
        let tiles = (y.width() - row).div_ceil(ROWS);
        for unit in (0..units).step_by(STRETCH / S::LEN) {
            let n = (units - unit).min(STRETCH / S::LEN);
            for (i, panel) in panel.chunks_exact_mut(tile).enumerate().take(tiles) {
                fill(row + ROWS * i, unit, n, panel);
            }
            let mut t = 0;
            while t < x.rows {
                t += dot.tokens::<S>(Place { t, row, unit, n }, panel, scratch, x, y);
            }
        }
    }
}

/// Where a tile lies: its first token, the first row of its panel, and the first block and the number of blocks of the
/// stretch.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) t: usize,
    pub(super) row: usize,
    pub(super) unit: usize,
    pub(super) n: usize,
}

/// Multiplies the panel with `T` tokens and returns `T`.
#[inline(always)]
fn tokens<S: Shape, D: ArmProducts, const T: usize>(
    dot: D,
    place: Place,
    panel: &[Bytes],
    x: Acts<'_>,
    y: &mut Columns<'_>,
) -> usize {
    let Place { t, row, unit, n } = place;
    let mut a = [Token::<S> { q: &[], d: &[], sums: &[] }; T];
    for (i, a) in a.iter_mut().enumerate() {
        let from = (t + i) * x.k + unit * S::LEN;
        *a = Token {
            q: S::quants(&x.q[from..][..n * S::LEN]),
            d: &x.d[from / S::LEN..][..n],
            sums: S::sums(&x.sums[from / 16..][..n * S::LEN / 16]),
        };
    }
    for (i, panel) in panel.chunks_exact(panel.len() / D::TILES).enumerate() {
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
        dot.tile::<S, T>(panel, &a, &mut acc);
        for (i, acc) in acc.iter().enumerate() {
            copy(acc, &mut y.row_mut(t + i)[first..][..width]);
        }
    }
    T
}

/// Copies as many values as both slices have. Mostly this is a whole row of a tile, which takes two vectors.
#[inline(always)]
pub(super) fn copy(from: &[f32], to: &mut [f32]) {
    if let (Some(from), Some(to)) = (from.first_chunk::<ROWS>(), to.first_chunk_mut::<ROWS>()) {
        *to = *from;
    } else {
        let n = from.len().min(to.len());
        to[..n].copy_from_slice(&from[..n]);
    }
}
