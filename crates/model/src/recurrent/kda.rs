//! Kimi's delta attention: see [`KdaSpec`].

use happy_kernels::linear::Linear;
use happy_kernels::ops::Activation;

use super::delta_net::{Heads, unit_norm};
use super::{ConvWeights, gate, parts_norm, project};
use crate::error::{ForwardError, LoadError};
use crate::forward::pass::Step;
use crate::forward::{mixer, rows};
use crate::kv::Pages;
use crate::load::tensors::Tensors;
use crate::names::block;
use crate::reserve::collected;
use crate::scratch::Scratch;
use crate::spec::{KdaSpec, Need};
use crate::weights::PartsNorm;

pub(super) struct Kda {
    spec: KdaSpec,
    q: Linear,
    k: Linear,
    v: Linear,
    beta: Linear,
    /// What the decays are computed with, and then the gates: a full matrix, or two low-rank matrices one after the other.
    decay: (Linear, Option<Linear>),
    gates: (Linear, Option<Linear>),
    /// The convolution over the channels of q, k and v.
    conv: ConvWeights,
    dt_bias: Vec<f32>,
    /// One value for each head.
    a: Vec<f32>,
    /// Scales each head of Q and K to unit length, times the root of its size.
    unit: PartsNorm,
    norm: PartsNorm,
}

impl Kda {
    pub(super) fn load(
        t: &mut Tensors<'_>,
        n_embd: usize,
        spec: &KdaSpec,
        i: usize,
    ) -> Result<Self, LoadError> {
        let (width, n_heads, dim) = (spec.width(), spec.n_heads, spec.head_dim);
        let [q, k, v] = projections(t, n_embd, width, i)?;
        let mut pair = |a: &str, b: &str| -> Result<(Linear, Option<Linear>), LoadError> {
            let first = t.linear(i, a, n_embd, spec.rank.unwrap_or(width), Need::Never)?;
            let second = spec.rank.map(|rank| t.linear(i, b, rank, width, Need::Never)).transpose()?;
            Ok((first, second))
        };
        let (decay, gates) = (pair("ssm_f_a", "ssm_f_b")?, pair("ssm_g_a", "ssm_g_b")?);
        Ok(Kda {
            spec: *spec,
            q,
            k,
            v,
            beta: t.linear(i, "ssm_beta", n_embd, n_heads, Need::Never)?,
            decay,
            gates,
            conv: conv(t, spec, i)?,
            dt_bias: t.vector(&block(i, "ssm_dt", "bias"), &[width])?,
            a: t.vector(&format!("blk.{i}.ssm_a"), &[1, n_heads])?,
            unit: unit_norm(spec.eps, dim),
            norm: parts_norm(t, i, "ssm_norm", &spec.norm, (dim, 1))?,
        })
    }

    /// Returns every matrix of the mixer.
    pub(super) fn linears(&self) -> impl Iterator<Item = &Linear> {
        let ((f_a, f_b), (g_a, g_b)) = (&self.decay, &self.gates);
        [&self.q, &self.k, &self.v, &self.beta, f_a, g_a].into_iter().chain(f_b).chain(g_b)
    }

    pub(super) fn scan(
        &self,
        step: &Step<'_>,
        s: &mut Scratch,
        pages: &mut Pages<'_>,
    ) -> Result<(), ForwardError> {
        self.project(step, s)?;
        let (cx, n, width) = (step.cx, step.n, self.spec.width());
        let KdaSpec { n_heads, head_dim: dim, .. } = self.spec;
        let ops = &cx.kernels.ops;
        let (r, spare) = (&mut s.recurrent, &s.row);
        self.conv.run(step, pages, r.projected.mat_mut(n, 3 * width), 0);
        let mut projected = r.projected.mat_mut(n, 3 * width);
        rows::norm_parts(cx, &self.unit, projected.columns_mut(0..2 * width), spare);
        let unit = 1.0 / (dim as f32).sqrt();
        rows::each_row(cx, projected.columns_mut(0..2 * width), &|_, row, _| (ops.scale)(row, unit));
        rows::each_row(cx, r.small.mat_mut(n, n_heads), &|_, row, _| {
            (ops.activate)(Activation::Sigmoid, row);
        });
        let times_a = |row: &mut [f32]| {
            row.chunks_exact_mut(dim).zip(&self.a).for_each(|(head, a)| (ops.scale)(head, *a));
        };
        rows::each_row(cx, r.decay.mat_mut(n, width), &|_, row, _| {
            (ops.add)(row, &self.dt_bias);
            match self.spec.lower_bound {
                None => {
                    (ops.softplus)(row);
                    times_a(row);
                }
                Some(bound) => {
                    times_a(row);
                    (ops.activate)(Activation::Sigmoid, row);
                    (ops.scale)(row, bound);
                }
            }
            (ops.exp)(row);
        });
        let mut y = r.y.mat_mut(n, width);
        let heads = Heads {
            projected: r.projected.mat(n, 3 * width),
            decay: r.decay.mat(n, width),
            beta: r.small.mat(n, n_heads),
            n: n_heads,
            n_k: n_heads,
            grouped: false,
            dims: (dim, dim),
        };
        heads.scan(step, pages, self.conv.elements(), y.reborrow());
        rows::norm_parts(cx, &self.norm, y.reborrow(), spare);
        gate(cx, Activation::Sigmoid, r.gate.mat_mut(n, width), y);
        Ok(())
    }

