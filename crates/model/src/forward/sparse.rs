//! Gated blocks whose gates are mostly zero (Gemma 3n): in each row, only gates that are some standard deviations above the row's mean
//! count.
//!
//! ```text
//! g = gate x;  g = max(g - (mean g + m deviation g), 0)        over the whole row
//! inner = act(g) * up x
//! ```

use happy_kernels::Mat;
use happy_kernels::linear::{self, ActBuf, LinearRows, Panels};

use super::ffn::MlpRows;
use super::pass::Step;
use super::{lanes, rows};
use crate::scratch::{Buf, Inner};
use crate::weights::kinds;

/// Computes `acts = act(sparse(gate x)) * up x`, in the form that the down matrix takes. Returns `false` if a value was not finite. `spare`
/// takes `up x`, and must have a row of the block's width for each row of `x`.
pub(super) fn inner(
    step: &Step<'_>,
    (mlp, gate, m): (&MlpRows<'_>, LinearRows<'_>, f32),
    x: Mat<'_>,
    acts: &mut ActBuf,
    (inner, spare): (&mut Inner, &mut Buf),
    panels: &Panels,
) -> bool {
    let (cx, n, n_ff) = (step.cx, x.rows(), mlp.up.n_out());
    if !acts.set(cx, x, kinds([gate, mlp.up])) {
        return false;
    }
    let gates = (gate, inner.ffn_inner_mut(n, n_ff));
    linear::forward(cx, acts, &mut [gates, (mlp.up, spare.mat_mut(n, n_ff))], panels);
    let up = spare.mat(n, n_ff);
    rows::each_row(cx, inner.ffn_inner_mut(n, n_ff), &|i, row, _| {
        lanes::above_deviations(row, m);
        (cx.kernels.ops.glu)(mlp.activation, row, up.row(i));
    });
    acts.set(cx, inner.ffn_inner(n, n_ff), kinds([mlp.down]))
}
