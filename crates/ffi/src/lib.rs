//! `libhappy`: the C interface of happy-phone-llm. The header is `include/happy.h`.
//!
//! ```text
//! core    handles, models, sessions, turns, in safe Rust: what every binding calls
//! capi    pointers in, pointers out: the functions of the header
//! jni     the same for Java, with the feature `jni`
//! ```
#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

pub mod capi;
pub mod core;
mod failure;
#[cfg(feature = "jni")]
pub mod jni;
mod log_level;
mod status;

pub use failure::{Failure, Outcome};
pub use log_level::LogLevel;
pub use status::Status;
