//! The time mix of RWKV-6, and of Qwen 2 models whose attention was replaced by it: see [`Rwkv6Spec`].

use happy_kernels::linear::Linear;
use happy_kernels::ops::Activation;
use happy_kernels::ops::scan::{LinearAttention, Wkv6};
use happy_kernels::{Ctx, Mat, MatMut, PerWorker};

use super::{each_state, gate, project};
use crate::error::{ForwardError, LoadError};
use crate::forward::pass::Step;
use crate::forward::{mixer, rows};
use crate::kv::Pages;
use crate::load::tensors::Tensors;
use crate::names::block;
use crate::scratch::Scratch;
use crate::spec::{Need, NormKind, Rwkv6Spec};
use crate::weights::{Norm, PartsNorm};

/// The number of mixtures with the previous row. In the order of the file, they are the inputs of decay, key, value, receptance and gate.
const N_MIXED: usize = 5;

pub(super) struct Rwkv6 {
    spec: Rwkv6Spec,
    lerp_x: Vec<f32>,
    lerp: [Vec<f32>; N_MIXED],
    pub(super) w1: Linear,
    pub(super) w2: [Linear; N_MIXED],
    decay: Vec<f32>,
    pub(super) decay_w1: Linear,
    pub(super) decay_w2: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) receptance: Linear,
    pub(super) gate: Linear,
    /// The extra weight of the current position, `[heads][head_size]`. Without it, the scan is gated linear attention.
    bonus: Option<Vec<f32>>,
    norm: Option<HeadNorm>,
}

impl Rwkv6 {
    pub(super) fn load(
        t: &mut Tensors<'_>,
        n_embd: usize,
        spec: &Rwkv6Spec,
        i: usize,
    ) -> Result<Self, LoadError> {
        let Rwkv6Spec { n_heads, head_size, n_kv_heads, mix_rank, decay_rank, .. } = *spec;
        let n = n_heads * head_size;
        let bias = if spec.linear { Need::Optional } else { Need::Never };
        let lora = t.tensor(&block(i, "time_mix_w2", "weight"), &[mix_rank, n, N_MIXED])?;
        let part = |j: usize| t.rows(&lora, j * n, n, mix_rank, None);
        let w2 = [part(0)?, part(1)?, part(2)?, part(3)?, part(4)?];
        let fused = block(i, "time_mix_lerp_fused", "weight");
        let lerp = if t.has(&fused) {
            let all = t.vector(&fused, &[n, 1, 1, N_MIXED])?;
            let mut parts = all.chunks_exact(n);
            let mut next = || crate::reserve::collected(n, parts.next().unwrap_or(&[]).iter().copied());
            [next()?, next()?, next()?, next()?, next()?]
        } else {
            let mut own = |part: &str| t.vector(&block(i, part, "weight"), &[n]);
            [
                own("time_mix_lerp_w")?,
                own("time_mix_lerp_k")?,
                own("time_mix_lerp_v")?,
                own("time_mix_lerp_r")?,
                own("time_mix_lerp_g")?,
            ]
        };
        let norm = spec.norm_eps.map(|eps| HeadNorm::load(t, i, eps, (head_size, n_heads))).transpose()?;
        let kv = n_kv_heads * head_size;
        Ok(Rwkv6 {
            spec: *spec,
            lerp_x: t.vector(&block(i, "time_mix_lerp_x", "weight"), &[n])?,
            lerp,
            w1: t.linear(i, "time_mix_w1", n_embd, mix_rank * N_MIXED, Need::Never)?,
            w2,
            decay: t.vector(&block(i, "time_mix_decay", "weight"), &[n])?,
            decay_w1: t.linear(i, "time_mix_decay_w1", n_embd, decay_rank, Need::Never)?,
            decay_w2: t.linear(i, "time_mix_decay_w2", decay_rank, n, Need::Never)?,
            key: t.linear(i, "time_mix_key", n_embd, kv, bias)?,
            value: t.linear(i, "time_mix_value", n_embd, kv, bias)?,
            receptance: t.linear(i, "time_mix_receptance", n_embd, n, bias)?,
            gate: t.linear(i, "time_mix_gate", n_embd, n, Need::Never)?,
            bonus: match spec.linear {
                true => None,
                false => Some(t.vector(&block(i, "time_mix_first", "weight"), &[head_size, n_heads])?),
            },
            norm,
        })
    }

    /// Returns every matrix of the mixer.
    pub(super) fn linears(&self) -> impl Iterator<Item = &Linear> {
        let all =
            [&self.w1, &self.decay_w1, &self.decay_w2, &self.key, &self.value, &self.receptance, &self.gate];
        all.into_iter().chain(&self.w2)
    }

