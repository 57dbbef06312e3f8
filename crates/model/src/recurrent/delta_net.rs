//! The gated delta net of Qwen 3.5 and Qwen 3 Next: see [`DeltaNetSpec`].

use happy_kernels::MatMut;
use happy_kernels::linear::Linear;
use happy_kernels::ops::{Activation, scan::Delta};

use super::{ConvWeights, decays, each_state, gate, parts_norm, project, steps};
use crate::error::{ForwardError, LoadError};
use crate::forward::pass::Step;
use crate::forward::{mixer, rows};
use crate::kv::Pages;
use crate::load::tensors::Tensors;
use crate::names::block;
use crate::scratch::Scratch;
use crate::spec::{DeltaNetSpec, Need, NormKind};
use crate::weights::{Norm, PartsNorm};

pub(super) struct DeltaNet {
    spec: DeltaNetSpec,
    pub(super) qkv: Linear,
    pub(super) z: Linear,
    /// Beta; or beta and alpha, if there is no matrix for alpha.
    pub(super) beta: Linear,
    pub(super) alpha: Option<Linear>,
    conv: ConvWeights,
    dt_bias: Vec<f32>,
    a: Vec<f32>,
    /// Gives each head of Q and K unit length, times the root of its size.
    unit: PartsNorm,
    norm: PartsNorm,
}

impl DeltaNet {
    pub(super) fn load(
        t: &mut Tensors<'_>,
        n_embd: usize,
        spec: &DeltaNetSpec,
        i: usize,
    ) -> Result<Self, LoadError> {
        let (heads, dim_k) = (spec.n_v_heads, spec.head_dim_k);
        let (beta, alpha) = match spec.grouped {
            true => (t.linear(i, "ssm_ba", n_embd, 2 * heads, Need::Never)?, None),
            false => {
                let alpha = t.linear(i, "ssm_alpha", n_embd, heads, Need::Never)?;
                (t.linear(i, "ssm_beta", n_embd, heads, Need::Never)?, Some(alpha))
            }
        };
        let unit = Norm { kind: NormKind::Rms, eps: spec.eps / dim_k as f32, weight: None, bias: None };
        Ok(DeltaNet {
            spec: *spec,
            qkv: t.linear(i, "attn_qkv", n_embd, spec.conv_dim(), Need::Never)?,
            z: t.linear(i, "attn_gate", n_embd, spec.v_dim(), Need::Never)?,
            beta,
            alpha,
            conv: ConvWeights::load(t, i, "ssm_conv1d", (spec.kernel, spec.conv_dim()), Need::Never, true)?,
            dt_bias: t.vector(&block(i, "ssm_dt", "bias"), &[heads])?,
            a: t.vector(&format!("blk.{i}.ssm_a"), &[heads])?,
            unit: PartsNorm { norm: unit, width: dim_k, after_rope: false },
            norm: parts_norm(t, i, "ssm_norm", &spec.norm, (spec.head_dim_v, 1))?,
        })
    }

    /// `q, k, v`, the gates, beta and alpha: the products of all matrices with what the mixer reads.
    fn project(&self, step: &Step<'_>, s: &mut Scratch) -> Result<(), ForwardError> {
        let (n, heads) = (step.n, self.spec.n_v_heads);
        let Scratch { x, io, acts, panels, recurrent: r, .. } = s;
        let input = mixer::input(step, x, io);
        let qkv = (&self.qkv, r.projected.mat_mut(n, self.spec.conv_dim()));
        let z = (&self.z, r.gate.mat_mut(n, self.spec.v_dim()));
        if let Some(alpha) = &self.alpha {
            let (beta, alpha) = ((&self.beta, r.small.mat_mut(n, heads)), (alpha, r.decay.mat_mut(n, heads)));
            return project(step, input, (acts, panels), &mut [qkv, z, beta, alpha]);
        }
        let both = (&self.beta, r.small.mat_mut(n, 2 * heads));
        project(step, input, (acts, panels), &mut [qkv, z, both])?;
        // a head of K after the other: its heads' betas, then their alphas
        let group = heads / self.spec.n_k_heads;
        let both = r.small.mat(n, 2 * heads);
        rows::each_row(step.cx, r.decay.mat_mut(n, heads), &|i, row, _| {
            let groups = both.row(i).chunks_exact(2 * group);
            row.chunks_exact_mut(group).zip(groups).for_each(|(to, from)| to.copy_from_slice(&from[group..]));
        });
        rows::each_row(step.cx, r.small.mat_mut(n, 2 * heads), &|_, row, _| {
            for g in 1..heads / group {
                row.copy_within(2 * g * group..(2 * g + 1) * group, g * group);
            }
        });
        Ok(())
    }

