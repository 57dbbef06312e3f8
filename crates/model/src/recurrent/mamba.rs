//! Mamba: see [`MambaSpec`].

use happy_kernels::linear::Linear;
use happy_kernels::ops::Activation;
use happy_kernels::ops::scan;
use happy_kernels::{Mat, MatMut};

use super::{ConvWeights, each_state, gate, parts_norm, project, transposed};
use crate::error::{ForwardError, LoadError};
use crate::forward::pass::Step;
use crate::forward::{mixer, rows};
use crate::kv::Pages;
use crate::load::tensors::Tensors;
use crate::scratch::Scratch;
use crate::spec::{MambaSpec, Need};
use crate::weights::PartsNorm;

/// The number of channels that one task works on.
const CHANNELS: usize = 128;

pub(super) struct Mamba {
    spec: MambaSpec,
    /// Its rows are those of x, then those of z.
    pub(super) input: Linear,
    conv: ConvWeights,
    /// Its rows are those of dt, b and c, in this order.
    pub(super) x: Linear,
    /// The norms of dt, b and c.
    norms: Option<[PartsNorm; 3]>,
    pub(super) dt: Linear,
    /// `[d_state][d_inner]`
    a: Vec<f32>,
    d: Vec<f32>,
}

impl Mamba {
    pub(super) fn load(
        t: &mut Tensors<'_>,
        n_embd: usize,
        spec: &MambaSpec,
        i: usize,
    ) -> Result<Self, LoadError> {
        let MambaSpec { d_inner, d_state, dt_rank, kernel, dt_b_c_norm } = *spec;
        let norms = match &dt_b_c_norm {
            Some(norm) => Some([
                parts_norm(t, i, "ssm_dt_norm", norm, (dt_rank, 1))?,
                parts_norm(t, i, "ssm_b_norm", norm, (d_state, 1))?,
                parts_norm(t, i, "ssm_c_norm", norm, (d_state, 1))?,
            ]),
            None => None,
        };
        let a = t.vector(&format!("blk.{i}.ssm_a"), &[d_state, d_inner])?;
        Ok(Mamba {
            spec: *spec,
            input: t.linear(i, "ssm_in", n_embd, 2 * d_inner, Need::Never)?,
            conv: ConvWeights::load(t, i, "ssm_conv1d", (kernel, d_inner), Need::Required, true)?,
            x: t.linear(i, "ssm_x", d_inner, spec.x_dim(), Need::Never)?,
            norms,
            dt: t.linear(i, "ssm_dt", dt_rank, d_inner, Need::Required)?,
            a: transposed(&a, d_inner, d_state)?,
            d: t.vector(&format!("blk.{i}.ssm_d"), &[d_inner])?,
        })
    }

    pub(super) fn scan(
        &self,
        step: &Step<'_>,
        s: &mut Scratch,
        pages: &mut Pages<'_>,
    ) -> Result<(), ForwardError> {
        let (cx, n) = (step.cx, step.n);
        let ops = &cx.kernels.ops;
        let MambaSpec { d_inner, d_state, dt_rank, .. } = self.spec;
        let Scratch { x, io, acts, panels, recurrent: r, row, .. } = s;
        let input = mixer::input(step, x, io);
        let projected = r.projected.mat_mut(n, 2 * d_inner);
        project(step, input, (acts, panels), &mut [(&self.input, projected)])?;
        self.conv.run(step, pages, r.projected.mat_mut(n, 2 * d_inner), 0);
        let x = r.projected.mat(n, 2 * d_inner).columns(0..d_inner);
        let x_dim = self.spec.x_dim();
        project(step, x, (acts, panels), &mut [(&self.x, r.small.mat_mut(n, x_dim))])?;
        if let Some([dt, b, c]) = &self.norms {
            let mut small = r.small.mat_mut(n, x_dim);
            rows::norm_parts(cx, dt, small.columns_mut(0..dt_rank), row);
            rows::norm_parts(cx, b, small.columns_mut(dt_rank..dt_rank + d_state), row);
            rows::norm_parts(cx, c, small.columns_mut(dt_rank + d_state..x_dim), row);
        }
        let small = r.small.mat(n, x_dim);
        let dt = (&self.dt, r.wide.mat_mut(n, d_inner));
        project(step, small.columns(0..dt_rank), (acts, panels), &mut [dt])?;
        rows::each_row(cx, r.wide.mat_mut(n, d_inner), &|_, row, _| (ops.softplus)(row));

        let (b, c) = (small.columns(dt_rank..dt_rank + d_state), small.columns(dt_rank + d_state..x_dim));
        let (dt, a) = (r.wide.mat(n, d_inner), Mat::new(&self.a, d_state, d_inner));
        let mut y = r.y.mat_mut(n, d_inner);
        let first = self.conv.elements();
        each_state(step, pages, first..first + d_state * d_inner, |rows, before, state| {
            let (b, c) = (b.rows_range(rows.clone()), c.rows_range(rows.clone()));
            let (dt, x) = (dt.rows_range(rows.clone()), x.rows_range(rows.clone()));
            let state = (MatMut::new(state, d_state, d_inner), CHANNELS);
            let y = (y.rows_range_mut(rows), CHANNELS);
            cx.pool.for_each_columns2(state, y, &|piece, state, y, _| {
                let part = piece * CHANNELS..piece * CHANNELS + y.width();
                let (x, dt, a) = (x.columns(part.clone()), dt.columns(part.clone()), a.columns(part.clone()));
                if !cx.cancelled() {
                    before.copy_columns(part.start, d_inner, state);
                    (ops.mamba)(&scan::Mamba { x, dt, a, b, c, d: &self.d[part] }, state, y);
                }
            });
        });
        gate(cx, Activation::Silu, r.projected.mat_mut(n, 2 * d_inner).columns_mut(d_inner..2 * d_inner), y);
        Ok(())
    }
}
