//! Mixtures of experts.
//!
//! ```text
//! scores = router x; choose the best experts of each row, and their weights      (if scores are equal: the lower id)
//! order the pairs (row, rank) by expert
//! for each expert with pairs: results[pairs] = down(act(gate x) * up x)          for its rows as one matrix
//!                             results[pairs] += scale * the same for its group's small expert
//! ffn_out[row] = sum over ranks, best first, of weight * result;  + shared expert
//! ```

use happy_kernels::linear::{self, ActBuf, Panels};
use happy_kernels::ops::{Activation, RouteSpec, route};
use happy_kernels::{Ctx, Mat, MatMut, PerWorker};

use super::ffn::{self, MlpRows};
use super::pass::Step;
use super::rows;
use crate::error::ForwardError;
use crate::scratch::{Inner, MoeScratch, Scratch};
use crate::scratch_sizes::ScratchSizes;
use crate::spec::RouterInput;
use crate::weights::{Mlp, Moe, SharedExpert, kinds};

/// Computes `ffn_out = experts(x)`.
pub(super) fn mixture(step: &Step<'_>, s: &mut Scratch, w: &Moe) -> Result<(), ForwardError> {
    let (cx, n, spec) = (step.cx, step.n, &w.spec);
    let Scratch { sizes, x, io, attn_input, inner, acts, panels, moe, row, .. } = s;
    let x = x.mat(n, step.n_embd);
    let input = ffn::input(step, x, io, attn_input);
    if early_router(step).is_none() && !score(cx, w, (x, input), acts, moe, panels) {
        return Err(step.non_finite());
    }
    step.see_product("ffn_gate_inp", &w.router, moe.router.mat(n, spec.n_experts));
    choose(cx, moe, w, n);
    step.see("ffn_weights", moe.weights.mat(n, spec.n_used));
    let finite = match together(step, w, sizes) {
        true => run_chosen(step, moe, inner, panels, w, input),
        false => (0..spec.n_experts)
            .all(|e| cx.cancelled() || run_expert(step, moe, inner, (panels, row), w, e, input)),
    };
    if cx.cancelled() {
        return Ok(());
    }
    if !finite {
        return Err(step.non_finite());
    }
    step.see_product("ffn_down_exps", &w.experts.down, moe.results.mat(n * spec.n_used, step.n_embd));
    if let Some(shared) = &w.shared {
        if let Some(norm) = &shared.norm {
            rows::norm(cx, norm, x, io.normed_mut(n, step.n_embd));
        }
        let input = match shared.norm {
            Some(_) => io.normed(n, step.n_embd),
            None => ffn::input(step, x, io, attn_input),
        };
        if !run_shared(step, moe, inner, (panels, row), shared, input) {
            return Err(step.non_finite());
        }
        step.see_product("ffn_down_shexp", &shared.mlp.down, moe.gathered.mat(n, step.n_embd));
    }
    gather(cx, moe, w, row, io.ffn_out_mut(n, step.n_embd));
    step.see("ffn_output", io.ffn_out(n, step.n_embd));
    Ok(())
}

/// Returns the layer's mixture, if its router reads what enters the layer.
pub(super) fn early_router<'a>(step: &Step<'a>) -> Option<&'a Moe> {
    step.weights.moe().filter(|moe| moe.spec.router_input == RouterInput::Layer)
}

/// Computes the scores of a router that reads what enters the layer, before the attention changes it.
pub(super) fn score_early(step: &Step<'_>, s: &mut Scratch) -> Result<(), ForwardError> {
    let Some(w) = early_router(step) else { return Ok(()) };
    let x = s.x.mat(step.n, step.n_embd);
    let finite = score(step.cx, w, (x, x), &mut s.acts, &mut s.moe, &s.panels);
    if finite { Ok(()) } else { Err(step.non_finite()) }
}

/// Computes `scores = router input`, or `router norm(x)` if the router has a norm of its own. Returns `false` if a value was not finite.
fn score(
    cx: Ctx<'_>,
    w: &Moe,
    (x, input): (Mat<'_>, Mat<'_>),
    acts: &mut ActBuf,
    moe: &mut MoeScratch,
    panels: &Panels,
) -> bool {
    let (n, n_experts) = (x.rows(), w.spec.n_experts);
    let input = match &w.router_norm {
        Some(norm) => {
            rows::norm(cx, norm, x, moe.gathered.mat_mut(n, x.cols()));
            moe.gathered.mat(n, x.cols())
        }
        None => input,
    };
    if !acts.set(cx, input, kinds([&w.router])) {
        return false;
    }
    linear::forward(cx, acts, &mut [(&w.router, moe.router.mat_mut(n, n_experts))], panels);
    (cx.kernels.ops.all_finite)(&moe.router.values()[..n * n_experts])
}

