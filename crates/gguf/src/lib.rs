#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

mod array;
mod cursor;
mod dialect;
mod entries;
mod error;
mod ggml_type;
mod gguf;
mod index;
mod limits;
mod metadata;
mod parse;
mod rules;
mod skip;
mod tensor_info;
mod value;
mod warning;

#[cfg(feature = "write")]
mod encode;
#[cfg(feature = "std")]
mod file;
#[cfg(feature = "mmap")]
mod mmap;
#[cfg(feature = "write")]
mod owned_value;
#[cfg(feature = "write")]
mod write_error;
#[cfg(feature = "write")]
mod writer;

pub use array::{Array, Element, Packed, StrIndex, Strings, Values};
pub use dialect::ByteOrder;
pub use error::{ParseError, ParseErrorKind};
pub use ggml_type::{BlockLayout, GgmlType};
pub use gguf::Gguf;
pub use limits::Limits;
pub use metadata::{FromValue, Metadata, ValueError, ValueErrorKind};
pub use tensor_info::{Dims, MAX_DIMS, TensorInfo};
pub use value::{RawStr, Value, ValueType};
pub use warning::{Warning, WarningKind};

#[cfg(feature = "std")]
pub use file::{FileError, GgufFile, SharedBytes};
#[cfg(feature = "write")]
pub use owned_value::{OwnedArray, OwnedValue};
#[cfg(feature = "write")]
pub use write_error::{WriteError, WriteErrorKind};
#[cfg(feature = "write")]
pub use writer::GgufWriter;

/// The key that sets the alignment of the tensor data (a `u32`).
pub const ALIGNMENT_KEY: &str = "general.alignment";

/// The alignment of a file that does not have [`ALIGNMENT_KEY`], in bytes.
pub const DEFAULT_ALIGNMENT: u64 = 32;
