//! How large the buffers of a forward pass are, by the specification and what is going to be run.

use happy_kernels::Pool;
use happy_kernels::linear::ActKinds;
use happy_kernels::ops::AttnPlan;

use crate::spec::{AttentionSpec, FfnKind, LayerSpec, ModelSpec};

/// What a caller is going to run. Numbers over [`RunOptions::MAX_BATCH`] count as that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// Most tokens of a batch.
    pub n_batch: usize,
    /// Most rows of a batch that want logits or a hidden state.
    pub n_outputs: usize,
    /// Threads of the pool.
    pub threads: usize,
    /// Most positions of a sequence; a longer one is computed with less parallelism.
    pub n_ctx: usize,
}

impl RunOptions {
    /// Most tokens of a batch that can be planned for.
    pub const MAX_BATCH: usize = 1 << 20;

    fn clamped(&self) -> Self {
        RunOptions {
            n_batch: self.n_batch.min(Self::MAX_BATCH),
            n_outputs: self.n_outputs.min(self.n_batch).min(Self::MAX_BATCH),
            threads: self.threads.min(Pool::MAX_THREADS),
            n_ctx: self.n_ctx.min(1 << 28),
        }
    }
}

/// What the sizes of a scratch depend on besides the specification.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Matrices {
    /// Forms of activations that the matrices want.
    pub(crate) kinds: ActKinds,
    /// The same for the layers with a mixture of experts.
    pub(crate) moe_kinds: ActKinds,
    /// Longest row of a matrix that is not part of an expert.
    pub(crate) max_k: usize,
    /// Largest panel of any matrix.
    pub(crate) panel_bytes: usize,
    /// Whether a feed-forward block reads what the attention read.
    pub(crate) parallel: bool,
}

/// Sizes of mixtures of experts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MoeSizes {
    pub(crate) n_experts: usize,
    pub(crate) n_used: usize,
    pub(crate) max_k: usize,
    pub(crate) kinds: ActKinds,
}

/// Sizes of a [`Scratch`](crate::Scratch): numbers of f32 values a row, unless they say otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScratchSizes {
    /// The model it is for.
    pub(crate) model: u64,
    pub(crate) rows: usize,
    pub(crate) outputs: usize,
    pub(crate) threads: usize,
    pub(crate) n_embd: usize,
    pub(crate) n_vocab: usize,
    pub(crate) io: usize,
    pub(crate) attn_input: usize,
    pub(crate) inner: usize,
    pub(crate) k: usize,
    pub(crate) v: usize,
    pub(crate) gate: usize,
    pub(crate) cos_sin: usize,
    pub(crate) norm_row: usize,
    pub(crate) max_k: usize,
    pub(crate) kinds: ActKinds,
    pub(crate) panel_bytes: usize,
    pub(crate) attention: AttnPlan,
    pub(crate) moe: Option<MoeSizes>,
}

impl ScratchSizes {
    pub(crate) fn new(model: u64, spec: &ModelSpec, matrices: &Matrices, options: &RunOptions) -> Self {
        let options = &options.clamped();
        let most = |f: &dyn Fn(&AttentionSpec) -> usize| spec.attentions().map(f).max().unwrap_or(0);
        let n_ff = spec.ffns().map(|ffn| match &ffn.kind {
            FfnKind::Elementwise(_) => 0,
            FfnKind::Dense(d) => d.n_ff,
            FfnKind::Moe(m) => m.n_ff.max(m.shared.map_or(0, |s| s.n_ff)),
        });
        let q = most(&|a| a.q_dim());
        ScratchSizes {
            model,
            rows: options.n_batch,
            outputs: options.n_outputs,
            threads: options.threads,
            n_embd: spec.n_embd,
            n_vocab: spec.n_vocab,
            io: spec.n_embd.max(most(&|a| a.out_dim())),
            attn_input: if matrices.parallel { spec.n_embd } else { 0 },
            inner: n_ff.max().unwrap_or(0).max(q).max(spec.n_embd),
            k: most(&|a| a.k_dim()),
            v: most(&|a| a.v_dim()),
            gate: most(&|a| a.gate_dim()),
            cos_sin: spec.ropes.iter().map(|r| r.n_rot).fold(0, usize::saturating_add),
            norm_row: spec.layers.iter().map(norm_row).max().unwrap_or(0),
            max_k: matrices.max_k,
            kinds: matrices.kinds,
            panel_bytes: matrices.panel_bytes,
            attention: attn_plan(spec, options),
            moe: moe_sizes(spec, matrices),
        }
    }
}

/// Elements of the longest row of a layer that is normed in place.
fn norm_row(layer: &LayerSpec) -> usize {
    let attention = layer.attention.map_or(0, |a| {
        let qk = a.qk_norm.map_or(0, |_| a.q_dim().max(a.k_dim()));
        let v = a.v_norm.map_or(0, |_| a.head_dim_v);
        let heads = a.sub_norm.map_or(0, |_| a.out_dim());
        qk.max(v).max(heads)
    });
    let inner = match layer.ffn.map(|ffn| ffn.kind) {
        Some(FfnKind::Dense(d)) => d.sub_norm.map_or(0, |_| d.n_ff),
        None | Some(FfnKind::Elementwise(_) | FfnKind::Moe(_)) => 0,
    };
    attention.max(inner)
}

/// Room for the attention of every layer.
fn attn_plan(spec: &ModelSpec, options: &RunOptions) -> AttnPlan {
    let plan = AttnPlan::new(options.threads, options.n_batch, options.n_ctx);
    spec.attentions().fold(plan, |plan, a| plan.layer(a.n_heads, a.n_kv_heads, a.head_dim_k, a.head_dim_v))
}

fn moe_sizes(spec: &ModelSpec, matrices: &Matrices) -> Option<MoeSizes> {
    let specs = spec.ffns().filter_map(|ffn| match &ffn.kind {
        FfnKind::Moe(m) => Some(m),
        FfnKind::Dense(_) | FfnKind::Elementwise(_) => None,
    });
    let n_experts = specs.clone().map(|m| m.n_experts).max()?;
    let widest = specs.clone().map(|m| m.n_ff.max(m.shared.map_or(0, |s| s.n_ff))).max()?;
    Some(MoeSizes {
        n_experts,
        n_used: specs.map(|m| m.n_used).max()?,
        max_k: widest.max(spec.n_embd),
        kinds: matrices.moe_kinds,
    })
}
