#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

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
pub use formats::{
    BlockBF16, BlockF16, BlockF32, BlockIQ1M, BlockIQ1S, BlockIQ2S, BlockIQ2XS, BlockIQ2XXS, BlockIQ3S,
    BlockIQ3XXS, BlockIQ4NL, BlockIQ4XS, BlockMXFP4, BlockNVFP4, BlockQ1_0, BlockQ2_0, BlockQ2K, BlockQ3K,
    BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K, BlockQ8_0, BlockTQ1_0,
    BlockTQ2_0, FP4_LEVELS, IQ4_LEVELS, Quantize,
};
pub use half::{bf16, f16};
pub use row::{dequantize_row, dequantize_to_vec, quantize_row, quantize_row_weighted};
pub use storage::{Bytes, RangeError};
