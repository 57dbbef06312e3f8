//! The steps of a layer's attention. Those that recurrent mixers need too are in `mixer`.

use happy_kernels::linear;
use happy_kernels::ops::{self, AttnSpec, RopePairing, Window, attention};
use happy_kernels::{Mat, MatMut};

use super::mixer;
use super::pass::Step;
use super::rows;
use crate::error::ForwardError;
use crate::kv::Pages;
use crate::scratch::{Buf, Scratch};
use crate::spec::{AttentionSpec, GateWidth, TemperatureSpec};
use crate::weights::{Attention, PartsNorm, PositionBias, kinds};

/// Computes `q, k, v = Wq normed, Wk normed, Wv normed` in one job, and the gates if the layer has some.
pub(super) fn project(step: &Step<'_>, w: &Attention, s: &mut Scratch) -> Result<(), ForwardError> {
    let (cx, n, a) = (step.cx, step.n, &w.spec);
    let input = mixer::input(step, &s.x, &s.io);
    let others = w.k.iter().chain(&w.v).chain(&w.gate);
    if !s.acts.set(cx, input, kinds([&w.q].into_iter().chain(others))) {
        return Err(step.non_finite());
    }
    one_job(step, w, s);
    see_products(step, w, s);
    if beside_q(a) {
        // the rows of a head's query, then those of its gates
        let both = s.gate.mat(n, a.gate_dim());
        rows::each_row(cx, s.inner.q_mut(n, a.q_dim()), &|i, row, _| {
            let heads = both.row(i).chunks_exact(2 * a.head_dim_k);
            let queries = row.chunks_exact_mut(a.head_dim_k).zip(heads);
            queries.for_each(|(query, both)| query.copy_from_slice(&both[..a.head_dim_k]));
        });
    }
    if a.v_is_k {
        let k = s.k.mat(n, a.k_dim());
        rows::each_row(cx, s.v.mat_mut(n, a.v_dim()), &|i, row, _| row.copy_from_slice(k.row(i)));
    }
    clamp(step, a, s);
    Ok(())
}

/// Shows a hook the products.
fn see_products(step: &Step<'_>, w: &Attention, s: &Scratch) {
    let (n, a) = (step.n, &w.spec);
    let q = if beside_q(a) { s.gate.mat(n, a.gate_dim()) } else { s.inner.q(n, a.q_dim()) };
    step.see_product("attn_q", &w.q, q);
    if let Some(k) = &w.k {
        step.see_product("attn_k", k, s.k.mat(n, a.k_dim()));
    }
    if let Some(v) = &w.v {
        step.see_product("attn_v", v, s.v.mat(n, a.v_dim()));
    }
    if let Some(gate) = w.gate.as_ref().filter(|_| !beside_q(a)) {
        step.see_product("attn_gate", gate, s.gate.mat(n, a.gate_dim()));
    }
}

/// Returns whether the gates are in the matrix of Q.
fn beside_q(a: &AttentionSpec) -> bool {
    a.gate.is_some_and(|gate| gate.width == GateWidth::BesideQ)
}

/// Computes `q, k, v = clamp(q), clamp(k), clamp(v)`.
fn clamp(step: &Step<'_>, a: &AttentionSpec, s: &mut Scratch) {
    let (cx, n) = (step.cx, step.n);
    if let Some(most) = a.clamp {
        let clamp = |mat: MatMut<'_>| {
            rows::each_row(cx, mat, &|_, row, _| row.iter_mut().for_each(|x| *x = x.clamp(-most, most)));
        };
        clamp(s.inner.q_mut(n, a.q_dim()));
        if a.kv_from.is_none() {
            clamp(s.k.mat_mut(n, a.k_dim()));
            clamp(s.v.mat_mut(n, a.v_dim()));
        }
    }
}