    pub(super) fn scan(
        &self,
        step: &Step<'_>,
        s: &mut Scratch,
        pages: &mut Pages<'_>,
    ) -> Result<(), ForwardError> {
        self.project(step, s)?;
        let (cx, n) = (step.cx, step.n);
        let ops = &cx.kernels.ops;
        let DeltaNetSpec { n_k_heads, n_v_heads, head_dim_k, head_dim_v, grouped, .. } = self.spec;
        let (k_dim, v_dim, all) = (self.spec.k_dim(), self.spec.v_dim(), self.spec.conv_dim());
        let (r, spare) = (&mut s.recurrent, &s.row);
        let scale = 1.0 / (head_dim_k as f32).sqrt();

        self.conv.run(step, pages, r.projected.mat_mut(n, all), 0);
        let mut projected = r.projected.mat_mut(n, all);
        rows::norm_parts(cx, &self.unit, projected.columns_mut(0..2 * k_dim), spare);
        rows::each_row(cx, projected.columns_mut(0..2 * k_dim), &|_, row, _| (ops.scale)(row, scale));
        let width = if grouped { 2 * n_v_heads } else { n_v_heads };
        rows::each_row(cx, r.small.mat_mut(n, width).columns_mut(0..n_v_heads), &|_, row, _| {
            (ops.activate)(Activation::Sigmoid, row);
        });
        let mut decay = r.decay.mat_mut(n, n_v_heads);
        steps(cx, &self.dt_bias, decay.reborrow());
        decays(cx, &self.a, decay);

        let projected = r.projected.mat(n, all);
        let (decay, beta) = (r.decay.mat(n, n_v_heads), r.small.mat(n, width));
        let mut y = r.y.mat_mut(n, v_dim);
        let (one, first) = (head_dim_k * head_dim_v, self.conv.elements());
        each_state(step, pages, first..first + n_v_heads * one, |rows, state| {
            let part =
                |from: usize, width: usize| projected.rows_range(rows.clone()).columns(from..from + width);
            let (decay, beta) = (decay.rows_range(rows.clone()), beta.rows_range(rows.clone()));
            let state = (MatMut::new(state, 1, n_v_heads * one), one);
            let y = (y.rows_range_mut(rows.clone()), head_dim_v);
            cx.pool.for_each_columns2(state, y, &|head, state, y, _| {
                if cx.cancelled() {
                    return;
                }
                let of_k = if grouped { head / (n_v_heads / n_k_heads) } else { head % n_k_heads };
                let delta = Delta {
                    q: part(of_k * head_dim_k, head_dim_k),
                    k: part(k_dim + of_k * head_dim_k, head_dim_k),
                    v: part(2 * k_dim + head * head_dim_v, head_dim_v),
                    decay: decay.columns(head..head + 1),
                    beta: beta.columns(head..head + 1),
                    scale,
                };
                (ops.delta)(&delta, state.row_mut(0), y);
            });
        });
        rows::norm_parts(cx, &self.norm, y.reborrow(), spare);
        gate(cx, r.gate.mat_mut(n, v_dim), y);
        Ok(())
    }
}
