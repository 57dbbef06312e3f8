//! The Java boundary: native methods of `dev.happyllm.Native`, whose Java side is in `bindings/android`.
//!
//! ```text
//! call.rs      failures and panics become exceptions
//! arrays.rs    texts, tokens and numbers, as copies of Java's arrays
//! options.rs   JSON -> the core's options
//! events.rs    the core's events -> arrays of bytes
//! numbers.rs   plans and memory reports -> arrays of longs
//! library, model, session, saved, embed   the methods
//! ```
//! Java calls down only, but for the progress of loading, which is heard on the thread that loads. No thread of the library
//! ever enters the virtual machine. The one thing unsafe here is that exported names could clash.
#![allow(unsafe_code)]

mod arrays;
mod call;
pub mod embed;
mod events;
pub mod library;
pub mod model;
mod numbers;
mod options;
pub mod saved;
pub mod session;
