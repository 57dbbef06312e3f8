//! Exact sizes before anything is allocated: what a cache page, the whole cache and the scratch of a forward pass take.

use happy_kernels::Pool;
use happy_kernels::linear::{ActKinds, Linear};
use happy_kernels::ops::AttnPlan;

use crate::kv::{KvLayout, KvOptions};
use crate::outline::Matrices;
use crate::scratch::{Counted, Scratch};
use crate::spec::{FfnKind, ModelSpec};
use crate::weights::{Ffn, Layer, Weights};

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

/// The bytes that a run takes, besides the file that is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryPlan {
    /// Bytes of one cache page of [`KV_PAGE`](crate::KV_PAGE) positions.
    pub kv_page_bytes: usize,
    /// Bytes of the whole cache, resident once every page was used.
    pub kv_bytes: usize,
    /// Bytes of the scratch, resident once a batch of the largest size was run.
    pub scratch_bytes: usize,
}

impl MemoryPlan {
    /// Cache and scratch.
    pub fn total_bytes(&self) -> usize {
        self.kv_bytes.saturating_add(self.scratch_bytes)
    }
}

/// Bytes of a cache with these options; needs no weights.
pub fn kv_bytes(spec: &ModelSpec, options: &KvOptions) -> usize {
    kv_page_bytes(spec, options).saturating_mul(options.n_pages)
}

/// Bytes of a cache page of [`KV_PAGE`](crate::KV_PAGE) positions of all layers.
pub fn kv_page_bytes(spec: &ModelSpec, options: &KvOptions) -> usize {
    KvLayout::page_elements(spec).saturating_mul(options.kind.bytes())
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
        let attention = || spec.layers.iter().map(|l| &l.attention);
        let most = |f: &dyn Fn(&crate::spec::AttentionSpec) -> usize| attention().map(f).max().unwrap_or(0);
        let n_ff = spec.layers.iter().map(|l| match &l.ffn.kind {
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
            cos_sin: spec.ropes.iter().map(|r| r.n_rot).sum(),
            norm_row: if attention().any(|a| a.qk_norm.is_some()) { q.max(most(&|a| a.k_dim())) } else { 0 },
            max_k: matrices.max_k,
            kinds: matrices.kinds,
            panel_bytes: matrices.panel_bytes,
            attention: attn_plan(spec, options),
            moe: moe_sizes(spec, matrices),
        }
    }

    /// Bytes of a scratch of these sizes.
    pub(crate) fn bytes(&self) -> usize {
        let mut counted = Counted::default();
        // Counting reserves nothing, so it cannot fail.
        let _ = Scratch::build(self, &mut counted);
        counted.bytes()
    }
}

/// Room for the attention of every layer.
fn attn_plan(spec: &ModelSpec, options: &RunOptions) -> AttnPlan {
    let plan = AttnPlan::new(options.threads, options.n_batch, options.n_ctx);
    spec.layers
        .iter()
        .map(|l| &l.attention)
        .fold(plan, |plan, a| plan.layer(a.n_heads, a.n_kv_heads, a.head_dim_k, a.head_dim_v))
}

fn moe_sizes(spec: &ModelSpec, matrices: &Matrices) -> Option<MoeSizes> {
    let specs = spec.layers.iter().filter_map(|l| match &l.ffn.kind {
        FfnKind::Moe(m) => Some(m),
        FfnKind::Dense(_) => None,
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

/// Bytes of weights that one token reads.
pub(crate) fn bytes_per_token(spec: &ModelSpec, weights: &Weights) -> usize {
    let layer = |(layer, spec): (&Layer, &crate::spec::LayerSpec)| {
        let all: usize = layer.linears().map(Linear::weight_bytes).sum();
        match (&layer.ffn, &spec.ffn.kind) {
            (Ffn::Moe { experts, .. }, FfnKind::Moe(moe)) => {
                let stacked: usize = experts.linears().map(Linear::weight_bytes).sum();
                all - stacked + stacked / moe.n_experts * moe.n_used
            }
            _ => all,
        }
    };
    let layers: usize = weights.layers.iter().zip(&spec.layers).map(layer).sum();
    layers + weights.output.weight_bytes() + weights.embedding.row_bytes
}
