//! The scan of RWKV-7: a decay for each key, and a rank-one change of the state before the input is added.

use super::{Position, Width, each_channel, registers, write};
use crate::mat::Mat;
use crate::pool::Columns;
use crate::simd::{Simd, entry};

/// Inputs of one head.
#[derive(Clone, Copy, Debug)]
pub struct Wkv7<'a> {
    /// `[rows][keys]`
    pub r: Mat<'a>,
    /// `[rows][keys]`
    pub k: Mat<'a>,
    /// `[rows][channels]`
    pub v: Mat<'a>,
    /// `[rows][keys]`
    pub decay: Mat<'a>,
    /// Where the change reads, `[rows][keys]`.
    pub a: Mat<'a>,
    /// Where the change writes, `[rows][keys]`.
    pub b: Mat<'a>,
}

struct One<'a, 'm> {
    scan: &'a Wkv7<'m>,
    row: usize,
    state: &'a mut [f32],
    y: &'a mut [f32],
}

impl<S: Simd> Position<S> for One<'_, '_> {
    #[inline(always)]
    fn channels<W: Width, const N: usize>(&mut self, s: S, column: usize, width: W) {
        let Wkv7 { r, k, v, decay, a, b } = *self.scan;
        let (r, k, v) = (r.row(self.row), k.row(self.row), v.row(self.row));
        let (decay, a, b) = (decay.row(self.row), a.row(self.row), b.row(self.row));
        let n_channels = v.len();
        let mut found = [s.splat(0.0); N];
        for (cells, a) in self.state.chunks_exact(n_channels).zip(a) {
            for n in 0..N {
                found[n] = s.fma(width.load(s, &cells[column + 16 * n..]), s.splat(*a), found[n]);
            }
        }
        let v: [S::V; N] = registers(s, width, &v[column..]);
        let mut sum = [s.splat(0.0); N];
        for (i, cells) in self.state.chunks_exact_mut(n_channels).enumerate() {
            let cells = &mut cells[column..];
            let (r, k, decay, b) = (s.splat(r[i]), s.splat(k[i]), s.splat(decay[i]), s.splat(b[i]));
            for n in 0..N {
                let h = s.fma(width.load(s, &cells[16 * n..]), decay, s.mul(k, v[n]));
                let h = s.fma(found[n], b, h);
                width.store(s, h, &mut cells[16 * n..]);
                sum[n] = s.fma(h, r, sum[n]);
            }
        }
        write(s, width, sum, &mut self.y[column..]);
    }
}

/// `state` is `[keys][channels]`, `y` is `[rows][channels]`.
#[inline(always)]
fn wkv7_body<S: Simd>(s: S, scan: &Wkv7<'_>, state: &mut [f32], y: &mut Columns<'_>) {
    for row in 0..scan.v.rows() {
        each_channel(s, scan.v.cols(), &mut One { scan, row, state, y: y.row_mut(row) });
    }
}

entry!(pub(crate) fn wkv7(scan: &Wkv7<'_>, state: &mut [f32], y: &mut Columns<'_>) = wkv7_body);
