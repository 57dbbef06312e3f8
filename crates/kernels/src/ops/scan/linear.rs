//! Linear attention with a decay: Mamba-2, gated linear attention, RWKV-6.

use super::{Scan, State, Width, cells, each_channel, registers, write};
use crate::mat::Mat;
use crate::pool::Columns;
use crate::simd::{Simd, entry};

/// Inputs of one head. For Mamba-2, `k` is B, `q` is C, and `v` is the input times its time step.
#[derive(Clone, Copy, Debug)]
pub struct LinearAttention<'a> {
    /// `[rows][keys]`
    pub q: Mat<'a>,
    /// `[rows][keys]`
    pub k: Mat<'a>,
    /// `[rows][channels]`
    pub v: Mat<'a>,
    /// `[rows][keys]`, or `[rows][1]` if all keys have the same.
    pub decay: Mat<'a>,
    /// Factor of `q`.
    pub scale: f32,
}

/// Inputs of one head of RWKV-6.
#[derive(Clone, Copy, Debug)]
pub struct Wkv6<'a> {
    /// `[rows][keys]`
    pub r: Mat<'a>,
    /// `[rows][keys]`
    pub k: Mat<'a>,
    /// `[rows][channels]`
    pub v: Mat<'a>,
    /// `[rows][keys]`
    pub decay: Mat<'a>,
    /// Weight that the current position has in the result, `[keys]`.
    pub bonus: &'a [f32],
}

/// Returns factor `i` of a row that has one for each key, or one for all.
#[inline(always)]
pub(super) fn factor(row: &[f32], i: usize) -> f32 {
    if row.len() == 1 { row[0] } else { row[i] }
}

struct Run<'a, 'm, 'y> {
    scan: &'a LinearAttention<'m>,
    state: State<'a>,
    y: &'a mut Columns<'y>,
}

impl<S: Simd> Scan<S> for Run<'_, '_, '_> {
    #[inline(always)]
    fn channels<W: Width, const N: usize>(&mut self, s: S, column: usize, width: W) {
        let LinearAttention { q, k, v, decay, scale } = *self.scan;
        for row in 0..v.rows() {
            let (q, k, decay) = (q.row(row), k.row(row), decay.row(row));
            let v: [S::V; N] = registers(s, width, &v.row(row)[column..]);
            let mut sum = [s.splat(0.0); N];
            let keys = self.state.keys(row, self.scan.v.cols());
            for (i, ((before, after), (k, q))) in keys.zip(k.iter().zip(q)).enumerate() {
                let old: [S::V; N] = cells(s, width, before, after, column);
                let after = &mut after[column..];
                let (k, q) = (s.splat(*k), s.splat(*q * scale));
                let decay = s.splat(factor(decay, i));
                for n in 0..N {
                    let h = s.fma(old[n], decay, s.mul(k, v[n]));
                    width.store(s, h, &mut after[16 * n..]);
                    sum[n] = s.fma(h, q, sum[n]);
                }
            }
            write(s, width, sum, &mut self.y.row_mut(row)[column..]);
        }
    }
}

/// `y` is `[rows][channels]`.
#[inline(always)]
fn linear_attention_body<S: Simd>(s: S, scan: &LinearAttention<'_>, state: State<'_>, y: &mut Columns<'_>) {
    each_channel(s, scan.v.cols(), &mut Run { scan, state, y });
}

struct RunWkv<'a, 'm, 'y> {
    scan: &'a Wkv6<'m>,
    state: State<'a>,
    y: &'a mut Columns<'y>,
}

impl<S: Simd> Scan<S> for RunWkv<'_, '_, '_> {
    #[inline(always)]
    fn channels<W: Width, const N: usize>(&mut self, s: S, column: usize, width: W) {
        let Wkv6 { r, k, v, decay, bonus } = *self.scan;
        for row in 0..v.rows() {
            let (r, k, decay) = (r.row(row), k.row(row), decay.row(row));
            let v: [S::V; N] = registers(s, width, &v.row(row)[column..]);
            let mut sum = [s.splat(0.0); N];
            for (i, (before, after)) in self.state.keys(row, self.scan.v.cols()).enumerate() {
                let old: [S::V; N] = cells(s, width, before, after, column);
                let after = &mut after[column..];
                let (k, r, decay, bonus) =
                    (s.splat(k[i]), s.splat(r[i]), s.splat(decay[i]), s.splat(bonus[i]));
                for n in 0..N {
                    let kv = s.mul(k, v[n]);
                    sum[n] = s.fma(s.fma(kv, bonus, old[n]), r, sum[n]);
                    width.store(s, s.fma(old[n], decay, kv), &mut after[16 * n..]);
                }
            }
            write(s, width, sum, &mut self.y.row_mut(row)[column..]);
        }
    }
}

/// `y` is `[rows][channels]`.
#[inline(always)]
fn wkv6_body<S: Simd>(s: S, scan: &Wkv6<'_>, state: State<'_>, y: &mut Columns<'_>) {
    each_channel(s, scan.v.cols(), &mut RunWkv { scan, state, y });
}

entry!(pub(crate) fn linear_attention(
    scan: &LinearAttention<'_>,
    state: State<'_>,
    y: &mut Columns<'_>,
) = linear_attention_body);
entry!(pub(crate) fn wkv6(scan: &Wkv6<'_>, state: State<'_>, y: &mut Columns<'_>) = wkv6_body);
