#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod api;
mod ask;
mod delta;
mod downloads;
mod embeddings;
mod error;
mod fields;
mod http;
#[doc(hidden)]
pub mod internals;
mod metrics;
mod models;
mod options;
mod page;
mod scheduler;
mod server;
mod state;
mod stream;

pub use downloads::Downloads;
pub use error::ServerError;
pub use models::ServedModel;
pub use options::ServerOptions;
pub use server::{Server, Stop};