/// Chooses the experts of every row, and orders the pairs by expert.
fn choose(cx: Ctx<'_>, moe: &mut MoeScratch, w: &Moe, n: usize) {
    let spec = &w.spec;
    let pairs = n * spec.n_used;
    let route_spec = RouteSpec {
        gating: spec.gating,
        normalize: spec.normalize,
        scale: spec.weight_scale,
        groups: spec.groups.map(|g| (g.n_groups, g.n_used)),
    };
    let bias = w.choice_bias.as_deref();
    moe.ids.clear();
    moe.ids.resize(pairs, 0);
    let scores = moe.router.take(n * spec.n_experts).chunks_exact_mut(spec.n_experts);
    let weights = moe.weights.take(pairs).chunks_exact_mut(spec.n_used);
    for ((scores, ids), weights) in scores.zip(moe.ids.chunks_exact_mut(spec.n_used)).zip(weights) {
        if cx.cancelled() {
            break;
        }
        route(&cx.kernels.ops, &route_spec, scores, bias, ids, weights);
    }
    // counting sort, in which the pairs of an expert keep the order of their rows
    moe.starts.clear();
    moe.starts.resize(spec.n_experts + 1, 0);
    for id in &moe.ids {
        moe.starts[*id as usize + 1] += 1;
    }
    for e in 0..spec.n_experts {
        moe.starts[e + 1] += moe.starts[e];
    }
    moe.order.clear();
    moe.order.resize(pairs, 0);
    moe.place.clear();
    moe.place.resize(pairs, 0);
    for (pair, id) in moe.ids.iter().enumerate() {
        let next = &mut moe.starts[*id as usize];
        moe.order[*next as usize] = pair as u32;
        moe.place[pair] = *next;
        *next += 1;
    }
    // each start has become its expert's end: shift them back
    moe.starts.copy_within(0..spec.n_experts, 1);
    moe.starts[0] = 0;
}

/// Whether the experts of a token run as one job each for their first matrices and for their last: a single row, to which nothing but
/// its experts' results is added, and buffers for as many rows as it has experts.
fn together(step: &Step<'_>, w: &Moe, sizes: &ScratchSizes) -> bool {
    let plain = w.experts.gate.is_some() && !w.spec.weigh_input && w.of_groups.is_none();
    step.n == 1 && plain && step.cx.row_sets().is_none() && w.spec.n_used <= sizes.rows
}

/// Computes the results of all experts that the only row chose. Returns `false` if a value was not finite.
fn run_chosen(
    step: &Step<'_>,
    moe: &mut MoeScratch,
    inner: &mut Inner,
    panels: &Panels,
    w: &Moe,
    input: Mat<'_>,
) -> bool {
    let (cx, n_used, n_ff, n_embd) = (step.cx, w.spec.n_used, w.spec.n_ff, input.cols());
    let MoeScratch { ids, order, acts, results, .. } = moe;
    let expert = |i: usize| of_stack(&w.experts, ids[order[i] as usize] as usize, n_ff, w.fused);
    let pair = |i: usize| {
        let MlpRows { gate, up, .. } = expert(i);
        (gate.unwrap_or(up), up)
    };
    if !acts.set(cx, input, kinds(<[_; 2]>::from(pair(0)))) {
        return false;
    }
    let show = |matrix, i: usize, row| {
        step.see_expert_input(matrix, ids[order[i] as usize] as usize, Mat::new(row, 1, row.len()));
    };
    (0..n_used).for_each(|i| show("ffn_up_exps", i, input.row(0)));
    let out = inner.ffn_inner_mut(n_used, n_ff);
    linear::forward_glu_each(cx, acts, &pair, w.experts.activation, out, panels);
    (0..n_used).for_each(|i| show("ffn_down_exps", i, inner.ffn_inner(n_used, n_ff).row(i)));
    if !acts.set(cx, inner.ffn_inner(n_used, n_ff), kinds([&w.experts.down])) {
        return false;
    }
    linear::forward_each(cx, acts, &|i| expert(i).down, results.mat_mut(n_used, n_embd), panels);
    true
}

