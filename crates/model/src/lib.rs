//! Language models as data: a GGUF file's metadata becomes a [`ModelSpec`], and one forward pass runs every one of
//! them on the file's own bytes.
//!
//! - [`Model::load`] checks every tensor and copies no matrix; a model is immutable and shared between threads.
//! - [`KvCache`] holds keys and values in pages, and recurrent states, for several sequences that may share their beginnings.
//! - [`Model::forward`] runs a [`Batch`]: prompt, next token, or many sequences at once, the same path for all.
//! - [`Model::adapter`] loads a LoRA adapter; rows of a batch name an [`AdapterSet`].
//! - [`LayerHook`] sees, changes or ends the computation between layers.
//!
//! A row's bits depend on its sequence alone: not on the batch, the threads or the instruction set.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod adapter;
pub mod arch;
mod batch;
mod buffers;
mod embed;
mod error;
mod forward;
mod head;
mod hook;
mod kv;
mod load;
mod model;
mod names;
mod outline;
mod output;
mod plan;
mod recurrent;
mod reserve;
mod scratch;
mod scratch_sizes;
pub mod spec;
mod weights;

pub use adapter::{Adapter, AdapterError, AdapterSet};
pub use batch::{Batch, Want};
pub use embed::Embeddings;
pub use error::{BatchError, ForwardError, KvError, LoadError, LoadErrorKind};
pub use happy_kernels::ops::KV_PAGE;
pub use hook::{LayerHook, NoHook};
pub use kv::{KvCache, KvOptions, KvRestore, KvShape, KvType};
pub use load::{Architectures, Loader};
pub use model::Model;
pub use outline::Outline;
pub use output::Output;
pub use plan::{MemoryPlan, kv_bytes, kv_page_bytes, snapshot_bytes, state_bytes};
pub use scratch::Scratch;
pub use scratch_sizes::RunOptions;
pub use spec::{ModelSpec, Pooling};

/// The version of the numerics, which `docs/numerics.md` states: raised whenever any bit of a result may change. What was computed
/// with another version is not continued.
pub const NUMERICS_VERSION: u32 = 1;
