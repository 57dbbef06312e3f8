//! The C boundary: pointers in, pointers out. What the functions do is in [`crate::core`].
//!
//! ```text
//! types.rs       the structs, enums and callbacks of the header
//! barrier.rs     no panic crosses; errors go out
//! pointers.rs    checked reading and writing through the caller's pointers
//! structs.rs     structs with sizes, of older and newer callers
//! options/       the one list of options; C's options and Java's -> those of the core
//! results.rs     the core's results -> C's structs
//! callbacks.rs   calling the caller
//! descriptor.rs  file descriptors
//! android.rs     what the NDK tells of heat, looked up at run time
//! purge.rs       memory that the allocator keeps, back to the system
//! error, library, load, text, sampler, session, saved, turn, embed, verify   the functions
//! ```
#![allow(unsafe_code)]

pub(crate) mod android;
pub(crate) mod barrier;
mod callbacks;
pub(crate) mod descriptor;
pub mod embed;
pub mod error;
pub mod library;
pub mod load;
pub(crate) mod options;
mod pointers;
pub(crate) mod purge;
pub(crate) mod results;
pub mod sampler;
pub mod saved;
pub mod session;
mod structs;
pub mod text;
pub mod turn;
pub mod types;
pub mod verify;

use std::ffi::CStr;

/// The library's version.
const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};
