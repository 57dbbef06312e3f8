//! Lightning attention: see [`LightningSpec`].

use happy_kernels::MatMut;
use happy_kernels::linear::Linear;
use happy_kernels::ops::Activation;
use happy_kernels::ops::scan::LinearAttention;

use super::{each_state, gate, parts_norm, project};
use crate::error::{ForwardError, LoadError};
use crate::forward::pass::Step;
use crate::forward::{mixer, rows};
use crate::kv::Pages;
use crate::load::tensors::Tensors;
use crate::names;
use crate::reserve::collected;
use crate::scratch::Scratch;
use crate::spec::{LightningSpec, Need};
use crate::weights::PartsNorm;

pub(super) struct Lightning {
    spec: LightningSpec,
    /// Its rows are those of q, k and v of each head.
    pub(super) qkv: Linear,
    pub(super) gate: Linear,
    /// One decay for each head.
    decay: Vec<f32>,
    norm: PartsNorm,
}

impl Lightning {
    pub(super) fn load(
        t: &mut Tensors<'_>,
        n_embd: usize,
        spec: &LightningSpec,
        i: usize,
    ) -> Result<Self, LoadError> {
        let width = spec.width();
        Ok(Lightning {
            spec: *spec,
            qkv: t.linear(i, "attn_qkv", n_embd, 3 * width, Need::Never)?,
            gate: t.linear(i, "attn_gate", n_embd, width, Need::Never)?,
            decay: collected(spec.n_heads, (0..spec.n_heads).map(|head| decay(head, spec)))?,
            norm: parts_norm(t, i, names::ATTN_NORM_2, &spec.norm, (width, 1))?,
        })
    }

    pub(super) fn scan(
        &self,
        step: &Step<'_>,
        s: &mut Scratch,
        pages: &mut Pages<'_>,
    ) -> Result<(), ForwardError> {
        let (cx, n, width) = (step.cx, step.n, self.spec.width());
        let LightningSpec { n_heads, head_dim: dim, .. } = self.spec;
        let ops = &cx.kernels.ops;
        let Scratch { x, io, acts, panels, recurrent: r, row, .. } = s;
        let input = mixer::input(step, x, io);
        let qkv = (&self.qkv, r.projected.mat_mut(n, 3 * width));
        let gates = (&self.gate, r.gate.mat_mut(n, width));
        project(step, input, (acts, panels), &mut [qkv, gates])?;
        rows::each_row(cx, r.projected.mat_mut(n, 3 * width), &|_, row, _| {
            (ops.activate)(Activation::Silu, row);
        });
        rows::each_row(cx, r.decay.mat_mut(n, n_heads), &|_, row, _| row.copy_from_slice(&self.decay));
        let (projected, decay) = (r.projected.mat(n, 3 * width), r.decay.mat(n, n_heads));
        let (mut y, one) = (r.y.mat_mut(n, width), dim * dim);
        each_state(step, pages, 0..n_heads * one, |rows, before, state| {
            let state = (MatMut::new(state, 1, n_heads * one), one);
            let y = (y.rows_range_mut(rows.clone()), dim);
            cx.pool.for_each_columns2(state, y, &|head, state, y, _| {
                if cx.cancelled() {
                    return;
                }
                let part = |j: usize| {
                    let first = (3 * head + j) * dim;
                    projected.rows_range(rows.clone()).columns(first..first + dim)
                };
                let decay = decay.rows_range(rows.clone()).columns(head..head + 1);
                let scan = LinearAttention { q: part(0), k: part(1), v: part(2), decay, scale: 1.0 };
                let state = before.state(head * one, state.row_mut(0));
                (ops.linear_attention)(&scan, state, y);
            });
        });
        rows::norm_parts(cx, &self.norm, y.reborrow(), row);
        gate(cx, Activation::Sigmoid, r.gate.mat_mut(n, width), y);
        Ok(())
    }
}

/// Returns the decay of a head, `e^-(strength * slope)`. With 8 heads the slopes are 1/2, 1/4 and so on down to 1/256; other numbers of
/// heads spread them over the same range.
fn decay(head: usize, spec: &LightningSpec) -> f32 {
    let slope = libm::pow(2.0, -8.0 * (head + 1) as f64 / spec.n_heads as f64);
    libm::exp(-f64::from(spec.strength) * slope) as f32
}
