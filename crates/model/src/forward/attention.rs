//! The steps of a layer's attention half.

use happy_kernels::linear;
use happy_kernels::ops::{AttnSpec, RopePairing, attention};
use happy_kernels::{Mat, MatMut};

use super::moe;
use super::pass::Step;
use super::rows;
use crate::error::ForwardError;
use crate::kv::Pages;
use crate::scratch::Scratch;
use crate::spec::{GateWidth, TemperatureSpec};
use crate::weights::{FfnIn, PartsNorm, kinds};

/// `q, k, v = Wq normed, Wk normed, Wv normed` with `normed = norm(x)`, in one job, and the gates, if the layer has some.
pub(super) fn project(step: &Step<'_>, s: &mut Scratch) -> Result<(), ForwardError> {
    let (cx, n, n_embd) = (step.cx, step.n, step.n_embd);
    let (a, w) = (&step.spec.attention, &step.weights.attention);
    let input: Mat<'_> = match &w.norm {
        Some(norm) => {
            rows::norm(cx, norm, s.x.mat(n, n_embd), s.io.normed_mut(n, n_embd));
            s.io.normed(n, n_embd)
        }
        None => s.x.mat(n, n_embd),
    };
    match &step.weights.ffn_in {
        FfnIn::Attention => {
            let kept = s.attn_input.mat_mut(n, n_embd);
            rows::each_row(cx, kept, &|i, row, _| row.copy_from_slice(input.row(i)));
        }
        FfnIn::Layer(norm) => rows::norm(cx, norm, s.x.mat(n, n_embd), s.attn_input.mat_mut(n, n_embd)),
        FfnIn::Norm(_) | FfnIn::Residual => {}
    }
    if !s.acts.set(cx, input, kinds([&w.q, &w.k, &w.v].into_iter().chain(&w.gate))) {
        return Err(step.non_finite());
    }
    let q = (&w.q, s.inner.q_mut(n, a.q_dim()));
    let k = (&w.k, s.k.mat_mut(n, a.k_dim()));
    let v = (&w.v, s.v.mat_mut(n, a.v_dim()));
    match &w.gate {
        None => linear::forward(cx, &s.acts, &mut [q, k, v], &s.panels),
        Some(gate) => {
            let gate = (gate, s.gate.mat_mut(n, a.gate_dim()));
            linear::forward(cx, &s.acts, &mut [q, k, v, gate], &s.panels);
        }
    }
    if let Some(most) = a.clamp {
        for mat in [s.inner.q_mut(n, a.q_dim()), s.k.mat_mut(n, a.k_dim()), s.v.mat_mut(n, a.v_dim())] {
            rows::each_row(cx, mat, &|_, row, _| row.iter_mut().for_each(|x| *x = x.clamp(-most, most)));
        }
    }
    Ok(())
}

/// Whether the feed-forward half reads what was there before the attention.
fn keeps_input(step: &Step<'_>) -> bool {
    matches!(step.weights.ffn_in, FfnIn::Attention | FfnIn::Layer(_))
}

/// The rotation of a layer.
struct Rotation<'a> {
    cos_sin: Mat<'a>,
    pairing: RopePairing,
}

/// `q, k = rope(norm(q)) * temperature, rope(norm(k))`, row by row; the norm may follow the rotation. `v = norm(v)`
pub(super) fn rotate(step: &Step<'_>, s: &mut Scratch) {
    let (cx, n, a, w) = (step.cx, step.n, &step.spec.attention, &step.weights.attention);
    let ropes = &step.model.ropes;
    let rope = a.rope.and_then(|index| {
        let rope = ropes.get(index)?;
        let before: usize = ropes.iter().take(index).map(|r| r.n_rot).sum();
        let cos_sin = Mat::new(s.cos_sin.values().get(n * before..)?, n, rope.n_rot);
        Some(Rotation { cos_sin, pairing: rope.pairing })
    });
    let (head_dim, at, spare) = (a.head_dim_k, &s.attn_rows, &s.row);
    let turn = |mut mat: MatMut<'_>, norm: &Option<PartsNorm>, temperature: Option<TemperatureSpec>| {
        let normed = |mat: MatMut<'_>, after_rope: bool| {
            if let Some(norm) = norm.as_ref().filter(|norm| norm.after_rope == after_rope) {
                rows::norm_parts(cx, norm, mat, spare);
            }
        };
        normed(mat.reborrow(), false);
        if rope.is_some() || temperature.is_some() {
            rows::each_row(cx, mat.reborrow(), &|i, row, _| {
                if let Some(rope) = &rope {
                    (cx.kernels.ops.rope)(row, head_dim, rope.cos_sin.row(i), rope.pairing);
                }
                if let Some(t) = temperature {
                    (cx.kernels.ops.scale)(row, t.factor(at[i].position));
                }
            });
        }
        normed(mat, true);
    };
    turn(s.inner.q_mut(n, a.q_dim()), &w.q_norm, a.temperature);
    turn(s.k.mat_mut(n, a.k_dim()), &w.k_norm, None);
    if let Some(norm) = &w.v_norm {
        rows::norm_parts(cx, norm, s.v.mat_mut(n, a.v_dim()), spare);
    }
}

