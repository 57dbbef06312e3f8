//! The scan of RWKV-7: a decay for each key, and a rank-one change of the state before the input is added.

use super::{Scan, State, Width, cells, each_channel, registers, write};
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

struct Run<'a, 'm, 'y> {
    scan: &'a Wkv7<'m>,
    state: State<'a>,
    y: &'a mut Columns<'y>,
}

impl<S: Simd> Scan<S> for Run<'_, '_, '_> {
    #[inline(always)]
    fn channels<W: Width, const N: usize>(&mut self, s: S, column: usize, width: W) {
        let Wkv7 { r, k, v, decay, a, b } = *self.scan;
        let n_channels = v.cols();
        for row in 0..v.rows() {
            let (r, k, decay, a, b) = (r.row(row), k.row(row), decay.row(row), a.row(row), b.row(row));
            let mut found = [s.splat(0.0); N];
            for ((before, after), a) in self.state.keys(row, n_channels).zip(a) {
                let old: [S::V; N] = cells(s, width, before, after, column);
                for n in 0..N {
                    found[n] = s.fma(old[n], s.splat(*a), found[n]);
                }
            }
            let v: [S::V; N] = registers(s, width, &v.row(row)[column..]);
            let mut sum = [s.splat(0.0); N];
            for (i, (before, after)) in self.state.keys(row, n_channels).enumerate() {
                let old: [S::V; N] = cells(s, width, before, after, column);
                let after = &mut after[column..];
                let (r, k, decay, b) = (s.splat(r[i]), s.splat(k[i]), s.splat(decay[i]), s.splat(b[i]));
                for n in 0..N {
                    let h = s.fma(old[n], decay, s.mul(k, v[n]));
                    let h = s.fma(found[n], b, h);
                    width.store(s, h, &mut after[16 * n..]);
                    sum[n] = s.fma(h, r, sum[n]);
                }
            }
            write(s, width, sum, &mut self.y.row_mut(row)[column..]);
        }
    }
}

/// `y` is `[rows][channels]`.
#[inline(always)]
fn wkv7_body<S: Simd>(s: S, scan: &Wkv7<'_>, state: State<'_>, y: &mut Columns<'_>) {
    each_channel(s, scan.v.cols(), &mut Run { scan, state, y });
}

entry!(pub(crate) fn wkv7(scan: &Wkv7<'_>, state: State<'_>, y: &mut Columns<'_>) = wkv7_body);
