#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

#[macro_use]
mod list;
#[macro_use]
mod cast;

pub mod activation;
pub mod convert;
mod dtype;
mod error;
pub mod formats;
mod quantize;
mod row;
mod storage;

pub use activation::{NonFinite, quantize_unit};
pub use cast::Block;
pub use dtype::DType;
pub use error::{CastError, RowError, ShapeError};
pub use formats::{FP4_LEVELS, IQ4_LEVELS, Quantize};
pub use half::{bf16, f16};
pub use row::{dequantize_row, dequantize_to_vec, quantize_row, quantize_row_weighted};
pub use storage::{Bytes, RangeError};

macro_rules! export_blocks {
    ($($dtype:ident $block:ident $facts:tt)*) => { pub use formats::{$($block),*}; };
}
for_each_format!(export_blocks);
