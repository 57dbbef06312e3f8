//! The short convolution of LFM2: see [`ShortConvSpec`].

use happy_kernels::linear::Linear;

use super::{ConvWeights, project};
use crate::error::{ForwardError, LoadError};
use crate::forward::pass::Step;
use crate::forward::{mixer, rows};
use crate::kv::Pages;
use crate::load::tensors::Tensors;
use crate::scratch::Scratch;
use crate::spec::{Need, ShortConvSpec};

pub(super) struct ShortConv {
    n: usize,
    /// Its rows are those of b, c and x, in this order.
    pub(super) input: Linear,
    conv: ConvWeights,
}

impl ShortConv {
    pub(super) fn load(
        t: &mut Tensors<'_>,
        n_embd: usize,
        spec: &ShortConvSpec,
        i: usize,
    ) -> Result<Self, LoadError> {
        let (n, shape) = (spec.n_channels, (spec.kernel, spec.n_channels));
        Ok(ShortConv {
            n,
            input: t.linear(i, "shortconv.in_proj", n_embd, 3 * n, Need::Never)?,
            conv: ConvWeights::load(t, i, "shortconv.conv", shape, Need::Never, false)?,
        })
    }

    pub(super) fn scan(
        &self,
        step: &Step<'_>,
        s: &mut Scratch,
        pages: &mut Pages<'_>,
    ) -> Result<(), ForwardError> {
        let (cx, rows, n) = (step.cx, step.n, self.n);
        let ops = &cx.kernels.ops;
        let projected = s.recurrent.projected.mat_mut(rows, 3 * n);
        let input = mixer::input(step, &s.x, &s.io);
        project(step, input, (&mut s.acts, &s.panels), &mut [(&self.input, projected)])?;
        let mut projected = s.recurrent.projected.mat_mut(rows, 3 * n);
        rows::each_row(cx, projected.reborrow(), &|_, row, _| {
            let (b, x) = row.split_at_mut(2 * n);
            (ops.mul)(x, &b[..n]);
        });
        self.conv.run(step, pages, projected.reborrow(), 2 * n);
        let projected = projected.as_ref();
        rows::each_row(cx, s.recurrent.y.mat_mut(rows, n), &|i, row, _| {
            let (c, x) = projected.row(i)[n..].split_at(n);
            row.copy_from_slice(c);
            (ops.mul)(row, x);
        });
        Ok(())
    }
}
