//! Exact sizes before anything is allocated: what a cache page, the whole cache and the scratch of a forward pass take.

use happy_kernels::Pool;
use happy_kernels::linear::Linear;

use crate::kv::{KvLayout, KvOptions};
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

    pub(crate) fn clamped(&self) -> Self {
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
