//! The mixer of PLaMo 2, a Mamba 2 with other projections: see [`Plamo2Spec`].

use happy_kernels::linear::Linear;
use happy_kernels::ops::Activation;

use super::mamba2::{Heads, add_input, times_step};
use super::{ConvWeights, decays, gate, parts_norm, project};
use crate::error::{ForwardError, LoadError};
use crate::forward::pass::Step;
use crate::forward::{mixer, rows};
use crate::kv::Pages;
use crate::load::tensors::Tensors;
use crate::scratch::Scratch;
use crate::spec::{Need, Plamo2Spec};
use crate::weights::PartsNorm;

pub(super) struct Plamo2 {
    spec: Plamo2Spec,
    /// Its rows are those of z and x of each head.
    pub(super) input: Linear,
    conv: ConvWeights,
    /// Its rows are those of b, c and dt, in this order.
    pub(super) x: Linear,
    /// The norms of b, c and dt.
    norms: [PartsNorm; 3],
    pub(super) dt: Linear,
    a: Vec<f32>,
    d: Vec<f32>,
}

impl Plamo2 {
    pub(super) fn load(
        t: &mut Tensors<'_>,
        n_embd: usize,
        spec: &Plamo2Spec,
        i: usize,
    ) -> Result<Self, LoadError> {
        let Plamo2Spec { d_inner, n_heads, d_state, dt_rank, kernel, norm } = spec;
        Ok(Plamo2 {
            spec: *spec,
            input: t.linear(i, "ssm_in", n_embd, 2 * d_inner, Need::Never)?,
            conv: ConvWeights::load(t, i, "ssm_conv1d", (*kernel, *d_inner), Need::Never, true)?,
            x: t.linear(i, "ssm_x", *d_inner, spec.x_dim(), Need::Never)?,
            norms: [
                parts_norm(t, i, "ssm_b_norm", norm, (*d_state, 1))?,
                parts_norm(t, i, "ssm_c_norm", norm, (*d_state, 1))?,
                parts_norm(t, i, "ssm_dt_norm", norm, (*dt_rank, 1))?,
            ],
            dt: t.linear(i, "ssm_dt", *dt_rank, *n_heads, Need::Required)?,
            a: t.vector(&format!("blk.{i}.ssm_a"), &[*n_heads])?,
            d: t.vector(&format!("blk.{i}.ssm_d"), &[*n_heads])?,
        })
    }

    pub(super) fn scan(
        &self,
        step: &Step<'_>,
        s: &mut Scratch,
        pages: &mut Pages<'_>,
    ) -> Result<(), ForwardError> {
        let (cx, n) = (step.cx, step.n);
        let Plamo2Spec { d_inner, n_heads, d_state, .. } = self.spec;
        let (x_dim, head_dim) = (self.spec.x_dim(), d_inner / n_heads);
        let Scratch { x, io, acts, panels, recurrent: r, row, .. } = s;
        let input = mixer::input(step, x, io);
        project(step, input, (acts, panels), &mut [(&self.input, r.projected.mat_mut(n, 2 * d_inner))])?;
        let both = r.projected.mat(n, 2 * d_inner);
        for (out, at) in [(&mut r.gate, 0), (&mut r.wide, head_dim)] {
            rows::each_row(cx, out.mat_mut(n, d_inner), &|i, row, _| {
                let heads = both.row(i).chunks_exact(2 * head_dim);
                let parts = row.chunks_exact_mut(head_dim).zip(heads);
                parts.for_each(|(to, from)| to.copy_from_slice(&from[at..at + head_dim]));
            });
        }
        self.conv.run(step, pages, r.wide.mat_mut(n, d_inner), 0);
        let x = r.wide.mat(n, d_inner);
        project(step, x, (acts, panels), &mut [(&self.x, r.small.mat_mut(n, x_dim))])?;
        let mut small = r.small.mat_mut(n, x_dim);
        let [b, c, dt] = &self.norms;
        rows::norm_parts(cx, b, small.columns_mut(0..d_state), row);
        rows::norm_parts(cx, c, small.columns_mut(d_state..2 * d_state), row);
        rows::norm_parts(cx, dt, small.columns_mut(2 * d_state..x_dim), row);
        let small = r.small.mat(n, x_dim);
        let steps = (&self.dt, r.decay.mat_mut(n, n_heads));
        project(step, small.columns(2 * d_state..x_dim), (acts, panels), &mut [steps])?;
        rows::each_row(cx, r.decay.mat_mut(n, n_heads), &|_, row, _| (cx.kernels.ops.softplus)(row));
        times_step(cx, x, r.decay.mat(n, n_heads), r.projected.mat_mut(n, d_inner));
        decays(cx, &self.a, r.decay.mat_mut(n, n_heads));
        let heads = Heads {
            n: n_heads,
            dim: head_dim,
            per_group: n_heads,
            d_state,
            b: small.columns(0..d_state),
            c: small.columns(d_state..2 * d_state),
            x: r.projected.mat(n, d_inner),
            decay: r.decay.mat(n, n_heads),
        };
        let mut y = r.y.mat_mut(n, d_inner);
        heads.scan(step, pages, self.conv.elements(), y.reborrow());
        add_input(cx, &self.d, x, y.reborrow());
        gate(cx, Activation::Silu, r.gate.mat_mut(n, d_inner), y);
        Ok(())
    }
}
