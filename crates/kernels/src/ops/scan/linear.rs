//! Linear attention with a decay: Mamba-2, gated linear attention, RWKV-6.

use super::{Position, Width, each_channel, registers, write};
use crate::mat::Mat;
use crate::pool::Columns;
use crate::simd::{Simd, entry};

/// Inputs of one head. Mamba-2 in these words: `k` is B, `q` is C, `v` is the input times its time step.
#[derive(Clone, Copy, Debug)]
pub struct LinearAttention<'a> {
    /// `[rows][keys]`
    pub q: Mat<'a>,
    /// `[rows][keys]`
    pub k: Mat<'a>,
    /// `[rows][channels]`
    pub v: Mat<'a>,
    /// `[rows][keys]`, or `[rows][1]` for all keys.
    pub decay: Mat<'a>,
    /// Multiplies `q`.
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
    /// What the current position counts more, `[keys]`.
    pub bonus: &'a [f32],
}

/// Factor `i` of a row that has one for each key, or one for all.
#[inline(always)]
pub(super) fn factor(row: &[f32], i: usize) -> f32 {
    if row.len() == 1 { row[0] } else { row[i] }
}

struct One<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    decay: &'a [f32],
    scale: f32,
    state: &'a mut [f32],
    y: &'a mut [f32],
}

impl<S: Simd> Position<S> for One<'_> {
    #[inline(always)]
    fn channels<W: Width, const N: usize>(&mut self, s: S, column: usize, width: W) {
        let v: [S::V; N] = registers(s, width, &self.v[column..]);
        let mut sum = [s.splat(0.0); N];
        let rows = self.state.chunks_exact_mut(self.v.len());
        for (i, (cells, (k, q))) in rows.zip(self.k.iter().zip(self.q)).enumerate() {
            let cells = &mut cells[column..];
            let (k, q) = (s.splat(*k), s.splat(*q * self.scale));
            let decay = s.splat(factor(self.decay, i));
            for n in 0..N {
                let h = s.fma(width.load(s, &cells[16 * n..]), decay, s.mul(k, v[n]));
                width.store(s, h, &mut cells[16 * n..]);
                sum[n] = s.fma(h, q, sum[n]);
            }
        }
        write(s, width, sum, &mut self.y[column..]);
    }
}

/// `state` is `[keys][channels]`, `y` is `[rows][channels]`.
#[inline(always)]
fn linear_attention_body<S: Simd>(s: S, scan: &LinearAttention<'_>, state: &mut [f32], y: &mut Columns<'_>) {
    for row in 0..scan.v.rows() {
        let mut one = One {
            q: scan.q.row(row),
            k: scan.k.row(row),
            v: scan.v.row(row),
            decay: scan.decay.row(row),
            scale: scan.scale,
            state,
            y: y.row_mut(row),
        };
        each_channel(s, scan.v.cols(), &mut one);
    }
}

struct OneWkv<'a> {
    r: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    decay: &'a [f32],
    bonus: &'a [f32],
    state: &'a mut [f32],
    y: &'a mut [f32],
}

impl<S: Simd> Position<S> for OneWkv<'_> {
    #[inline(always)]
    fn channels<W: Width, const N: usize>(&mut self, s: S, column: usize, width: W) {
        let v: [S::V; N] = registers(s, width, &self.v[column..]);
        let mut sum = [s.splat(0.0); N];
        for (i, cells) in self.state.chunks_exact_mut(self.v.len()).enumerate() {
            let cells = &mut cells[column..];
            let (k, r) = (s.splat(self.k[i]), s.splat(self.r[i]));
            let (decay, bonus) = (s.splat(self.decay[i]), s.splat(self.bonus[i]));
            for n in 0..N {
                let kv = s.mul(k, v[n]);
                let h = width.load(s, &cells[16 * n..]);
                sum[n] = s.fma(s.fma(kv, bonus, h), r, sum[n]);
                width.store(s, s.fma(h, decay, kv), &mut cells[16 * n..]);
            }
        }
        write(s, width, sum, &mut self.y[column..]);
    }
}

/// `state` is `[keys][channels]`, `y` is `[rows][channels]`.
#[inline(always)]
fn wkv6_body<S: Simd>(s: S, scan: &Wkv6<'_>, state: &mut [f32], y: &mut Columns<'_>) {
    for row in 0..scan.v.rows() {
        let mut one = OneWkv {
            r: scan.r.row(row),
            k: scan.k.row(row),
            v: scan.v.row(row),
            decay: scan.decay.row(row),
            bonus: scan.bonus,
            state,
            y: y.row_mut(row),
        };
        each_channel(s, scan.v.cols(), &mut one);
    }
}

entry!(pub(crate) fn linear_attention(
    scan: &LinearAttention<'_>,
    state: &mut [f32],
    y: &mut Columns<'_>,
) = linear_attention_body);
entry!(pub(crate) fn wkv6(scan: &Wkv6<'_>, state: &mut [f32], y: &mut Columns<'_>) = wkv6_body);