/// Multiplies rows by the matrices of Q, K, V and gates, as far as the layer has them.
fn one_job(step: &Step<'_>, w: &Attention, s: &mut Scratch) {
    let (n, a) = (step.n, &w.spec);
    let gates = s.gate.mat_mut(n, a.gate_dim());
    let (q_out, gate_out) = match beside_q(a) {
        true => (gates, None),
        false => (s.inner.q_mut(n, a.q_dim()), Some(gates)),
    };
    let q = Some((&w.q, q_out));
    let k = w.k.as_ref().map(|k| (k, s.k.mat_mut(n, a.k_dim())));
    let v = w.v.as_ref().map(|v| (v, s.v.mat_mut(n, a.v_dim())));
    let gate = w.gate.as_ref().zip(gate_out);
    let mut jobs = [q, k, v, gate].into_iter().flatten();
    let run = |jobs: &mut [_]| linear::forward(step.cx, &s.acts, jobs, &s.panels);
    match [jobs.next(), jobs.next(), jobs.next(), jobs.next()] {
        [Some(a), Some(b), Some(c), Some(d)] => run(&mut [a, b, c, d]),
        [Some(a), Some(b), Some(c), _] => run(&mut [a, b, c]),
        [Some(a), Some(b), ..] => run(&mut [a, b]),
        [a, ..] => a.into_iter().for_each(|a| run(&mut [a])),
    }
}

/// Returns the cosines and sines of a layer's rotation, one row for each row of the batch, and its pairing.
pub(super) fn rotation<'s>(
    step: &Step<'_>,
    a: &AttentionSpec,
    cos_sin: &'s Buf,
) -> Option<(Mat<'s>, RopePairing)> {
    let (n, ropes, index) = (step.n, &step.model.ropes, a.rope?);
    let rope = ropes.get(index)?;
    let before: usize = ropes.iter().take(index).map(|r| r.n_rot).sum();
    Some((Mat::new(cos_sin.values().get(n * before..)?, n, rope.n_rot), rope.pairing))
}

/// Computes `q, k = rope(norm(q)) * temperature, rope(norm(k))` and `v = norm(v)`, row by row. The norms of Q and K may also come after the
/// rotation.
pub(super) fn rotate(step: &Step<'_>, w: &Attention, s: &mut Scratch) {
    let (cx, n, a) = (step.cx, step.n, &w.spec);
    let rope = rotation(step, a, &s.cos_sin);
    let (head_dim, at, spare) = (a.head_dim_k, &s.attn_rows, &s.row);
    let turn = |mut mat: MatMut<'_>,
                norm: &Option<PartsNorm>,
                temperature: Option<TemperatureSpec>,
                [normed_name, turned_name]: [&'static str; 2]| {
        let normed = |mut mat: MatMut<'_>, after_rope: bool| {
            if let Some(norm) = norm.as_ref().filter(|norm| norm.after_rope == after_rope) {
                rows::norm_parts(cx, norm, mat.reborrow(), spare);
                step.see(normed_name, mat.as_ref());
            }
        };
        normed(mat.reborrow(), false);
        if rope.is_some() || temperature.is_some() {
            rows::each_row(cx, mat.reborrow(), &|i, row, _| {
                if let Some((cos_sin, pairing)) = &rope {
                    (cx.kernels.ops.rope)(row, head_dim, cos_sin.row(i), *pairing);
                }
                if let Some(t) = temperature {
                    (cx.kernels.ops.scale)(row, t.factor(at[i].position));
                }
            });
            step.see(turned_name, mat.as_ref());
        }
        normed(mat, true);
    };
    turn(s.inner.q_mut(n, a.q_dim()), &w.q_norm, a.temperature, ["attn_q_norm", "attn_q_rope"]);
    if a.kv_from.is_some() {
        return;
    }
    turn(s.k.mat_mut(n, a.k_dim()), &w.k_norm, None, ["attn_k_norm", "attn_k_rope"]);
    if let Some(norm) = &w.v_norm {
        rows::norm_parts(cx, norm, s.v.mat_mut(n, a.v_dim()), spare);
        step.see("attn_v_norm", s.v.mat(n, a.v_dim()));
    }
}

/// Stores `k` and `v` in the cache. What they hold afterwards is up to the cache.
pub(super) fn store(
    step: &Step<'_>,
    w: &Attention,
    s: &mut Scratch,
    pages: &mut Pages<'_>,
) -> Result<(), ForwardError> {
    let (cx, n, a) = (step.cx, step.n, &w.spec);
    if a.kv_from.is_some() {
        return Ok(());
    }
    let (mut k, mut v) = (s.k.mat_mut(n, a.k_dim()), s.v.mat_mut(n, a.stored_v_dim()));
    for (i, row) in s.attn_rows.iter().enumerate() {
        if cx.cancelled() {
            return Err(ForwardError::Cancelled);
        }
        pages.store(step.layer, row, k.row_mut(i), v.row_mut(i), &cx.kernels.ops);
    }
    Ok(())
}

