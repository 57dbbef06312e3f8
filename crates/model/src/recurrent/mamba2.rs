//! Mamba 2: see [`Mamba2Spec`].

use happy_kernels::linear::Linear;
use happy_kernels::ops::Activation;
use happy_kernels::ops::scan::LinearAttention;
use happy_kernels::{Ctx, Mat, MatMut};

use super::{ConvWeights, decays, each_state, gate, parts_norm, project, steps};
use crate::error::{ForwardError, LoadError};
use crate::forward::pass::Step;
use crate::forward::{mixer, rows};
use crate::kv::Pages;
use crate::load::tensors::Tensors;
use crate::names::block;
use crate::scratch::Scratch;
use crate::spec::{Mamba2Spec, Need};
use crate::weights::PartsNorm;

pub(super) struct Mamba2 {
    spec: Mamba2Spec,
    /// Its rows are those of z, x, b, c and dt, in this order.
    pub(super) input: Linear,
    conv: ConvWeights,
    dt_bias: Vec<f32>,
    a: Vec<f32>,
    d: Vec<f32>,
    norm: Option<PartsNorm>,
}

impl Mamba2 {
    pub(super) fn load(
        t: &mut Tensors<'_>,
        n_embd: usize,
        spec: &Mamba2Spec,
        i: usize,
    ) -> Result<Self, LoadError> {
        let Mamba2Spec { d_inner, n_heads, n_groups, kernel, .. } = *spec;
        let shape = (d_inner / n_groups, n_groups);
        Ok(Mamba2 {
            spec: *spec,
            input: t.linear(i, "ssm_in", n_embd, spec.in_dim(), Need::Never)?,
            conv: ConvWeights::load(t, i, "ssm_conv1d", (kernel, spec.conv_dim()), Need::Optional, true)?,
            dt_bias: t.vector(&block(i, "ssm_dt", "bias"), &[n_heads])?,
            a: t.vector(&format!("blk.{i}.ssm_a"), &[1, n_heads])?,
            d: t.vector(&format!("blk.{i}.ssm_d"), &[1, n_heads])?,
            norm: match &spec.norm {
                Some(norm) => Some(parts_norm(t, i, "ssm_norm", norm, shape)?),
                None => None,
            },
        })
    }

    pub(super) fn scan(
        &self,
        step: &Step<'_>,
        s: &mut Scratch,
        pages: &mut Pages<'_>,
    ) -> Result<(), ForwardError> {
        let (cx, n) = (step.cx, step.n);
        let Mamba2Spec { d_inner, n_heads, n_groups, d_state, .. } = self.spec;
        let (all, states) = (self.spec.in_dim(), n_groups * d_state);
        let Scratch { x, io, acts, panels, recurrent: r, row, .. } = s;
        let input = mixer::input(step, x, io);
        project(step, input, (acts, panels), &mut [(&self.input, r.projected.mat_mut(n, all))])?;
        let mut projected = r.projected.mat_mut(n, all);
        self.conv.run(step, pages, projected.reborrow(), d_inner);
        steps(cx, &self.dt_bias, projected.columns_mut(all - n_heads..all));

        let projected = r.projected.mat(n, all);
        let dt = projected.columns(all - n_heads..all);
        let x = projected.columns(d_inner..2 * d_inner);
        rows::each_row(cx, r.decay.mat_mut(n, n_heads), &|i, row, _| row.copy_from_slice(dt.row(i)));
        decays(cx, &self.a, r.decay.mat_mut(n, n_heads));
        times_step(cx, x, dt, r.wide.mat_mut(n, d_inner));
        let heads = Heads {
            n: n_heads,
            dim: d_inner / n_heads,
            per_group: n_heads / n_groups,
            d_state,
            b: projected.columns(2 * d_inner..2 * d_inner + states),
            c: projected.columns(2 * d_inner + states..2 * d_inner + 2 * states),
            x: r.wide.mat(n, d_inner),
            decay: r.decay.mat(n, n_heads),
        };
        let mut y = r.y.mat_mut(n, d_inner);
        heads.scan(step, pages, self.conv.elements(), y.reborrow());
        add_input(cx, &self.d, x, y.reborrow());
        gate(cx, Activation::Silu, r.projected.mat_mut(n, all).columns_mut(0..d_inner), y.reborrow());
        if let Some(norm) = &self.norm {
            rows::norm_parts(cx, norm, y, row);
        }
        Ok(())
    }
}

/// Computes `out = x * dt`, where each head has a step of its own.
pub(super) fn times_step(cx: Ctx<'_>, x: Mat<'_>, dt: Mat<'_>, out: MatMut<'_>) {
    let head_dim = x.cols() / dt.cols();
    rows::each_row(cx, out, &|i, row, _| {
        row.copy_from_slice(x.row(i));
        for (head, dt) in row.chunks_exact_mut(head_dim).zip(dt.row(i)) {
            (cx.kernels.ops.scale)(head, *dt);
        }
    });
}

/// Computes `y += d * x`, where each head has a factor of its own.
pub(super) fn add_input(cx: Ctx<'_>, d: &[f32], x: Mat<'_>, y: MatMut<'_>) {
    let head_dim = x.cols() / d.len();
    rows::each_row(cx, y, &|i, row, _| {
        let heads = row.chunks_exact_mut(head_dim).zip(x.row(i).chunks_exact(head_dim));
        for ((y, x), d) in heads.zip(d) {
            (cx.kernels.ops.add_scaled)(y, x, *d);
        }
    });
}

/// The inputs of the scan of all heads.
pub(super) struct Heads<'a> {
    pub(super) n: usize,
    /// Number of channels in a head.
    pub(super) dim: usize,
    /// Number of heads that share one `b` and `c`.
    pub(super) per_group: usize,
    pub(super) d_state: usize,
    pub(super) b: Mat<'a>,
    pub(super) c: Mat<'a>,
    /// The input times its step.
    pub(super) x: Mat<'a>,
    pub(super) decay: Mat<'a>,
}

impl<'a> Heads<'a> {
    /// The states, `[heads][d_state][dim]`, are at `first` in the layer's.
    pub(super) fn scan(&self, step: &Step<'_>, pages: &mut Pages<'_>, first: usize, mut y: MatMut<'_>) {
        let (cx, one) = (step.cx, self.d_state * self.dim);
        each_state(step, pages, first..first + self.n * one, |rows, before, state| {
            let part = |x: &Mat<'a>| x.rows_range(rows.clone());
            let (b, c, x, decay) = (part(&self.b), part(&self.c), part(&self.x), part(&self.decay));
            let state = (MatMut::new(state, 1, self.n * one), one);
            let y = (y.rows_range_mut(rows.clone()), self.dim);
            cx.pool.for_each_columns2(state, y, &|head, state, y, _| {
                if cx.cancelled() {
                    return;
                }
                let group = head / self.per_group * self.d_state;
                let scan = LinearAttention {
                    q: c.columns(group..group + self.d_state),
                    k: b.columns(group..group + self.d_state),
                    v: x.columns(head * self.dim..(head + 1) * self.dim),
                    decay: decay.columns(head..head + 1),
                    scale: 1.0,
                };
                let state = before.state(head * one, state.row_mut(0));
                (cx.kernels.ops.linear_attention)(&scan, state, y);
            });
        });
    }
}
