#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod api;
mod ask;
mod delta;
mod embeddings;
mod error;
mod fields;
mod http;
mod metrics;
mod options;
mod page;
mod scheduler;
mod server;
mod state;
mod stream;

pub use error::ServerError;
pub use options::ServerOptions;
pub use server::{Server, Stop};
