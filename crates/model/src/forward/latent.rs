//! The steps that only latent attention has. They are the same in prefill and decode.
//!
//! ```text
//! project:  q = Wqb norm(Wqa h) or Wq h;  c, k_rot = Wkv h;  c = norm(c);  q_rot, k_rot = rope(q_rot), rope(k_rot)
//!           absorbed:  q = [Wk[head] q, q_rot] * temperature,  k = v = [c, k_rot]
//!           expanded:  q = [q, q_rot] * temperature,  k, v = [k part of Wkv_b c, k_rot], v part of Wkv_b c
//! attend:   heads = attention(q, cache)
//! values:   absorbed:  heads = Wv[head] first part of heads
//! ```

use happy_kernels::linear::{self, Linear};
use happy_kernels::ops::RopePairing;
use happy_kernels::{Mat, MatMut};

use super::attention::rotation;
use super::pass::Step;
use super::{mixer, rows};
use crate::error::ForwardError;
use crate::scratch::Scratch;
use crate::weights::{Attention, Latent, LatentUp, kinds};

/// Computes `q`, and `k` and `v` as the cache holds them.
pub(super) fn project(
    step: &Step<'_>,
    w: &Attention,
    l: &Latent,
    s: &mut Scratch,
) -> Result<(), ForwardError> {
    let (cx, n, spec) = (step.cx, step.n, &l.spec);
    let first_q = l.q_a.as_ref().map_or(&w.q, |(q_a, _)| q_a);
    let matrices = [first_q, &l.kv_a].into_iter().chain(&w.gate);
    if !s.acts.set(cx, mixer::input(step, &s.x, &s.io), kinds(matrices)) {
        return Err(step.non_finite());
    }
    if let Some(gate) = &w.gate {
        let gates = s.gate.mat_mut(n, w.spec.gate_dim());
        linear::forward(cx, &s.acts, &mut [(gate, gates)], &s.panels);
    }
    let short = match l.up {
        LatentUp::Absorbed { .. } => s.k.mat_mut(n, spec.row()),
        LatentUp::Expanded(_) => s.latent_kv.mat_mut(n, spec.row()),
    };
    let q = match (&l.q_a, &l.up) {
        (Some(_), _) => s.latent.mat_mut(n, first_q.n_out()),
        (None, LatentUp::Absorbed { .. }) => s.io.plain_q_mut(n, w.q.n_out()),
        (None, LatentUp::Expanded(_)) => s.inner.q_mut(n, w.q.n_out()),
    };
    linear::forward(cx, &s.acts, &mut [(first_q, q), (&l.kv_a, short)], &s.panels);
    let short = match l.up {
        LatentUp::Absorbed { .. } => s.k.mat(n, spec.row()),
        LatentUp::Expanded(_) => s.latent_kv.mat(n, spec.row()),
    };
    step.see_product("attn_kv_a_mqa", &l.kv_a, short);
    if l.q_a.is_some() {
        step.see_product("attn_q_a", first_q, s.latent.mat(n, first_q.n_out()));
    }
    if let Some((q_a, norm)) = &l.q_a {
        rows::norm_rows(cx, norm, s.latent.mat_mut(n, q_a.n_out()), &s.row);
        if !s.acts.set(cx, s.latent.mat(n, q_a.n_out()), kinds([&w.q])) {
            return Err(step.non_finite());
        }
        let q = match l.up {
            LatentUp::Absorbed { .. } => s.io.plain_q_mut(n, w.q.n_out()),
            LatentUp::Expanded(_) => s.inner.q_mut(n, w.q.n_out()),
        };
        linear::forward(cx, &s.acts, &mut [(&w.q, q)], &s.panels);
    }
    let q = match (&l.q_a, &l.up) {
        (_, LatentUp::Absorbed { .. }) => s.io.plain_q(n, w.q.n_out()),
        (_, LatentUp::Expanded(_)) => s.inner.q(n, w.q.n_out()),
    };
    step.see_product("attn_q", &w.q, q);
    match &l.up {
        LatentUp::Absorbed { k, .. } => absorb(step, w, l, k, s)?,
        LatentUp::Expanded(kv_b) => expand(step, w, l, kv_b, s)?,
    }
    if let Some(t) = w.spec.temperature {
        let at = &s.attn_rows;
        rows::each_row(cx, s.inner.q_mut(n, w.spec.q_dim()), &|i, row, _| {
            (cx.kernels.ops.scale)(row, t.factor(at[i].position));
        });
    }
    step.see("attn_q_rope", s.inner.q(n, w.spec.q_dim()));
    step.see("attn_k_rope", s.k.mat(n, w.spec.k_dim()));
    Ok(())
}

/// Applies the norm to the first part of each short row, and rotates the rest.
fn finish_short(step: &Step<'_>, l: &Latent, mut short: MatMut<'_>, s: &Rest<'_>) {
    let (cx, rank) = (step.cx, l.spec.kv_rank);
    rows::each_row(cx, short.reborrow(), &|i, row, worker| {
        let (c, rotated) = row.split_at_mut(rank);
        s.spare.with(worker, |copy| rows::norm_in_place(cx, &l.kv_norm, c, copy));
        s.turn(cx.kernels.ops.rope, i, rotated);
    });
}

/// What is needed to rotate the ends of heads, and a spare row for each worker.
struct Rest<'a> {
    cos_sin: Option<(Mat<'a>, RopePairing)>,
    spare: &'a happy_kernels::PerWorker<Vec<f32>>,
}

