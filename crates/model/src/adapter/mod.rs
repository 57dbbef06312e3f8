//! Adapters (LoRA): small files that change what a model computes, without changing its weights.
//!
//! ```text
//! y = W x                                       W is the model's, where it is mapped
//! for each adapter of the row's set, in order:  y = fma(s, B (A x), y),  s = scale * alpha / rank
//! y = y + bias                                  then the activation
//! ```
//!
//! [`crate::Model::adapter`] checks a whole file against the model before anything is kept. An [`AdapterSet`] has adapters with scales.
//! Each row of a [`Batch`](crate::Batch) names its set, so sequences with different sets run in one batch and have the same bits as alone.
//! A and B are read where the file is mapped; making a set copies no weights.

mod error;
mod load;
mod set;

pub use error::AdapterError;
pub use set::AdapterSet;

use std::sync::Arc;

use happy_kernels::linear::{Linear, LowRank};

use crate::weights::Embedding;

/// A loaded adapter for one model. It keeps the file's bytes alive.
pub struct Adapter {
    /// Different for each adapter that this process loaded.
    id: u64,
    /// The model it was checked against.
    model: u64,
    /// `adapter.lora.alpha`; 0: scales are not divided by the rank.
    alpha: f32,
    /// By the number of the matrix in the model's table.
    products: Vec<(u32, Arc<LowRank>)>,
    embedding: Option<Arc<EmbeddingProduct>>,
    invocation: Vec<u32>,
    rank: usize,
    bytes: usize,
}

/// `B A` for the token embedding: a token's row of A is multiplied by B.
pub(crate) struct EmbeddingProduct {
    /// `[n_vocab][rank]`
    pub(crate) a: Embedding,
    /// `[n_embd][rank]`
    pub(crate) b: Linear,
}

impl Adapter {
    /// Returns a number that no other adapter of this process has.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns the greatest rank of its matrices. A set of several adapters needs the sum; see
    /// [`RunOptions::adapter_rank`](crate::RunOptions::adapter_rank).
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Returns `adapter.lora.alpha`, which is divided by the rank of each matrix, or 0 if the file has none.
    pub fn alpha(&self) -> f32 {
        self.alpha
    }

    /// Returns the size of its matrices in bytes.
    pub fn weight_bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the tokens that invoke an activated adapter (aLoRA): it works from the first of them on. Empty if it always works.
    pub fn invocation_tokens(&self) -> &[u32] {
        &self.invocation
    }

    /// `scale * alpha / rank`, rounded once.
    fn factor(&self, scale: f32, rank: usize) -> f32 {
        if self.alpha == 0.0 {
            return scale;
        }
        (f64::from(scale) * f64::from(self.alpha) / rank as f64) as f32
    }
}

impl std::fmt::Debug for Adapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Adapter").field("id", &self.id).field("rank", &self.rank).finish_non_exhaustive()
    }
}