    /// Computes `q, k, v`, beta, what the decays are made of, and the gates.
    fn project(&self, step: &Step<'_>, s: &mut Scratch) -> Result<(), ForwardError> {
        let (n, width, n_heads) = (step.n, self.spec.width(), self.spec.n_heads);
        let rank = self.spec.rank.unwrap_or(0);
        let Scratch { x, io, acts, panels, recurrent: r, .. } = s;
        let input = mixer::input(step, x, io);
        for (j, matrix) in [&self.q, &self.k, &self.v].into_iter().enumerate() {
            let mut projected = r.projected.mat_mut(n, 3 * width);
            let out = projected.columns_mut(j * width..(j + 1) * width);
            project(step, input, (acts, panels), &mut [(matrix, out)])?;
        }
        let beta = (&self.beta, r.small.mat_mut(n, n_heads));
        let ((f_a, f_b), (g_a, g_b)) = (&self.decay, &self.gates);
        let (decay, gates) = (r.decay.mat_mut(n, width), r.gate.mat_mut(n, width));
        let (Some(f_b), Some(g_b)) = (f_b, g_b) else {
            return project(step, input, (acts, panels), &mut [beta, (f_a, decay), (g_a, gates)]);
        };
        project(step, input, (acts, panels), &mut [beta])?;
        for (first, second, out, at) in [(f_a, f_b, decay, 0), (g_a, g_b, gates, rank)] {
            let mut low = r.wide.mat_mut(n, 2 * rank);
            project(step, input, (acts, panels), &mut [(first, low.columns_mut(at..at + rank))])?;
            let low = r.wide.mat(n, 2 * rank).columns(at..at + rank);
            project(step, low, (acts, panels), &mut [(second, out)])?;
        }
        Ok(())
    }
}

/// Loads the matrices of q, k and v, which may be one tensor.
fn projections(t: &mut Tensors<'_>, n_embd: usize, width: usize, i: usize) -> Result<[Linear; 3], LoadError> {
    let fused = block(i, "attn_qkv", "weight");
    if t.has(&fused) {
        let all = t.tensor(&fused, &[n_embd, 3 * width])?;
        let part = |j: usize| t.rows(&all, j * width, width, n_embd, None);
        return Ok([part(0)?, part(1)?, part(2)?]);
    }
    let mut own = |part: &str| t.linear(i, part, n_embd, width, Need::Never);
    Ok([own("attn_q")?, own("attn_k")?, own("attn_v")?])
}

/// Loads the convolutions of q, k and v as one.
fn conv(t: &mut Tensors<'_>, spec: &KdaSpec, i: usize) -> Result<ConvWeights, LoadError> {
    let (width, kernel, channels) = (spec.width(), spec.kernel, spec.conv_dim());
    let mut weight = collected(kernel * channels, std::iter::repeat(0.0))?;
    for (j, part) in ["ssm_conv1d_q", "ssm_conv1d_k", "ssm_conv1d_v"].into_iter().enumerate() {
        let own = t.vector(&block(i, part, "weight"), &[kernel, 1, width])?;
        for (channel, taps) in own.chunks_exact(kernel).enumerate() {
            for (tap, w) in taps.iter().enumerate() {
                weight[tap * channels + j * width + channel] = *w;
            }
        }
    }
    Ok(ConvWeights { weight, bias: None, kernel, channels, silu: true })
}
