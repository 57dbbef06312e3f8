//! What the library does, without a pointer: handles, models, sessions, turns. Every binding calls this.
//!
//! ```text
//! registry.rs   handles: numbers for objects, checked at every use
//! strings.rs    texts that callers hold by their address
//! model.rs      opening, planning, tokens, templates, what a model is
//! sampler.rs    how tokens are chosen
//! session.rs    a conversation with its memory; one caller at a time
//! session/      its messages, its file, its branches
//! turn.rs       a turn: events, stopping, what becomes of the answer
//! embedder.rs   texts to vectors and ranks; one caller at a time
//! coalesce.rs   text that waits to be delivered together
//! cpu.rs        what the processor has
//! device.rs     what the app tells of the device
//! json.rs       JSON from callers
//! log.rs        the library's messages
//! ```
#![forbid(unsafe_code)]

mod coalesce;
pub mod cpu;
pub mod device;
pub mod embedder;
mod failed;
pub mod json;
pub mod log;
pub mod model;
pub mod registry;
pub mod sampler;
pub mod session;
pub mod strings;
mod turn;

pub use failed::Failed;
pub use happy_engine::Cancel as CancelToken;