/// `cache = k, v`
pub(super) fn store(step: &Step<'_>, s: &Scratch, pages: &mut Pages<'_>) -> Result<(), ForwardError> {
    let (cx, n, a) = (step.cx, step.n, &step.spec.attention);
    let (k, v) = (s.k.mat(n, a.k_dim()), s.v.mat(n, a.v_dim()));
    for (i, row) in s.attn_rows.iter().enumerate() {
        if cx.cancelled() {
            return Err(ForwardError::Cancelled);
        }
        pages.store(step.layer, row, k.row(i), v.row(i), cx.kernels.ops.to_f16);
    }
    Ok(())
}

/// Drops the rows of which nothing is wanted, once their keys and values are stored; returns how many are left.
pub(super) fn keep_wanted(step: &Step<'_>, s: &mut Scratch) -> usize {
    let n = s.outputs.len();
    if n == step.n {
        return n;
    }
    let wanted = || s.outputs.iter().map(|o| o.index);
    rows::keep_rows(&mut s.inner.0, step.spec.attention.q_dim(), wanted());
    rows::keep_rows(&mut s.x, step.n_embd, wanted());
    if keeps_input(step) {
        rows::keep_rows(&mut s.attn_input, step.n_embd, wanted());
    }
    rows::keep_rows(&mut s.gate, step.spec.attention.gate_dim(), wanted());
    if let Some(moe) = moe::early_router(step) {
        rows::keep_rows(&mut s.moe.router, moe.spec.n_experts, wanted());
    }
    for (to, from) in wanted().enumerate() {
        s.attn_rows[to] = s.attn_rows[from];
    }
    s.attn_rows.truncate(n);
    n
}

/// `heads = attention(q, cache)`
pub(super) fn attend(step: &Step<'_>, s: &mut Scratch, pages: &Pages<'_>) {
    let (n, a) = (step.n, &step.spec.attention);
    let spec = AttnSpec {
        n_heads: a.n_heads,
        scale: a.scale,
        soft_cap: a.soft_cap,
        window: a.window,
        sinks: step.weights.attention.sinks.as_deref(),
        causal: true,
    };
    let (q, heads) = (s.inner.q(n, a.q_dim()), s.io.heads_mut(n, a.out_dim()));
    attention(&step.cx, q, &s.attn_rows, &pages.layer(step.layer), &spec, &mut s.attention, heads);
}

/// `heads *= act(gates)`, one gate for each head or each element; then the norm before the output matrix.
pub(super) fn gate(step: &Step<'_>, s: &mut Scratch) {
    let (cx, n, a) = (step.cx, step.n, &step.spec.attention);
    let (ops, gates, cols) = (&cx.kernels.ops, a.gate_dim(), a.out_dim());
    if let Some(gate) = a.gate {
        rows::each_row(cx, s.gate.mat_mut(n, gates), &|_, row, _| (ops.activate)(gate.activation, row));
        let values = s.gate.mat(n, gates);
        rows::each_row(cx, s.io.heads_mut(n, cols), &|i, row, _| match gate.width {
            GateWidth::PerElement => (ops.mul)(row, values.row(i)),
            GateWidth::PerHead => {
                let heads = row.chunks_exact_mut(a.head_dim_v);
                heads.zip(values.row(i)).for_each(|(head, gate)| (ops.scale)(head, *gate));
            }
        });
    }
    if let Some(norm) = &step.weights.attention.sub_norm {
        rows::norm_parts(cx, norm, s.io.heads_mut(n, cols), &s.row);
    }
}

/// `x += norm(Wo heads * scale) * residual_scale`
pub(super) fn add(step: &Step<'_>, s: &mut Scratch) -> Result<(), ForwardError> {
    let (cx, n, n_embd, w) = (step.cx, step.n, step.n_embd, &step.weights.attention);
    if !s.acts.set(cx, s.io.heads(n, step.spec.attention.out_dim()), kinds([&w.out])) {
        return Err(step.non_finite());
    }
    linear::forward(cx, &s.acts, &mut [(&w.out, s.inner.attn_out_mut(n, n_embd))], &s.panels);
    if let Some(scale) = step.spec.attention.out_scale {
        rows::each_row(cx, s.inner.attn_out_mut(n, n_embd), &|_, row, _| (cx.kernels.ops.scale)(row, scale));
    }
    let attn_out = match &w.post_norm {
        Some(norm) => {
            rows::norm(cx, norm, s.inner.attn_out(n, n_embd), s.io.post_normed_mut(n, n_embd));
            s.io.post_normed(n, n_embd)
        }
        None => s.inner.attn_out(n, n_embd),
    };
    rows::add_residual(cx, s.x.mat_mut(n, n_embd), attn_out, step.model.residual_scale);
    Ok(())
}
