//! [`Model`]: a specification with its weights, immutable and shared between threads.

use std::sync::atomic::{AtomicU64, Ordering};

use happy_kernels::linear::ActKind;

use crate::adapter::AdapterSet;
use crate::error::{BatchError, KvError};
use crate::kv::{KvCache, KvLayout, KvOptions, KvType};
use crate::names;
use crate::plan::{self, MemoryPlan};
use crate::reserve::NoMemory;
use crate::scratch::Scratch;
use crate::scratch_sizes::{Matrices, RunOptions, ScratchSizes};
use crate::spec::ModelSpec;
use crate::weights::Weights;

/// A language model: its specification, and its weights, which stay in the file's memory.
pub struct Model {
    id: u64,
    spec: ModelSpec,
    weights: Weights,
    layout: KvLayout,
    unused: Vec<String>,
    matrices: Matrices,
}

impl Model {
    pub(crate) fn new(
        spec: ModelSpec,
        weights: Weights,
        unused: Vec<String>,
        matrices: Matrices,
    ) -> Result<Self, NoMemory> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let layout = KvLayout::new(&spec)?;
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Model { id, spec, weights, layout, unused, matrices })
    }

    /// Returns the specification: what the model computes.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Returns the size of the vocabulary.
    pub fn n_vocab(&self) -> usize {
        self.spec.n_vocab
    }

    /// Returns the width of a hidden state.
    pub fn n_embd(&self) -> usize {
        self.spec.n_embd
    }

    /// Returns the number of layers.
    pub fn n_layers(&self) -> usize {
        self.spec.layers.len()
    }

    /// Returns the context length that the model was trained for.
    pub fn n_ctx_train(&self) -> u32 {
        self.spec.n_ctx_train
    }

    /// Returns the names of the file's tensors that the model does not use.
    pub fn unused_tensors(&self) -> &[String] {
        &self.unused
    }

    /// Returns why the computation skips one of these tensors, in a few words, such as `blocks that predict further tokens`.
    pub fn unused_reason(&self, name: &str) -> &'static str {
        names::why_unused(name, &self.spec)
    }

    /// Returns the bytes of weights that decoding a token reads: every matrix, but only the experts of one token.
    pub fn bytes_per_token(&self) -> usize {
        plan::bytes_per_token(&self.weights)
    }

    /// Returns the bytes of the cache that decoding the token at `position` of a sequence moves: keys and values of `kind` that are
    /// read, and recurrent states that are read and written.
    pub fn cache_bytes_per_token(&self, kind: KvType, position: usize) -> usize {
        plan::cache_bytes_per_token(&self.spec, kind, position)
    }

    /// Returns the sorted names of the matrix kernels in use: `gemv` and `gemm` of each format.
    pub fn kernel_names(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        for name in self.weights.linears().flat_map(|l| [l.kernel().gemv_name, l.kernel().gemm_name]) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.sort_unstable();
        names
    }

    /// Returns the exact sizes of a cache and a scratch. Nothing is allocated.
    pub fn plan(&self, kv: &KvOptions, run: &RunOptions) -> MemoryPlan {
        MemoryPlan::new(&self.spec, &self.matrices, kv, run)
    }

    /// Makes a cache for this model.
    ///
    /// # Errors
    /// If memory cannot be reserved, or the model's keys and values can't be stored in this way
    /// ([`KvType::check`](crate::KvType::check)).
    pub fn kv_cache(&self, options: KvOptions) -> Result<KvCache, KvError> {
        KvCache::new(&self.spec, options)
    }

    /// Makes the buffers for passes of at most this size. Passes allocate nothing.
    ///
    /// # Errors
    /// If memory cannot be reserved.
    pub fn scratch(&self, options: &RunOptions) -> Result<Scratch, KvError> {
        Scratch::new(&ScratchSizes::new(self.id, &self.spec, &self.matrices, options))
    }

    /// Checks that a set of adapters can be used with this model and a scratch that was planned for `adapter_rank`.
    ///
    /// # Errors
    /// If the adapters belong to another model, or their rank is greater.
    pub fn check_adapters(&self, set: &AdapterSet, adapter_rank: usize) -> Result<(), BatchError> {
        let found = set.rank();
        if !set.is_empty() && set.model() != self.id {
            return Err(BatchError::OtherAdapters);
        }
        if found > adapter_rank {
            return Err(BatchError::AdapterRank { found, planned: adapter_rank });
        }
        Ok(())
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn weights(&self) -> &Weights {
        &self.weights
    }

    pub(crate) fn kv_layout(&self) -> &KvLayout {
        &self.layout
    }

    pub(crate) fn has_float_matrices(&self) -> bool {
        [self.matrices.acts, self.matrices.moe_acts].iter().any(|widths| widths.of(ActKind::F32) > 0)
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("architecture", &self.spec.architecture).finish_non_exhaustive()
    }
}
