//! The time mix of RWKV-7, and of Qwen 2 models whose attention was replaced by it: see [`Rwkv7Spec`].

use happy_kernels::linear::{ActBuf, Linear, Panels};
use happy_kernels::ops::Activation;
use happy_kernels::ops::scan::Wkv7;
use happy_kernels::{Mat, MatMut};

use super::delta_net::unit_norm;
use super::rwkv6::{HeadNorm, lerp, shift};
use super::{each_state, project};
use crate::error::{ForwardError, LoadError};
use crate::forward::pass::Step;
use crate::forward::{lanes, mixer, rows};
use crate::kv::Pages;
use crate::load::tensors::Tensors;
use crate::names::block;
use crate::scratch::{Buf, Scratch};
use crate::spec::{Need, Rwkv7Spec};
use crate::weights::PartsNorm;

/// The indices of the mixtures with the previous row, in the order of the file. The last one exists only if there are gates.
const RECEPTANCE: usize = 0;
const DECAY: usize = 1;
const KEY: usize = 2;
const VALUE: usize = 3;
const RATE: usize = 4;
const GATE: usize = 5;

/// Keeps heads of zeros finite when they are scaled to unit length.
const UNIT_EPS: f32 = 1e-24;

/// `e^-0.5`, the factor that bounds the decays.
const DECAY_BOUND: f32 = 0.606_531;

/// Two matrices that are applied one after the other, and a bias.
struct LowRank {
    first: Linear,
    second: Linear,
    bias: Option<Vec<f32>>,
}

impl LowRank {
    /// Loads `{part}1`, `{part}2` and, if there is a bias, `{part}0`.
    fn load(
        t: &mut Tensors<'_>,
        i: usize,
        part: &str,
        (n, rank): (usize, usize),
        bias: Need,
    ) -> Result<Self, LoadError> {
        let bias = t.opt_vector(bias, &block(i, &format!("{part}0"), "weight"), &[n])?;
        let first = t.linear(i, &format!("{part}1"), n, rank, Need::Never)?;
        Ok(LowRank { first, second: t.linear(i, &format!("{part}2"), rank, n, Need::Never)?, bias })
    }

    /// Computes `between = act(first x)`.
    fn start(
        &self,
        step: &Step<'_>,
        (x, act): (Mat<'_>, Option<Activation>),
        between: &mut Buf,
        (acts, panels): (&mut ActBuf, &Panels),
    ) -> Result<(), ForwardError> {
        let (n, rank) = (step.n, self.first.n_out());
        project(step, x, (acts, panels), &mut [(&self.first, between.mat_mut(n, rank))])?;
        if let Some(act) = act {
            let ops = &step.cx.kernels.ops;
            rows::each_row(step.cx, between.mat_mut(n, rank), &|_, row, _| (ops.activate)(act, row));
        }
        Ok(())
    }

    /// Computes `out = second between + bias`.
    fn finish(
        &self,
        step: &Step<'_>,
        between: &Buf,
        mut out: MatMut<'_>,
        (acts, panels): (&mut ActBuf, &Panels),
    ) -> Result<(), ForwardError> {
        let between = between.mat(step.n, self.first.n_out());
        project(step, between, (acts, panels), &mut [(&self.second, out.reborrow())])?;
        if let Some(bias) = &self.bias {
            rows::each_row(step.cx, out, &|_, row, _| (step.cx.kernels.ops.add)(row, bias));
        }
        Ok(())
    }
}

pub(super) struct Rwkv7 {
    spec: Rwkv7Spec,
    /// The weights of all mixtures, one mixture after the other.
    lerp: Vec<f32>,
    receptance: Linear,
    key: Linear,
    value: Linear,
    decay: LowRank,
    rate: LowRank,
    first_value: Option<LowRank>,
    gates: Option<LowRank>,
    k_k: Vec<f32>,
    k_a: Vec<f32>,
    r_k: Vec<f32>,
    /// Scales each head to unit length, times the root of its size.
    unit: PartsNorm,
    norm: Option<HeadNorm>,
}

impl Rwkv7 {
    pub(super) fn load(
        t: &mut Tensors<'_>,
        n_embd: usize,
        spec: &Rwkv7Spec,
        i: usize,
    ) -> Result<Self, LoadError> {
        let Rwkv7Spec { n_heads, head_size, decay_rank, rate_rank, value_rank, gate_rank, norm_eps } = *spec;
        let n = n_embd;
        let n_mixed = if gate_rank.is_some() { 6 } else { 5 };
        let mut low = |part: &str, rank: Option<usize>, bias: Need| {
            rank.map(|rank| LowRank::load(t, i, part, (n, rank), bias)).transpose()
        };
        let first_value = low("time_mix_v", value_rank, Need::Required)?;
        let gates = low("time_mix_g", gate_rank, Need::Never)?;
        let mut vector = |part: &str| t.vector(&block(i, part, "weight"), &[n]);
        let [k_k, k_a, r_k] = [vector("time_mix_k_k")?, vector("time_mix_k_a")?, vector("time_mix_r_k")?];
        Ok(Rwkv7 {
            spec: *spec,
            lerp: t.vector(&block(i, "time_mix_lerp_fused", "weight"), &[n, 1, 1, n_mixed])?,
            receptance: t.linear(i, "time_mix_receptance", n, n, Need::Never)?,
            key: t.linear(i, "time_mix_key", n, n, Need::Never)?,
            value: t.linear(i, "time_mix_value", n, n, Need::Never)?,
            decay: LowRank::load(t, i, "time_mix_w", (n, decay_rank), Need::Required)?,
            rate: LowRank::load(t, i, "time_mix_a", (n, rate_rank), Need::Required)?,
            first_value,
            gates,
            k_k,
            k_a,
            r_k,
            unit: unit_norm(UNIT_EPS, head_size),
            norm: norm_eps.map(|eps| HeadNorm::load(t, i, eps, (head_size, n_heads))).transpose()?,
        })
    }

