//! The gated delta rule: of Qwen 3 Next and 3.5 and, with a decay for each key, of Kimi.

use super::linear::factor;
use super::{Scan, State, Width, cells, each_channel, registers, write};
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
    /// `[rows][keys]`, or `[rows][1]` if all keys have the same.
    pub decay: Mat<'a>,
    /// `[rows][1]`
    pub beta: Mat<'a>,
    /// Factor of `q`.
    pub scale: f32,
}

struct Run<'a, 'm, 'y> {
    scan: &'a Delta<'m>,
    state: State<'a>,
    y: &'a mut Columns<'y>,
}

impl<S: Simd> Scan<S> for Run<'_, '_, '_> {
    /// Each position goes through the state once: it stores values that are already decayed for the next position, and
    /// looks up that position's key on the way.
    #[inline(always)]
    fn channels<W: Width, const N: usize>(&mut self, s: S, column: usize, width: W) {
        let n = self.scan.v.rows();
        if n == 0 {
            return;
        }
        let mut found = self.find(s, column, width);
        for row in 0..n {
            let mut change: [S::V; N] = registers(s, width, &self.scan.v.row(row)[column..]);
            for (change, found) in change.iter_mut().zip(found) {
                *change = s.mul(s.sub(*change, found), s.splat(self.scan.beta.row(row)[0]));
            }
            let sum;
            (sum, found) = match (row == 0, row + 1 == n) {
                (true, true) => self.position::<S, W, N, true, true>(s, row, column, width, change),
                (true, false) => self.position::<S, W, N, true, false>(s, row, column, width, change),
                (false, true) => self.position::<S, W, N, false, true>(s, row, column, width, change),
                (false, false) => self.position::<S, W, N, false, false>(s, row, column, width, change),
            };
            write(s, width, sum, &mut self.y.row_mut(row)[column..]);
        }
    }
}

impl Run<'_, '_, '_> {
    /// Returns what the decayed state holds for the first key.
    #[inline(always)]
    fn find<S: Simd, W: Width, const N: usize>(&self, s: S, column: usize, width: W) -> [S::V; N] {
        let (k, decay) = (self.scan.k.row(0), self.scan.decay.row(0));
        let mut found = [s.splat(0.0); N];
        let state = self.state.before.unwrap_or(&*self.state.after);
        for (i, (old, k)) in state.chunks_exact(self.scan.v.cols()).zip(k).enumerate() {
            let old: [S::V; N] = registers(s, width, &old[column..]);
            let (decay, k) = (s.splat(factor(decay, i)), s.splat(*k));
            for n in 0..N {
                found[n] = s.fma(s.mul(old[n], decay), k, found[n]);
            }
        }
        found
    }

    /// Returns the result of a position, and what the state, decayed once more, holds for the next key. `FIRST`: the
    /// state is not decayed yet. `LAST`: there is no next position.
    #[inline(always)]
    fn position<S: Simd, W: Width, const N: usize, const FIRST: bool, const LAST: bool>(
        &mut self,
        s: S,
        row: usize,
        column: usize,
        width: W,
        change: [S::V; N],
    ) -> ([S::V; N], [S::V; N]) {
        let Delta { q, k, decay, scale, .. } = *self.scan;
        let next = if LAST { row } else { row + 1 };
        let (k, q, decay) = ((k.row(row), k.row(next)), q.row(row), (decay.row(row), decay.row(next)));
        let [mut sum, mut found] = [[s.splat(0.0); N]; 2];
        let keys = k.0.iter().zip(k.1).zip(q);
        let state = self.state.keys(row, self.scan.v.cols());
        for (i, ((before, after), ((k, next_k), q))) in state.zip(keys).enumerate() {
            let old: [S::V; N] = cells(s, width, before, after, column);
            let after = &mut after[column..];
            let (k, next_k, q) = (s.splat(*k), s.splat(*next_k), s.splat(*q * scale));
            let (decay, next_decay) = (s.splat(factor(decay.0, i)), s.splat(factor(decay.1, i)));
            for n in 0..N {
                let mut h = old[n];
                if FIRST {
                    h = s.mul(h, decay);
                }
                h = s.fma(k, change[n], h);
                sum[n] = s.fma(h, q, sum[n]);
                if !LAST {
                    h = s.mul(h, next_decay);
                    found[n] = s.fma(h, next_k, found[n]);
                }
                width.store(s, h, &mut after[16 * n..]);
            }
        }
        (sum, found)
    }
}

/// `y` is `[rows][channels]`.
#[inline(always)]
fn delta_body<S: Simd>(s: S, scan: &Delta<'_>, state: State<'_>, y: &mut Columns<'_>) {
    each_channel(s, scan.v.cols(), &mut Run { scan, state, y });
}

entry!(pub(crate) fn delta(scan: &Delta<'_>, state: State<'_>, y: &mut Columns<'_>) = delta_body);
