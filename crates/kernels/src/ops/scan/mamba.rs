//! The scan of Mamba: a decay for each channel and state.

use super::{Scan, Width, each_channel, registers, write};
use crate::mat::Mat;
use crate::ops::math;
use crate::pool::Columns;
use crate::simd::{Simd, entry};

/// Inputs of a scan over some channels.
#[derive(Clone, Copy, Debug)]
pub struct Mamba<'a> {
    /// `[rows][channels]`
    pub x: Mat<'a>,
    /// Time steps, after softplus, `[rows][channels]`.
    pub dt: Mat<'a>,
    /// `[states][channels]`, negative.
    pub a: Mat<'a>,
    /// `[rows][states]`, shared by all channels.
    pub b: Mat<'a>,
    /// `[rows][states]`, shared by all channels.
    pub c: Mat<'a>,
    /// Factor of the input that is added to the result, `[channels]`.
    pub d: &'a [f32],
}

struct Run<'a, 'm, 'y> {
    scan: &'a Mamba<'m>,
    state: &'a mut Columns<'y>,
    y: &'a mut Columns<'y>,
}

impl<S: Simd> Scan<S> for Run<'_, '_, '_> {
    #[inline(always)]
    fn channels<W: Width, const N: usize>(&mut self, s: S, column: usize, width: W) {
        let Mamba { x, dt, a, b, c, d } = *self.scan;
        for row in 0..x.rows() {
            let (b, c) = (b.row(row), c.row(row));
            let dt: [S::V; N] = registers(s, width, &dt.row(row)[column..]);
            let x: [S::V; N] = registers(s, width, &x.row(row)[column..]);
            let mut sum = [s.splat(0.0); N];
            for (i, (b, c)) in b.iter().zip(c).enumerate() {
                let a: [S::V; N] = registers(s, width, &a.row(i)[column..]);
                let cells = &mut self.state.row_mut(i)[column..];
                for n in 0..N {
                    let decay = math::exp(s, s.mul(dt[n], a[n]));
                    let input = s.mul(s.mul(x[n], dt[n]), s.splat(*b));
                    let h = s.fma(width.load(s, &cells[16 * n..]), decay, input);
                    width.store(s, h, &mut cells[16 * n..]);
                    sum[n] = s.fma(h, s.splat(*c), sum[n]);
                }
            }
            for (n, sum) in sum.iter_mut().enumerate() {
                *sum = s.fma(x[n], width.load(s, &d[column + 16 * n..]), *sum);
            }
            write(s, width, sum, &mut self.y.row_mut(row)[column..]);
        }
    }
}

/// `state` is `[states][channels]`, `y` is `[rows][channels]`.
#[inline(always)]
fn mamba_body<S: Simd>(s: S, scan: &Mamba<'_>, state: &mut Columns<'_>, y: &mut Columns<'_>) {
    let (states, rows) = (state.rows(), y.rows());
    let (mut state, mut y) = (state.rows_range_mut(0, states), y.rows_range_mut(0, rows));
    each_channel(s, scan.x.cols(), &mut Run { scan, state: &mut state, y: &mut y });
}

entry!(pub(crate) fn mamba(scan: &Mamba<'_>, state: &mut Columns<'_>, y: &mut Columns<'_>) = mamba_body);