    /// Returns every matrix of the mixer.
    pub(super) fn linears(&self) -> impl Iterator<Item = &Linear> {
        let low = [&self.decay, &self.rate].into_iter().chain(&self.first_value).chain(&self.gates);
        let low = low.flat_map(|low| [&low.first, &low.second]);
        [&self.receptance, &self.key, &self.value].into_iter().chain(low)
    }

    pub(super) fn scan(
        &self,
        step: &Step<'_>,
        s: &mut Scratch,
        pages: &mut Pages<'_>,
    ) -> Result<(), ForwardError> {
        self.mix(step, s, pages);
        self.project(step, s)?;
        self.keys(step, s);
        let (cx, n, width) = (step.cx, step.n, self.spec.width());
        let Rwkv7Spec { n_heads, head_size: size, .. } = self.spec;
        let ops = &cx.kernels.ops;
        let (r, spare) = (&mut s.recurrent, &s.row);
        let (receptance, small, decay) =
            (r.wide.mat(n, width), r.small.mat(n, 2 * width), r.decay.mat(n, width));
        let projected = r.projected.mat(n, 6 * width);
        let (mut y, one) = (r.y.mat_mut(n, width), size * size);
        each_state(step, pages, width..width + n_heads * one, |rows, before, state| {
            let state = (MatMut::new(state, 1, n_heads * one), one);
            let y = (y.rows_range_mut(rows.clone()), size);
            cx.pool.for_each_columns2(state, y, &|head, state, y, _| {
                if cx.cancelled() {
                    return;
                }
                let columns = |first: usize| first + head * size..first + (head + 1) * size;
                let scan = Wkv7 {
                    r: receptance.columns(columns(0)).rows_range(rows.clone()),
                    k: small.columns(columns(0)).rows_range(rows.clone()),
                    v: small.columns(columns(width)).rows_range(rows.clone()),
                    decay: decay.columns(columns(0)).rows_range(rows.clone()),
                    a: projected.columns(columns(KEY * width)).rows_range(rows.clone()),
                    b: projected.columns(columns(RATE * width)).rows_range(rows.clone()),
                };
                let state = before.state(head * one, state.row_mut(0));
                (ops.wkv7)(&scan, state, y);
            });
        });
        if let Some(norm) = &self.norm {
            norm.apply(cx, y.reborrow(), spare);
        }
        let gates = self.gates.as_ref().map(|_| r.gate.mat(n, width));
        rows::each_row(cx, y, &|i, row, worker| {
            // the extra weight of the current position
            spare.with(worker, |product| {
                let (product, (k, v)) = (&mut product[..width], small.row(i).split_at(width));
                product.copy_from_slice(k);
                (ops.mul)(product, receptance.row(i));
                for (h, y) in row.chunks_exact_mut(size).enumerate() {
                    let at = h * size..(h + 1) * size;
                    let sum = lanes::dot(&product[at.clone()], &self.r_k[at.clone()]);
                    (ops.add_scaled)(y, &v[at], sum);
                }
            });
            if let Some(gates) = &gates {
                (ops.mul)(row, gates.row(i));
            }
        });
        Ok(())
    }

    /// Writes the mixtures of each row with the one before it to `projected`, side by side.
    fn mix(&self, step: &Step<'_>, s: &mut Scratch, pages: &mut Pages<'_>) {
        let (cx, n, width) = (step.cx, step.n, self.spec.width());
        let Scratch { x, io, recurrent: r, .. } = s;
        let input = mixer::input(step, x, io);
        shift(step, pages, 0, input, r.wide.mat_mut(n, width));
        let shifted = r.wide.mat(n, width);
        rows::each_row(cx, r.projected.mat_mut(n, 6 * width), &|i, row, _| {
            for (part, weight) in row.chunks_exact_mut(width).zip(self.lerp.chunks_exact(width)) {
                lerp(cx, weight, shifted.row(i), input.row(i), part);
            }
        });
    }