impl Rest<'_> {
    /// Rotates all of `part`, which belongs to row `i`.
    fn turn(&self, rope: fn(&mut [f32], usize, &[f32], RopePairing), i: usize, part: &mut [f32]) {
        if let Some((cos_sin, pairing)) = &self.cos_sin {
            let n = part.len();
            rope(part, n, cos_sin.row(i), *pairing);
        }
    }
}

/// Computes `q = [Wk[head] q, rope(q_rot)]`. The short rows are both the keys and the values.
fn absorb(
    step: &Step<'_>,
    w: &Attention,
    l: &Latent,
    k: &Linear,
    s: &mut Scratch,
) -> Result<(), ForwardError> {
    let (cx, n, spec, a) = (step.cx, step.n, &l.spec, &w.spec);
    let (plain, rank, dim) = (spec.head_dim_plain(), spec.kv_rank, a.head_dim_k);
    let rest = Rest { cos_sin: rotation(step, a, &s.cos_sin), spare: &s.row };
    finish_short(step, l, s.k.mat_mut(n, spec.row()), &rest);
    let q = s.io.plain_q(n, w.q.n_out());
    for head in 0..a.n_heads {
        let first = head * spec.head_dim_q;
        let part = k.rows(head * rank, rank);
        if cx.cancelled() {
            return Ok(());
        }
        if !s.acts.set(cx, q.columns(first..first + plain), kinds([part])) {
            return Err(step.non_finite());
        }
        let mut all = s.inner.q_mut(n, a.q_dim());
        let out = all.columns_mut(head * dim..head * dim + rank);
        linear::forward(cx, &s.acts, &mut [(part, out)], &s.panels);
    }
    rows::each_row(cx, s.inner.q_mut(n, a.q_dim()), &|i, row, _| {
        let heads = row.chunks_exact_mut(dim).zip(q.row(i).chunks_exact(spec.head_dim_q));
        for (to, from) in heads {
            to[rank..].copy_from_slice(&from[plain..]);
            rest.turn(cx.kernels.ops.rope, i, &mut to[rank..]);
        }
    });
    Ok(())
}

/// Computes `k, v = [k part of Wkv_b c, k_rot], v part of Wkv_b c`, head by head.
fn expand(
    step: &Step<'_>,
    w: &Attention,
    l: &Latent,
    kv_b: &Linear,
    s: &mut Scratch,
) -> Result<(), ForwardError> {
    let (cx, n, spec, a) = (step.cx, step.n, &l.spec, &w.spec);
    let (plain, rank, both) = (spec.head_dim_plain(), spec.kv_rank, spec.head_dim_expanded());
    let rest = Rest { cos_sin: rotation(step, a, &s.cos_sin), spare: &s.row };
    finish_short(step, l, s.latent_kv.mat_mut(n, spec.row()), &rest);
    let short = s.latent_kv.mat(n, spec.row());
    if !s.acts.set(cx, short.columns(0..rank), kinds([kv_b])) {
        return Err(step.non_finite());
    }
    linear::forward(cx, &s.acts, &mut [(kv_b, s.io.expanded_mut(n, kv_b.n_out()))], &s.panels);
    let expanded = s.io.expanded(n, kv_b.n_out());
    rows::each_row(cx, s.k.mat_mut(n, a.k_dim()), &|i, row, _| {
        let heads = row.chunks_exact_mut(a.head_dim_k).zip(expanded.row(i).chunks_exact(both));
        for (k, both) in heads {
            k[..plain].copy_from_slice(&both[..plain]);
            k[plain..].copy_from_slice(&short.row(i)[rank..]);
        }
    });
    rows::each_row(cx, s.v.mat_mut(n, a.v_dim()), &|i, row, _| {
        let heads = row.chunks_exact_mut(a.head_dim_v).zip(expanded.row(i).chunks_exact(both));
        heads.for_each(|(v, both)| v.copy_from_slice(&both[plain..]));
    });
    rows::each_row(cx, s.inner.q_mut(n, a.q_dim()), &|i, row, _| {
        let heads = row.chunks_exact_mut(a.head_dim_k);
        heads.for_each(|q| rest.turn(cx.kernels.ops.rope, i, &mut q[plain..]));
    });
    Ok(())
}

/// Computes `heads = Wv[head] heads`, if the cache holds the short rows.
pub(super) fn values(step: &Step<'_>, w: &Attention, s: &mut Scratch) -> Result<(), ForwardError> {
    let Some(Latent { spec, up: LatentUp::Absorbed { v, .. }, .. }) = &w.latent else { return Ok(()) };
    let (cx, n, rank, dim, row) = (step.cx, step.n, spec.kv_rank, spec.head_dim_out, w.spec.head_dim_v);
    let all = w.spec.n_heads * dim;
    let heads = s.io.heads(n, w.spec.out_dim());
    for head in 0..w.spec.n_heads {
        let part = v.rows(head * dim, dim);
        if cx.cancelled() {
            return Ok(());
        }
        if !s.acts.set(cx, heads.columns(head * row..head * row + rank), kinds([part])) {
            return Err(step.non_finite());
        }
        let mut out = s.latent.mat_mut(n, all);
        linear::forward(cx, &s.acts, &mut [(part, out.columns_mut(head * dim..(head + 1) * dim))], &s.panels);
    }
    let out = s.latent.mat(n, all);
    step.see_product("attn_v_b", v, out);
    rows::each_row(cx, s.io.heads_mut(n, all), &|i, row, _| row.copy_from_slice(out.row(i)));
    Ok(())
}
