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

use super::dot::Dot;
use super::format::Format;
use super::gemv::{add_min, add_scaled, blocks, sub_sums, sums_of_32};
use super::panel::{Layout, ROWS, unpack};
use super::vec::*;
use crate::linear::{Acts, Panel};
use crate::pool::Columns;
use core::arch::aarch64::{float32x4_t, int32x4_t};

/// Rows of a panel: two tiles, so that a tile's activations are read from the first-level cache the second time.
pub(super) const PANEL_ROWS: usize = 2 * ROWS;

/// Weights of a row that are unpacked at a time.
const STRETCH: usize = 1024;

/// Bytes of panel for rows of `k` weights.
pub(super) fn panel_bytes<F: Format>(k: usize) -> usize {
    2 * k.min(STRETCH) / F::LEN * Layout::<F>::UNIT * size_of::<Bytes>()
}

/// `y.row_mut(t)[r] = w[r] . x[t]`, for as many rows as `y` is wide.
#[inline(always)]
pub(super) fn gemm<F: Format, D: Dot>(dot: D, w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, panel: &mut Panel) {
    let units = x.k / F::LEN;
    let blocks = blocks::<F>(w);
    let panel = panel.bytes_mut(panel_bytes::<F>(x.k)).as_chunks_mut::<16>().0;
    let (last, half) = (y.width().saturating_sub(1), panel.len() / 2);
    for row in (0..y.width()).step_by(PANEL_ROWS) {
        let tiles = (y.width() - row).div_ceil(ROWS).min(2);
        for unit in (0..units).step_by(STRETCH / F::LEN) {
            let n = (units - unit).min(STRETCH / F::LEN);
            for (i, panel) in panel.chunks_exact_mut(half).enumerate().take(tiles) {
                // Rows beyond the last are the last again; their results are not stored.
                let mut rows = [&blocks[..0]; ROWS];
                for (r, slot) in rows.iter_mut().enumerate() {
                    *slot = &blocks[(row + ROWS * i + r).min(last) * units + unit..][..n];
                }
                unpack(rows, panel);
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
fn tokens<F: Format, D: Dot, const T: usize>(
    dot: D,
    place: Place,
    panel: &[Bytes],
    x: Acts<'_>,
    y: &mut Columns<'_>,
) -> usize {
    let Place { t, row, unit, n } = place;
    let mut a = [Token { q: &[], d: &[], sums: &[] }; T];
    for (i, a) in a.iter_mut().enumerate() {
        let from = (t + i) * x.k + unit * F::LEN;
        *a = Token {
            q: x.q[from..from + n * F::LEN].as_chunks::<16>().0,
            d: &x.d[from / F::LEN..][..n],
            sums: &x.sums[from / 16..][..n * F::LEN / 16],
        };
    }
    let half = panel.len() / 2;
    for (i, panel) in panel.chunks_exact(half).enumerate() {
        let first = row + ROWS * i;
        let width = y.width().saturating_sub(first).min(ROWS);
        if width == 0 {
            break;
        }
        let mut acc = [[splat_f32(0.0); 2]; T];
        if unit > 0 {
            for (i, acc) in acc.iter_mut().enumerate() {
                *acc = load_row(&y.row_mut(t + i)[first..first + width]);
            }
        }
        let acc = tile::<F, D, T>(dot, &panel[..n * Layout::<F>::UNIT], a, acc);
        for (i, acc) in acc.into_iter().enumerate() {
            store_row(&mut y.row_mut(t + i)[first..first + width], acc);
        }
    }
    T
}

/// Up to 8 values of a row of `y`.
#[inline(always)]
fn load_row(y: &[f32]) -> [float32x4_t; 2] {
    let mut v = [[0.0; 4]; 2];
    for (v, y) in v.as_flattened_mut().iter_mut().zip(y) {
        *v = *y;
    }
    [load_f32(&v[0]), load_f32(&v[1])]
}

/// Stores as many of 8 values as `y` has room for.
#[inline(always)]
fn store_row(y: &mut [f32], acc: [float32x4_t; 2]) {
    let mut v = [[0.0; 4]; 2];
    store_f32(&mut v[0], acc[0]);
    store_f32(&mut v[1], acc[1]);
    for (y, v) in y.iter_mut().zip(v.as_flattened()) {
        *y = *v;
    }
}

/// A token's activations in a stretch.
#[derive(Clone, Copy)]
struct Token<'a> {
    q: &'a [[i8; 16]],
    d: &'a [f32],
    sums: &'a [i16],
}

/// Adds 8 rows times `T` tokens over the units of a stretch to `acc`, which is `[token][row / 4]`.
#[inline(always)]
fn tile<F: Format, D: Dot, const T: usize>(
    dot: D,
    panel: &[Bytes],
    a: [Token<'_>; T],
    mut acc: [[float32x4_t; 2]; T],
) -> [[float32x4_t; 2]; T] {
    for (u, unit) in panel.chunks_exact(Layout::<F>::UNIT).enumerate() {
        let mut x = [&[][..]; T];
        for t in 0..T {
            x[t] = &a[t].q[u * (F::LEN / 16)..][..F::LEN / 16];
        }
        let isum = if const { F::SUBS == 1 } {
            dots::<F, D, T>(dot, &unit[..Layout::<F>::SUB], x)
        } else {
            scaled_dots::<F, D, T>(dot, unit, x)
        };
        let d = pair_f32(unit, Layout::<F>::D);
        for t in 0..T {
            let da = splat_f32(a[t].d[u]);
            for i in 0..2 {
                acc[t][i] = add_scaled(acc[t][i], isum[t][i], d[i], da);
            }
        }
        if F::HAS_MIN {
            let dmin = pair_f32(unit, Layout::<F>::DMIN);
            for t in 0..T {
                let da = splat_f32(a[t].d[u]);
                let msum = msums::<F>(unit, a[t].sums, u);
                for i in 0..2 {
                    acc[t][i] = add_min::<F>(acc[t][i], msum[i], dmin[i], da);
                }
            }
        }
    }
    acc
}

/// The products of a sub-block.
#[inline(always)]
fn dots<F: Format, D: Dot, const T: usize>(dot: D, w: &[Bytes], a: [&[[i8; 16]]; T]) -> [[int32x4_t; 2]; T] {
    if F::WIDE { dot.tile::<T, true>(w, a) } else { dot.tile::<T, false>(w, a) }
}

/// The sum over the sub-blocks of scale times product.
#[inline(always)]
fn scaled_dots<F: Format, D: Dot, const T: usize>(
    dot: D,
    unit: &[Bytes],
    a: [&[[i8; 16]]; T],
) -> [[int32x4_t; 2]; T] {
    let groups = F::LEN / F::SUBS / 16;
    let mut isum = [[splat_i32(0); 2]; T];
    for s in 0..F::SUBS {
        let mut x = a;
        for t in 0..T {
            x[t] = &a[t][groups * s..][..groups];
        }
        let dots = dots::<F, D, T>(dot, &unit[Layout::<F>::SUB * s..][..Layout::<F>::SUB], x);
        let at = Layout::<F>::SCALES + 2 * s;
        let scale = [words_of_bytes(load(&unit[at])), words_of_bytes(load(&unit[at + 1]))];
        for t in 0..T {
            for i in 0..2 {
                isum[t][i] = mla_i32(isum[t][i], dots[t][i], scale[i]);
            }
        }
    }
    isum
}

/// Two vectors of a unit: 8 rows.
#[inline(always)]
fn pair_f32(unit: &[Bytes], at: usize) -> [float32x4_t; 2] {
    [f32_of_bytes(load(&unit[at])), f32_of_bytes(load(&unit[at + 1]))]
}

/// The sums over the sub-blocks of minimum times activations, of unit `u` of a token.
#[inline(always)]
fn msums<F: Format>(unit: &[Bytes], sums: &[i16], u: usize) -> [float32x4_t; 2] {
    if const { F::SUBS == 1 } {
        let msum = to_f32(lane::<0>(pair_sums(sums_of_32(&sums.as_chunks::<2>().0[u]))));
        return [msum, msum];
    }
    let sums = sub_sums::<F>(&sums.as_chunks::<16>().0[u]);
    let mut msum = [splat_i32(0); 2];
    macro_rules! add {
        ($($s:literal)*) => {$(
            if const { $s < F::SUBS } {
                let mins = i16_of_bytes(load(&unit[Layout::<F>::MINS + $s]));
                msum[0] = mla_lo_lane_i16::<{ $s % 8 }>(msum[0], mins, sums[$s / 8]);
                msum[1] = mla_hi_lane_i16::<{ $s % 8 }>(msum[1], mins, sums[$s / 8]);
            }
        )*};
    }
    if const { F::SUBS == 8 } {
        add!(0 1 2 3 4 5 6 7);
    } else {
        add!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }
    msum.map(to_f32)
}