    /// Computes receptance, decay, key and value, the rate, which replaces its mixture, and the gates.
    fn project(&self, step: &Step<'_>, s: &mut Scratch) -> Result<(), ForwardError> {
        let (cx, n, width) = (step.cx, step.n, self.spec.width());
        let ops = &cx.kernels.ops;
        let Scratch { acts, panels, recurrent: r, .. } = s;
        let mixed = r.projected.mat(n, 6 * width);
        let part = |j: usize| mixed.columns(j * width..(j + 1) * width);
        let out = r.wide.mat_mut(n, width);
        project(step, part(RECEPTANCE), (acts, panels), &mut [(&self.receptance, out)])?;
        let mut small = r.small.mat_mut(n, 2 * width);
        project(step, part(KEY), (acts, panels), &mut [(&self.key, small.columns_mut(0..width))])?;
        project(
            step,
            part(VALUE),
            (acts, panels),
            &mut [(&self.value, small.columns_mut(width..2 * width))],
        )?;

        // `y` holds what is between the two matrices of a pair
        self.decay.start(step, (part(DECAY), Some(Activation::Tanh)), &mut r.y, (acts, panels))?;
        self.decay.finish(step, &r.y, r.decay.mat_mut(n, width), (acts, panels))?;
        rows::each_row(cx, r.decay.mat_mut(n, width), &|_, row, _| {
            (ops.activate)(Activation::Sigmoid, row);
            (ops.scale)(row, -DECAY_BOUND);
            (ops.exp)(row);
        });
        if let Some(gates) = &self.gates {
            gates.start(step, (part(GATE), Some(Activation::Sigmoid)), &mut r.y, (acts, panels))?;
            gates.finish(step, &r.y, r.gate.mat_mut(n, width), (acts, panels))?;
        }
        self.rate.start(step, (part(RATE), None), &mut r.y, (acts, panels))?;
        let mut mixed = r.projected.mat_mut(n, 6 * width);
        let mut rate = mixed.columns_mut(RATE * width..(RATE + 1) * width);
        self.rate.finish(step, &r.y, rate.reborrow(), (acts, panels))?;
        rows::each_row(cx, rate, &|_, row, _| (ops.activate)(Activation::Sigmoid, row));

        let small = r.small.mat(n, 2 * width);
        let Some(first_value) = &self.first_value else {
            rows::each_row(cx, r.first.mat_mut(n, width), &|i, row, _| {
                row.copy_from_slice(&small.row(i)[width..]);
            });
            return Ok(());
        };
        let part = r.projected.mat(n, 6 * width).columns(VALUE * width..(VALUE + 1) * width);
        first_value.start(step, (part, None), &mut r.y, (acts, panels))?;
        let mut mixed = r.projected.mat_mut(n, 6 * width);
        let mut weights = mixed.columns_mut(VALUE * width..(VALUE + 1) * width);
        first_value.finish(step, &r.y, weights.reborrow(), (acts, panels))?;
        rows::each_row(cx, weights.reborrow(), &|_, row, _| (ops.activate)(Activation::Sigmoid, row));
        let (first, weights) = (r.first.mat(n, width), weights.as_ref());
        rows::each_row(cx, r.small.mat_mut(n, 2 * width), &|i, row, _| {
            let others = first.row(i).iter().zip(weights.row(i));
            row[width..].iter_mut().zip(others).for_each(|(v, (first, w))| *v += (first - *v) * w);
        });
        Ok(())
    }

    /// Computes `k = k + (rate - 1) * k * k_a`, and the two vectors of the scan's update: the one that it reads along, `-u`, replaces the
    /// mixture of K; the one that it writes along, `u * rate`, replaces the rate.
    fn keys(&self, step: &Step<'_>, s: &mut Scratch) {
        let (cx, n, width, size) = (step.cx, step.n, self.spec.width(), self.spec.head_size);
        let ops = &cx.kernels.ops;
        let (r, spare) = (&mut s.recurrent, &s.row);
        let small = r.small.mat(n, 2 * width);
        let mut projected = r.projected.mat_mut(n, 6 * width);
        let mut unit = projected.columns_mut(KEY * width..(KEY + 1) * width);
        rows::each_row(cx, unit.reborrow(), &|i, row, _| {
            row.copy_from_slice(&small.row(i)[..width]);
            (ops.mul)(row, &self.k_k);
        });
        rows::norm_parts(cx, &self.unit, unit, spare);
        let projected = r.projected.mat(n, 6 * width);
        rows::each_row(cx, r.small.mat_mut(n, 2 * width), &|i, row, _| {
            let rate = &projected.row(i)[RATE * width..(RATE + 1) * width];
            for ((k, k_a), rate) in row.iter_mut().zip(&self.k_a).zip(rate) {
                let scaled = *k * k_a;
                *k += rate * scaled - scaled;
            }
        });
        let scale = 1.0 / (size as f32).sqrt();
        rows::each_row(cx, r.projected.mat_mut(n, 6 * width), &|_, row, _| {
            let (before, rate) = row.split_at_mut(RATE * width);
            let (unit, rate) = (&mut before[KEY * width..(KEY + 1) * width], &mut rate[..width]);
            (ops.scale)(unit, scale);
            (ops.mul)(rate, unit);
            (ops.scale)(unit, -1.0);
        });
    }
}
