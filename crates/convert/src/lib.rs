#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod arch;
mod checkpoint;
mod error;
mod json;
mod names;
mod pairs;
mod plan;
mod pooling;
pub mod safetensors;
mod tokenizer;
mod write;

pub use checkpoint::Checkpoint;
pub use error::{ConvertError, ConvertErrorKind};
pub use plan::{Conversion, ConvertOptions, OutputType, TensorPlan};
pub use write::RunOptions;
