//! The gated delta rule: Qwen 3 Next and 3.5; with a decay for each key, Kimi's.

use super::linear::factor;
use super::{Position, Width, each_channel, registers, write};
use crate::mat::Mat;
use crate::pool::Columns;
use crate::simd::{Simd, entry};

/// Inputs of one head.
#[derive(Clone, Copy, Debug)]
pub struct Delta<'a> {
    /// `[rows][keys]`
    pub q: Mat<'a>,
    /// `[rows][keys]`
    pub k: Mat<'a>,
    /// `[rows][channels]`
    pub v: Mat<'a>,
    /// `[rows][keys]`, or `[rows][1]` for all keys.
    pub decay: Mat<'a>,
    /// `[rows][1]`
    pub beta: Mat<'a>,
    /// Multiplies `q`.
    pub scale: f32,
}

struct One<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    decay: &'a [f32],
    beta: f32,
    scale: f32,
    state: &'a mut [f32],
    y: &'a mut [f32],
}

impl<S: Simd> Position<S> for One<'_> {
    #[inline(always)]
    fn channels<W: Width, const N: usize>(&mut self, s: S, column: usize, width: W) {
        let n_channels = self.v.len();
        // what the decayed state has for this key
        let mut found = [s.splat(0.0); N];
        for (i, (cells, k)) in self.state.chunks_exact(n_channels).zip(self.k).enumerate() {
            let (decay, k) = (s.splat(factor(self.decay, i)), s.splat(*k));
            for n in 0..N {
                let h = s.mul(width.load(s, &cells[column + 16 * n..]), decay);
                found[n] = s.fma(h, k, found[n]);
            }
        }
        let mut change: [S::V; N] = registers(s, width, &self.v[column..]);
        for n in 0..N {
            change[n] = s.mul(s.sub(change[n], found[n]), s.splat(self.beta));
        }
        let mut sum = [s.splat(0.0); N];
        let rows = self.state.chunks_exact_mut(n_channels);
        for (i, (cells, (k, q))) in rows.zip(self.k.iter().zip(self.q)).enumerate() {
            let cells = &mut cells[column..];
            let (decay, k, q) = (s.splat(factor(self.decay, i)), s.splat(*k), s.splat(*q * self.scale));
            for n in 0..N {
                let h = s.mul(width.load(s, &cells[16 * n..]), decay);
                let h = s.fma(k, change[n], h);
                width.store(s, h, &mut cells[16 * n..]);
                sum[n] = s.fma(h, q, sum[n]);
            }
        }
        write(s, width, sum, &mut self.y[column..]);
    }
}

/// `state` is `[keys][channels]`, `y` is `[rows][channels]`.
#[inline(always)]
fn delta_body<S: Simd>(s: S, scan: &Delta<'_>, state: &mut [f32], y: &mut Columns<'_>) {
    for row in 0..scan.v.rows() {
        let mut one = One {
            q: scan.q.row(row),
            k: scan.k.row(row),
            v: scan.v.row(row),
            decay: scan.decay.row(row),
            beta: scan.beta.row(row)[0],
            scale: scan.scale,
            state,
            y: y.row_mut(row),
        };
        each_channel(s, scan.v.cols(), &mut one);
    }
}

entry!(pub(crate) fn delta(scan: &Delta<'_>, state: &mut [f32], y: &mut Columns<'_>) = delta_body);
