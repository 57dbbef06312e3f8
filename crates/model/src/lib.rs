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
mod shift;
pub mod spec;
mod weights;

pub use adapter::{Adapter, AdapterError, AdapterSet};
pub use batch::{Batch, Want};
pub use embed::Embeddings;
pub use error::{BatchError, ForwardError, KvError, LoadError, LoadErrorKind};
pub use happy_kernels::ops::KV_PAGE;
pub use hook::{ExpertInput, LayerHook, NoHook, Value};
pub use kv::{KvCache, KvOptions, KvRestore, KvShape, KvType};
pub use load::{Architectures, Loader, ReadAhead};
pub use model::Model;
pub use outline::Outline;
pub use output::Output;
pub use plan::{MemoryPlan, kv_bytes, kv_page_bytes, snapshot_bytes, state_bytes};
pub use scratch::Scratch;
pub use scratch_sizes::RunOptions;
pub use spec::{ModelSpec, Pooling};

/// The version of the numerics, as in `docs/numerics.md`. It goes up whenever a single bit of any result may change. Sequences that were
/// computed with another version must not be continued.
pub const NUMERICS_VERSION: u32 = 1;
