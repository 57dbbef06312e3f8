//! Mixtures of experts.
//!
//! ```text
//! scores = router x; for each row the best experts with their weights      (equal scores: the lower id)
//! pairs (row, rank) ordered by expert
//! for each expert with pairs: results[pairs] = down(act(gate x) * up x)    its rows as one matrix
//! ffn_out[row] = sum over ranks, best first, of weight * result;  + shared expert
//! ```

use happy_kernels::linear::{self, ActBuf, Linear, LinearRows, Panels};
use happy_kernels::ops::{Activation, RouteSpec, route};
use happy_kernels::{Ctx, Mat, MatMut};

use crate::ffn_block::Input;
use crate::forward::Pass;
use crate::rows;
use crate::scratch::{Inner, MoeScratch, Scratch};
use crate::spec::MoeSpec;
use crate::weights::{Mlp, SharedExpert, kinds};

impl Pass<'_> {
    /// `ffn_out = experts(x)`; false if a value was not finite.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn moe(
        &self,
        s: &mut Scratch,
        spec: &MoeSpec,
        router: &Linear,
        experts: &Mlp,
        shared: Option<&SharedExpert>,
        input: Input,
        n: usize,
    ) -> bool {
        let (cx, n_embd) = (self.cx, self.model.spec().n_embd);
        let Scratch { x, io, attn_input, inner, acts, panels, moe, .. } = s;
        let input = match input {
            Input::Normed => io.normed(n, n_embd),
            Input::Residual => x.mat(n, n_embd),
            Input::Attention => attn_input.mat(n, n_embd),
        };
        if !acts.set(cx, input, kinds([router])) {
            return false;
        }
        linear::forward(cx, acts, &mut [(router, moe.router.mat_mut(n, spec.n_experts))], panels);
        if !(cx.kernels.ops.all_finite)(&moe.router.values()[..n * spec.n_experts]) {
            return false;
        }
        choose(cx, moe, spec, n);
        for e in 0..spec.n_experts {
            if cx.cancelled() {
                return true;
            }
            if !run_expert(cx, moe, inner, panels, spec, experts, e, input) {
                return false;
            }
        }
        if let Some(shared) = shared
            && !run_shared(cx, moe, inner, panels, spec.activation, shared, input)
        {
            return false;
        }
        gather(cx, moe, spec, shared, io.ffn_out_mut(n, n_embd));
        true
    }
}

