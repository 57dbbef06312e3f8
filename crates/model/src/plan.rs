//! Exact sizes before anything is allocated: of a cache page, the whole cache, and the scratch of a forward pass.

use happy_kernels::linear::Linear;

use crate::kv::{GroupLayout, KvCache, KvOptions, KvType, groups, state_elements};
use crate::scratch::Scratch;
use crate::scratch_sizes::{Matrices, RunOptions, ScratchSizes};
use crate::spec::ModelSpec;
use crate::weights::{Layer, Mlp, Weights};

/// The memory of a run, besides the mapped file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryPlan {
    /// Bytes of the keys and values of [`KV_PAGE`](crate::KV_PAGE) positions in all layers.
    pub kv_page_bytes: usize,
    /// Bytes of the sequences' pages, for all groups of layers. They are resident once every page has been used.
    pub kv_bytes: usize,
    /// Bytes of recurrent states: two per sequence (one that a pass reads, one that it writes), and those of speculative rows. 0
    /// without recurrent layers.
    pub state_bytes: usize,
    /// Bytes of the pages and states of snapshots. 0 for a model whose layers all see every position.
    pub snapshot_bytes: usize,
    /// Bytes of the tables that map pages and states to sequences.
    pub kv_table_bytes: usize,
    /// Bytes of the scratch. They are resident once a batch of the largest size has run.
    pub scratch_bytes: usize,
}

impl MemoryPlan {
    /// Counts the same lists of buffers that a cache and a scratch reserve.
    pub(crate) fn new(spec: &ModelSpec, matrices: &Matrices, kv: &KvOptions, run: &RunOptions) -> Self {
        let (kv_bytes, state_bytes) = (kv_bytes(spec, kv), state_bytes(spec, kv));
        let snapshot_bytes = snapshot_bytes(spec, kv);
        let contents = kv_bytes.saturating_add(state_bytes).saturating_add(snapshot_bytes);
        MemoryPlan {
            kv_page_bytes: kv_page_bytes(spec, kv),
            kv_bytes,
            state_bytes,
            snapshot_bytes,
            kv_table_bytes: KvCache::bytes(spec, kv).saturating_sub(contents),
            scratch_bytes: Scratch::bytes(&ScratchSizes::new(0, spec, matrices, run)),
        }
    }

    /// Returns the bytes of cache and scratch. [`Model::kv_cache`](crate::Model::kv_cache) and
    /// [`Model::scratch`](crate::Model::scratch) request exactly this much from the allocator.
    pub fn total_bytes(&self) -> usize {
        [self.kv_bytes, self.state_bytes, self.snapshot_bytes, self.kv_table_bytes, self.scratch_bytes]
            .into_iter()
            .fold(0, usize::saturating_add)
    }
}

/// Returns the bytes of the pages of all sequences in a cache with these options. No weights are needed.
pub fn kv_bytes(spec: &ModelSpec, options: &KvOptions) -> usize {
    let sizes = options.sizes(spec);
    let bytes = |group: GroupLayout| {
        let page = options.kind.bytes_of(group.page_elements);
        page.saturating_mul(sizes.live_pages(group.window))
    };
    groups(spec).map(bytes).fold(0, usize::saturating_add)
}

/// Returns the bytes of the keys and values of [`KV_PAGE`](crate::KV_PAGE) positions in all layers.
pub fn kv_page_bytes(spec: &ModelSpec, options: &KvOptions) -> usize {
    let elements = groups(spec).map(|group| group.page_elements).fold(0, usize::saturating_add);
    options.kind.bytes_of(elements)
}

/// Returns the bytes of the recurrent states of all sequences in a cache with these options. No weights are needed.
pub fn state_bytes(spec: &ModelSpec, options: &KvOptions) -> usize {
    let sizes = options.sizes(spec);
    sizes.state_elements.saturating_mul(size_of::<f32>()).saturating_mul(sizes.live_states())
}

/// Returns the bytes of the snapshots of a cache with these options, at most [`KvOptions::snapshot_bytes`]. No weights are needed.
pub fn snapshot_bytes(spec: &ModelSpec, options: &KvOptions) -> usize {
    let sizes = options.sizes(spec);
    sizes.snapshot_bytes.saturating_mul(sizes.n_snapshots)
}

/// Returns the bytes of keys and values that the token at `position` of a sequence reads, and of the states that it reads and writes.
pub(crate) fn cache_bytes_per_token(spec: &ModelSpec, kind: KvType, position: usize) -> usize {
    let visible = |window: Option<u32>| {
        let all = position.saturating_add(1);
        window.map_or(all, |n| all.min(n as usize))
    };
    // A layer without keys and values of its own reads those of another.
    let values = spec.attentions().map(|a| {
        let row = kind.bytes_of(a.k_dim().saturating_add(a.v_dim()));
        row.saturating_mul(visible(a.window))
    });
    let states = state_elements(spec).saturating_mul(2 * size_of::<f32>());
    values.fold(states, usize::saturating_add)
}

/// Returns the bytes of weights that one token reads.
pub(crate) fn bytes_per_token(weights: &Weights) -> usize {
    let layer = |layer: &Layer| {
        let all: usize = layer.linears().map(Linear::weight_bytes).sum();
        let Some(moe) = layer.moe() else { return all };
        let stacks: usize = moe.experts.linears().map(Linear::weight_bytes).sum();
        let small: usize = moe.of_groups.iter().flat_map(Mlp::linears).map(Linear::weight_bytes).sum();
        let groups = moe.spec.of_groups.map_or(1, |g| moe.spec.n_experts / g.group);
        let expert = moe.expert_bytes() / moe.spec.n_experts + small / groups;
        all - stacks - small + expert * moe.spec.n_used
    };
    let layers: usize = weights.layers.iter().map(layer).sum();
    let per_layer = weights.per_layer.as_ref().map_or(0, |p| p.proj.weight_bytes() + p.table.row_bytes);
    let altup = weights.altup.as_ref().map_or(0, |a| a.proj.weight_bytes() + a.unembd.weight_bytes());
    let draft_head = weights.draft_head.as_ref().map_or(0, |h| h.proj.weight_bytes());
    layers
        + draft_head
        + weights.output.as_ref().map_or(0, Linear::weight_bytes)
        + weights.embedding.row_bytes
        + per_layer
        + altup
}
