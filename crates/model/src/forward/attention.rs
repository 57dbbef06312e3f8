//! The steps of a layer's attention half.

use happy_kernels::linear;
use happy_kernels::ops::{AttnSpec, RopePairing, attention};
use happy_kernels::{Mat, MatMut};

use super::pass::Step;
use super::rows;
use crate::error::ForwardError;
use crate::kv::Pages;
use crate::scratch::Scratch;
use crate::spec::TemperatureSpec;
use crate::weights::{FfnIn, QkNorm, kinds};

/// `q, k, v = Wq normed, Wk normed, Wv normed` with `normed = norm(x)`, in one job.
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
    if keeps_input(step) {
        let kept = s.attn_input.mat_mut(n, n_embd);
        rows::each_row(cx, kept, &|i, row, _| row.copy_from_slice(input.row(i)));
    }
    if !s.acts.set(cx, input, kinds([&w.q, &w.k, &w.v])) {
        return Err(step.non_finite());
    }
    let mut parts = [
        (&w.q, s.inner.q_mut(n, a.q_dim())),
        (&w.k, s.k.mat_mut(n, a.k_dim())),
        (&w.v, s.v.mat_mut(n, a.v_dim())),
    ];
    linear::forward(cx, &s.acts, &mut parts, &s.panels);
    Ok(())
}

/// Whether the feed-forward half reads what the attention half read.
fn keeps_input(step: &Step<'_>) -> bool {
    matches!(step.weights.ffn_in, FfnIn::Attention)
}

/// The rotation of a layer.
struct Rotation<'a> {
    cos_sin: Mat<'a>,
    pairing: RopePairing,
}

/// `q, k = rope(norm(q)) * temperature, rope(norm(k))`, row by row.
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
    let turn = |mut mat: MatMut<'_>, norm: &Option<QkNorm>, temperature: Option<TemperatureSpec>| {
        if let Some(norm) = norm {
            rows::qk_norm(cx, norm, mat.reborrow(), spare);
        }
        if rope.is_none() && temperature.is_none() {
            return;
        }
        rows::each_row(cx, mat, &|i, row, _| {
            if let Some(rope) = &rope {
                (cx.kernels.ops.rope)(row, head_dim, rope.cos_sin.row(i), rope.pairing);
            }
            if let Some(t) = temperature {
                (cx.kernels.ops.scale)(row, t.factor(at[i].position));
            }
        });
    };
    turn(s.inner.q_mut(n, a.q_dim()), &w.q_norm, a.temperature);
    turn(s.k.mat_mut(n, a.k_dim()), &w.k_norm, None);
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

/// `x += norm(Wo heads) * residual_scale`
pub(super) fn add(step: &Step<'_>, s: &mut Scratch) -> Result<(), ForwardError> {
    let (cx, n, n_embd, w) = (step.cx, step.n, step.n_embd, &step.weights.attention);
    if !s.acts.set(cx, s.io.heads(n, step.spec.attention.out_dim()), kinds([&w.out])) {
        return Err(step.non_finite());
    }
    linear::forward(cx, &s.acts, &mut [(&w.out, s.inner.attn_out_mut(n, n_embd))], &s.panels);
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
