//! The gated delta net of Qwen 3.5 and Qwen 3 Next: see [`DeltaNetSpec`].

use happy_kernels::linear::Linear;
use happy_kernels::ops::{Activation, scan::Delta};
use happy_kernels::{Mat, MatMut};

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
    /// The matrix of beta, or of beta and alpha if alpha has no matrix of its own.
    pub(super) beta: Linear,
    pub(super) alpha: Option<Linear>,
    conv: ConvWeights,
    dt_bias: Vec<f32>,
    a: Vec<f32>,
    /// Scales each head of Q and K to unit length, times the root of its size.
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
        Ok(DeltaNet {
            spec: *spec,
            qkv: t.linear(i, "attn_qkv", n_embd, spec.conv_dim(), Need::Never)?,
            z: t.linear(i, "attn_gate", n_embd, spec.v_dim(), Need::Never)?,
            beta,
            alpha,
            conv: ConvWeights::load(t, i, "ssm_conv1d", (spec.kernel, spec.conv_dim()), Need::Never, true)?,
            dt_bias: t.vector(&block(i, "ssm_dt", "bias"), &[heads])?,
            a: t.vector(&format!("blk.{i}.ssm_a"), &[heads])?,
            unit: unit_norm(spec.eps, dim_k),
            norm: parts_norm(t, i, "ssm_norm", &spec.norm, (spec.head_dim_v, 1))?,
        })
    }

    /// Multiplies the mixer's input by all matrices: computes `q, k, v`, the gates, beta and alpha.
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
        // for each head of K: the betas of its heads of V, then their alphas
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

        let mut y = r.y.mat_mut(n, v_dim);
        let heads = Heads {
            projected: r.projected.mat(n, all),
            decay: r.decay.mat(n, n_v_heads),
            beta: r.small.mat(n, width),
            n: n_v_heads,
            n_k: n_k_heads,
            grouped,
            dims: (head_dim_k, head_dim_v),
        };
        heads.scan(step, pages, self.conv.elements(), y.reborrow());
        rows::norm_parts(cx, &self.norm, y.reborrow(), spare);
        gate(cx, Activation::Silu, r.gate.mat_mut(n, v_dim), y);
        Ok(())
    }
}

/// Returns the norm that scales each head of Q and K to unit length, if its result is multiplied by `1 / sqrt(width)`.
pub(super) fn unit_norm(eps: f32, width: usize) -> PartsNorm {
    let norm = Norm { kind: NormKind::Rms, eps: eps / width as f32, weight: None, bias: None };
    PartsNorm { norm, width, after_rope: false }
}

/// The inputs of the scan of all heads.
pub(super) struct Heads<'a> {
    /// `[rows][q, k, v]`
    pub(super) projected: Mat<'a>,
    /// One decay for each head, or for each channel of K in each head.
    pub(super) decay: Mat<'a>,
    /// `[rows][n]`
    pub(super) beta: Mat<'a>,
    /// Number of heads of V.
    pub(super) n: usize,
    pub(super) n_k: usize,
    /// Whether head `h` of V uses head `h / (n / n_k)` of K, instead of `h % n_k`.
    pub(super) grouped: bool,
    /// Number of elements in a head of K, and in one of V.
    pub(super) dims: (usize, usize),
}

impl Heads<'_> {
    /// The states, `[heads][K][V]`, are at `first` in the layer's. Q counts over the root of its head's size.
    pub(super) fn scan(&self, step: &Step<'_>, pages: &mut Pages<'_>, first: usize, mut y: MatMut<'_>) {
        let (cx, (dim_k, dim_v)) = (step.cx, self.dims);
        let (one, k_dim, per_head) = (dim_k * dim_v, self.n_k * dim_k, self.decay.cols() / self.n);
        let scale = 1.0 / (dim_k as f32).sqrt();
        each_state(step, pages, first..first + self.n * one, |rows, before, state| {
            let part = |from: usize, width: usize| {
                self.projected.rows_range(rows.clone()).columns(from..from + width)
            };
            let (decay, beta) = (self.decay.rows_range(rows.clone()), self.beta.rows_range(rows.clone()));
            let state = (MatMut::new(state, 1, self.n * one), one);
            let y = (y.rows_range_mut(rows.clone()), dim_v);
            cx.pool.for_each_columns2(state, y, &|head, state, y, _| {
                if cx.cancelled() {
                    return;
                }
                let of_k = if self.grouped { head / (self.n / self.n_k) } else { head % self.n_k };
                let delta = Delta {
                    q: part(of_k * dim_k, dim_k),
                    k: part(k_dim + of_k * dim_k, dim_k),
                    v: part(2 * k_dim + head * dim_v, dim_v),
                    decay: decay.columns(head * per_head..(head + 1) * per_head),
                    beta: beta.columns(head..head + 1),
                    scale,
                };
                let state = before.state(head * one, state.row_mut(0));
                (cx.kernels.ops.delta)(&delta, state, y);
            });
        });
    }
}
