//! [`Model`]: a specification with its weights, immutable and shared between threads.

use std::sync::atomic::{AtomicU64, Ordering};

use happy_gguf::{GgufFile, GgufSet, GgufSetFile, SharedBytes};
use happy_kernels::Kernels;
use happy_kernels::linear::ActKind;

use crate::error::{KvError, LoadError};
use crate::kv::{KvCache, KvLayout, KvOptions};
use crate::load;
use crate::outline::Outline;
use crate::plan::{self, MemoryPlan, RunOptions};
use crate::reserve::collected;
use crate::scratch::{self, Scratch};
use crate::scratch_sizes::{Matrices, ScratchSizes};
use crate::spec::ModelSpec;
use crate::weights::Weights;

/// A language model: what it computes and the weights, which stay in the file's memory.
pub struct Model {
    id: u64,
    spec: ModelSpec,
    weights: Weights,
    layout: KvLayout,
    unused: Vec<String>,
    matrices: Matrices,
}

impl Model {
    /// Loads a parsed file: reads the specification, checks every tensor, copies only norms and biases.
    ///
    /// The model keeps the file's bytes alive. `kernels` decides which matrix kernels it runs.
    ///
    /// # Errors
    /// An architecture or feature that is not implemented (the message contains `unsupported`), metadata that is
    /// missing or wrong, a tensor that is missing or of a wrong shape or type, memory that cannot be reserved (at most
    /// [`Outline::table_bytes`] are taken).
    pub fn load(file: &GgufFile, kernels: &Kernels) -> Result<Self, LoadError> {
        Self::of_parts(&file.view().into(), &[file.shared()], kernels)
    }

    /// Loads a model of one file or of several, as [`Model::load`].
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_set(files: &GgufSetFile, kernels: &Kernels) -> Result<Self, LoadError> {
        let parts = files.parts().map(|(_, file)| file.shared());
        Self::of_parts(&files.view(), &collected(files.parts().len(), parts)?, kernels)
    }

    /// Loads a model of files with these bytes.
    fn of_parts(gguf: &GgufSet<'_>, parts: &[SharedBytes], kernels: &Kernels) -> Result<Self, LoadError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let Outline { spec, matrices, .. } = Outline::read(gguf, kernels)?;
        let (weights, unused) = load::load(gguf, parts, &spec, kernels)?;
        let layout = KvLayout::new(&spec)?;
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Model { id, spec, weights, layout, unused, matrices })
    }

    /// What the model computes.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Size of the vocabulary.
    pub fn n_vocab(&self) -> usize {
        self.spec.n_vocab
    }

    /// Width of a hidden state.
    pub fn n_embd(&self) -> usize {
        self.spec.n_embd
    }

    /// Number of layers.
    pub fn n_layers(&self) -> usize {
        self.spec.layers.len()
    }

    /// The context length the model was trained for.
    pub fn n_ctx_train(&self) -> u32 {
        self.spec.n_ctx_train
    }

    /// Names of the file's tensors that the model does not need.
    pub fn unused_tensors(&self) -> &[String] {
        &self.unused
    }

    /// Bytes of weights that decoding one token reads: every matrix, of mixtures the experts of one token.
    pub fn bytes_per_token(&self) -> usize {
        plan::bytes_per_token(&self.spec, &self.weights)
    }

    /// Names of the matrix kernels in use, `gemv` and `gemm` of each format, sorted.
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

    /// The exact sizes of a cache and a scratch; nothing is allocated.
    pub fn plan(&self, kv: &KvOptions, run: &RunOptions) -> MemoryPlan {
        MemoryPlan {
            kv_page_bytes: plan::kv_page_bytes(&self.spec, kv),
            kv_bytes: plan::kv_bytes(&self.spec, kv),
            scratch_bytes: scratch::bytes(&ScratchSizes::new(self.id, &self.spec, &self.matrices, run)),
        }
    }

    /// A cache for this model.
    ///
    /// # Errors
    /// Memory that cannot be reserved.
    pub fn kv_cache(&self, options: KvOptions) -> Result<KvCache, KvError> {
        KvCache::new(&self.spec, options)
    }

    /// Buffers for passes of at most this size; passes allocate nothing.
    ///
    /// # Errors
    /// Memory that cannot be reserved.
    pub fn scratch(&self, options: &RunOptions) -> Result<Scratch, KvError> {
        Scratch::new(&ScratchSizes::new(self.id, &self.spec, &self.matrices, options))
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
        self.matrices.kinds.contains(ActKind::F32)
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("architecture", &self.spec.architecture).finish_non_exhaustive()
    }
}