/// Computes `heads = attention(q, cache)`.
pub(super) fn attend(step: &Step<'_>, w: &Attention, s: &mut Scratch, pages: &Pages<'_>) {
    let (n, a) = (step.n, &w.spec);
    let spec = AttnSpec {
        n_heads: a.n_heads,
        scale: a.scale,
        soft_cap: a.soft_cap,
        window: a.window.map(|n| match (a.chunked, step.model.causal) {
            (true, _) => Window::Chunk(n),
            (false, true) => Window::Last(n),
            (false, false) => Window::Around(n / 2),
        }),
        bias: position_bias(step, w),
        sinks: w.sinks.as_deref(),
    };
    let (q, heads) = (s.inner.q(n, a.q_dim()), s.io.heads_mut(n, a.out_dim()));
    attention(&step.cx, q, &s.attn_rows, &pages.layer(step.layer), &spec, &mut s.attention, heads);
    step.see("attn", s.io.heads(n, a.out_dim()));
}

/// Returns what is added to the layer's scores, by distance.
fn position_bias<'a>(step: &Step<'a>, w: &'a Attention) -> Option<ops::PositionBias<'a>> {
    match w.position_bias.as_ref()? {
        PositionBias::Slopes(slopes) => Some(ops::PositionBias::Slopes(slopes)),
        PositionBias::Relative(table) => {
            let table = step.relative.get(*table)?;
            Some(ops::PositionBias::ByDistance { values: &table.values, most: table.most })
        }
    }
}

/// Computes `heads *= act(gates)`, with one gate for each head or each element, and then the norm before the output matrix.
pub(super) fn gate(step: &Step<'_>, w: &Attention, s: &mut Scratch) {
    let (cx, n, a) = (step.cx, step.n, &w.spec);
    let (ops, gates, cols) = (&cx.kernels.ops, a.gate_dim(), a.out_dim());
    if let Some(gate) = a.gate {
        rows::each_row(cx, s.gate.mat_mut(n, gates), &|_, row, _| match gate.width {
            GateWidth::BesideQ => {
                let heads = row.chunks_exact_mut(2 * a.head_dim_k);
                heads.for_each(|both| (ops.activate)(gate.activation, &mut both[a.head_dim_k..]));
            }
            GateWidth::PerHead | GateWidth::PerElement => (ops.activate)(gate.activation, row),
        });
        let values = s.gate.mat(n, gates);
        rows::each_row(cx, s.io.heads_mut(n, cols), &|i, row, _| match gate.width {
            GateWidth::PerElement => (ops.mul)(row, values.row(i)),
            GateWidth::BesideQ => {
                let heads = row.chunks_exact_mut(a.head_dim_v);
                let gates = values.row(i).chunks_exact(2 * a.head_dim_k);
                heads.zip(gates).for_each(|(head, both)| (ops.mul)(head, &both[a.head_dim_k..]));
            }
            GateWidth::PerHead => {
                let heads = row.chunks_exact_mut(a.head_dim_v);
                heads.zip(values.row(i)).for_each(|(head, gate)| (ops.scale)(head, *gate));
            }
        });
    }
    if let Some(norm) = &w.sub_norm {
        rows::norm_parts(cx, norm, s.io.heads_mut(n, cols), &s.row);
    }
    if a.gate.is_some() || w.sub_norm.is_some() {
        step.see("attn_gated", s.io.heads(n, cols));
    }
}

/// Computes `mixed = Wo heads * scale`.
pub(super) fn out(step: &Step<'_>, w: &Attention, s: &mut Scratch) -> Result<(), ForwardError> {
    let (cx, n, n_embd) = (step.cx, step.n, step.n_embd);
    if !s.acts.set(cx, s.io.heads(n, w.spec.result_dim()), kinds([&w.out])) {
        return Err(step.non_finite());
    }
    linear::forward(cx, &s.acts, &mut [(&w.out, s.inner.mixed_mut(n, n_embd))], &s.panels);
    if let Some(scale) = w.spec.out_scale {
        rows::each_row(cx, s.inner.mixed_mut(n, n_embd), &|_, row, _| (cx.kernels.ops.scale)(row, scale));
    }
    step.see_product("attn_output", &w.out, s.inner.mixed(n, n_embd));
    Ok(())
}