    pub(super) fn scan(
        &self,
        step: &Step<'_>,
        s: &mut Scratch,
        pages: &mut Pages<'_>,
    ) -> Result<(), ForwardError> {
        self.mix(step, s, pages)?;
        self.project(step, s)?;
        let (cx, n) = (step.cx, step.n);
        let Rwkv6Spec { n_heads, head_size, linear, .. } = self.spec;
        let width = n_heads * head_size;
        let (r, spare) = (&mut s.recurrent, &s.row);
        let (small, decay, receptance) =
            (r.small.mat(n, 2 * width), r.decay.mat(n, width), r.wide.mat(n, width));
        let mut y = r.y.mat_mut(n, width);
        let one = head_size * head_size;
        let scale = 1.0 / (head_size as f32).sqrt();
        each_state(step, pages, width..width + n_heads * one, |rows, before, state| {
            let state = (MatMut::new(state, 1, n_heads * one), one);
            let y = (y.rows_range_mut(rows.clone()), head_size);
            cx.pool.for_each_columns2(state, y, &|head, state, y, _| {
                if cx.cancelled() {
                    return;
                }
                let at = head * head_size..(head + 1) * head_size;
                let state = before.state(head * one, state.row_mut(0));
                let columns = |from: usize| from + at.start..from + at.end;
                let q = receptance.columns(columns(0)).rows_range(rows.clone());
                let k = small.columns(columns(0)).rows_range(rows.clone());
                let v = small.columns(columns(width)).rows_range(rows.clone());
                let decay = decay.columns(columns(0)).rows_range(rows.clone());
                match &self.bonus {
                    Some(bonus) => {
                        let scan = Wkv6 { r: q, k, v, decay, bonus: &bonus[at.clone()] };
                        (cx.kernels.ops.wkv6)(&scan, state, y);
                    }
                    None => {
                        let scan = LinearAttention { q, k, v, decay, scale };
                        (cx.kernels.ops.linear_attention)(&scan, state, y);
                    }
                }
            });
        });
        if let Some(norm) = &self.norm {
            norm.apply(cx, y.reborrow(), spare);
        }
        let act = if linear { Activation::Sigmoid } else { Activation::Silu };
        gate(cx, act, r.gate.mat_mut(n, width), y);
        Ok(())
    }

    /// Writes the five mixtures of each row with the one before it to `projected`, side by side.
    fn mix(&self, step: &Step<'_>, s: &mut Scratch, pages: &mut Pages<'_>) -> Result<(), ForwardError> {
        let (cx, n, rank) = (step.cx, step.n, self.spec.mix_rank);
        let width = step.n_embd;
        let ops = &cx.kernels.ops;
        let Scratch { x, io, acts, panels, recurrent: r, .. } = s;
        let input = mixer::input(step, x, io);
        shift(step, pages, 0, input, r.wide.mat_mut(n, width));
        let shifted = r.wide.mat(n, width);
        rows::each_row(cx, r.y.mat_mut(n, width), &|i, row, _| {
            lerp(cx, &self.lerp_x, shifted.row(i), input.row(i), row);
        });
        let small = r.small.mat_mut(n, N_MIXED * rank);
        project(step, r.y.mat(n, width), (acts, panels), &mut [(&self.w1, small)])?;
        rows::each_row(cx, r.small.mat_mut(n, N_MIXED * rank), &|_, row, _| {
            (ops.activate)(Activation::Tanh, row);
        });
        let small = r.small.mat(n, N_MIXED * rank);
        let mut mixed = r.projected.mat_mut(n, N_MIXED * width);
        for (j, w2) in self.w2.iter().enumerate() {
            let out = mixed.columns_mut(j * width..(j + 1) * width);
            project(step, small.columns(j * rank..(j + 1) * rank), (acts, panels), &mut [(w2, out)])?;
        }
        rows::each_row(cx, mixed, &|i, row, _| {
            for (part, weight) in row.chunks_exact_mut(width).zip(&self.lerp) {
                (ops.add)(part, weight);
                (ops.mul)(part, shifted.row(i));
                (ops.add)(part, input.row(i));
            }
        });
        Ok(())
    }