/// Routes every row and orders the pairs by expert.
fn choose(cx: Ctx<'_>, moe: &mut MoeScratch, spec: &MoeSpec, n: usize) {
    let pairs = n * spec.n_used;
    let route_spec = RouteSpec { gating: spec.gating, normalize: spec.normalise, scale: 1.0 };
    moe.ids.clear();
    moe.ids.resize(pairs, 0);
    let scores = moe.router.take(n * spec.n_experts).chunks_exact_mut(spec.n_experts);
    let weights = moe.weights.take(pairs).chunks_exact_mut(spec.n_used);
    for ((scores, ids), weights) in scores.zip(moe.ids.chunks_exact_mut(spec.n_used)).zip(weights) {
        if cx.cancelled() {
            break;
        }
        route(&cx.kernels.ops, &route_spec, scores, None, ids, weights);
    }
    // counting sort: pairs of an expert keep the order of their rows
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

/// One expert's results for the rows that chose it.
#[allow(clippy::too_many_arguments)]
fn run_expert(
    cx: Ctx<'_>,
    moe: &mut MoeScratch,
    inner: &mut Inner,
    panels: &Panels,
    spec: &MoeSpec,
    experts: &Mlp,
    e: usize,
    input: Mat<'_>,
) -> bool {
    let (start, end) = (moe.starts[e] as usize, moe.starts[e + 1] as usize);
    let (count, n_embd) = (end - start, input.cols());
    if count == 0 {
        return true;
    }
    let order = &moe.order[start..end];
    rows::each_row(cx, moe.gathered.mat_mut(count, n_embd), &|i, row, _| {
        row.copy_from_slice(input.row(order[i] as usize / spec.n_used));
    });
    let results = moe.results.take(end * n_embd);
    let out = MatMut::new(&mut results[start * n_embd..], count, n_embd);
    let Some(gate) = &experts.gate else { return false };
    let expert = Expert {
        gate: gate.rows(e * spec.n_ff, spec.n_ff),
        up: experts.up.rows(e * spec.n_ff, spec.n_ff),
        down: experts.down.rows(e * n_embd, n_embd),
    };
    mlp(cx, &mut moe.acts, inner, panels, spec.activation, expert, moe.gathered.mat(count, n_embd), out)
}

/// The shared expert's result for every row, in `gathered`; its gate in `gate`.
fn run_shared(
    cx: Ctx<'_>,
    moe: &mut MoeScratch,
    inner: &mut Inner,
    panels: &Panels,
    activation: Activation,
    shared: &SharedExpert,
    input: Mat<'_>,
) -> bool {
    let (n, n_embd) = (input.rows(), input.cols());
    if let Some(gate) = &shared.gate {
        if !moe.acts.set(cx, input, kinds([gate])) {
            return false;
        }
        linear::forward(cx, &moe.acts, &mut [(gate, moe.gate.mat_mut(n, 1))], panels);
        (cx.kernels.ops.activate)(Activation::Sigmoid, moe.gate.take(n));
    }
    let out = moe.gathered.mat_mut(n, n_embd);
    let Mlp { gate: Some(gate), up, down } = &shared.mlp else { return false };
    let expert = Expert { gate: gate.into(), up: up.into(), down: down.into() };
    mlp(cx, &mut moe.acts, inner, panels, activation, expert, input, out)
}

/// The matrices of one expert.
#[derive(Clone, Copy)]
struct Expert<'a> {
    gate: LinearRows<'a>,
    up: LinearRows<'a>,
    down: LinearRows<'a>,
}

/// `out = down(act(gate x) * up x)`; false if a value was not finite.
#[allow(clippy::too_many_arguments)]
fn mlp(
    cx: Ctx<'_>,
    acts: &mut ActBuf,
    inner: &mut Inner,
    panels: &Panels,
    activation: Activation,
    expert: Expert<'_>,
    x: Mat<'_>,
    out: MatMut<'_>,
) -> bool {
    let Expert { gate, up, down } = expert;
    let (n, n_ff) = (x.rows(), up.n_out());
    if !acts.set(cx, x, kinds([gate, up])) {
        return false;
    }
    linear::forward_glu(cx, acts, (gate, up), activation, inner.ffn_inner_mut(n, n_ff), panels);
    if !acts.set(cx, inner.ffn_inner(n, n_ff), kinds([down])) {
        return false;
    }
    linear::forward(cx, acts, &mut [(down, out)], panels);
    true
}

/// Sums the experts of each row in the order of their rank, then adds the shared expert.
fn gather(cx: Ctx<'_>, moe: &MoeScratch, spec: &MoeSpec, shared: Option<&SharedExpert>, out: MatMut<'_>) {
    let (ops, n, n_embd) = (&cx.kernels.ops, out.rows(), out.cols());
    let results = moe.results.mat(n * spec.n_used, n_embd);
    let common = shared.map(|s| (s.gate.is_some(), moe.gathered.mat(n, n_embd)));
    rows::each_row(cx, out, &|i, row, _| {
        row.fill(0.0);
        for pair in i * spec.n_used..(i + 1) * spec.n_used {
            (ops.add_scaled)(row, results.row(moe.place[pair] as usize), moe.weights.values()[pair]);
        }
        match &common {
            Some((true, common)) => (ops.add_scaled)(row, common.row(i), moe.gate.values()[i]),
            Some((false, common)) => (ops.add)(row, common.row(i)),
            None => {}
        }
    });
}