/// Computes one expert's results for the rows that chose it. Returns `false` if a value was not finite.
fn run_expert(
    step: &Step<'_>,
    moe: &mut MoeScratch,
    inner: &mut Inner,
    (panels, spare): (&Panels, &PerWorker<Vec<f32>>),
    w: &Moe,
    e: usize,
    input: Mat<'_>,
) -> bool {
    let (start, end) = (moe.starts[e] as usize, moe.starts[e + 1] as usize);
    let (cx, count, n_embd, n_ff) = (step.cx, end - start, input.cols(), w.spec.n_ff);
    if count == 0 {
        return true;
    }
    let order = &moe.order[start..end];
    let weights = moe.weights.values();
    rows::each_row(cx, moe.gathered.mat_mut(count, n_embd), &|i, row, _| {
        row.copy_from_slice(input.row(order[i] as usize / w.spec.n_used));
        if w.spec.weigh_input {
            (cx.kernels.ops.scale)(row, weights[order[i] as usize]);
        }
    });
    let expert = of_stack(&w.experts, e, n_ff, w.fused);
    let gathered = moe.gathered.mat(count, n_embd);
    step.see_expert_input("ffn_up_exps", e, gathered);
    if let Some(sets) = cx.row_sets() {
        let of = |pair: &u32| sets.get(*pair as usize / w.spec.n_used).copied().unwrap_or(u32::MAX);
        moe.sets.clear();
        moe.sets.extend(order.iter().map(of));
    }
    let cx = cx.for_rows(&moe.sets);
    if !ffn::mlp_inner(cx, &expert, gathered, &mut moe.acts, inner, (panels, spare)) {
        return false;
    }
    step.see_expert_input("ffn_down_exps", e, inner.ffn_inner(count, n_ff));
    let results = moe.results.take(end * n_embd);
    let out = MatMut::new(&mut results[start * n_embd..], count, n_embd);
    linear::forward(cx, &moe.acts, &mut [(expert.down, out)], panels);
    let (Some(stack), Some(g)) = (&w.of_groups, &w.spec.of_groups) else { return true };
    let (group, gathered) = (e / g.group, moe.gathered.mat(count, n_embd));
    let small = of_stack(stack, group, g.n_ff, false);
    step.see_expert_input("ffn_up_chexps", group, gathered);
    if !ffn::mlp_inner(cx, &small, gathered, &mut moe.acts, inner, (panels, spare)) {
        return false;
    }
    step.see_expert_input("ffn_down_chexps", group, inner.ffn_inner(count, g.n_ff));
    linear::forward(cx, &moe.acts, &mut [(small.down, moe.gathered.mat_mut(count, n_embd))], panels);
    let out = MatMut::new(&mut moe.results.take(end * n_embd)[start * n_embd..], count, n_embd);
    rows::add_residual(cx, out, moe.gathered.mat(count, n_embd), Some(g.scale));
    true
}

/// Returns the matrices of an expert. In a fused stack, the expert's gate rows come first, then its up rows.
fn of_stack(stack: &Mlp, e: usize, n_ff: usize, fused: bool) -> MlpRows<'_> {
    let (rows, skip) = if fused { (2 * n_ff, n_ff) } else { (n_ff, 0) };
    let n_embd = stack.up.n_in();
    MlpRows {
        activation: stack.activation,
        sparsity: None,
        gate: stack.gate.as_ref().map(|gate| gate.rows(e * rows, n_ff)),
        up: stack.up.rows(e * rows + skip, n_ff),
        divisors: None,
        sub_norm: None,
        down: stack.down.rows(e * n_embd, n_embd),
    }
}

/// Computes the shared expert's result for every row, in `gathered`, and its gate, in `gate`. Returns `false` if a value was not finite.
fn run_shared(
    step: &Step<'_>,
    moe: &mut MoeScratch,
    inner: &mut Inner,
    (panels, spare): (&Panels, &PerWorker<Vec<f32>>),
    shared: &SharedExpert,
    input: Mat<'_>,
) -> bool {
    let (cx, n, n_embd) = (step.cx, input.rows(), input.cols());
    if let Some(gate) = &shared.gate {
        if !moe.acts.set(cx, input, kinds([gate])) {
            return false;
        }
        linear::forward(cx, &moe.acts, &mut [(gate, moe.gate.mat_mut(n, 1))], panels);
        (cx.kernels.ops.activate)(Activation::Sigmoid, moe.gate.take(n));
    }
    let expert = MlpRows::from(&shared.mlp);
    step.see_expert_input("ffn_up_shexp", 0, input);
    if !ffn::mlp_inner(cx, &expert, input, &mut moe.acts, inner, (panels, spare)) {
        return false;
    }
    step.see_expert_input("ffn_down_shexp", 0, inner.ffn_inner(n, expert.up.n_out()));
    let out = moe.gathered.mat_mut(n, n_embd);
    linear::forward(cx, &moe.acts, &mut [(expert.down, out)], panels);
    true
}

/// Adds up the results of each row's experts in the order of their rank, applies the norm to the sum, then adds the shared expert's result.
fn gather(cx: Ctx<'_>, moe: &mut MoeScratch, w: &Moe, spare: &PerWorker<Vec<f32>>, out: MatMut<'_>) {
    let (ops, n, n_embd, n_used) = (&cx.kernels.ops, out.rows(), out.cols(), w.spec.n_used);
    if let Some(norm) = w.shared.as_ref().and_then(|shared| shared.post_norm.as_ref()) {
        rows::norm_rows(cx, norm, moe.gathered.mat_mut(n, n_embd), spare);
    }
    let results = moe.results.mat(n * n_used, n_embd);
    let common = w.shared.as_ref().map(|s| (s.gate.is_some(), moe.gathered.mat(n, n_embd)));
    let moe = &*moe;
    rows::each_row(cx, out, &|i, row, worker| {
        row.fill(0.0);
        for pair in i * n_used..(i + 1) * n_used {
            let result = results.row(moe.place[pair] as usize);
            match w.spec.weigh_input {
                true => (ops.add)(row, result),
                false => (ops.add_scaled)(row, result, moe.weights.values()[pair]),
            }
        }
        if let Some(norm) = &w.post_norm {
            spare.with(worker, |copy| rows::norm_in_place(cx, norm, row, copy));
        }
        match &common {
            Some((true, common)) => (ops.add_scaled)(row, common.row(i), moe.gate.values()[i]),
            Some((false, common)) => (ops.add)(row, common.row(i)),
            None => {}
        }
    });
}