    /// Computes decay, key and value of every head, the receptance and the gates.
    fn project(&self, step: &Step<'_>, s: &mut Scratch) -> Result<(), ForwardError> {
        let (cx, n, width) = (step.cx, step.n, step.n_embd);
        let ops = &cx.kernels.ops;
        let Rwkv6Spec { n_heads, head_size, n_kv_heads, decay_rank, linear, .. } = self.spec;
        let kv = n_kv_heads * head_size;
        let Scratch { acts, panels, recurrent: r, .. } = s;
        let mixed = r.projected.mat(n, N_MIXED * width);
        let part = |j: usize| mixed.columns(j * width..(j + 1) * width);
        let rank = r.y.mat_mut(n, decay_rank);
        project(step, part(0), (acts, panels), &mut [(&self.decay_w1, rank)])?;
        rows::each_row(cx, r.y.mat_mut(n, decay_rank), &|_, row, _| (ops.activate)(Activation::Tanh, row));
        let decay = r.decay.mat_mut(n, width);
        project(step, r.y.mat(n, decay_rank), (acts, panels), &mut [(&self.decay_w2, decay)])?;
        rows::each_row(cx, r.decay.mat_mut(n, width), &|_, row, _| {
            // e^-e^(w + decay)
            (ops.add)(row, &self.decay);
            (ops.exp)(row);
            (ops.scale)(row, -1.0);
            (ops.exp)(row);
        });
        let mut small = r.small.mat_mut(n, 2 * width);
        project(step, part(1), (acts, panels), &mut [(&self.key, small.columns_mut(0..kv))])?;
        project(step, part(2), (acts, panels), &mut [(&self.value, small.columns_mut(width..width + kv))])?;
        let decay = r.decay.mat(n, width);
        rows::each_row(cx, small, &|i, row, _| {
            let (key, value) = row.split_at_mut(width);
            if kv < width {
                repeat(key, head_size, n_heads / n_kv_heads);
                repeat(value, head_size, n_heads / n_kv_heads);
            }
            if linear {
                // key * (1 - decay)
                key.iter_mut().zip(decay.row(i)).for_each(|(k, w)| *k -= *k * *w);
            }
        });
        project(step, part(3), (acts, panels), &mut [(&self.receptance, r.wide.mat_mut(n, width))])?;
        project(step, part(4), (acts, panels), &mut [(&self.gate, r.gate.mat_mut(n, width))])
    }
}

/// The norm of each head's result, whose weight and bias are as long as all heads together.
pub(super) struct HeadNorm {
    norm: PartsNorm,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl HeadNorm {
    /// Loads the norm, for this number of elements in a head, and this number of heads.
    pub(super) fn load(
        t: &mut Tensors<'_>,
        i: usize,
        eps: f32,
        (size, n_heads): (usize, usize),
    ) -> Result<Self, LoadError> {
        let norm = Norm { kind: NormKind::Layer, eps, weight: None, bias: None };
        let mut vector = |kind: &str| t.vector(&block(i, "time_mix_ln", kind), &[size * n_heads]);
        let (weight, bias) = (vector("weight")?, vector("bias")?);
        Ok(HeadNorm { norm: PartsNorm { norm, width: size, after_rope: false }, weight, bias })
    }

    /// Applies the norm to every head of every row.
    pub(super) fn apply(&self, cx: Ctx<'_>, mut y: MatMut<'_>, spare: &PerWorker<Vec<f32>>) {
        rows::norm_parts(cx, &self.norm, y.reborrow(), spare);
        rows::each_row(cx, y, &|_, row, _| {
            (cx.kernels.ops.mul)(row, &self.weight);
            (cx.kernels.ops.add)(row, &self.bias);
        });
    }
}

/// Computes `out = before - x`, where `before` is the previous row. Between batches, it is kept in the state, from `first` on.
pub(super) fn shift(step: &Step<'_>, pages: &mut Pages<'_>, first: usize, x: Mat<'_>, mut out: MatMut<'_>) {
    let ops = &step.cx.kernels.ops;
    each_state(step, pages, first..first + x.cols(), |rows, before, state| {
        before.copy(0, state);
        for i in rows {
            let row = out.row_mut(i);
            row.copy_from_slice(x.row(i));
            (ops.scale)(row, -1.0);
            (ops.add)(row, state);
            state.copy_from_slice(x.row(i));
        }
    });
}

/// Computes `out = shifted * weight + x`.
pub(super) fn lerp(cx: Ctx<'_>, weight: &[f32], shifted: &[f32], x: &[f32], out: &mut [f32]) {
    let ops = &cx.kernels.ops;
    out.copy_from_slice(shifted);
    (ops.mul)(out, weight);
    (ops.add)(out, x);
}

/// Repeats each of the heads at the start of a row, so that it becomes `times` heads.
fn repeat(row: &mut [f32], head: usize, times: usize) {
    for h in (0..row.len() / head).rev() {
        let from = h / times * head;
        row.copy_within(from..from + head, h * head);
    }
}
