#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod alias_table;
mod cache;
mod choose;
mod client;
mod config;
mod disk;
mod download;
mod error;
mod header;
mod http;
mod hub;
#[doc(hidden)]
pub mod internals;
mod list;
mod listing;
mod lock;
mod name;
mod options;
mod partial;
mod progress;
mod pull;
mod ranges;
mod remote;
mod resolve;
mod safe;
mod span;
mod transport;
mod url;

#[cfg(feature = "ureq")]
mod ureq_transport;

pub use alias_table::{ALIASES, Alias};
pub use choose::Role;
pub use client::RetryPolicy;
pub use config::{Config, Token};
pub use disk::{Disk, SystemDisk};
pub use error::Error;
pub use header::MAX_HEADER_BYTES;
pub use hub::Hub;
pub use list::{Cached, CachedModel, CachedPartial, Removed};
pub use name::Name;
pub use options::{Event, Offer, OfferedFile, PullOptions, Pulled, PulledFile, Verdict};
pub use progress::{Progress, RateMeter};
pub use transport::{Headers, Request, Response, Transport, TransportError};

#[cfg(feature = "ureq")]
pub use ureq_transport::UreqTransport;
