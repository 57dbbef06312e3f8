#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(not(feature = "mmap"), forbid(unsafe_code))]
#![deny(unsafe_code)]

extern crate alloc;

mod array;
mod cursor;
mod dialect;
mod entries;
mod error;
mod file_name;
mod ggml_type;
mod gguf;
mod index;
pub mod keys;
#[cfg(feature = "std")]
mod large_pages;
mod limits;
mod metadata;
mod parse;
mod rules;
mod set;
mod skip;
mod split_name;
mod tensor_info;
mod value;
mod warning;

#[cfg(feature = "write")]
mod edit;
#[cfg(feature = "write")]
mod edit_file;
#[cfg(feature = "write")]
mod encode;
#[cfg(feature = "write")]
mod encode_header;
#[cfg(feature = "write")]
mod fault;
#[cfg(feature = "std")]
mod file;
#[cfg(feature = "hash")]
mod hash;
#[cfg(feature = "std")]
mod header;
#[cfg(feature = "mmap")]
mod mmap;
#[cfg(feature = "write")]
mod new_tensor;
#[cfg(feature = "write")]
mod overwrite;
#[cfg(feature = "write")]
mod owned_value;
#[cfg(feature = "std")]
mod part;
#[cfg(feature = "std")]
mod part_name;
#[cfg(feature = "write")]
mod pending;
#[cfg(feature = "std")]
mod read_ahead;
#[cfg(feature = "write")]
mod realign;
#[cfg(feature = "std")]
mod set_file;
#[cfg(feature = "std")]
mod set_reader;
#[cfg(feature = "write")]
mod sink;
#[cfg(feature = "write")]
mod split;
#[cfg(feature = "std")]
mod undo;
#[cfg(feature = "write")]
mod write_error;
#[cfg(feature = "write")]
mod write_options;
#[cfg(feature = "write")]
mod writer;

pub use array::{Array, Element, Packed, StrIndex, Strings, Values};
pub use dialect::ByteOrder;
pub use error::{ParseError, ParseErrorKind};
pub use file_name::FileName;
pub use ggml_type::{BlockLayout, GgmlType};
pub use gguf::Gguf;
pub use keys::{Key, KeyType, PerLayer};
pub use limits::Limits;
pub use metadata::{FromValue, Metadata, ValueError, ValueErrorKind};
pub use set::{GgufSet, SetError, SetErrorKind};
pub use split_name::SplitName;
pub use tensor_info::{Dims, MAX_DIMS, TensorInfo};
pub use value::{RawStr, Value, ValueType};
pub use warning::{Warning, WarningKind};

#[cfg(feature = "write")]
pub use edit::GgufEdit;
#[cfg(feature = "write")]
pub use edit_file::{EditMode, Edited, edit_file, edit_file_with, recover_file};
#[cfg(feature = "std")]
pub use file::{FileError, GgufFile, SharedBytes};
#[cfg(feature = "hash")]
pub use hash::{Cancelled, ContentHash};
#[cfg(feature = "std")]
pub use header::{GgufHeader, HeaderError, HeaderOptions};
#[cfg(feature = "write")]
pub use owned_value::{OwnedArray, OwnedValue};
#[cfg(feature = "std")]
pub use part::FilePart;
#[cfg(feature = "write")]
pub use pending::{abandon_writes, remove_leftovers};
#[cfg(feature = "std")]
pub use set_file::GgufSetFile;
#[cfg(feature = "std")]
pub use set_reader::GgufSetReader;
#[cfg(feature = "write")]
pub use split::{SplitBy, part_paths};
#[cfg(feature = "write")]
pub use write_error::{WriteError, WriteErrorKind};
#[cfg(feature = "write")]
pub use write_options::WriteOptions;
#[cfg(feature = "write")]
pub use writer::GgufWriter;

/// The key that sets the alignment of the tensor data (a `u32`).
pub const ALIGNMENT_KEY: &str = "general.alignment";

/// The alignment of a file that does not have [`ALIGNMENT_KEY`], in bytes.
pub const DEFAULT_ALIGNMENT: u64 = 32;
